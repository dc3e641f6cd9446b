//! `cargo xtask bench`: what is measured, and printed as it stands in the docs.

mod gates;
mod picture;

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
}

impl Bench {
    /// Measures.
    pub fn run(self) -> Result<()> {
        match self {
            Self::Gates { write } => gates::run(write),
        }
    }
}
