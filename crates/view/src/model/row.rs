//! A Rollout in a list of them.

use jiff::Timestamp;
use leadsman_api::Phase;
use schemars::JsonSchema;
use serde::Serialize;

use super::Position;

/// One Rollout in a list.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Namespace of the Rollout.
    pub namespace: String,
    /// Name of the Rollout.
    pub name: String,
    /// Where it stands; absent where the operator has not said so, or says it in a word of a later version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub phase: Option<Phase>,
    /// False while no operator has written a status.
    pub is_seen: bool,
    /// Which step has its turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<Position>,
    /// Share of the new revision that is in force, in percent; absent where nothing is on trial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<i32>,
    /// What serves, as people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable: Option<String>,
    /// What is on trial, or rejected and still declared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<String>,
    /// Ready pods of what serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_stable: Option<i32>,
    /// Ready pods of what is on trial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_canary: Option<i32>,
    /// Pods that are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Since when it stands so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When it goes on by itself; absent where something is in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
    /// What follows, in a word or two: a command, what is waited for, or what is wrong.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub next: String,
    /// Git commit that is declared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// What matters most, in a line.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}
