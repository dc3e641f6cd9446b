//! The operator as the cluster runs it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::process::shown;

/// `cargo build --profile e2e -p leadsman`; the program's path. What cargo says goes to stderr.
pub fn build_operator() -> Result<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("no workspace")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.current_dir(workspace).args(["build", "--profile", "e2e", "--package", "leadsman"]);
    // What cargo tells the program that it runs is not for the next cargo: build scripts that look would run anew.
    for (name, _) in std::env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            build.env_remove(name);
        }
    }
    let status = build.status().with_context(|| format!("cannot run {}", shown(&build)))?;
    if !status.success() {
        bail!("{}: {status}", shown(&build));
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    // CARGO_TARGET_DIR may be relative to where cargo ran.
    Ok(workspace.join(target).join("e2e/leadsman"))
}
