//! A share of requests that may go wrong, judged on counts.

use kube::KubeSchema;
use leadsman_core::analysis::proportion::Unit;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::percent::Share;
use crate::schema::is_default;

/// How many requests went wrong, of how many: judged on counts of both revisions, however often one looks. bad (or good) and
/// total are counters, such as http_requests_total{revision="{{revision.hash}}",code=~"5.."}, without a function; or, for
/// a source that knows only the last so many seconds, queries over {{window}}. {{revision.hash}}, {{revision.service}} and
/// {{revision.workload}} stand for those of the revision that is counted, so that stable is counted beside the canary.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "[has(self.bad), has(self.good), has(self.latency)].filter(given, given).size() <= 1",
        "a proportion must have exactly one of: bad, good, latency"
    ),
    validation = (
        "(has(self.bad) || has(self.good)) == has(self.total)",
        "total is for bad and good, which need it"
    ),
    validation = (
        "!has(self.latency) || !has(self.latency.quantile) || !has(self.max)",
        "latency.quantile says what max says: give one of them"
    )
)]
pub struct Proportion {
    /// Counter of the requests that went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub bad: Option<String>,

    /// Counter of the requests that went well, in place of bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub good: Option<String>,

    /// Counter of all requests; beside bad or good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub total: Option<String>,

    /// Requests that took too long went wrong, in place of bad, good and total.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,

    /// Share that may go wrong, at least 0.01%; best three times what is usual. More than this, shown at confidence, rolls
    /// back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Share>,

    /// It passes once it is shown to be below this, at least max. The more there is between the two, the sooner it passes.
    /// Left out: twice max.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass_below: Option<Share>,

    /// Compared with another revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<Against>,

    /// How sure a rollback is: of 100 releases that are exactly at the limit, at 95% no more than 5 are rolled back, however
    /// often one looks. From 80% to 99.9%. Left out: 95%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Share>,

    /// Requests in a row that all failed roll back at once, while stable's did not; 0: never. At least 5. Left out: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub hard_failure: Option<i32>,

    /// Requests that the canary must have had at its present weight before it passes. Left out: as many as the statistics
    /// need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub min_samples: Option<i32>,

    /// Off: the canary's part of the requests need not follow its weight, since clients reach the pods in other ways as well.
    /// On: where it gets less than half of its share beyond doubt, nothing is raised, and the progress deadline runs. Left out:
    /// On.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TrafficShare")]
    pub traffic_share: Option<TrafficShare>,

    /// How long the source takes to know what happened: a look is asked about this long ago. Left out: 2s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Duration>,
}

/// A histogram of how long requests took, and how long they may take.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("duration(self.max) > duration('0s')")
        .message("max must be longer than 0s")
        .field_path(".max"),
    validation = Rule::new("!has(self.quantile) || (self.quantile >= 0.5 && self.quantile <= 0.9999)")
        .message("quantile must be from 0.5 to 0.9999, like 0.99")
        .field_path(".quantile")
)]
pub struct Latency {
    /// Name and matchers of the histogram, without _bucket and _count:
    /// http_request_duration_seconds{revision="{{revision.hash}}"}.
    #[schemars(length(min = 1, max = 1024))]
    pub histogram: String,

    /// How long a request may take; best a boundary of the histogram, else what is between two is interpolated.
    pub max: Duration,

    /// The share of requests that has to be answered within max, at most 0.9999, in place of proportion.max: 0.99 is max 1%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantile: Option<f64>,

    /// The unit of the histogram's boundaries. Left out: what the end of its name says (_seconds, _milliseconds, _ms).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Unit")]
    pub unit: Option<Unit>,

    /// True for a native histogram, which has no _bucket; its source interpolates, and is asked for whole intervals.
    #[serde(default, skip_serializing_if = "is_default")]
    pub native: bool,
}

/// Which revision it is compared with.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Against {
    /// The stable revision, over the same time. bad (or good) and total must name {{revision.hash}}, {{revision.service}} or
    /// {{revision.workload}}.
    pub stable: AgainstStable,
}

/// How much worse than stable it may be.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgainstStable {
    /// By how much its share may be greater than stable's, in points, at least 0.01%; best half of stable's share or more.
    pub margin: Share,

    /// It passes once it is shown to be greater by no more than this, at least margin. Left out: twice margin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass_within: Option<Share>,
}

/// Whether the canary's part of the requests has to follow its weight.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrafficShare {
    /// It has to.
    #[default]
    On,
    /// It need not.
    Off,
}
