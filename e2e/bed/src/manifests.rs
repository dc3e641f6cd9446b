//! Manifests for scenarios and the demo: the sample application, a Prometheus of one's own. As JSON where callers want to
//! change them, which `kubectl apply` takes as well.

use serde_json::{Map, Value, json};

use crate::{images::VERSIONS, template::filled};

const PROMETHEUS: &str = include_str!("../../cluster/manifests/prometheus.yaml");
const HELM_CONTROLLER: &str = include_str!("../../cluster/manifests/helm-controller.yaml");
const CONTOUR_MANIFEST: &str = include_str!("../../cluster/manifests/contour.yaml");

/// The name of a Gateway, and of its Service, in the namespace of those who use it.
pub const BESIDE: &str = "beside";

/// Prometheus in a namespace, at `http://prometheus.<namespace>:9090`. It scrapes the pods of that namespace and the
/// gateway. Namespace and cluster roles `prometheus-<namespace>` are the caller's to remove.
pub fn prometheus_manifest(namespace: &str) -> String {
    // The only error is a name in the template that is not here, which a test would see.
    prometheus(namespace, &format!("{namespace}, gw"), "").unwrap_or_default()
}

pub(crate) fn prometheus(namespace: &str, scraped: &str, digest: &str) -> anyhow::Result<String> {
    filled(PROMETHEUS, &[("NAMESPACE", namespace), ("SCRAPED", scraped), ("PROMETHEUS_DIGEST", digest)])
}

pub(crate) fn contour(namespace: &str, image: &str) -> anyhow::Result<String> {
    filled(CONTOUR_MANIFEST, &[("NAMESPACE", namespace), ("IMAGE", image), ("GATEWAY", BESIDE)])
}

pub(crate) fn helm_controller(namespace: &str, image: &str) -> anyhow::Result<String> {
    filled(HELM_CONTROLLER, &[("NAMESPACE", namespace), ("IMAGE", image)])
}

/// The sample application: HTTP/1, and HTTP/2 without TLS, on 8080 (`/ready`, `/metrics`, all else answers), gRPC on 9090.
#[derive(Clone, Debug, Default)]
pub struct App {
    /// What it says it is, in the header `x-version`.
    pub version: String,
    /// Share of requests that fail, 0 to 1.
    pub error_rate: f64,
    /// Mean latency.
    pub latency_ms: f64,
    /// Further behaviour: `READY_AFTER_S`, `UNREADY_AFTER_S`, `CRASH_AFTER_S`, `CRASH_TIMES` (counted in a
    /// volume at `/state`), `DRAIN_S`, `PORT`, `WORK_RATE`.
    pub env: Vec<(String, String)>,
}

impl App {
    /// One that answers at once and without errors.
    pub fn new(version: &str) -> Self {
        Self { version: version.to_owned(), ..Self::default() }
    }

    /// An image of its own for each version that the cluster knows by name.
    fn image(&self) -> String {
        let tag = VERSIONS.into_iter().find(|version| *version == self.version).unwrap_or("bed");
        format!("localhost/app:{tag}")
    }

    /// A pod template (`metadata` and `spec`) with these labels, scraped by Prometheus.
    pub fn template(&self, labels: &[(&str, &str)]) -> Value {
        let mut env = vec![
            json!({"name": "VERSION", "value": self.version}),
            json!({"name": "ERROR_RATE", "value": self.error_rate.to_string()}),
            json!({"name": "LATENCY_MS", "value": self.latency_ms.to_string()}),
        ];
        env.extend(self.env.iter().map(|(name, value)| json!({"name": name, "value": value})));
        json!({
            "metadata": {"labels": object(labels), "annotations": scraped("8080", "/metrics")},
            "spec": {
                "automountServiceAccountToken": false,
                "terminationGracePeriodSeconds": 20,
                "securityContext": pod_security(65534),
                "containers": [{
                    "name": "app",
                    "image": self.image(),
                    "imagePullPolicy": "Never",
                    "env": env,
                    "ports": [{"name": "http", "containerPort": 8080}, {"name": "grpc", "containerPort": 9090}],
                    "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1},
                    "securityContext": container_security(),
                }],
            },
        })
    }

    /// A Deployment of it, selected by `app: <name>`.
    pub fn deployment(&self, namespace: &str, name: &str, replicas: u32) -> Value {
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": name}},
                "template": self.template(&[("app", name)]),
            },
        })
    }

    /// A Service for it: `http` on 80, `grpc` on 9090. Without a selector where `selector` is empty.
    pub fn service(namespace: &str, name: &str, selector: &[(&str, &str)]) -> Value {
        let mut spec = json!({
            "ports": [
                {"name": "http", "port": 80, "targetPort": 8080},
                {"name": "grpc", "port": 9090, "targetPort": 9090, "appProtocol": "kubernetes.io/h2c"},
            ],
        });
        if !selector.is_empty()
            && let Some(spec) = spec.as_object_mut()
        {
            spec.insert("selector".to_owned(), object(selector));
        }
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": namespace},
            "spec": spec,
        })
    }
}

fn object(pairs: &[(&str, &str)]) -> Value {
    Value::Object(pairs.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect::<Map<_, _>>())
}

pub(crate) fn scraped(port: &str, path: &str) -> Value {
    json!({"prometheus.io/scrape": "true", "prometheus.io/port": port, "prometheus.io/path": path})
}

/// A pod's security context that the `restricted` standard asks for.
pub fn pod_security(user: u32) -> Value {
    json!({"runAsNonRoot": true, "runAsUser": user, "runAsGroup": user, "seccompProfile": {"type": "RuntimeDefault"}})
}

/// The same of a container.
pub fn container_security() -> Value {
    json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{LoadClient, Way};

    #[test]
    fn a_prometheus_of_ones_own_has_no_placeholder_left() {
        let manifest = prometheus_manifest("shop");
        assert!(manifest.contains("names: [shop, gw]"));
        assert!(manifest.contains("name: \"prometheus-shop\""));
        assert!(!manifest.contains("${"));
    }

    #[test]
    fn no_container_may_write_to_its_image_or_run_as_root() {
        let sidecar = Way::Sidecar { port: 80, host: "podinfo.shop".to_owned() };
        let load = LoadClient::new("shop", "load", sidecar, 50.0).manifest();
        let app = App::new("v1").template(&[("app", "podinfo")]);
        for spec in [&load["spec"], &app["spec"]] {
            assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
            let containers = ["containers", "initContainers"].iter().filter_map(|key| spec[*key].as_array());
            for container in containers.flatten() {
                assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
                assert_eq!(container["imagePullPolicy"], "Never");
            }
        }
    }

    #[test]
    fn a_service_without_a_selector_has_none_at_all() {
        assert!(App::service("shop", "podinfo", &[])["spec"].get("selector").is_none());
        assert_eq!(App::service("shop", "podinfo", &[("app", "x")])["spec"]["selector"], json!({"app": "x"}));
    }
}
