//! The kinds of routes that a release can go through, each as Git would declare it, and the client that goes that way.

use leadsman_bed::{BESIDE, Way};
use serde_json::{Value, json};

/// The application, its Service and its Rollout.
pub const APP: &str = "podinfo";
/// The Service of the stable revision.
pub const STABLE: &str = "podinfo-stable";
/// The Service of the canary.
pub const CANARY: &str = "podinfo-canary";

/// The Service of a preview.
pub const PREVIEW: &str = "podinfo-preview";

/// A kind of route, and where it hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// `HTTPRoute` with the Gateway as parent.
    HttpRouteGateway,
    /// `HTTPRoute` with a Gateway of the namespace's own as parent, which the scenario brings (see [`crate::beside`]).
    HttpRouteBeside,
    /// `HTTPRoute` with the Service as parent; the client has a sidecar.
    HttpRouteService,
    /// `VirtualService` of the gateway and of the mesh.
    VirtualService,
    /// `GRPCRoute` with the Gateway as parent.
    GrpcRouteGateway,
}

/// A route by its name, with the Services that it names.
#[derive(Clone, Debug)]
pub struct RouteName {
    kind: RouteKind,
    /// Name of the object.
    pub name: String,
    /// Service of the stable revision.
    pub stable: String,
    /// Service of the canary.
    pub canary: String,
}

impl RouteName {
    /// Plural, as in RBAC.
    pub fn resource(&self) -> &'static str {
        match self.kind {
            RouteKind::HttpRouteGateway | RouteKind::HttpRouteBeside | RouteKind::HttpRouteService => "httproutes",
            RouteKind::VirtualService => "virtualservices",
            RouteKind::GrpcRouteGateway => "grpcroutes",
        }
    }
}

impl RouteKind {
    /// The kinds that every scenario of a release is run with.
    pub const MAIN: [Self; 3] = [Self::HttpRouteGateway, Self::HttpRouteService, Self::VirtualService];

    /// For names of scenarios.
    pub fn word(self) -> &'static str {
        match self {
            Self::HttpRouteGateway => "httproute-gateway",
            Self::HttpRouteBeside => "httproute-beside",
            Self::HttpRouteService => "httproute-service",
            Self::VirtualService => "virtualservice",
            Self::GrpcRouteGateway => "grpcroute-gateway",
        }
    }

    /// No two kinds share a name: istiod takes an `HTTPRoute` and a `GRPCRoute` of one name for one route.
    pub fn route_name(self) -> RouteName {
        let name = match self {
            Self::HttpRouteGateway | Self::HttpRouteBeside => APP,
            Self::HttpRouteService => "podinfo-mesh",
            Self::VirtualService => "podinfo-vs",
            Self::GrpcRouteGateway => "podinfo-grpc",
        };
        RouteName { kind: self, name: name.to_owned(), stable: STABLE.to_owned(), canary: CANARY.to_owned() }
    }

    /// Whether its clients speak gRPC.
    pub fn is_grpc(self) -> bool {
        self == Self::GrpcRouteGateway
    }

    /// How a client's requests come to this route.
    pub fn way(self, namespace: &str) -> Way {
        match self {
            Self::HttpRouteGateway | Self::GrpcRouteGateway => Way::Gateway { port: 81, host: self.host(namespace) },
            Self::HttpRouteBeside => Way::Beside { host: self.host(namespace) },
            Self::HttpRouteService => Self::mesh_way(namespace),
            Self::VirtualService => Way::Gateway { port: 80, host: self.host(namespace) },
        }
    }

    /// How a client in the mesh calls the application.
    pub fn mesh_way(namespace: &str) -> Way {
        Way::Sidecar { port: 80, host: format!("{APP}.{namespace}") }
    }

    /// The name that the gateway knows it by.
    pub fn host(self, namespace: &str) -> String {
        format!("{}.{namespace}.test", self.route_name().name)
    }

    /// The element of `traffic.routes`; with the route's spec in it where the operator is to make it.
    pub fn reference(self, namespace: &str, owned: bool) -> Value {
        let key = match self {
            Self::HttpRouteGateway | Self::HttpRouteBeside | Self::HttpRouteService => "httpRoute",
            Self::VirtualService => "virtualService",
            Self::GrpcRouteGateway => "grpcRoute",
        };
        let mut reference = json!({"name": self.route_name().name});
        if owned && let Some(members) = reference.as_object_mut() {
            members.insert("spec".to_owned(), self.spec(namespace));
        }
        Value::Object([(key.to_owned(), reference)].into_iter().collect())
    }

    /// The route as it stands in Git: everything to stable.
    pub fn manifest(self, namespace: &str) -> Value {
        let (version, kind) = match self {
            Self::HttpRouteGateway | Self::HttpRouteBeside | Self::HttpRouteService => {
                ("gateway.networking.k8s.io/v1", "HTTPRoute")
            }
            Self::VirtualService => ("networking.istio.io/v1", "VirtualService"),
            Self::GrpcRouteGateway => ("gateway.networking.k8s.io/v1", "GRPCRoute"),
        };
        json!({
            "apiVersion": version,
            "kind": kind,
            "metadata": {"name": self.route_name().name, "namespace": namespace},
            "spec": self.spec(namespace),
        })
    }

    fn spec(self, namespace: &str) -> Value {
        let backends = |port: u16| {
            json!([
                {"name": STABLE, "port": port, "weight": 100},
                {"name": CANARY, "port": port, "weight": 0},
            ])
        };
        let gateway = match self {
            Self::HttpRouteBeside => json!({"name": BESIDE}),
            _ => json!({"name": "ingress", "namespace": "gw"}),
        };
        match self {
            Self::HttpRouteGateway | Self::HttpRouteBeside => json!({
                "parentRefs": [gateway],
                "hostnames": [self.host(namespace)],
                "rules": [{"backendRefs": backends(80)}],
            }),
            Self::GrpcRouteGateway => json!({
                "parentRefs": [gateway],
                "hostnames": [self.host(namespace)],
                "rules": [{"backendRefs": backends(9090)}],
            }),
            Self::HttpRouteService => json!({
                "parentRefs": [{"group": "", "kind": "Service", "name": APP, "port": 80}],
                "rules": [{"backendRefs": backends(80)}],
            }),
            Self::VirtualService => {
                let to = |name: &str, weight: u32| json!({"destination": {"host": name, "port": {"number": 80}}, "weight": weight});
                json!({
                    "hosts": [APP, self.host(namespace)],
                    "gateways": ["gw/ingress", "mesh"],
                    "http": [{"name": "primary", "route": [to(STABLE, 100), to(CANARY, 0)]}],
                })
            }
        }
    }
}
