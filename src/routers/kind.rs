//! The kinds of route.

/// A kind of route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteKind {
    /// The Gateway API's route for HTTP.
    HttpRoute,
    /// The Gateway API's route for gRPC.
    GrpcRoute,
    /// Istio's route.
    VirtualService,
}

impl RouteKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::HttpRoute, Self::GrpcRoute, Self::VirtualService];

    /// The kind's name, as in [`leadsman_core::observed::RouteId::kind`].
    pub fn kind(self) -> &'static str {
        match self {
            Self::HttpRoute => "HTTPRoute",
            Self::GrpcRoute => "GRPCRoute",
            Self::VirtualService => "VirtualService",
        }
    }

    /// The kind of this name.
    pub fn of(kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.kind() == kind)
    }

    /// Its API group.
    pub fn group(self) -> &'static str {
        match self {
            Self::HttpRoute | Self::GrpcRoute => "gateway.networking.k8s.io",
            Self::VirtualService => "networking.istio.io",
        }
    }

    /// Versions in which the fields that are used here have the same meaning, the newest first.
    pub fn versions(self) -> &'static [&'static str] {
        match self {
            Self::HttpRoute => &["v1", "v1beta1"],
            Self::GrpcRoute => &["v1", "v1alpha2"],
            Self::VirtualService => &["v1", "v1beta1", "v1alpha3"],
        }
    }

    /// The resource's name in paths of the API.
    pub fn plural(self) -> &'static str {
        match self {
            Self::HttpRoute => "httproutes",
            Self::GrpcRoute => "grpcroutes",
            Self::VirtualService => "virtualservices",
        }
    }
}
