//! `cargo xtask demo`: a good release and a bad one on the cluster, shown as they go.

use std::{env::current_dir, os::unix::process::CommandExt as _, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use leadsman_bed::{Bed, build_operator};

/// Options of `demo`.
#[derive(Args)]
pub struct Demo {
    /// Leave the application and its operator running, and say how to look around
    #[arg(long)]
    keep: bool,
    /// How the releases go: by the weights of a route, or without a mesh by the selector of a Service
    #[arg(long, default_value = "canary", value_parser = ["canary", "blue-green", "plain"])]
    strategy: String,
    /// Where the picture goes; a file in target/demo unless given
    #[arg(long, value_name = "PATH")]
    picture: Option<PathBuf>,
}

impl Demo {
    /// Brings up what is missing, then hands over to the program that shows it.
    pub fn run(self) -> Result<()> {
        let bed = Bed::up_without_flux()?;
        // The harness would do both as well, but only once it is built itself.
        eprintln!("building the operator");
        let image = bed.load_operator_image(&build_operator()?)?;
        eprintln!("building the demo");
        let program = ["--package", "leadsman-e2e", "--bin", "demo"];
        // Apart from running it, so that cargo shows how far it is but not how it runs it.
        let built = cargo().arg("build").args(program).status().context("cannot run cargo")?;
        ensure!(built.success(), "building the demo: {built}");
        let mut demo = cargo();
        demo.args(["run", "--quiet"]).args(program).args(["--", "--strategy", &self.strategy]);
        demo.env("LEADSMAN_E2E_OPERATOR_IMAGE", image).env("LEADSMAN_E2E_KEEP", if self.keep { "1" } else { "0" });
        if let Some(picture) = self.picture {
            demo.arg("--picture").arg(current_dir()?.join(picture));
        }
        // In our place: an interrupt is then the demo's alone, which cleans up before it ends.
        Err(demo.exec().into())
    }
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
