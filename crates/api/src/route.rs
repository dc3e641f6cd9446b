//! The routes of a mesh or gateway, as a Rollout names them.

use kube::KubeSchema;
use kube::core::Rule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::schema::{MAX_OBJECT_NAME, OBJECT_NAME, opaque};

/// One route: exactly one of its fields is set.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "[has(self.httpRoute), has(self.grpcRoute), has(self.virtualService)].filter(given, given).size() == 1",
    "a route must have exactly one of: httpRoute, grpcRoute, virtualService"
))]
pub struct Route {
    /// A HTTPRoute of the Gateway API, with a Gateway or a Service as parent; or Linkerd's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_route: Option<HttpRouteReference>,

    /// A GRPCRoute of the Gateway API, with a Gateway or a Service as parent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc_route: Option<RouteReference>,

    /// A VirtualService of Istio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_service: Option<VirtualServiceReference>,
}

/// A HTTPRoute in the Rollout's namespace.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.spec) || !has(self.group) || self.group != 'policy.linkerd.io'")
    .message("a route of policy.linkerd.io is Git's: declare it there, or leave group out for one that Leadsman makes")
    .field_path(".spec"))]
pub struct HttpRouteReference {
    /// Which, and what of it.
    #[serde(flatten)]
    pub route: RouteReference,

    /// Its API group. Left out: gateway.networking.k8s.io. policy.linkerd.io: Linkerd's own routes, for clusters (2.13 to 2.17)
    /// that have none of the Gateway API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<HttpRouteGroup>,
}

/// The API group of a HTTPRoute.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HttpRouteGroup {
    /// The Gateway API's.
    #[serde(rename = "gateway.networking.k8s.io")]
    GatewayApi,
    /// Linkerd's.
    #[serde(rename = "policy.linkerd.io")]
    Linkerd,
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

/// No route of a kind stands twice in a list.
pub(crate) fn each_once(field: &str, kind: &str) -> Rule {
    once(field, kind, "")
}

/// The same of HTTPRoutes, which are told apart by their group as well.
pub(crate) fn each_http_route_once() -> Rule {
    let group = |it: &str| format!("(has({it}.httpRoute.group) ? {it}.httpRoute.group : 'gateway.networking.k8s.io')");
    once("httpRoute", "HTTPRoute", &format!(" && {} == {}", group("a"), group("b")))
}

fn once(field: &str, kind: &str, and: &str) -> Rule {
    let rule = format!(
        "self.all(a, !has(a.{field}) || self.exists_one(b, has(b.{field}) && a.{field}.name == b.{field}.name{and}))"
    );
    let message = format!("routes must not name the same {kind} twice");
    Rule::new(rule).message(message.as_str())
}
