//! `cargo xtask chart`: writes what the charts have of the code: rules of rights and CRDs. A test of the operator knows them,
//! and writes them where it is asked to. What is for those without Helm is rendered of that.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Writes the files.
pub fn run() -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["test", "--quiet", "--package", "leadsman", "--lib", "chart"])
        .env("LEADSMAN_WRITE_CHART", "1")
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "writing the charts: {status}");
    leadsman_bed::write_rendered_charts()
}
