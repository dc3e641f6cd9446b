//! Manifests for scenarios and the demo: the sample application, the load client, a Prometheus of one's own. As JSON
//! where callers want to change them, which `kubectl apply` takes as well.

use serde_json::{Map, Value, json};

use crate::template::filled;

const PROMETHEUS: &str = include_str!("../../cluster/manifests/prometheus.yaml");

/// Prometheus in a namespace, at `http://prometheus.<namespace>:9090`. It scrapes the pods of that namespace and the
/// gateway. Namespace and cluster roles `prometheus-<namespace>` are the caller's to remove.
pub fn prometheus_manifest(namespace: &str) -> String {
    // The only error is a name in the template that is not here, which a test would see.
    prometheus(namespace, &format!("{namespace}, gw"), "").unwrap_or_default()
}

pub(crate) fn prometheus(namespace: &str, scraped: &str, digest: &str) -> anyhow::Result<String> {
    filled(PROMETHEUS, &[("NAMESPACE", namespace), ("SCRAPED", scraped), ("PROMETHEUS_DIGEST", digest)])
}

/// The sample application: HTTP on 8080 (`/ready`, `/metrics`, all else answers), gRPC on 9090.
#[derive(Clone, Debug, Default)]
pub struct App {
    /// What it says it is, in the header `x-version`.
    pub version: String,
    /// Share of requests that fail, 0 to 1.
    pub error_rate: f64,
    /// Mean latency.
    pub latency_ms: f64,
    /// Further behaviour: `READY_AFTER_S`, `UNREADY_AFTER_S`, `CRASH_AFTER_S`, `CRASH_TIMES` (counted in a
    /// volume at `/state`), `DRAIN_S`, `PORT`.
    pub env: Vec<(String, String)>,
}

impl App {
    /// One that answers at once and without errors.
    pub fn new(version: &str) -> Self {
        Self { version: version.to_owned(), ..Self::default() }
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
                    "image": "localhost/app:bed",
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

/// Which way the load client's requests go.
#[derive(Clone, Debug)]
pub enum Way {
    /// Through the ingress gateway: port 80 for VirtualServices, 81 for the Gateway API's routes.
    Gateway {
        /// 80 or 81.
        port: u16,
        /// Host header.
        host: String,
    },
    /// Through an Envoy beside the client, as a member of the mesh: routes with a Service as parent, VirtualServices of
    /// gateway `mesh`.
    Sidecar {
        /// The Service's port.
        port: u16,
        /// `<service>.<namespace>`.
        host: String,
    },
    /// Straight to a Service or pod, outside the mesh.
    Direct {
        /// `<service>.<namespace>:<port>` or an address.
        address: String,
    },
}

/// A pod that sends requests at a steady rate and accounts for each. Its results are at port 8090 of the pod's address:
/// `GET /records?since=N`, `GET /summary`, `POST /stop` (see `e2e/cluster/app/records.go`).
#[derive(Clone, Debug)]
pub struct LoadClient {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// Which way the requests go.
    pub way: Way,
    /// gRPC instead of HTTP.
    pub grpc: bool,
    /// Requests per second.
    pub rate: f64,
}

impl LoadClient {
    /// HTTP at this rate.
    pub fn new(namespace: &str, name: &str, way: Way, rate: f64) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned(), way, grpc: false, rate }
    }

    /// The Pod. It is ready when it sends.
    pub fn manifest(&self) -> Value {
        let (address, host) = match &self.way {
            Way::Gateway { port, host } => (format!("ingress.gw.svc.cluster.local:{port}"), host.as_str()),
            Way::Sidecar { port, host } => (format!("127.0.0.1:{port}"), host.as_str()),
            Way::Direct { address } => (address.clone(), ""),
        };
        let url = if self.grpc { address } else { format!("http://{address}/") };
        let mut arguments = vec!["load".to_owned(), format!("-url={url}"), format!("-rate={}", self.rate)];
        if !host.is_empty() {
            arguments.push(format!("-host={host}"));
        }
        if self.grpc {
            arguments.push("-grpc".to_owned());
        }
        let mut spec = json!({
            "automountServiceAccountToken": false,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 5,
            "securityContext": pod_security(1337),
            "containers": [{
                "name": "load",
                "image": "localhost/app:bed",
                "imagePullPolicy": "Never",
                "args": arguments,
                "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8090}, "periodSeconds": 1},
                "securityContext": container_security(),
            }],
        });
        let mut annotations = json!({});
        if matches!(self.way, Way::Sidecar { .. })
            && let Some(spec) = spec.as_object_mut()
        {
            spec.insert("initContainers".to_owned(), json!([Self::sidecar()]));
            // The sidecar listens on the Services' own ports.
            let mut security = pod_security(1337);
            if let Some(security) = security.as_object_mut() {
                let sysctl = json!([{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]);
                security.insert("sysctls".to_owned(), sysctl);
            }
            spec.insert("securityContext".to_owned(), security);
            annotations = scraped("15000", "/stats/prometheus");
        }
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": self.name,
                "namespace": self.namespace,
                "labels": {"app": "load", "load": self.name},
                "annotations": annotations,
            },
            "spec": spec,
        })
    }

    /// An Envoy that starts before the client and is ready when it has its configuration.
    fn sidecar() -> Value {
        let node = json!({"node": {
            "id": "sidecar~$(POD_IP)~$(POD_NAME).$(POD_NAMESPACE)~$(POD_NAMESPACE).svc.cluster.local",
            "cluster": "load.$(POD_NAMESPACE)",
            "metadata": {
                "NAMESPACE": "$(POD_NAMESPACE)",
                "NAME": "$(POD_NAME)",
                "WORKLOAD_NAME": "$(POD_NAME)",
                "SERVICE_ACCOUNT": "default",
                "CLUSTER_ID": "Kubernetes",
                "MESH_ID": "cluster.local",
                "ISTIO_VERSION": "1.31.0",
                // Listeners on 127.0.0.1:<service port>; the client calls them, nothing is redirected.
                "INTERCEPTION_MODE": "NONE",
                "INSTANCE_IPS": "$(POD_IP)",
                "LABELS": {"app": "load"},
            },
        }});
        let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
        json!({
            "name": "envoy",
            "image": "localhost/envoy:bed",
            "imagePullPolicy": "Never",
            "restartPolicy": "Always",
            "args": [
                "--config-path", "/etc/envoy/bootstrap.yaml", "--config-yaml", node.to_string(),
                "--concurrency", "1", "--disable-hot-restart", "--log-level", "warning",
            ],
            "env": [
                field("POD_NAME", "metadata.name"),
                field("POD_NAMESPACE", "metadata.namespace"),
                field("POD_IP", "status.podIP"),
            ],
            "startupProbe": {"httpGet": {"path": "/ready", "port": 15000}, "periodSeconds": 1, "failureThreshold": 60},
            "securityContext": container_security(),
        })
    }
}

fn object(pairs: &[(&str, &str)]) -> Value {
    Value::Object(pairs.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect::<Map<_, _>>())
}

fn scraped(port: &str, path: &str) -> Value {
    json!({"prometheus.io/scrape": "true", "prometheus.io/port": port, "prometheus.io/path": path})
}

fn pod_security(user: u32) -> Value {
    json!({"runAsNonRoot": true, "runAsUser": user, "runAsGroup": user, "seccompProfile": {"type": "RuntimeDefault"}})
}

fn container_security() -> Value {
    json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}})
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn only_a_client_in_the_mesh_has_a_sidecar() {
        let direct = LoadClient::new("shop", "load", Way::Direct { address: "podinfo.shop:80".to_owned() }, 50.0);
        assert!(direct.manifest()["spec"]["initContainers"].is_null());
        let args = direct.manifest()["spec"]["containers"][0]["args"].clone();
        assert_eq!(args, json!(["load", "-url=http://podinfo.shop:80/", "-rate=50"]));
    }

    #[test]
    fn a_service_without_a_selector_has_none_at_all() {
        assert!(App::service("shop", "podinfo", &[])["spec"].get("selector").is_none());
        assert_eq!(App::service("shop", "podinfo", &[("app", "x")])["spec"]["selector"], json!({"app": "x"}));
    }
}
