//! The kinds that the server knows: those that the operator touches, and Pods.

use std::fmt;

/// A kind of object.
#[derive(Debug)]
pub struct Kind {
    /// Its group; empty for the core group.
    pub group: &'static str,
    /// The one version in which it is served.
    pub version: &'static str,
    /// Its name.
    pub kind: &'static str,
    /// Its name in paths.
    pub plural: &'static str,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
    /// Whether `status` is a subresource: then a write to one half leaves the other alone.
    pub has_status: bool,
    /// Whether `metadata.generation` counts the changes of what is declared.
    pub has_generation: bool,
}

macro_rules! kinds {
    ($($name:ident = $group:literal / $version:literal $kind:literal $plural:literal,
       namespaced $namespaced:literal, status $status:literal, generation $generation:literal;)*) => {
        $(
            #[doc = concat!("`", $kind, "`")]
            pub static $name: Kind = Kind {
                group: $group,
                version: $version,
                kind: $kind,
                plural: $plural,
                namespaced: $namespaced,
                has_status: $status,
                has_generation: $generation,
            };
        )*
        /// All of them.
        pub static ALL: &[&Kind] = &[$(&$name),*];
    };
}

kinds! {
    ROLLOUT = "leadsman.dev"/"v1alpha1" "Rollout" "rollouts", namespaced true, status true, generation true;
    REPORT = "leadsman.dev"/"v1alpha1" "RolloutReport" "rolloutreports",
        namespaced true, status false, generation true;
    TEMPLATE = "leadsman.dev"/"v1alpha1" "AnalysisTemplate" "analysistemplates",
        namespaced true, status false, generation true;
    CLUSTER_TEMPLATE = "leadsman.dev"/"v1alpha1" "ClusterAnalysisTemplate" "clusteranalysistemplates",
        namespaced false, status false, generation true;
    REPLICA_SET = "apps"/"v1" "ReplicaSet" "replicasets", namespaced true, status true, generation true;
    SERVICE = ""/"v1" "Service" "services", namespaced true, status true, generation false;
    POD = ""/"v1" "Pod" "pods", namespaced true, status true, generation false;
    SECRET = ""/"v1" "Secret" "secrets", namespaced true, status false, generation false;
    SLICE = "discovery.k8s.io"/"v1" "EndpointSlice" "endpointslices", namespaced true, status false, generation true;
    HTTP_ROUTE = "gateway.networking.k8s.io"/"v1" "HTTPRoute" "httproutes",
        namespaced true, status true, generation true;
    GRPC_ROUTE = "gateway.networking.k8s.io"/"v1" "GRPCRoute" "grpcroutes",
        namespaced true, status true, generation true;
    VIRTUAL_SERVICE = "networking.istio.io"/"v1" "VirtualService" "virtualservices",
        namespaced true, status true, generation true;
    SERVICE_PROFILE = "linkerd.io"/"v1alpha2" "ServiceProfile" "serviceprofiles",
        namespaced true, status false, generation true;
    LEASE = "coordination.k8s.io"/"v1" "Lease" "leases", namespaced true, status false, generation false;
    EVENT = "events.k8s.io"/"v1" "Event" "events", namespaced true, status false, generation false;
    // The same objects by their older name, as with the real server.
    CORE_EVENT = ""/"v1" "Event" "events", namespaced true, status false, generation false;
}

impl Kind {
    /// `group/version`, or the version alone in the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// As the API server names it in messages.
    pub fn resource(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// The kind of an object.
    pub fn of(kind: &str) -> Option<&'static Self> {
        ALL.iter().copied().find(|known| known.kind == kind)
    }

    /// The kind that is served under this path.
    pub fn at(group: &str, version: &str, plural: &str) -> Option<&'static Self> {
        ALL.iter().copied().find(|kind| kind.group == group && kind.version == version && kind.plural == plural)
    }
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

impl Eq for Kind {}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind)
    }
}
