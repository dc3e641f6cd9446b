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
    // A Service of ours that the Rollout names no longer is deleted.
    ("", "services", &["get", "list", "watch", "create", "patch", "delete"]),
    ("", "pods", &["list"]),
    // A restart replaces pods one by one, as whoever guards their number allows.
    ("", "pods/eviction", &["create"]),
    // What keeps pods from starting stands nowhere else.
    ("", "events", &["list"]),
    ("", "secrets", &["get"]),
    ("discovery.k8s.io", "endpointslices", &["list", "watch"]),
    ("gateway.networking.k8s.io", "httproutes", &["get", "list", "watch", "create", "patch", "delete"]),
    ("gateway.networking.k8s.io", "grpcroutes", &["get", "list", "watch", "create", "patch", "delete"]),
    ("networking.istio.io", "virtualservices", &["get", "list", "watch", "create", "patch", "delete"]),
    // Where Linkerd reports on a route: a profile of its parent would win over it.
    ("linkerd.io", "serviceprofiles", &["list"]),
    ("events.k8s.io", "events", &["create"]),
];

/// What is needed in the operator's own namespace only.
pub const LEASE_RULES: &[Rule] = &[("coordination.k8s.io", "leases", &["get", "list", "watch", "create", "update"])];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    type Grant = (String, String, String);

    fn wanted(rules: &[Rule]) -> BTreeSet<Grant> {
        let of = |(group, resource, verbs): &Rule| {
            verbs
                .iter()
                .map(|verb| ((*group).to_owned(), (*resource).to_owned(), (*verb).to_owned()))
                .collect::<Vec<_>>()
        };
        rules.iter().flat_map(of).collect()
    }

    fn granted(manifest: &str, kind: &str) -> BTreeSet<Grant> {
        let filled = manifest.replace("{{args}}", "[]").replace("{{", "").replace("}}", "");
        let documents = filled.split("\n---\n").map(|text| serde_saphyr::from_str::<Value>(text).unwrap());
        let role = documents.into_iter().find(|document| document["kind"] == kind).unwrap();
        let words = |rule: &Value, key: &str| -> Vec<String> {
            rule[key].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
        };
        let mut grants = BTreeSet::new();
        for rule in role["rules"].as_array().unwrap() {
            for group in words(rule, "apiGroups") {
                for resource in words(rule, "resources") {
                    let grant = |verb| (group.clone(), resource.clone(), verb);
                    grants.extend(words(rule, "verbs").into_iter().map(grant));
                }
            }
        }
        grants
    }

    #[test]
    fn the_manifest_of_the_cluster_tests_grants_exactly_what_is_needed() {
        let manifest = include_str!("../../e2e/manifests/operator.yaml");
        assert_eq!(granted(manifest, "ClusterRole"), wanted(RULES));
        assert_eq!(granted(manifest, "Role"), wanted(LEASE_RULES));
    }
}
