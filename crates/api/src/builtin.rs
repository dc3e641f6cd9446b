//! Metrics that need no query: what the proxies of a mesh or a gateway count.

use kube::KubeSchema;
use leadsman_core::analysis::Reporter;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::percent::Share;

/// What is asked of which proxies: exactly one of istio, linkerd, envoy. docs/builtin-metrics.md has every query.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "[has(self.istio), has(self.linkerd), has(self.envoy)].filter(given, given).size() == 1",
    "builtin must have exactly one of: istio, linkerd, envoy"
))]
pub struct Builtin {
    /// Istio's proxies: istio_requests_total and istio_request_duration_milliseconds. A request fails with a 5xx, with gRPC's
    /// UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE or DATA_LOSS, and where the proxy finds no pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub istio: Option<Istio>,

    /// Linkerd's proxies: outbound_http_route_backend_response_statuses_total, outbound_grpc_route_backend_response_statuses_total
    /// and outbound_http_route_backend_response_duration_seconds of those who send, or response_total and
    /// response_latency_ms of the pods. A request fails with a 5xx, with gRPC's UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED,
    /// INTERNAL, UNAVAILABLE or DATA_LOSS, and without an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linkerd: Option<Linkerd>,

    /// Any Envoy that has a cluster for each Service, as Istio's, Contour's and kgateway's: envoy_cluster_upstream_rq_xx and
    /// envoy_cluster_upstream_rq_time. A request fails with a 5xx, and where Envoy finds no pod; gRPC's failures are
    /// answers with 200 and not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envoy: Option<Envoy>,
}

/// What Istio's proxies count.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "has(self.requestSuccessRate) != has(self.requestDuration)",
    "istio must have exactly one of: requestSuccessRate, requestDuration"
))]
pub struct Istio {
    /// How many requests go well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_success_rate: Option<SuccessRate>,

    /// How long they take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_duration: Option<RequestDuration>,

    /// Who counts. waypoint and source see requests that reach no pod, destination does not. Left out: the first of the
    /// three that has counted requests of stable in the last 30 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "IstioReporter")]
    pub reporter: Option<IstioReporter>,
}

/// Which of Istio's proxies counts.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum IstioReporter {
    /// A waypoint.
    Waypoint,
    /// The sidecar or gateway that sends.
    Source,
    /// The pod's sidecar.
    Destination,
}

/// What Linkerd's proxies count.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "has(self.requestSuccessRate) != has(self.requestDuration)",
    "linkerd must have exactly one of: requestSuccessRate, requestDuration"
))]
pub struct Linkerd {
    /// How many requests go well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_success_rate: Option<SuccessRate>,

    /// How long they take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_duration: Option<RequestDuration>,

    /// Who counts. route: the proxies of those who send, which see requests that reach no pod. inbound: those of the pods.
    /// Left out: the first of the two that has counted requests of stable in the last 30 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "LinkerdReporter")]
    pub reporter: Option<LinkerdReporter>,
}

/// Which of Linkerd's proxies counts.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LinkerdReporter {
    /// That of who sends, by route.
    Route,
    /// The pod's.
    Inbound,
}

/// What an Envoy counts of its clusters.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "has(self.requestSuccessRate) != has(self.requestDuration)",
    "envoy must have exactly one of: requestSuccessRate, requestDuration"
))]
pub struct Envoy {
    /// How many requests go well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_success_rate: Option<SuccessRate>,

    /// How long they take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_duration: Option<RequestDuration>,

    /// The clusters of one revision, as a regular expression for the label envoy_cluster_name that names
    /// {{revision.service}}. Of Istio: outbound[|].*[|]{{revision.service}}[.]{{namespace}}[.]svc[.].*
    #[schemars(length(min = 1, max = 512))]
    pub cluster: String,
}

/// How many requests go well.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SuccessRate {
    /// The share that has to go well, at most 99.99%: 99% is a proportion with max 1%.
    pub min: Share,
}

/// How long requests take.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("duration(self.max) > duration('0s')")
        .message("max must be longer than 0s")
        .field_path(".max"),
    validation = Rule::new("self.quantile >= 0.5 && self.quantile <= 0.9999")
        .message("quantile must be from 0.5 to 0.9999, like 0.99")
        .field_path(".quantile")
)]
pub struct RequestDuration {
    /// The share of requests that has to be answered within max, at most 0.9999: 0.99 is a proportion with max 1% of the
    /// requests that take longer.
    pub quantile: f64,

    /// How long they may take; best a boundary of the histogram, else what is between two is interpolated. Istio and Envoy
    /// have 0.5 1 5 10 25 50 100 250 500 ms, 1 2.5 5 10 30 s and more.
    pub max: Duration,
}

impl IstioReporter {
    /// As analyses call it.
    pub fn reporter(self) -> Reporter {
        match self {
            Self::Waypoint => Reporter::Waypoint,
            Self::Source => Reporter::Source,
            Self::Destination => Reporter::Destination,
        }
    }
}

impl LinkerdReporter {
    /// As analyses call it.
    pub fn reporter(self) -> Reporter {
        match self {
            Self::Route => Reporter::Route,
            Self::Inbound => Reporter::Inbound,
        }
    }
}
