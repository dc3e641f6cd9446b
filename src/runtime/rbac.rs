//! Exactly what the operator may do: what its manifests grant is checked against this by a test.
//!
//! Secrets are read one by one, by name, only where an analysis template refers to them; there is no other way to allow
//! that than to allow it for all of a namespace.

/// A rule: group, resource, verbs.
pub type Rule = (&'static str, &'static str, &'static [&'static str]);

/// What is needed in every namespace that is watched, and in the cluster.
pub const RULES: &[Rule] = &[
    ("leadsman.dev", "rollouts", &["get", "list", "watch", "patch"]),
    ("leadsman.dev", "rollouts/status", &["update"]),
    // Owner references that block deletion may only be set by who may set finalizers of the owner.
    ("leadsman.dev", "rollouts/finalizers", &["update"]),
    ("leadsman.dev", "analysistemplates", &["get", "list", "watch"]),
    ("leadsman.dev", "clusteranalysistemplates", &["get", "list", "watch"]),
    ("apps", "replicasets", &["get", "list", "watch", "create", "patch", "delete"]),
    ("", "services", &["get", "list", "watch", "create", "patch"]),
    ("", "pods", &["list"]),
    ("", "secrets", &["get"]),
    ("discovery.k8s.io", "endpointslices", &["list", "watch"]),
    ("gateway.networking.k8s.io", "httproutes", &["get", "list", "watch", "create", "patch"]),
    ("gateway.networking.k8s.io", "grpcroutes", &["get", "list", "watch", "create", "patch"]),
    ("networking.istio.io", "virtualservices", &["get", "list", "watch", "create", "patch"]),
    ("events.k8s.io", "events", &["create"]),
];

/// What is needed in the operator's own namespace only.
pub const LEASE_RULES: &[Rule] = &[("coordination.k8s.io", "leases", &["get", "create", "update"])];
