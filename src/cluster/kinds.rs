//! The kinds that we read and write, other than routes.

use std::sync::LazyLock;

use kube::core::{ApiResource, GroupVersionKind};

fn kind(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $group:expr, $version:expr, $kind:literal, $plural:literal;)*) => {
        $($(#[$doc])* pub static $name: LazyLock<ApiResource> = LazyLock::new(|| kind($group, $version, $kind, $plural));)*
    };
}

kinds! {
    /// Rollouts.
    ROLLOUTS = leadsman_api::names::GROUP, leadsman_api::names::VERSION, "Rollout", "rollouts";
    /// Analysis templates of a namespace.
    TEMPLATES = leadsman_api::names::GROUP, leadsman_api::names::VERSION, "AnalysisTemplate", "analysistemplates";
    /// Analysis templates of the cluster.
    CLUSTER_TEMPLATES =
        leadsman_api::names::GROUP, leadsman_api::names::VERSION, "ClusterAnalysisTemplate", "clusteranalysistemplates";
    /// Reports of attempts.
    REPORTS = leadsman_api::names::GROUP, leadsman_api::names::VERSION, "RolloutReport", "rolloutreports";
    /// ReplicaSets.
    REPLICA_SETS = "apps", "v1", "ReplicaSet", "replicasets";
    /// Services.
    SERVICES = "", "v1", "Service", "services";
    /// EndpointSlices.
    ENDPOINT_SLICES = "discovery.k8s.io", "v1", "EndpointSlice", "endpointslices";
    /// Jobs.
    JOBS = "batch", "v1", "Job", "jobs";
    /// Pods.
    PODS = "", "v1", "Pod", "pods";
    /// Linkerd's way to say how a Service is called, older than the Gateway API.
    SERVICE_PROFILES = "linkerd.io", "v1alpha2", "ServiceProfile", "serviceprofiles";
    /// Events.
    EVENTS = "events.k8s.io", "v1", "Event", "events";
    /// Events by their older name, under which they can be found by the object that they are about.
    CORE_EVENTS = "", "v1", "Event", "events";
    /// Leases.
    LEASES = "coordination.k8s.io", "v1", "Lease", "leases";
}
