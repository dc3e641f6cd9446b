//! The canary strategy: traffic, steps, and analysis beside them.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::analysis::{Analysis, BackgroundAnalysis};
use crate::duration::Duration;
use crate::percent::{Percent, whole};
use crate::schema::{is_default, pods_or_percent};
use crate::traffic::Traffic;

/// A canary: the new revision gets a growing share of the traffic.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(
        "self.steps.exists(step, !has(step.pause)) \
        && self.steps.filter(step, !has(step.pause)).map(step, has(step.setWeight) || has(step.setCanaryScale))[0]"
    )
    .message(
        "the first step that is not a pause must be a setWeight or a setCanaryScale: before it there is no canary to measure"
    )
    .field_path(".steps"),
    validation = Rule::new("has(self.traffic) || self.steps.all(step, !has(step.setCanaryScale))")
        .message("steps without traffic must not have setCanaryScale: a share is a share of the pods, set by setWeight")
        .field_path(".steps"),
    validation = Rule::new(
        "(has(self.traffic) && has(self.traffic.routes)) || self.keepStable != '100%' \
        || self.steps.all(step, !has(step.setWeight) || step.setWeight <= 50 || step.setWeight == 100)"
    )
    .message("stable stays whole, so a setWeight without routes is at most 50, or 100; for more, set keepStable")
    .field_path(".steps"),
    validation = Rule::new(
        "!has(self.analysis) || !has(self.analysis.startingStep) || self.analysis.startingStep < size(self.steps)"
    )
    .message("analysis.startingStep is the index of a step and must be less than the number of steps")
    .field_path(".analysis.startingStep")
)]
pub struct Canary {
    /// What carries the traffic: two Services and the routes of a mesh or gateway, or one Service alone. Left out: pods pull
    /// their work, as workers do, and a share is a share of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,

    /// Stable is never smaller than this part of replicas before promotion. With less than 100% it gives up the pods whose
    /// share the canary has taken over, and going back waits until enough of them are there again.
    #[serde(default = "whole")]
    pub keep_stable: Percent,

    /// How many pods of the canary may be started at a time, as a number or as a part of replicas, like 25%. Left out: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "pods_or_percent")]
    pub pods_at_once: Option<IntOrString>,

    /// Pods that a canary has at least, whatever its share needs. Left out: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub min_canary_pods: Option<i32>,

    /// Measurements that run beside the steps, from the first step with traffic until promotion. The weight is raised,
    /// and the release promoted, only after each of them has succeeded at the present weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<BackgroundAnalysis>,

    /// What happens one after the other. After the last step the new revision gets all traffic and becomes the stable one.
    #[schemars(length(min = 1, max = 64))]
    pub steps: Vec<Step>,
}

/// One step of a release: exactly one of its fields is set.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "[has(self.setWeight), has(self.setCanaryScale), has(self.pause), has(self.analysis)].filter(given, given).size() == 1",
    "a step must have exactly one of: setWeight, setCanaryScale, pause, analysis"
))]
pub struct Step {
    /// Percent of the traffic that the canary gets; without routes, of the pods. The step ends when that is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub set_weight: Option<i32>,

    /// Pods that the canary has at least from here on, whatever its share needs. The step ends when they are ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_canary_scale: Option<SetCanaryScale>,

    /// Wait. Without a duration, until a person promotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,

    /// Measure. The step ends when every metric has succeeded as often as its count asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<Analysis>,
}

/// The least size of a canary: exactly one of its fields is set.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "[has(self.replicas), has(self.weight), has(self.matchTrafficWeight) && self.matchTrafficWeight] \
    .filter(given, given).size() == 1",
    "setCanaryScale must have exactly one of: replicas, weight, matchTrafficWeight"
))]
pub struct SetCanaryScale {
    /// So many pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub replicas: Option<i32>,

    /// So much of replicas, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub weight: Option<i32>,

    /// True: no more than its share needs, as without such a step.
    #[serde(default, skip_serializing_if = "is_default")]
    pub match_traffic_weight: bool,
}

/// A wait between two steps.
#[derive(schemars::JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    /// How long, like 30s, 5m or 1h30m. Left out: until a person promotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
}
