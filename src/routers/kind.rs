//! The kinds of route.

/// A kind of route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteKind {
    /// The Gateway API's route for HTTP.
    HttpRoute,
    /// The Gateway API's route for gRPC.
    GrpcRoute,
    /// Linkerd's own route for HTTP, from before it followed the Gateway API's: of the same shape.
    LinkerdHttpRoute,
    /// Istio's route.
    VirtualService,
}

/// Where rules, backends, weights and parents stand in a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// As in the Gateway API.
    GatewayApi,
    /// As in Istio's own routes.
    Istio,
}

impl RouteKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::HttpRoute, Self::GrpcRoute, Self::LinkerdHttpRoute, Self::VirtualService];

    /// The kind's name, as in objects.
    pub fn kind(self) -> &'static str {
        match self {
            Self::HttpRoute | Self::LinkerdHttpRoute => "HTTPRoute",
            Self::GrpcRoute => "GRPCRoute",
            Self::VirtualService => "VirtualService",
        }
    }

    /// A name that no other kind has, as in [`leadsman_core::observed::RouteId::kind`]: with the group where there are two of
    /// the same name.
    pub fn full_name(self) -> &'static str {
        match self {
            Self::LinkerdHttpRoute => "HTTPRoute.policy.linkerd.io",
            Self::HttpRoute | Self::GrpcRoute | Self::VirtualService => self.kind(),
        }
    }

    /// The kind of this full name.
    pub fn of(full_name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.full_name() == full_name)
    }

    /// What its objects look like.
    pub fn shape(self) -> Shape {
        match self {
            Self::HttpRoute | Self::GrpcRoute | Self::LinkerdHttpRoute => Shape::GatewayApi,
            Self::VirtualService => Shape::Istio,
        }
    }

    /// Its API group.
    pub fn group(self) -> &'static str {
        match self {
            Self::HttpRoute | Self::GrpcRoute => "gateway.networking.k8s.io",
            Self::LinkerdHttpRoute => "policy.linkerd.io",
            Self::VirtualService => "networking.istio.io",
        }
    }

    /// Versions in which the fields that are used here have the same meaning, the newest first.
    pub fn versions(self) -> &'static [&'static str] {
        match self {
            Self::HttpRoute => &["v1", "v1beta1"],
            Self::GrpcRoute => &["v1", "v1alpha2"],
            Self::LinkerdHttpRoute => &["v1beta3", "v1beta2"],
            Self::VirtualService => &["v1", "v1beta1", "v1alpha3"],
        }
    }

    /// The resource's name in paths of the API.
    pub fn plural(self) -> &'static str {
        match self {
            Self::HttpRoute | Self::LinkerdHttpRoute => "httproutes",
            Self::GrpcRoute => "grpcroutes",
            Self::VirtualService => "virtualservices",
        }
    }
}
