//! The canary strategy: traffic, steps, and analysis beside them.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::analysis::{Analysis, BackgroundAnalysis};
use crate::duration::Duration;
use crate::traffic::Traffic;

/// A canary: the new revision gets a growing share of the traffic.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(
        "self.steps.exists(step, !has(step.pause)) && has(self.steps.filter(step, !has(step.pause))[0].setWeight)"
    )
    .message("the first step that is not a pause must be a setWeight: before it there is no canary to measure")
    .field_path(".steps"),
    validation = Rule::new(
        "!has(self.analysis) || !has(self.analysis.startingStep) || self.analysis.startingStep < size(self.steps)"
    )
    .message("analysis.startingStep is the index of a step and must be less than the number of steps")
    .field_path(".analysis.startingStep")
)]
pub struct Canary {
    /// What carries the traffic: the Services and the routes of a mesh or gateway.
    pub traffic: Traffic,

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
    "[has(self.setWeight), has(self.pause), has(self.analysis)].filter(given, given).size() == 1",
    "a step must have exactly one of: setWeight, pause, analysis"
))]
pub struct Step {
    /// Percent of the traffic that the canary gets. The step ends when the split is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub set_weight: Option<i32>,

    /// Wait. Without a duration, until a person promotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,

    /// Measure. The step ends when every metric has succeeded as often as its count asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<Analysis>,
}

/// A wait between two steps.
#[derive(schemars::JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    /// How long, like 30s, 5m or 1h30m. Left out: until a person promotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
}
