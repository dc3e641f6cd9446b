//! `cargo xtask bench`: what is measured, and printed as it stands in the docs.

mod gates;
mod load;
mod picture;

use std::ffi::OsString;

use anyhow::Result;
use clap::Subcommand;

/// What is measured.
#[derive(Subcommand)]
pub enum Bench {
    /// Gates on counts: false alarms over repeated looks, requests to detect, whole releases (docs/gates.md)
    Gates {
        /// Put the tables into docs/gates.md and the picture beside it
        #[arg(long)]
        write: bool,
    },
    /// What controllers are compared by, in one table: an hour with two others; options: --help
    #[command(trailing_var_arg = true, allow_hyphen_values = true, disable_help_flag = true)]
    Table { arguments: Vec<OsString> },
    /// What settled Rollouts cost: memory, requests, CPU; options: --help
    #[command(trailing_var_arg = true, allow_hyphen_values = true, disable_help_flag = true)]
    Idle { arguments: Vec<OsString> },
    /// One release: requests, writes, events, CPU; options: --help
    #[command(trailing_var_arg = true, allow_hyphen_values = true, disable_help_flag = true)]
    Release { arguments: Vec<OsString> },
    /// Many releases at once: times, CPU, requests, memory; options: --help
    #[command(trailing_var_arg = true, allow_hyphen_values = true, disable_help_flag = true)]
    Wave { arguments: Vec<OsString> },
    /// From a failing sample in Prometheus to weight 0; options: --help
    #[command(trailing_var_arg = true, allow_hyphen_values = true, disable_help_flag = true)]
    Rollback { arguments: Vec<OsString> },
    /// Another process begins with what there is; options: --help
    #[command(trailing_var_arg = true, allow_hyphen_values = true, disable_help_flag = true)]
    Takeover { arguments: Vec<OsString> },
    /// kubectl leadsman among many Rollouts: times, requests; options: --help
    #[command(trailing_var_arg = true, allow_hyphen_values = true, disable_help_flag = true)]
    Plugin { arguments: Vec<OsString> },
}

impl Bench {
    /// Measures.
    pub fn run(self) -> Result<()> {
        match self {
            Self::Gates { write } => gates::run(write),
            Self::Table { arguments } => load::run("table", arguments),
            Self::Idle { arguments } => load::run("idle", arguments),
            Self::Release { arguments } => load::run("release", arguments),
            Self::Wave { arguments } => load::run("wave", arguments),
            Self::Rollback { arguments } => load::run("rollback", arguments),
            Self::Takeover { arguments } => load::run("takeover", arguments),
            Self::Plugin { arguments } => load::run_plugin(arguments),
        }
    }
}
