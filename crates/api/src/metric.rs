//! A metric: what is asked, how often, and what the answers mean for the release.
//!
//! Left-out fields mean what [`crate::defaults`] says.

use kube::KubeSchema;
use leadsman_core::analysis::metric::{OnNoData, OnProviderError};
use leadsman_core::analysis::proportion::{OnInconclusive, OnSharedFailure};
use serde::{Deserialize, Serialize};

use crate::builtin::Builtin;
use crate::duration::Duration;
use crate::proportion::Proportion;
use crate::provider::Provider;
use crate::schema::{MAX_LABEL, METRIC_NAME, is_default};

/// One thing that is measured.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "has(self.proportion) || has(self.builtin) || has(self.successCondition) || has(self.failureCondition) \
        || (has(self.provider) && has(self.provider.job))",
        "a metric must have successCondition or failureCondition, or a proportion, builtin or a job"
    ),
    validation = (
        "!(has(self.proportion) || has(self.builtin)) || !(has(self.successCondition) || has(self.failureCondition) \
        || has(self.window) || has(self.count) || has(self.failureLimit) || has(self.inconclusiveLimit))",
        "beside proportion and builtin there must not be successCondition, failureCondition, window, count, failureLimit or \
        inconclusiveLimit"
    ),
    validation = (
        "has(self.proportion) || has(self.builtin) \
        || !(has(self.patience) || has(self.onInconclusive) || has(self.onSharedFailure))",
        "patience, onInconclusive and onSharedFailure are for a proportion"
    ),
    validation = (
        "has(self.proportion) || has(self.builtin) || has(self.provider)",
        "provider must have exactly one of: prometheus, web, datadog, job"
    ),
    validation = (
        "!has(self.provider) || has(self.provider.prometheus) || !(has(self.proportion) || has(self.builtin))",
        "proportion and builtin are asked of prometheus"
    ),
    validation = (
        "!has(self.provider) || !has(self.provider.job) || !(has(self.successCondition) || has(self.failureCondition))",
        "a job succeeds or fails by itself: it has no conditions"
    ),
    validation = (
        "!has(self.provider) || !has(self.provider.prometheus) \
        || has(self.provider.prometheus.query) != (has(self.proportion) || has(self.builtin))",
        "prometheus must have query, and beside proportion and builtin none"
    ),
    validation = (
        "!has(self.proportion) || has(self.builtin) \
        || has(self.proportion.bad) || has(self.proportion.good) || has(self.proportion.latency)",
        "a proportion must have exactly one of: bad, good, latency"
    ),
    validation = (
        "!has(self.proportion) || has(self.builtin) || has(self.proportion.max) || has(self.proportion.against) \
        || (has(self.proportion.latency) && has(self.proportion.latency.quantile))",
        "a proportion must have max, against, or both"
    ),
    validation = (
        "!has(self.builtin) || !has(self.proportion) || !(has(self.proportion.bad) || has(self.proportion.good) \
        || has(self.proportion.latency) || has(self.proportion.max))",
        "beside builtin, which names what is counted and its limit, proportion must not have bad, good, total, latency or max"
    ),
    validation = Rule::new("!has(self.interval) || duration(self.interval) >= duration('1s')")
        .message("interval must be at least 1s")
        .field_path(".interval"),
    validation = Rule::new("!has(self.window) || duration(self.window) >= duration('1s')")
        .message("window must be at least 1s")
        .field_path(".window")
)]
pub struct Metric {
    /// Name of the metric, unique in its analysis.
    #[schemars(length(max = MAX_LABEL), regex(pattern = METRIC_NAME))]
    pub name: String,

    /// Time between two measurements, at least 1s. Left out: 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,

    /// Time before the first measurement, beyond what interval and minWindow ask. Left out: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_delay: Option<Duration>,

    /// Measurements to take. Left out: 1 in a step; beside the steps no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub count: Option<i32>,

    /// Measurements that may fail; one more rolls back. Left out: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub failure_limit: Option<i32>,

    /// Measurements that may be inconclusive; one more waits for a person. Left out: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub inconclusive_limit: Option<i32>,

    /// Errors of the provider in a row that are borne; one more and onProviderError says what follows. Left out: 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub consecutive_error_limit: Option<i32>,

    /// What follows when there is nothing to judge: no sample, or none that is a number (NaN). No condition is asked about
    /// such an answer. Hold: wait for data until the progress deadline, then roll back. Succeed, Fail: as if the
    /// measurement had. Left out: Hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "OnNoData")]
    pub on_no_data: Option<OnNoData>,

    /// What follows when the provider fails for too long. Hold: wait for it until the progress deadline, then roll back.
    /// Fail: roll back. Pause: wait for a person. Left out: Hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "OnProviderError")]
    pub on_provider_error: Option<OnProviderError>,

    /// Longest value of {{window}}, which is the time since the present weight came into force; at least 1s, and better two
    /// scrapes or more. Left out: 1m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Duration>,

    /// No verdict before the weight has been in force for this long; at least two scrapes. Left out: 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_window: Option<Duration>,

    /// What pods show in their first so much time says nothing: the window begins when the youngest of the canary's pods has
    /// been ready for this long. A pod that restarts is not young. Left out: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm_up: Option<Duration>,

    /// True: it is measured and shown, and nothing follows from it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dry_run: bool,

    /// CEL: the measurement is a success when this is true. result is the list of numbers, one a series; series without a
    /// number (NaN) are left out, and infinities are numbers. value is the number of a query that gives one series; where
    /// there are several there is no value. args are the arguments, as text: value >= double(args.threshold). Without
    /// failureCondition everything else is a failure. A condition that could take long with 1000 numbers, such as a loop
    /// over result inside another one, is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub success_condition: Option<String>,

    /// CEL: the measurement is a failure when this is true. Without successCondition everything else is a success; with
    /// both, what makes neither true is inconclusive. It can name what successCondition can, and has the same limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub failure_condition: Option<String>,

    /// What the proxies of a mesh or a gateway count, without a query: a proportion whose counters are known. proportion beside
    /// it has what else is to be said of it, as confidence, against and passBelow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builtin: Option<Builtin>,

    /// A share of requests that may go wrong, judged on counts in place of conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proportion: Option<Proportion>,

    /// How long a proportion may stay undecided after the step would otherwise have ended. Left out: 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<Duration>,

    /// What follows then. Pause: wait for a person. Proceed: go on, since it was not shown to be bad. Fail: roll back. Left
    /// out: Pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "OnInconclusive")]
    pub on_inconclusive: Option<OnInconclusive>,

    /// What follows where stable breaks max as well. Hold: nothing is held against the canary, and nothing is raised until
    /// it is over or the progress deadline has passed. Fail: roll back. Left out: Hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "OnSharedFailure")]
    pub on_shared_failure: Option<OnSharedFailure>,

    /// What is asked. Left out, for a proportion: the Prometheus that the operator was started with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
}
