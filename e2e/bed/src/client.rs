//! The load client: which way its requests go, how it keeps its connections, and its pod.

use serde_json::{Value, json};

use crate::manifests::{BESIDE, container_security, pod_security, scraped};

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
    /// Through the gateway [`BESIDE`](crate::BESIDE) of the client's own namespace, on port 80.
    Beside {
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

/// How a client keeps its connections (see `e2e/cluster/app/connections.go`): where kube-proxy chooses a pod per connection,
/// this decides which pod answers, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connections {
    /// A connection per request.
    New,
    /// HTTP/1 over 16 connections, in turn.
    KeepAlive,
    /// HTTP/2 without TLS over 4 connections, in turn.
    Http2,
}

impl Connections {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::New, Self::KeepAlive, Self::Http2];

    /// For names, and the load client's `-connections`.
    pub fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::KeepAlive => "keep-alive",
            Self::Http2 => "http2",
        }
    }
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
    /// How connections are kept; `None`: HTTP/1 over as many as were ever needed at once.
    pub connections: Option<Connections>,
    /// Requests per second.
    pub rate: f64,
    /// What HTTP requests ask for: `/`, or `/broken`, which every revision of the sample application fails.
    pub path: &'static str,
}

impl LoadClient {
    /// HTTP at this rate.
    pub fn new(namespace: &str, name: &str, way: Way, rate: f64) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            way,
            grpc: false,
            connections: None,
            rate,
            path: "/",
        }
    }

    /// The Pod. It is ready when it sends.
    pub fn manifest(&self) -> Value {
        let (address, host) = match &self.way {
            Way::Gateway { port, host } => (format!("ingress.gw.svc.cluster.local:{port}"), host.as_str()),
            Way::Beside { host } => (format!("{BESIDE}.{}.svc.cluster.local:80", self.namespace), host.as_str()),
            Way::Sidecar { port, host } => (format!("127.0.0.1:{port}"), host.as_str()),
            Way::Direct { address } => (address.clone(), ""),
        };
        let url = if self.grpc { address } else { format!("http://{address}{}", self.path) };
        let mut arguments = vec!["load".to_owned(), format!("-url={url}"), format!("-rate={}", self.rate)];
        if !host.is_empty() {
            arguments.push(format!("-host={host}"));
        }
        if self.grpc {
            arguments.push("-grpc".to_owned());
        }
        if let Some(connections) = self.connections {
            arguments.push(format!("-connections={}", connections.word()));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_client_in_the_mesh_has_a_sidecar() {
        let direct = LoadClient::new("shop", "load", Way::Direct { address: "podinfo.shop:80".to_owned() }, 50.0);
        assert!(direct.manifest()["spec"]["initContainers"].is_null());
        let args = direct.manifest()["spec"]["containers"][0]["args"].clone();
        assert_eq!(args, json!(["load", "-url=http://podinfo.shop:80/", "-rate=50"]));
    }

    #[test]
    fn a_client_keeps_connections_as_it_is_told() {
        let way = Way::Direct { address: "podinfo.shop:80".to_owned() };
        let mut client = LoadClient::new("shop", "load", way, 50.0);
        client.connections = Some(Connections::KeepAlive);
        let args = client.manifest()["spec"]["containers"][0]["args"].clone();
        assert_eq!(args[3], "-connections=keep-alive");
    }
}
