//! Gateways of a namespace's own, beside the mesh's: another implementation of the Gateway API, and a slow one as clouds have it.

use std::time::Duration;

use anyhow::Result;
use leadsman_bed::{BESIDE, Bed, container_security, pod_security};
use serde_json::{Value, json};

use crate::namespace::Namespace;
use crate::wait::until_ready;

/// Contour, with an Envoy of its own.
pub async fn bring_contour(namespace: &Namespace) -> Result<()> {
    namespace.bring(Bed::contour, &["contour", "contour-envoy"]).await
}

/// A gateway that accepts a route at once, and is late with what it says.
#[derive(Clone, Copy, Debug)]
pub struct Slow {
    /// How late weights are in force.
    pub routes: Duration,
    /// How late endpoints are known, and known to be gone.
    pub endpoints: Duration,
}

impl Slow {
    /// Brings it.
    pub async fn bring(self, namespace: &Namespace) -> Result<()> {
        namespace.apply_all(&self.manifests(&namespace.name)).await?;
        until_ready(namespace.api(), BESIDE).await
    }

    fn manifests(self, namespace: &str) -> [Value; 5] {
        let metadata = json!({"name": BESIDE, "namespace": namespace});
        let labels = json!({"app": BESIDE});
        let late = |what: &str, by: Duration| format!("-{what}={}ms", by.as_millis());
        let arguments = [
            "slow-gateway".to_owned(),
            format!("-gateway={BESIDE}"),
            late("routes", self.routes),
            late("endpoints", self.endpoints),
        ];
        let rule = |group: &str, resources: &[&str], verbs: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
        let pod = json!({
            "serviceAccountName": BESIDE,
            "terminationGracePeriodSeconds": 1,
            "securityContext": pod_security(65534),
            "containers": [{
                "name": "gateway", "image": "localhost/app:bed", "imagePullPolicy": "Never", "args": arguments,
                "env": [{"name": "NAMESPACE", "value": namespace}],
                "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
                "securityContext": container_security(),
            }],
        });
        [
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}),
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata,
                "rules": [
                    rule("gateway.networking.k8s.io", &["httproutes"], &["list"]),
                    rule("gateway.networking.k8s.io", &["httproutes/status"], &["patch"]),
                    rule("discovery.k8s.io", &["endpointslices"], &["list"]),
                ],
            }),
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata,
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": BESIDE},
                "subjects": [{"kind": "ServiceAccount", "name": BESIDE}],
            }),
            json!({
                "apiVersion": "v1", "kind": "Service", "metadata": metadata,
                "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
            }),
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
                "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
            }),
        ]
    }
}
