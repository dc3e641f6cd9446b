//! `cargo xtask image`: the operator's image as it is published.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use leadsman_bed::{Architecture, Release};

/// Options of `image`.
#[derive(Args)]
pub struct Image {
    /// Folder of the OCI image layout; what is in it is replaced
    #[arg(long, default_value = "target/image/leadsman")]
    output: PathBuf,
    /// Reference with tag, as it is to be called
    #[arg(long, default_value = concat!("ghcr.io/leadsman/leadsman:", env!("CARGO_PKG_VERSION")))]
    name: String,
    /// The machines that it is for
    #[arg(long, value_delimiter = ',', default_value = "linux/amd64,linux/arm64")]
    platform: Vec<Architecture>,
}

impl Image {
    /// Writes the layout, and says what came out.
    pub fn run(self) -> Result<()> {
        let output = std::path::absolute(self.output)?;
        let release = Release { output, name: self.name, architectures: self.platform };
        let digest = release.write()?;
        println!("{}@{digest}", release.name);
        println!("  in {}", release.output.display());
        Ok(())
    }
}
