//! `cargo xtask crds`: writes `crds/` from the types. A program of its own does it, so that xtask builds without kube.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Writes the files.
pub fn run() -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["run", "--quiet", "--package", "leadsman-api", "--example", "crds"])
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "writing the CRDs: {status}");
    Ok(())
}
