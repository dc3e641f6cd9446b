//! What the reading verbs take.

use clap::{Args, ValueEnum};

use super::Printed;
use crate::target::Target;

/// `list`.
#[derive(Clone, Debug, Args)]
pub struct List {
    /// All namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Labels that are wanted, as in kubectl
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub selector: Option<String>,
    /// Phases that are wanted, like Paused,RolledBack
    #[arg(long, value_name = "PHASES", value_delimiter = ',', ignore_case = true)]
    pub phase: Vec<String>,
    /// What comes first
    #[arg(long, value_enum, value_name = "ORDER", default_value = "urgency")]
    pub sort_by: Order,
    /// Go on: once more whenever something changes
    #[arg(short, long)]
    pub watch: bool,
    /// How it is printed.
    #[command(flatten)]
    pub printed: Printed,
}

/// In which order Rollouts are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// Those first that need a person
    Urgency,
    /// By namespace and name
    Name,
    /// Those first that changed last
    Since,
}

/// `get`.
#[derive(Clone, Debug, Args)]
pub struct Get {
    /// Rollout, as cart, rollout/cart or shop/cart
    #[arg(value_name = "NAME")]
    pub name: Target,
    /// Each pod, too
    #[arg(long)]
    pub pods: bool,
    /// Follow it in place until the release ends
    #[arg(short, long)]
    pub watch: bool,
    /// With --watch: go on to the next release
    #[arg(long, requires = "watch")]
    pub follow: bool,
    /// How it is printed.
    #[command(flatten)]
    pub printed: Printed,
}

/// `explain`.
#[derive(Clone, Debug, Args)]
pub struct Explain {
    /// Rollout, as cart, rollout/cart or shop/cart
    #[arg(value_name = "NAME")]
    pub name: Target,
    /// An older attempt, by its number in history
    #[arg(long, value_name = "REVISION")]
    pub attempt: Option<i64>,
    /// Everything that is known: whole queries and logs, every measurement, what happened when
    #[arg(long)]
    pub all: bool,
    /// How it is printed.
    #[command(flatten)]
    pub printed: Printed,
}

/// `history`.
#[derive(Clone, Debug, Args)]
pub struct History {
    /// Rollout, as cart, rollout/cart or shop/cart
    #[arg(value_name = "NAME")]
    pub name: Target,
    /// How it is printed.
    #[command(flatten)]
    pub printed: Printed,
}

/// `diff`.
#[derive(Clone, Debug, Args)]
pub struct Diff {
    /// Rollout, as cart, rollout/cart or shop/cart
    #[arg(value_name = "NAME")]
    pub name: Target,
    /// Revision to start from, by its number; left out: what serves
    #[arg(value_name = "FROM")]
    pub from: Option<i64>,
    /// Revision to compare it with; left out: what is declared
    #[arg(value_name = "TO")]
    pub to: Option<i64>,
    /// End with 1 where there is a difference
    #[arg(long)]
    pub exit_code: bool,
    /// How it is printed: with yaml, the two templates as they are.
    #[command(flatten)]
    pub printed: Printed,
}

/// `logs`.
#[derive(Clone, Debug, Args)]
pub struct Logs {
    /// Rollout, as cart, rollout/cart or shop/cart
    #[arg(value_name = "NAME")]
    pub name: Target,
    /// Go on as they come
    #[arg(short, long)]
    pub follow: bool,
    /// Of the containers before their last restart
    #[arg(short, long)]
    pub previous: bool,
    /// Of the revision that serves, instead of the new one
    #[arg(long)]
    pub stable: bool,
    /// Container; left out: the first of each pod
    #[arg(short, long, value_name = "NAME")]
    pub container: Option<String>,
    /// So many lines of each pod; -1 for all
    #[arg(long, value_name = "LINES", default_value_t = 20, allow_negative_numbers = true)]
    pub tail: i64,
}

/// `completion`.
#[derive(Clone, Debug, Args)]
pub struct Completion {
    /// A shell, or install: a link beside this program, by which kubectl completes
    #[arg(value_enum, value_name = "SHELL|install")]
    pub what: CompletionWhat,
}

/// What completion is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "names of shells")]
pub enum CompletionWhat {
    Bash,
    Zsh,
    Fish,
    Powershell,
    /// The link that kubectl looks for.
    Install,
}
