//! `cargo xtask cluster`: the end-to-end cluster, by hand.

use std::{ffi::OsString, os::unix::process::CommandExt as _};

use anyhow::{Result, bail};
use clap::Subcommand;
use leadsman_bed::Bed;

/// What to do with the cluster.
#[derive(Subcommand)]
pub enum Cluster {
    /// Make it, or see that it is there
    Up,
    /// Remove it, but not what was built for it
    Down,
    /// A line per component
    Status,
    /// kubectl as its administrator: cargo xtask cluster kubectl -- get pods -A
    #[command(trailing_var_arg = true, allow_hyphen_values = true, disable_help_flag = true)]
    Kubectl {
        /// As kubectl takes them
        arguments: Vec<OsString>,
    },
}

impl Cluster {
    /// Does it.
    pub fn run(self) -> Result<()> {
        match self {
            Self::Up => Bed::up().map(|bed| say_how_to_use(&bed)),
            Self::Down => Bed::down(),
            Self::Status => status(),
            Self::Kubectl { arguments } => {
                let arguments = arguments.into_iter().skip_while(|argument| argument == "--");
                Err(Bed::attach()?.kubectl_command().args(arguments).exec().into())
            }
        }
    }
}

fn status() -> Result<()> {
    let bed = Bed::attach()?;
    let health = bed.health()?;
    for check in &health.checks {
        println!("{}  {:<26} {}", if check.ok { "ok  " } else { "FAIL" }, check.name, check.detail);
    }
    say_how_to_use(&bed);
    if !health.ok() {
        bail!("not everything is up: cargo xtask cluster up");
    }
    Ok(())
}

fn say_how_to_use(bed: &Bed) {
    println!();
    println!("  export KUBECONFIG={} PATH={}:$PATH", bed.kubeconfig().display(), bed.bin_dir().display());
    println!("  logs in {}; audit log {}", bed.log_dir().display(), bed.audit_log().display());
}
