//! What the status says, for people and for tools; derived from state and observation, never an input to a decision.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::analysis::tally::Recent;
use crate::analysis::verdict::Verdict;
use crate::names::{Hash, Revision, Selection};
use crate::spec::Verb;

/// The part of the status that is derived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// One word.
    pub phase: Phase,
    /// What is happening, what it waits for and what to do next. Instants, never elapsed time.
    pub message: String,
    /// What it waits for; `None` where it waits for nothing.
    pub waiting: Option<Waiting>,
    /// What follows by itself; `None` where nothing does.
    pub next: Option<Next>,
    /// The commands that mean something at present.
    pub commands: Vec<Offer>,
    /// Conditions that have something to say; a type that is not listed is absent from the status.
    pub conditions: Vec<Condition>,
    /// The present step.
    pub step: Option<Step>,
    /// The canary's share.
    pub weight: Weights,
    /// The pods that an autoscaler averages.
    pub scaled: Selection,
    /// What serves.
    pub stable: Option<RevisionReport>,
    /// What is on its way, or was rejected last while it is still declared.
    pub canary: Option<RevisionReport>,
    /// Last values of the metrics in use.
    pub analysis: Vec<Measured>,
}

/// What a Rollout waits for: the twin of the message, for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// One word: `Pods`, `Endpoints`, `Route`, `Settling`, `Pause`, `Data`, `Measurements`, `Person`, ..., or the reason of the
    /// problem that a person has to mend.
    pub reason: &'static str,
    /// A sentence.
    pub what: String,
    /// Since when, where that is known.
    pub since: Option<Timestamp>,
    /// When something follows by itself: the end of a pause or of settling, the progress deadline.
    pub deadline: Option<Timestamp>,
    /// What the pods say of themselves.
    pub words: Option<String>,
}

/// What follows by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// When, where that is known.
    pub at: Option<Timestamp>,
    /// What, in a sentence.
    pub what: String,
}

/// A command that a person can give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What is asked for.
    pub verb: Verb,
    /// The revision that it has to name.
    pub hash: Hash,
    /// Why it would be refused now; `None` where it would be carried out.
    pub refused: Option<String>,
}

/// Where a Rollout stands, in a word: `status.phase`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// What is declared serves.
    Healthy,
    /// A release goes forward.
    #[default]
    Progressing,
    /// A release waits for a person.
    Paused,
    /// A canary is being taken out of service.
    RollingBack,
    /// What is declared was rejected; stable serves.
    RolledBack,
    /// Stable lacks capacity.
    Degraded,
    /// The declaration cannot be followed.
    Invalid,
}

impl Phase {
    /// All of them, for metrics.
    pub const ALL: [Self; 7] = [
        Self::Healthy,
        Self::Progressing,
        Self::Paused,
        Self::RollingBack,
        Self::RolledBack,
        Self::Degraded,
        Self::Invalid,
    ];

    /// The word in the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Progressing => "Progressing",
            Self::Paused => "Paused",
            Self::RollingBack => "RollingBack",
            Self::RolledBack => "RolledBack",
            Self::Degraded => "Degraded",
            Self::Invalid => "Invalid",
        }
    }
}

/// A condition without its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `type`.
    pub kind: &'static str,
    /// `status`.
    pub is_true: bool,
    /// `reason`.
    pub reason: String,
    /// `message`.
    pub message: String,
}

impl Condition {
    /// A condition of these words.
    pub fn new(kind: &'static str, is_true: bool, reason: &str, message: &str) -> Self {
        Self { kind, is_true, reason: reason.to_owned(), message: message.to_owned() }
    }
}

/// Where in the steps a release stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// From 0; equal to `of` once all are done.
    pub index: usize,
    /// How many there are.
    pub of: usize,
    /// When it began.
    pub started_at: Timestamp,
}

/// The canary's share in percent, in its three tenses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Weights {
    /// Decided.
    pub desired: u32,
    /// In the routes (the largest, where they differ); `None` when no route could be read.
    pub written: Option<u32>,
    /// Accepted and settled.
    pub in_force: u32,
    /// Of the requests that were counted at the present share, in percent with two digits, where both revisions are.
    pub seen: Option<String>,
}

/// A revision and its pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevisionReport {
    /// The revision.
    pub revision: Revision,
    /// Pods asked for.
    pub replicas: u32,
    /// Pods ready.
    pub ready: u32,
}

/// The last measurement of a metric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// `metrics[].name`.
    pub metric: String,
    /// The last verdict.
    pub verdict: Verdict,
    /// The last value.
    pub value: String,
    /// What it was held against, and what that means, in one line.
    pub because: String,
    /// What values are held against.
    pub limit: String,
    /// The probability with which a failure is none by chance, for a proportion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<String>,
    /// Requests that it rests on, for a proportion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<u64>,
    /// The same value of stable, for a proportion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<String>,
    /// Since when what is measured has been as it is.
    pub since: Timestamp,
    /// Measured and shown only.
    pub dry_run: bool,
    /// The last measurements, the newest last.
    pub recent: Vec<Recent>,
    /// Measurements that gave a verdict.
    pub measurements: u32,
    /// Those that failed.
    pub failed: u32,
}
