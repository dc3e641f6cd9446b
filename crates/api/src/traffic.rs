//! What carries the traffic of a Rollout: Services, and, where there are some, the routes that split between two of them.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use kube::core::Rule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::defaults;
use crate::duration::Duration;
use crate::route::{Route, each_http_route_once, each_once};
use crate::schema::{LABEL_NAME, MAX_LABEL, MAX_OBJECT_NAME, int_or_string};

/// What carries the traffic: two Services and the routes that split between them, or one Service alone.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "has(self.service) || has(self.ports) || !has(self.routes)",
        "traffic must have service or ports: the ports of stableService and canaryService are taken from one of them"
    ),
    validation = (
        "has(self.service) || (has(self.stableService) && has(self.canaryService)) || !has(self.routes)",
        "traffic without service must have stableService and canaryService"
    ),
    validation = (
        "has(self.routes) || has(self.service)",
        "traffic without routes must have service: its selector carries the traffic"
    ),
    validation = Rule::new("has(self.routes) || !has(self.stableService)")
        .message("stableService must be left out without routes: service itself carries the traffic")
        .field_path(".stableService"),
    validation = Rule::new(
        "!has(self.service) || (has(self.canaryService) && (has(self.stableService) || !has(self.routes))) \
        || size(self.service) <= 56"
    )
    .message("service must be no more than 56 characters where stableService or canaryService is named after it")
    .field_path(".service"),
    validation = Rule::new(
        "!has(self.routes) \
        || (has(self.stableService) ? self.stableService : (has(self.service) ? self.service : '') + '-stable') \
        != (has(self.canaryService) ? self.canaryService : (has(self.service) ? self.service : '') + '-canary')"
    )
    .message("stableService and canaryService must be two different Services")
    .field_path(".canaryService"),
    validation = Rule::new("!has(self.service) || !has(self.canaryService) || self.service != self.canaryService")
        .message("canaryService must not be service: what clients call must not be bound to the canary")
        .field_path(".canaryService")
)]
pub struct Traffic {
    /// With routes: the Service that is their parent or host; ports are read from it, and it is never written. May be left out
    /// when ports, stableService and canaryService are given. Without routes: the Service that clients call, whose selector
    /// carries the traffic. It has no selector in Git, or is made by Leadsman where ports are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_LABEL), regex(pattern = LABEL_NAME))]
    pub service: Option<String>,

    /// With routes: the Service of the stable revision, made by Leadsman. Left out: the name of service with -stable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_LABEL), regex(pattern = LABEL_NAME))]
    pub stable_service: Option<String>,

    /// The Service of the canary, made by Leadsman; bound to stable pods while there is no canary. Left out: the name of
    /// service with -canary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_LABEL), regex(pattern = LABEL_NAME))]
    pub canary_service: Option<String>,

    /// Ports of the Services that Leadsman makes. Left out: those of service. Given without routes: service is made as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = named_where_several())]
    pub ports: Option<Vec<ServicePort>>,

    /// The routes of a mesh or gateway that split traffic between the two Services, all on the same split. Left out: the
    /// selector of service carries the traffic, and a share is a share of the pods that it selects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(
        validation = each_http_route_once(),
        validation = each_once("grpcRoute", "GRPCRoute"),
        validation = each_once("virtualService", "VirtualService")
    )]
    pub routes: Option<Vec<Route>>,

    /// Whose acceptance of a route is waited for after each write to it. Any: of its parents that report on it, one must have
    /// accepted it; one that lags behind is waited for a while, one that refuses it is a warning. All: every parent must
    /// have. Ignore: nobody's, for implementations whose status cannot be relied on.
    #[serde(default)]
    pub acceptance: AcceptancePolicy,

    /// How long a written split is given to reach the proxies before it counts as in force, or, without routes, what a
    /// Service selects.
    #[serde(default = "default_settle")]
    pub settle: Duration,

    /// The same of a binding, that is of the pods behind a Service. Left out: settle. Some load balancers take minutes for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle_endpoints: Option<Duration>,

    /// When canaryService is bound to a new revision. Ready: once its pods are ready. Created: before they are made, for load
    /// balancers that open readiness gates only for pods which a Service selects. Left out: Created where the template has
    /// readinessGates, else Ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind_canary: Option<BindCanary>,

    /// How long pods without traffic are kept before they are scaled down, for requests that are still open.
    #[serde(default = "default_drain")]
    pub drain: Duration,

    /// How long the revision that was stable before is kept whole after a promotion: going back to it takes no waiting for
    /// pods. Left out: no longer than drain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_warm: Option<Duration>,
}

/// Whose acceptance of a route is waited for.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AcceptancePolicy {
    /// Every parent's.
    All,
    /// That of one of the parents that report on it.
    #[default]
    Any,
    /// Nobody's.
    Ignore,
}

/// When canaryService is bound to a new revision.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BindCanary {
    /// Once its pods are ready.
    Ready,
    /// Before its pods are made.
    Created,
}

/// A port of a Service that Leadsman makes, as in a Service.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// Name of the port. May be left out where there is only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_LABEL), regex(pattern = LABEL_NAME))]
    pub name: Option<String>,

    /// Port of the Service.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,

    /// Number or name of the container's port. Left out: the same as port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "int_or_string")]
    pub target_port: Option<IntOrString>,

    /// TCP, UDP or SCTP. Left out: TCP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["TCP", "UDP", "SCTP"]))]
    pub protocol: Option<String>,

    /// Application protocol, for example http or kubernetes.io/h2c; meshes and gateways read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_OBJECT_NAME))]
    pub app_protocol: Option<String>,
}

pub(crate) fn default_settle() -> Duration {
    Duration::new(defaults::SETTLE)
}

pub(crate) fn default_drain() -> Duration {
    Duration::new(defaults::DRAIN)
}

/// A Service with several ports tells them apart by name.
pub(crate) fn named_where_several() -> Rule {
    Rule::new("size(self) <= 1 || self.all(port, has(port.name))").message("each of several ports must have a name")
}
