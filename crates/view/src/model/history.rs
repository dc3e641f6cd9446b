//! What became of each attempt.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// The attempts of a Rollout, the newest first.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// The instant that this is about.
    pub at: Timestamp,
    /// Namespace of the Rollout.
    pub namespace: String,
    /// Name of the Rollout.
    pub name: String,
    /// What is known of each.
    pub attempts: Vec<Attempt>,
    /// How many there were: the highest number.
    pub total: i64,
    /// Reports that are kept.
    pub kept: i32,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Its number.
    pub revision: i64,
    /// `Progressing`, `First`, `Promoted`, `RolledBack`, `Aborted`, `Superseded` and the like.
    pub outcome: String,
    /// Why, in a word.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Hash of the pod template.
    pub hash: String,
    /// What it brought, as people call it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Git commit that declared it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// When it began; absent where no report is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began_at: Option<Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Seconds from its beginning to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_seconds: Option<i64>,
    /// The largest share that it had in force, in percent; absent where no report is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most_weight: Option<i32>,
    /// What decided it, in a word or two.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// The same in a sentence.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}
