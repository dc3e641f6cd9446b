//! What `status` takes.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};

use super::duration;
use crate::fate::{Goal, Pin};
use crate::target::Target;

/// `status`.
#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("pin").args(["image", "commit", "revision"]), after_help = EXITS)]
pub struct Status {
    /// Rollout, as cart, rollout/cart or shop/cart
    #[arg(value_name = "NAME")]
    pub name: Target,
    /// The image that was deployed, as cart:1.4.2; of a container, as cart=cart:1.4.2
    #[arg(long, value_name = "[CONTAINER=]IMAGE")]
    pub image: Option<String>,
    /// The Git commit that was deployed
    #[arg(long, value_name = "SHA")]
    pub commit: Option<String>,
    /// The attempt, by its number
    #[arg(long, value_name = "NUMBER")]
    pub revision: Option<i64>,
    /// What is waited for: promoted, settled, paused, step=N, weight=N, rolledback or serving
    #[arg(long = "for", value_name = "WHAT", default_value = "promoted")]
    pub goal: Goal,
    /// How long in all
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "30m")]
    pub timeout: Duration,
    /// How long until what was deployed is declared
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10m")]
    pub appear: Duration,
    /// End with 7 where a person has to go on
    #[arg(long)]
    pub exit_on_pause: bool,
    /// A line at least so often, since CI systems end what is silent
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "60s")]
    pub heartbeat: Duration,
    /// Write what explain says into this file, as markdown
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Write gates and steps into this file, as JUnit
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// text, or json: one object a line
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub output: LineFormat,
    /// --watch=false: say how it stands, and end
    #[arg(short, long, value_name = "BOOL", default_value_t = true, default_missing_value = "true", num_args = 0..=1,
        require_equals = true, action = clap::ArgAction::Set)]
    pub watch: bool,
}

const EXITS: &str = "It ends with
  0  what was asked for came true
  1  it could not be found out: not reachable, forbidden, no such Rollout
  2  wrong usage
  3  rolled back, or this revision was rejected before
  4  will not go on by itself: stalled, invalid
  5  time is up
  6  superseded by another revision, or Git went back
  7  waits for a person (with --exit-on-pause)
130  interrupted";

/// How lines are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LineFormat {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}

impl Status {
    /// What was deployed, where that was named.
    pub fn pin(&self) -> Option<Pin> {
        let image = self.image.as_deref().map(Pin::image);
        image.or_else(|| self.commit.clone().map(Pin::Commit)).or_else(|| self.revision.map(Pin::Revision))
    }
}
