//! Exactly what the operator may do: what its manifests grant is checked against this by a test.
//!
//! Secrets are read one by one, by name, only where an analysis template refers to them; there is no other way to allow
//! that than to allow it for all of a namespace.

/// What a right is for, where it is not needed by everybody: the chart's value that grants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Everybody needs it.
    Always,
    /// `features.gatewayAPI`.
    GatewayApi,
    /// `features.gatewayAPI` and `features.ownRoutes`.
    OwnGatewayRoutes,
    /// `features.istio`.
    Istio,
    /// `features.istio` and `features.ownRoutes`.
    OwnVirtualServices,
    /// `features.eviction`.
    Eviction,
    /// `features.secrets.mode`.
    Secrets,
    /// `features.jobs`.
    Jobs,
    /// `features.logs`.
    Logs,
    /// Left out with `watchNamespaces`: it belongs to no namespace.
    ClusterTemplates,
}

use Feature::{
    Always, ClusterTemplates, Eviction, GatewayApi, Istio, Jobs, Logs, OwnGatewayRoutes, OwnVirtualServices, Secrets,
};

/// A rule: group, resource, verbs, what for.
pub type Rule = (&'static str, &'static str, &'static [&'static str], Feature);

const ROUTES: &str = "gateway.networking.k8s.io";
const SEEN: &[&str] = &["get", "list", "watch"];
const WEIGHED: &[&str] = &["get", "list", "watch", "patch"];
const OWNED: &[&str] = &["create", "delete"];

/// What is needed in every namespace that is watched, and in the cluster.
pub const RULES: &[Rule] = &[
    ("leadsman.dev", "rollouts", WEIGHED, Always),
    ("leadsman.dev", "rollouts/status", &["update"], Always),
    // Owner references that block deletion may only be set by who may set finalizers of the owner.
    ("leadsman.dev", "rollouts/finalizers", &["update"], Always),
    // One for each attempt; those beyond the history limit are listed and deleted.
    ("leadsman.dev", "rolloutreports", &["get", "list", "create", "update", "delete"], Always),
    ("leadsman.dev", "analysistemplates", SEEN, Always),
    ("leadsman.dev", "clusteranalysistemplates", SEEN, ClusterTemplates),
    ("apps", "replicasets", &["get", "list", "watch", "create", "patch", "delete"], Always),
    // A Service of ours that the Rollout names no longer is deleted.
    ("", "services", &["get", "list", "watch", "create", "patch", "delete"], Always),
    ("", "pods", &["list"], Always),
    // The last lines of a container that crashed, for the report.
    ("", "pods/log", &["get"], Logs),
    // A restart replaces pods one by one, as whoever guards their number allows.
    ("", "pods/eviction", &["create"], Eviction),
    // What keeps pods from starting stands nowhere else.
    ("", "events", &["list"], Always),
    ("", "secrets", &["get"], Secrets),
    // Metrics that are Jobs: made, looked at by name, and ended where nobody waits for them any more.
    ("batch", "jobs", &["get", "create", "delete"], Jobs),
    ("discovery.k8s.io", "endpointslices", &["list", "watch"], Always),
    (ROUTES, "httproutes", WEIGHED, GatewayApi),
    (ROUTES, "httproutes", OWNED, OwnGatewayRoutes),
    (ROUTES, "grpcroutes", WEIGHED, GatewayApi),
    (ROUTES, "grpcroutes", OWNED, OwnGatewayRoutes),
    // Linkerd's own, which nobody but Git makes.
    ("policy.linkerd.io", "httproutes", WEIGHED, GatewayApi),
    ("networking.istio.io", "virtualservices", WEIGHED, Istio),
    ("networking.istio.io", "virtualservices", OWNED, OwnVirtualServices),
    // Where Linkerd reports on a route: a profile of its parent would win over it.
    ("linkerd.io", "serviceprofiles", &["list"], GatewayApi),
    ("events.k8s.io", "events", &["create"], Always),
];

/// What is needed in the operator's own namespace only.
pub const LEASE_RULES: &[Rule] =
    &[("coordination.k8s.io", "leases", &["get", "list", "watch", "create", "update"], Always)];

/// The rules as named templates of the chart: what `cargo xtask chart` writes.
#[cfg(test)]
pub fn template() -> String {
    let head = "{{- /* Written by cargo xtask chart from src/runtime/rbac.rs. */ -}}\n".to_owned();
    let named = |(name, rules): (&str, &[Rule])| {
        let rules: String = rules.iter().map(as_template).collect();
        format!("{{{{- define \"{name}\" -}}}}\n{rules}{{{{- end -}}}}\n")
    };
    let defined = [("leadsman.rules", RULES), ("leadsman.leaseRules", LEASE_RULES)].map(named);
    head + &defined.concat()
}

#[cfg(test)]
fn as_template((group, resource, verbs, feature): &Rule) -> String {
    let (opened, names) = condition(*feature);
    let rule = format!("- apiGroups: [{group:?}]\n  resources: [{resource:?}]\n  verbs: {verbs:?}\n{names}");
    opened.map_or(rule.clone(), |opened| format!("{{{{- {opened} }}}}\n{rule}{{{{- end }}}}\n"))
}

/// When the chart grants a right, and the names that it is restricted to.
#[cfg(test)]
fn condition(feature: Feature) -> (Option<&'static str>, &'static str) {
    match feature {
        Always => (None, ""),
        GatewayApi => (Some("if .Values.features.gatewayAPI"), ""),
        OwnGatewayRoutes => (Some("if and .Values.features.gatewayAPI .Values.features.ownRoutes"), ""),
        Istio => (Some("if .Values.features.istio"), ""),
        OwnVirtualServices => (Some("if and .Values.features.istio .Values.features.ownRoutes"), ""),
        Eviction => (Some("if .Values.features.eviction"), ""),
        Jobs => (Some("if .Values.features.jobs"), ""),
        Logs => (Some("if .Values.features.logs"), ""),
        Secrets => (
            Some("if include \"leadsman.readsSecrets\" ."),
            "{{- if eq .Values.features.secrets.mode \"Named\" }}\n  resourceNames: {{ .Values.features.secrets.names | toJson \
             }}\n{{- end }}\n",
        ),
        ClusterTemplates => (Some("if not .Values.watchNamespaces"), ""),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    type Grant = (String, String, String);

    fn wanted(rules: &[Rule]) -> BTreeSet<Grant> {
        let of = |(group, resource, verbs, _): &Rule| {
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
    fn every_right_is_explained() {
        let page = include_str!("../../docs/security.md");
        for (_, resource, ..) in RULES.iter().chain(LEASE_RULES) {
            assert!(page.contains(resource), "docs/security.md says nothing of {resource}");
        }
    }

    #[test]
    fn the_manifest_of_the_cluster_tests_grants_exactly_what_is_needed() {
        let manifest = include_str!("../../e2e/manifests/operator.yaml");
        assert_eq!(granted(manifest, "ClusterRole"), wanted(RULES));
        assert_eq!(granted(manifest, "Role"), wanted(LEASE_RULES));
    }
}
