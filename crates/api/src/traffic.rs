//! What carries the traffic of a Rollout: two Services, and the routes that split between them.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::defaults;
use crate::duration::Duration;
use crate::schema::{LABEL_NAME, MAX_LABEL, MAX_OBJECT_NAME, OBJECT_NAME, int_or_string, opaque};

/// The Services and routes that carry the traffic.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("has(self.service) || has(self.ports)", "traffic must have service or ports: the ports of stableService and canaryService are taken from one of them"),
    validation = (
        "has(self.service) || (has(self.stableService) && has(self.canaryService))",
        "traffic without service must have stableService and canaryService"
    ),
    validation = Rule::new(
        "!has(self.service) || (has(self.stableService) && has(self.canaryService)) || size(self.service) <= 56"
    )
    .message("service must be no more than 56 characters where stableService or canaryService is named after it")
    .field_path(".service"),
    validation = Rule::new(
        "(has(self.stableService) ? self.stableService : (has(self.service) ? self.service : '') + '-stable') \
        != (has(self.canaryService) ? self.canaryService : (has(self.service) ? self.service : '') + '-canary')"
    )
    .message("stableService and canaryService must be two different Services")
    .field_path(".canaryService"),
    validation = Rule::new("!has(self.service) || !has(self.canaryService) || self.service != self.canaryService")
        .message("canaryService must not be service: what clients call must not be bound to the canary")
        .field_path(".canaryService"),
    validation = Rule::new("!has(self.ports) || size(self.ports) <= 1 || self.ports.all(port, has(port.name))")
        .message("each of several ports must have a name")
        .field_path(".ports"),
    validation = Rule::new(
        "self.routes.all(a, !has(a.httpRoute) \
        || self.routes.exists_one(b, has(b.httpRoute) && b.httpRoute.name == a.httpRoute.name))"
    )
    .message("routes must not name the same HTTPRoute twice")
    .field_path(".routes"),
    validation = Rule::new(
        "self.routes.all(a, !has(a.grpcRoute) \
        || self.routes.exists_one(b, has(b.grpcRoute) && b.grpcRoute.name == a.grpcRoute.name))"
    )
    .message("routes must not name the same GRPCRoute twice")
    .field_path(".routes"),
    validation = Rule::new(
        "self.routes.all(a, !has(a.virtualService) \
        || self.routes.exists_one(b, has(b.virtualService) && b.virtualService.name == a.virtualService.name))"
    )
    .message("routes must not name the same VirtualService twice")
    .field_path(".routes")
)]
pub struct Traffic {
    /// The Service that is the routes' parent or host. Ports are read from it; it is never written. May be left out when
    /// ports, stableService and canaryService are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_LABEL), regex(pattern = LABEL_NAME))]
    pub service: Option<String>,

    /// The Service of the stable revision, made by Leadsman. Left out: the name of service with -stable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_LABEL), regex(pattern = LABEL_NAME))]
    pub stable_service: Option<String>,

    /// The Service of the canary, made by Leadsman; bound to stable pods while there is no canary. Left out: the name of
    /// service with -canary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_LABEL), regex(pattern = LABEL_NAME))]
    pub canary_service: Option<String>,

    /// Ports of stableService and canaryService. Left out: those of service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub ports: Option<Vec<ServicePort>>,

    /// The routes that split traffic between the two Services. All are kept on the same split.
    #[schemars(length(min = 1, max = 16))]
    pub routes: Vec<Route>,

    /// Whose acceptance of a route is waited for after each write to it. Any: of its parents that report on it, one must have
    /// accepted it; one that lags behind is waited for a while, one that refuses it is a warning. All: every parent must
    /// have. Ignore: nobody's, for implementations whose status cannot be relied on.
    #[serde(default)]
    pub acceptance: AcceptancePolicy,

    /// How long a written split is given to reach the proxies before it counts as in force.
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

/// A port of stableService and canaryService, as in a Service.
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

fn default_settle() -> Duration {
    Duration::new(defaults::SETTLE)
}

fn default_drain() -> Duration {
    Duration::new(defaults::DRAIN)
}

/// One route: exactly one of its fields is set.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "[has(self.httpRoute), has(self.grpcRoute), has(self.virtualService)].filter(given, given).size() == 1",
    "a route must have exactly one of: httpRoute, grpcRoute, virtualService"
))]
pub struct Route {
    /// A HTTPRoute of the Gateway API, with a Gateway or a Service as parent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_route: Option<RouteReference>,

    /// A GRPCRoute of the Gateway API, with a Gateway or a Service as parent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc_route: Option<RouteReference>,

    /// A VirtualService of Istio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_service: Option<VirtualServiceReference>,
}

/// A route of the Gateway API in the Rollout's namespace.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteReference {
    /// Name of the route.
    #[schemars(length(max = MAX_OBJECT_NAME), regex(pattern = OBJECT_NAME))]
    pub name: String,

    /// Names of the rules in it that are split, by their field name. Left out: all that name both Services. Other rules are
    /// left as they are, also those that give canaryService a share of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(min = 1, max = MAX_OBJECT_NAME), regex(pattern = OBJECT_NAME)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub rules: Vec<String>,

    /// Left out: the route is yours, in Git; it must name both Services as backends, and only their weights are written.
    /// Given: Leadsman creates the route with this spec and owns it. Best where a tool such as Argo CD puts routes back
    /// to what Git says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "opaque")]
    pub spec: Option<Value>,
}

/// A VirtualService in the Rollout's namespace.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VirtualServiceReference {
    /// Name of the VirtualService.
    #[schemars(length(max = MAX_OBJECT_NAME), regex(pattern = OBJECT_NAME))]
    pub name: String,

    /// Names of the http routes in it that are split. Left out: all that name both Services. Other routes are left as they
    /// are, also those that give canaryService a share of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set"))]
    pub routes: Vec<String>,

    /// Left out: the VirtualService is yours, in Git; it must name both Services as destinations, and only their weights
    /// are written. Given: Leadsman creates the VirtualService with this spec and owns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "opaque")]
    pub spec: Option<Value>,
}
