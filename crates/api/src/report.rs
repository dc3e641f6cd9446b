//! RolloutReport: what became of one attempt, for as long as it is kept. Events live for an hour and metrics for days; this
//! is what is left when people ask why.
//!
//! As with the status, the schema has no lists of allowed words, and reading takes words that it does not know.

#![allow(clippy::duplicated_attributes, reason = "columns are of few types")]

use jiff::Timestamp;
use kube::CustomResource;
use leadsman_core::analysis::verdict::Verdict;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::is_default;
use crate::status::{RecentMeasurement, known};

/// What became of one attempt to bring one revision into service. Written by the operator.
#[derive(CustomResource, JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "leadsman.dev",
    version = "v1alpha1",
    kind = "RolloutReport",
    namespaced,
    doc = "A RolloutReport says what became of one attempt to bring a new revision of a Rollout into service: what changed, what \
        happened when, what was measured, what was decided and why, who was hit, and what the pods said. It is written by \
        the operator, named <rollout>-<revision>, and outlives the events and the metrics that it was made of.",
    derive = "PartialEq",
    category = "leadsman",
    printcolumn(name = "Rev", type_ = "integer", json_path = ".spec.revision", description = "Number of the attempt"),
    printcolumn(name = "Outcome", type_ = "string", json_path = ".spec.outcome", description = "How it ended"),
    printcolumn(name = "Image", type_ = "string", json_path = ".spec.shown.image", description = "What it brought"),
    printcolumn(
        name = "Commit",
        type_ = "string",
        json_path = ".spec.canary.commit",
        description = "Git commit that declared it"
    ),
    printcolumn(
        name = "Took",
        type_ = "string",
        json_path = ".spec.shown.took",
        description = "From its beginning to its end"
    ),
    printcolumn(name = "Why", type_ = "string", json_path = ".spec.shown.why", description = "What decided it"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".spec.message",
        description = "Why, in a sentence",
        priority = 1
    )
)]
pub struct RolloutReportSpec {
    /// The Rollout.
    pub rollout: String,

    /// Number of the attempt.
    pub revision: i64,

    /// canary or blueGreen.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub strategy: String,

    /// Progressing, and in the end First, Promoted, RolledBack, Aborted, Superseded, Reverted, GivenUp, TargetsChanged or
    /// Recovered.
    pub outcome: String,

    /// Why it ended so, in a word: AnalysisFailed, ProgressDeadlineExceeded, NoEvidence, CrashLooping, Aborted and the like.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,

    /// The same in a sentence: what was measured, against what, and since when.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,

    /// When it began.
    pub began_at: Timestamp,

    /// When what serves was settled again: the new revision promoted, or all traffic back on stable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,

    /// The revision on trial.
    pub canary: ReportRevision,

    /// The revision that served; absent at the first deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<ReportRevision>,

    /// The largest share of the traffic that it had in force, in percent.
    #[serde(default)]
    pub most_weight: i32,

    /// What differs between the two pod templates, defaults left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,

    /// What happened, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<ReportFact>,

    /// What was measured: beside the steps and in each step that measures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<ReportGate>,

    /// Requests that reached the revision, where they were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<RequestCounts>,

    /// How traffic was taken from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way_back: Option<WayBack>,

    /// What its pods said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pods: Vec<PodWords>,

    /// What was left out for want of room, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<String>,

    /// The same for columns.
    #[serde(default, skip_serializing_if = "is_default")]
    pub shown: Shown,
}

/// A revision as it was declared.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportRevision {
    /// Hash of its pod template.
    pub hash: String,

    /// Number of the attempt.
    pub revision: i64,

    /// Git commit that declared it, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,

    /// Images as container=image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
}

/// A difference between two pod templates.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Where: elements of lists by their names, as in containers[cart].env[CACHE_TTL].
    pub path: String,

    /// What it was; absent where it was not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,

    /// What it is; absent where it is not there any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Something that happened.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportFact {
    /// Counts the facts of the attempt from 0: none is written twice.
    pub index: i64,

    /// When.
    pub at: Timestamp,

    /// In a word: ReleaseStarted, WeightDecided, WeightWritten, WeightInForce, StepCompleted, RollingBack and the like.
    pub kind: String,

    /// In a sentence.
    pub words: String,

    /// The share of the revision, where the fact is about one, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<i32>,

    /// Index of the step that had its turn, where one had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<i32>,
}

/// What was measured of one metric.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportGate {
    /// Name of the metric.
    pub metric: String,

    /// Index of the step that measured it; absent where it was measured beside the steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<i32>,

    /// True where it decided the outcome.
    #[serde(default, skip_serializing_if = "is_default")]
    pub decided: bool,

    /// What values are held against.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub limit: String,

    /// The last verdict: Success, Failure, Inconclusive, NoData or ProviderError.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "known")]
    #[schemars(with = "String")]
    pub verdict: Option<Verdict>,

    /// The last value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,

    /// The same value of stable, where it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<String>,

    /// Requests that the last value rests on, where they are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<i64>,

    /// How sure a failure is, where requests are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<String>,

    /// What the last value was held against and what that means, in one line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,

    /// What was asked, as it was sent: one query, or one a line with what it counts before it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub query: String,

    /// True where it was measured and shown only.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dry_run: bool,

    /// Measurements that gave a verdict.
    #[serde(default)]
    pub measurements: i32,

    /// Those that failed.
    #[serde(default)]
    pub failed: i32,

    /// The last measurements, 16 at most, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub recent: Vec<RecentMeasurement>,
}

/// Requests that were counted.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestCounts {
    /// All of them.
    pub total: i64,

    /// Those that went wrong.
    pub failed: i64,

    /// By which metric they were counted.
    pub metric: String,
}

/// The three instants of a way back.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WayBack {
    /// When it was decided.
    pub decided: Timestamp,

    /// When the routes, or the Service that carries the traffic, were seen to give the revision nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<Timestamp>,

    /// When that had reached whoever sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_force: Option<Timestamp>,
}

/// What a pod, or a container of it, said.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodWords {
    /// The pod, or the ReplicaSet where there is no pod.
    pub pod: String,

    /// The container; empty where it is about the pod as a whole.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub container: String,

    /// When that was read.
    pub at: Timestamp,

    /// Waiting and termination reasons, exit code, messages, events: one line.
    pub words: String,

    /// Restarts of the container.
    #[serde(default)]
    pub restarts: i32,

    /// Its last lines before it ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,

    /// Other pods that say the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub same: Vec<String>,
}

/// A report as columns show it.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    /// The tag of the image that changed first, or the image.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,

    /// From its beginning to its end, like 3m36s.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub took: String,

    /// The metric or the reason that decided it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}
