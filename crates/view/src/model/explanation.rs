//! Why something is as it is.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Change, Fact, Gate, Next, Revision, Side, Source, Waiting};

/// Why a Rollout stands where it stands, or why an attempt ended as it did.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The instant that this is about.
    pub at: Timestamp,
    /// Namespace of the Rollout.
    pub namespace: String,
    /// Name of the Rollout.
    pub name: String,
    /// What is explained.
    pub about: About,
    /// The answer: a sentence for what, one for why.
    pub answer: Vec<String>,
    /// Number of the attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i64>,
    /// Why in a word, as the operator says it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Why in the operator's own sentence.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The revision that served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Revision>,
    /// The revision that was, or is, on trial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Revision>,
    /// Who declares it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// When the attempt began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began_at: Option<Timestamp>,
    /// When it was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
    /// When what serves was settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// What differs between the two revisions.
    pub changes: Vec<Change>,
    /// Requests that reached the new revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<Requests>,
    /// Who was hit, in a sentence; empty where nobody can tell.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub users: String,
    /// The largest share that the new revision had in force, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most_weight: Option<i32>,
    /// When the way back was written into the routes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub way_back_written_at: Option<Timestamp>,
    /// When the way back had reached whoever sends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub way_back_in_force_at: Option<Timestamp>,
    /// What decided it, or is waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
    /// What else was measured.
    pub other_gates: Vec<Gate>,
    /// Pods of both revisions, where the attempt is under way.
    pub sides: Vec<Side>,
    /// What pods said.
    pub pods: Vec<Words>,
    /// What is waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// What follows by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Next>,
    /// What happened, the oldest first.
    pub timeline: Vec<Fact>,
    /// How things stand now, in a sentence.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub now: String,
    /// What a person can do, the likeliest first.
    pub to_go_on: Vec<WayOn>,
    /// What is not known, and why: a report that is gone or was cut.
    pub unknown: Vec<String>,
}

/// What an explanation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum About {
    /// The attempt was rolled back, by itself or by a person.
    RolledBack,
    /// It is being rolled back.
    RollingBack,
    /// The attempt was promoted, or was the first deployment.
    Promoted,
    /// The attempt ended in another way: a newer one, or Git went back.
    Ended,
    /// The attempt is under way and waits for time or measurements, as it was declared to.
    Moving,
    /// The attempt is under way and something is in the way.
    Held,
    /// The attempt waits for a person.
    Paused,
    /// What serves lacks capacity.
    Degraded,
    /// The declaration cannot be followed.
    Invalid,
    /// Nothing is under way, and what is declared serves.
    Serving,
    /// No operator has seen it, or its word is one of a later version.
    Unknown,
}

/// Requests that were counted.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Requests {
    /// All of them.
    pub total: i64,
    /// Those that went wrong.
    pub failed: i64,
    /// By which metric they were counted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub metric: String,
}

/// What a pod said.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Words {
    /// The pod, or the ReplicaSet where there is no pod.
    pub pod: String,
    /// The container; empty where it is about the pod as a whole.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub container: String,
    /// When that was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Reasons, exit codes, messages: one line.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub words: String,
    /// Restarts of the container.
    pub restarts: i32,
    /// Its last lines before it ended.
    pub log: Vec<String>,
    /// Other pods that say the same.
    pub same: Vec<String>,
}

/// Something that a person can do.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WayOn {
    /// What it does, in a few words.
    pub what: String,
    /// The command, ready to be pasted; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}
