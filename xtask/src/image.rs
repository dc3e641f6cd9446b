//! `cargo xtask image`: the operator's image as it is published.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
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
    /// The machines that it is for; both by default
    #[arg(long, value_delimiter = ',', value_enum)]
    platform: Vec<Platform>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Platform {
    #[value(name = "linux/amd64")]
    Amd64,
    #[value(name = "linux/arm64")]
    Arm64,
}

impl Image {
    /// Writes the layout, and says what came out.
    pub fn run(self) -> Result<()> {
        let architectures = self.platform.iter().map(|platform| match platform {
            Platform::Amd64 => Architecture::Amd64,
            Platform::Arm64 => Architecture::Arm64,
        });
        let architectures = match architectures.collect::<Vec<_>>() {
            none if none.is_empty() => Architecture::ALL.to_vec(),
            some => some,
        };
        let release = Release { output: std::path::absolute(self.output)?, name: self.name, architectures };
        let digest = release.write()?;
        println!("{}@{digest}", release.name);
        println!("  in {}", release.output.display());
        Ok(())
    }
}
