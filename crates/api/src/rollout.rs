//! Rollout: what a person declares.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::{CustomResource, KubeSchema};
use leadsman_core::spec::ReadyWhen;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::blue_green::BlueGreen;
use crate::canary::Canary;
use crate::defaults;
use crate::percent::{Percent, whole};
use crate::schema::{MAX_LABEL, is_default};
use crate::status::RolloutStatus;
use crate::template::PodTemplate;

/// What is wanted: which pods, how many, and how a new version of them takes over the traffic.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "leadsman.dev",
    version = "v1alpha1",
    kind = "Rollout",
    namespaced,
    doc = "A Rollout runs pods like a Deployment and brings each new version of them into service step by step: it starts the \
        new pods beside the old ones, moves traffic to them, measures at every step whether they are well, and goes on \
        or puts everything back and says why.",
    status = "RolloutStatus",
    derive = "PartialEq",
    shortname = "lro",
    category = "leadsman",
    category = "all",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase", description = "Where the Rollout stands"),
    printcolumn(name = "Step", type_ = "string", json_path = ".status.step.display", description = "Present step, of all"),
    printcolumn(
        name = "Weight",
        type_ = "integer",
        json_path = ".status.weight.inForce",
        description = "Percent of the traffic that the new revision gets"
    ),
    printcolumn(name = "Stable", type_ = "string", json_path = ".status.stable.hash", description = "Revision that serves"),
    printcolumn(
        name = "New",
        type_ = "string",
        json_path = ".status.canary.hash",
        description = "Revision on trial: the canary, or what the preview shows"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether what is declared is what serves"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.message",
        description = "What happens and what is waited for",
        priority = 1
    ),
    printcolumn(
        name = "Commit",
        type_ = "string",
        json_path = r".metadata.annotations.leadsman\.dev/commit",
        description = "Git commit that is declared",
        priority = 1
    ),
    validation = Rule::new("size(self.metadata.name) <= 52")
        .message("metadata.name must be no more than 52 characters, so that it fits into labels together with a hash")
)]
#[x_kube(
    validation = Rule::new(
        "self.selector.matchLabels.all(key, key in self.template.metadata.labels \
        && self.template.metadata.labels[key] == self.selector.matchLabels[key])"
    )
    .message("template.metadata.labels must contain every label of selector.matchLabels")
    .field_path(".template.metadata.labels"),
    validation = Rule::new("!('leadsman.dev/revision' in self.template.metadata.labels)")
        .message("template.metadata.labels must not have leadsman.dev/revision: it is added, with the hash of the template")
        .field_path(".template.metadata.labels"),
    validation = Rule::new(
        "!has(self.progressDeadlineSeconds) || !has(self.minReadySeconds) \
        || self.progressDeadlineSeconds > self.minReadySeconds"
    )
    .message("progressDeadlineSeconds must be greater than minReadySeconds")
    .field_path(".progressDeadlineSeconds")
)]
pub struct RolloutSpec {
    /// Pods at full size. Leave it out of Git where a HorizontalPodAutoscaler scales the Rollout. Left out: as many as there
    /// are, which is then written here; 1 at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub replicas: Option<i32>,

    /// Which pods belong to this Rollout. Cannot be changed.
    pub selector: Selector,

    /// The pods, as in a Deployment. Every field is kept as it is, known to Leadsman or not. A change of it is a new
    /// revision and starts a release.
    pub template: PodTemplate,

    /// Seconds that a pod has to be ready for before it counts as available.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(range(min = 0))]
    pub min_ready_seconds: i32,

    /// Seconds that a release may wait for pods, endpoints, routes or measurements before it is rolled back. The clock
    /// stands while nothing is waited for, as in a pause, and starts again with every progress.
    #[serde(default = "default_progress_deadline_seconds")]
    #[schemars(range(min = 1))]
    pub progress_deadline_seconds: i32,

    /// The part of the pods that a share needs which is enough, as with 90%: a pod that is lost to a node must not hold a
    /// release. At least one pod is always needed.
    #[serde(default = "whole")]
    pub ready_threshold: Percent,

    /// Restarts of a container that make a crash loop: where none of the new revision's pods is ready and one of its containers waits
    /// after so many restarts since the step began, the release is rolled back at once.
    #[serde(default = "default_crash_limit")]
    #[schemars(range(min = 1, max = 100))]
    pub crash_limit: i32,

    /// Old ReplicaSets that are kept, at zero replicas.
    #[serde(default = "default_revision_history_limit")]
    #[schemars(range(min = 0, max = 100))]
    pub revision_history_limit: i32,

    /// RolloutReports that are kept, the newest. One is written for each attempt.
    #[serde(default = "default_report_history_limit")]
    #[schemars(range(min = 1, max = 100))]
    pub report_history_limit: i32,

    /// Which revisions come back without pauses and analyses. Left out: none, but for one that is kept warm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_window: Option<RollbackWindow>,

    /// Stops going forward. Never stops a rollback, and never scaling.
    #[serde(default, skip_serializing_if = "is_default")]
    pub paused: bool,

    /// Pods that are older than this are replaced, one by one, each after another one has become ready in its place. What is
    /// restarted is the revision that serves; a restart is no release. The annotation that kubectl rollout restart writes
    /// into the template does the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_at: Option<Timestamp>,

    /// When the Rollout reports Ready to tools that wait for it. Promoted: when what is declared serves. Serving: as soon
    /// as the spec is accepted and the stable revision serves, for tools that must not wait for a release to end.
    #[serde(default)]
    pub ready_when: ReadyWhen,

    /// How a new revision takes over.
    pub strategy: Strategy,
}

fn default_crash_limit() -> i32 {
    defaults::CRASH_LIMIT
}

fn default_progress_deadline_seconds() -> i32 {
    defaults::PROGRESS_DEADLINE_SECONDS
}

fn default_report_history_limit() -> i32 {
    defaults::REPORT_HISTORY_LIMIT
}

fn default_revision_history_limit() -> i32 {
    defaults::REVISION_HISTORY_LIMIT
}

/// Which pods belong to a Rollout.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("self == oldSelf", "selector is immutable: create a Rollout with another name instead"))]
pub struct Selector {
    /// Labels that all pods of this Rollout have, and no others. The template must have them too.
    #[schemars(length(min = 1, max = 16), schema_with = "match_labels")]
    pub match_labels: BTreeMap<String, String>,
}

fn match_labels(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": 16,
        "additionalProperties": { "type": "string", "maxLength": MAX_LABEL },
    })
}

/// Which revisions come back without pauses and analyses.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RollbackWindow {
    /// So many revisions that were stable last: when one of them is declared again, it is only waited for its pods.
    #[schemars(range(min = 1, max = 10))]
    pub revisions: i32,
}

/// How a new revision takes over: exactly one strategy.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.canary) != has(self.blueGreen)", "strategy must have exactly one of: canary, blueGreen"))]
pub struct Strategy {
    /// The new revision gets a growing share of the traffic, step by step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,

    /// The new revision is shown by a preview, and gets all traffic at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blue_green: Option<BlueGreen>,
}
