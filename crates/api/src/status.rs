//! The status of a Rollout: what serves, what is on trial, and why.
//!
//! The schema has no lists of allowed words here, and reading takes words that it does not know: an operator and a CRD
//! of different versions must never refuse each other's status.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use leadsman_core::analysis::verdict::Verdict;
use leadsman_core::report::Phase;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::schema::opaque;

/// Where a Rollout stands. Written by the operator.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Healthy, Progressing, Paused, RollingBack, RolledBack, Degraded or Invalid.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "known")]
    #[schemars(with = "String")]
    pub phase: Option<Phase>,

    /// What happens at present, what was measured, and what is waited for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,

    /// What is waited for, for programs: the message says the same to people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<WaitingStatus>,

    /// What follows by itself, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<NextStatus>,

    /// The commands of a person, and which of them would be carried out now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<CommandStatus>,

    /// The revision that serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<RevisionStatus>,

    /// What is on trial: the canary, or what the preview shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<RevisionStatus>,

    /// The present step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepStatus>,

    /// The share of the traffic that the revision on trial gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<WeightStatus>,

    /// The last measurement of each metric.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub analysis: Vec<MetricStatus>,

    /// Revisions that were rolled back, the newest first. They do not run again until someone retries them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<RejectedRevision>,

    /// The last command from a person, and what became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_command: Option<LastCommand>,

    /// The operator's own record of the release. Not for people or other programs: its form may change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "opaque")]
    pub progress: Option<Value>,

    /// Pods that the spec asks for, without those that a release adds. For the scale subresource.
    #[serde(default)]
    pub replicas: i32,

    /// Selector of the pods that an autoscaler averages, as text: all of them, or, with blueGreen, those that serve. For the
    /// scale subresource.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub selector: String,

    /// Ready, Reconciling, Stalled, Available, Promoted, Paused and TrafficApplied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// What a Rollout waits for.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WaitingStatus {
    /// One word: Pods, Endpoints, Route, Settling, Pause, Data, Measurements, Person, StableFails, or the reason of what a
    /// person has to mend.
    pub reason: String,

    /// For what, in a sentence.
    #[serde(rename = "for")]
    pub what: String,

    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,

    /// When something follows by itself: the end of a pause or of settling, or the progress deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,

    /// What the pods say of themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
}

/// What follows by itself.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NextStatus {
    /// When, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,

    /// What, in a sentence.
    pub what: String,
}

/// A command that a person can give.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandStatus {
    /// promote, promote-full, abort, retry, pause, resume or rollback.
    pub verb: String,

    /// Hash of the revision that it has to name.
    pub hash: String,

    /// Why it would be refused now; absent where it would be carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// A revision and its pods.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevisionStatus {
    /// Hash of its pod template, as in the label leadsman.dev/revision.
    pub hash: String,

    /// Number of the attempt. A retry of the same template has a new one.
    pub revision: i64,

    /// Git commit that declared it, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,

    /// Images as container=image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,

    /// Pods that are wanted.
    #[serde(default)]
    pub replicas: i32,

    /// Pods that are ready.
    #[serde(default)]
    pub ready_replicas: i32,
}

/// A step of a release.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepStatus {
    /// Index of the step; the first is 0.
    pub index: i32,

    /// Number of steps.
    pub of: i32,

    /// The step as people count it: 3/7.
    pub display: String,

    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
}

impl StepStatus {
    /// The step with this index. After the last one, the last one is shown.
    pub fn new(index: i32, of: i32, started_at: Option<Timestamp>) -> Self {
        Self { index, of, display: format!("{}/{of}", index.saturating_add(1).min(of)), started_at }
    }
}

/// A share of the traffic in percent; without routes, of the pods.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WeightStatus {
    /// Decided.
    pub desired: i32,

    /// Written into every route, or into the selector of the Service that carries the traffic.
    pub written: i32,

    /// Accepted by every route, and given time to reach whoever sends.
    pub in_force: i32,

    /// What the requests show that were counted at this share, like 19.8%; absent where none are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
}

/// The last measurement of a metric.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricStatus {
    /// Name of the metric.
    pub metric: String,

    /// Success, Failure, Inconclusive, NoData or ProviderError.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "known")]
    #[schemars(with = "String")]
    pub verdict: Option<Verdict>,

    /// The value or values that were measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,

    /// Measurements taken.
    #[serde(default)]
    pub measurements: i32,

    /// Those that failed.
    #[serde(default)]
    pub failed: i32,

    /// What the last value was held against and what that means, in one line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,

    /// What values are held against: a condition, or the share of requests that may go wrong.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub limit: String,

    /// Requests of the new revision that the value rests on, where they are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<i64>,

    /// The same value of stable, where both are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<String>,

    /// How sure a failure is, where requests are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<String>,

    /// Since when the share that is measured has been in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,

    /// True where it is measured and shown only, and nothing follows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,

    /// The last measurements, 16 at most, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub recent: Vec<RecentMeasurement>,
}

/// One of the last measurements.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecentMeasurement {
    /// When it was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,

    /// The value as people read it; empty without one.
    #[serde(default)]
    pub value: String,

    /// What it says.
    #[serde(default, deserialize_with = "known", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub verdict: Option<Verdict>,
}

/// A revision that was rolled back.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RejectedRevision {
    /// Hash of its pod template.
    pub hash: String,

    /// Number of the attempt.
    pub revision: i64,

    /// Git commit that declared it, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,

    /// Why, in a word: AnalysisFailed, ProgressDeadlineExceeded, NoEvidence, Aborted and the like.
    pub reason: String,

    /// What was measured, against what, and since when.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,

    /// When.
    pub at: Timestamp,

    /// The query as sent, where a metric decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
}

/// A command from a person that was answered.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastCommand {
    /// Its id, chosen by who wrote it.
    pub id: String,

    /// What was asked for: promote, promote-full, abort, retry, pause, resume or rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verb: Option<String>,

    /// Who gave it: what annotation leadsman.dev/command-by said when it was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,

    /// Whether that name is the API server's own word, or that of whoever wrote the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,

    /// Executed or Refused.
    #[schemars(with = "String")]
    pub outcome: CommandOutcome,

    /// What was done, or why nothing was.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,

    /// When.
    pub at: Timestamp,
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommandOutcome {
    /// It was carried out.
    Executed,
    /// Nothing was done; the message says why.
    Refused,
    /// A word of another version.
    #[serde(other)]
    Unknown,
}

/// A word that is known; none where another version of the operator wrote one that is not.
pub(crate) fn known<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let word = Option::<Value>::deserialize(deserializer)?;
    Ok(word.and_then(|word| serde_json::from_value(word).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_status_of_a_later_version_is_read() {
        let status: RolloutStatus = serde_json::from_value(json!({
            "phase": "Teleporting",
            "analysis": [{"metric": "m", "verdict": "Maybe", "confidence": "95%"}],
            "somethingNew": {"a": 1},
        }))
        .unwrap();
        assert_eq!(status.phase, None);
        assert_eq!(status.analysis.first().unwrap().verdict, None);
    }

    #[test]
    fn the_operators_record_is_kept_as_it_is() {
        let progress = json!({"stage": {"releasing": {"n": null, "empty": {}}}});
        let status = RolloutStatus { progress: Some(progress.clone()), ..RolloutStatus::default() };
        let wire = serde_json::to_value(&status).unwrap();
        assert_eq!(wire, json!({"progress": progress, "replicas": 0}));
        assert_eq!(serde_json::from_value::<RolloutStatus>(wire).unwrap(), status);
    }

    #[test]
    fn steps_are_shown_as_people_count_them() {
        assert_eq!(StepStatus::new(0, 7, None).display, "1/7");
        assert_eq!(StepStatus::new(7, 7, None).display, "7/7");
        assert_eq!(StepStatus::new(0, 0, None).display, "0/0");
    }
}
