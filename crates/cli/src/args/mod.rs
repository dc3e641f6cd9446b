//! The command line: kubectl's own flags where kubectl has them, and a verb.
//!
//! What a verb takes stands in the module of its family. Nothing here reads anything but the words that were typed and
//! the environment variables that are named.

mod act;
mod read;
mod status;

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use act::{Act, Answer, Image, Promote, Restart, Rollback, SetImage, SetWhat};
pub use read::{Completion, CompletionWhat, Diff, Explain, Get, History, List, Logs, Order};
pub use status::{LineFormat, Status};

use crate::output::Format;

/// kubectl leadsman: see what a release does, why it went back, and move it.
#[derive(Debug, Parser)]
#[command(name = "kubectl leadsman", bin_name = "kubectl leadsman", disable_help_subcommand = true)]
pub struct Cli {
    /// Flags that every verb takes.
    #[command(flatten)]
    pub common: Common,

    /// What to do; without one, help is printed.
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

/// Flags that every verb takes.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Flags of every verb")]
pub struct Common {
    /// Namespace; that of the kubeconfig's context where left out
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,

    /// Context of the kubeconfig
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,

    /// Cluster of the kubeconfig
    #[arg(long, global = true, value_name = "NAME")]
    pub cluster: Option<String>,

    /// User of the kubeconfig
    #[arg(long, global = true, value_name = "NAME")]
    pub user: Option<String>,

    /// The kubeconfig file
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<std::path::PathBuf>,

    /// User to act as
    #[arg(long = "as", global = true, value_name = "USER")]
    pub as_user: Option<String>,

    /// Group to act as; may be repeated
    #[arg(long, global = true, value_name = "GROUP")]
    pub as_group: Vec<String>,

    /// How long the answer to a single request may take, like 5s; 0 is for ever
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration, default_value = "15s")]
    pub request_timeout: Duration,

    /// When to colour
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Colour,

    /// Draw with ASCII only
    #[arg(long, global = true)]
    pub ascii: bool,

    /// Times in UTC, instead of local ones
    #[arg(short, long, global = true)]
    pub utc: bool,

    /// The result only: no hints, no progress
    #[arg(short, long, global = true)]
    pub quiet: bool,

    /// Shows requests from 6 on
    #[arg(short, long, global = true, value_name = "LEVEL", default_value_t = 0)]
    pub v: u8,
}

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Rollouts at a glance: what needs a person first
    #[command(visible_alias = "ls")]
    List(List),
    /// One release: steps, weights, gates, what it waits for; -w follows it
    Get(Get),
    /// Wait for what was deployed, for CI: nine exit codes
    Status(Status),
    /// Why it went back, why it does not move, or why it was promoted
    Explain(Explain),
    /// End the present pause or analysis; --full ends all that remain
    Promote(Promote),
    /// Attempts, the newest first
    History(History),
    /// What differs between two revisions
    Diff(Diff),
    /// Logs of the new revision's pods
    Logs(Logs),
    /// Roll the release back, and reject its revision
    Abort(Act),
    /// Let a rejected revision run again
    Retry(Act),
    /// Stop going forward
    Pause(Act),
    /// End a pause that the verb pause began
    Resume(Act),
    /// Go back to the revision that was stable before
    #[command(visible_alias = "undo")]
    Rollback(Rollback),
    /// Replace the pods of the revision that serves, one by one
    Restart(Restart),
    /// Change what is declared
    Set(SetImage),
    /// Look for what keeps Leadsman from working here
    Doctor(Printed),
    /// Versions of the plugin, the operator and the CRDs
    Version(Printed),
    /// Completion for shells and for kubectl
    Completion(Completion),
}

/// How a result is printed.
#[derive(Clone, Debug, Default, Args)]
pub struct Printed {
    /// Format: json, yaml, name, wide or markdown
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// The words as they were typed, with two short forms spelled out: `watch` is `get --watch`, `wait` is `status --quiet`.
pub fn spelled_out(words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.into_iter().collect();
    let long: &[&str] = match words.get(1).and_then(|word| word.to_str()) {
        Some("watch") => &["get", "--watch"],
        Some("wait") => &["status", "--quiet"],
        _ => return words,
    };
    words.splice(1..2, long.iter().map(OsString::from));
    words
}

/// A duration as people and Go write it: `90s`, `1m30s`, `250ms`, or `0`.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    leadsman_api::Duration::new(text).parse().map_err(|error| error.to_string())
}
