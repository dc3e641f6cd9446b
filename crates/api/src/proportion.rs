//! A share of requests that may go wrong, judged on counts.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::percent::Share;

/// How many requests went wrong, of how many: judged on counts of both revisions, however often one looks. bad (or good) and
/// total are counters, such as http_requests_total{revision="{{revision.hash}}",code=~"5.."}, without a function; or, for
/// a source that knows only the last so many seconds, queries over {{window}}. {{revision.hash}}, {{revision.service}} and
/// {{revision.workload}} stand for those of the revision that is counted, so that stable is counted beside the canary.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("has(self.bad) != has(self.good)", "a proportion must have exactly one of: bad, good"),
    validation = ("has(self.max) || has(self.against)", "a proportion must have max, against, or both")
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

    /// Counter of all requests.
    #[schemars(length(min = 1, max = 1024))]
    pub total: String,

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

    /// How long the source takes to know what happened: a look is asked about this long ago. Left out: 2s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Duration>,
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
