//! What is released, the same for every controller: an application of one container, by its number.

use serde_json::{Value, json};

/// Namespaces that applications are spread over.
pub const NAMESPACES: u32 = 10;
/// Fake nodes that their pods are on.
pub const NODES: u32 = 10;

/// An application, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Application(pub u32);

impl Application {
    /// Name of its objects.
    pub fn name(self) -> String {
        format!("app-{:05}", self.0)
    }

    /// Where its objects are.
    pub fn namespace(self) -> String {
        format!("bench-{}", self.0 % NAMESPACES)
    }

    /// The labels of its pods.
    pub fn labels(self) -> Value {
        json!({"app": self.name()})
    }

    /// What its pods are made from. They are on a node from the start: there is no scheduler.
    pub fn template(self, version: &str) -> Value {
        json!({
            "metadata": {"labels": self.labels()},
            "spec": {
                "nodeName": format!("node-{}", self.0 % NODES),
                "containers": [{
                    "name": "app",
                    "image": format!("registry.example/app:{version}"),
                    "ports": [{"name": "http", "containerPort": 8080}],
                    "env": [{"name": "LOG_LEVEL", "value": "info"}],
                    "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}},
                    "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
                }],
            },
        })
    }

    /// What every kind that keeps pods of it says: how many, which, and what they are made from.
    pub fn workload(self, replicas: u32, version: &str) -> Value {
        json!({
            "replicas": replicas,
            "selector": {"matchLabels": self.labels()},
            "template": self.template(version),
        })
    }

    /// An object of it: `spec` with name and namespace.
    pub fn object(self, version: &str, kind: &str, name: &str, spec: &Value) -> Value {
        json!({
            "apiVersion": version,
            "kind": kind,
            "metadata": {"name": name, "namespace": self.namespace()},
            "spec": spec,
        })
    }

    /// A Service that sends to its pods.
    pub fn service(self, name: &str) -> Value {
        let spec = json!({
            "selector": self.labels(),
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
        });
        self.object("v1", "Service", name, &spec)
    }

    /// A `VirtualService` that splits between two Services, everything to the first.
    pub fn virtual_service(self, stable: &str, canary: &str) -> Value {
        let to = |host: &str, weight: u32| json!({"destination": {"host": host}, "weight": weight});
        let spec = json!({
            "hosts": [self.name()],
            "http": [{"name": "primary", "route": [to(stable, 100), to(canary, 0)]}],
        });
        self.object("networking.istio.io/v1", "VirtualService", &self.name(), &spec)
    }

    /// An `HTTPRoute` that does.
    pub fn http_route(self, stable: &str, canary: &str) -> Value {
        let to = |name: &str, weight: u32| json!({"name": name, "port": 80, "weight": weight});
        let spec = json!({
            "parentRefs": [{"name": "gateway", "namespace": "gateway"}],
            "hostnames": [format!("{}.example", self.name())],
            "rules": [{"backendRefs": [to(stable, 100), to(canary, 0)]}],
        });
        self.object("gateway.networking.k8s.io/v1", "HTTPRoute", &self.name(), &spec)
    }
}

/// The share of one of its Services in a route of it; none where the route does not name the Service.
pub fn weight_of(route: &Value, service: &str) -> Option<i64> {
    let lists = ["/spec/http/0/route", "/spec/rules/0/backendRefs"];
    let backends = lists.iter().find_map(|pointer| route.pointer(pointer)?.as_array())?;
    let name = |backend: &Value| {
        let host = backend.pointer("/destination/host").or_else(|| backend.get("name"))?;
        host.as_str().map(str::to_owned)
    };
    let found = backends.iter().find(|backend| name(backend).as_deref() == Some(service))?;
    // Istio's default.
    Some(found.get("weight").and_then(Value::as_i64).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weight_of_a_service_is_read_from_both_kinds_of_routes() {
        let application = Application(12);
        for route in [application.virtual_service("one", "other"), application.http_route("one", "other")] {
            assert_eq!(weight_of(&route, "one"), Some(100));
            assert_eq!(weight_of(&route, "other"), Some(0));
            assert_eq!(weight_of(&route, "third"), None);
        }
    }

    #[test]
    fn versions_differ_in_their_pods_and_applications_in_their_names() {
        assert_ne!(Application(1).template("v1"), Application(1).template("v2"));
        assert_eq!(Application(12).name(), "app-00012");
        assert_eq!(Application(12).namespace(), "bench-2");
    }
}
