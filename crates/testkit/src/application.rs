//! An application as Git would declare it: Rollout, Service and routes, by chained modifiers.

use leadsman_api::pod_template_hash;
use serde_json::{Value, json};

use crate::kind::{self, Kind};
use crate::object::{Name, set};

/// A kind of route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// The Gateway API's, with a Gateway as parent.
    HttpRoute,
    /// The Gateway API's for gRPC.
    GrpcRoute,
    /// Istio's.
    VirtualService,
}

impl Route {
    /// Its kind.
    pub fn kind(self) -> &'static Kind {
        match self {
            Self::HttpRoute => &kind::HTTP_ROUTE,
            Self::GrpcRoute => &kind::GRPC_ROUTE,
            Self::VirtualService => &kind::VIRTUAL_SERVICE,
        }
    }

    fn member(self) -> &'static str {
        match self {
            Self::HttpRoute => "httpRoute",
            Self::GrpcRoute => "grpcRoute",
            Self::VirtualService => "virtualService",
        }
    }

    fn spec(self, service: &str) -> Value {
        let backend =
            |side: &str, weight: u32| json!({"name": format!("{service}-{side}"), "port": 80, "weight": weight});
        let destination = |side: &str, weight: u32| json!({"destination": {"host": format!("{service}-{side}"), "port": {"number": 80}}, "weight": weight});
        match self {
            Self::HttpRoute | Self::GrpcRoute => json!({
                "parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public"}],
                "rules": [{"backendRefs": [backend("stable", 100), backend("canary", 0)]}],
            }),
            Self::VirtualService => json!({
                "hosts": [service],
                "http": [{"name": "primary", "route": [destination("stable", 100), destination("canary", 0)]}],
            }),
        }
    }
}

/// An application.
#[derive(Clone, Debug)]
pub struct Application {
    namespace: String,
    name: String,
    version: String,
    route: Route,
    owns_route: bool,
    changes: Vec<(String, Value)>,
}

impl Application {
    /// Four pods of `v1` behind an HTTPRoute that Git declares; 25% and 50%, five seconds each; all settles in two seconds
    /// and drains in five.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            version: "v1".to_owned(),
            route: Route::HttpRoute,
            owns_route: false,
            changes: Vec::new(),
        }
    }

    /// Another version of the application.
    #[must_use]
    pub fn version(&self, version: &str) -> Self {
        Self { version: version.to_owned(), ..self.clone() }
    }

    /// Behind another kind of route.
    #[must_use]
    pub fn route(&self, route: Route) -> Self {
        Self { route, ..self.clone() }
    }

    /// The operator makes the route.
    #[must_use]
    pub fn owning_its_route(&self) -> Self {
        Self { owns_route: true, ..self.clone() }
    }

    /// The steps.
    #[must_use]
    pub fn steps(&self, steps: &Value) -> Self {
        self.set("/spec/strategy/canary/steps", steps.clone())
    }

    /// Analysis beside the steps: a metric with this query that wants `value < 0.05`, every five seconds.
    #[must_use]
    pub fn watched_by(&self, query: &str) -> Self {
        let metric = json!({
            "name": "errors",
            "interval": "5s",
            "minWindow": "4s",
            "successCondition": "value < 0.05",
            "provider": {"prometheus": {"address": "http://prometheus:9090", "query": query}},
        });
        self.set("/spec/strategy/canary/analysis", json!({"metrics": [metric]}))
    }

    /// Sets a field of the Rollout by its JSON pointer.
    #[must_use]
    pub fn set(&self, pointer: &str, value: Value) -> Self {
        let mut changed = self.clone();
        changed.changes.push((pointer.to_owned(), value));
        changed
    }

    /// The Rollout.
    pub fn rollout(&self) -> Value {
        let mut route = json!({"name": self.name});
        if self.owns_route {
            set(&mut route, "/spec", self.route.spec(&self.name));
        }
        let mut rollout = json!({
            "apiVersion": "leadsman.dev/v1alpha1",
            "kind": "Rollout",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {
                "replicas": 4,
                "selector": {"matchLabels": {"app": self.name}},
                "template": {
                    "metadata": {"labels": {"app": self.name}},
                    "spec": {"containers": [{"name": "app", "image": self.image()}]},
                },
                "progressDeadlineSeconds": 120,
                "strategy": {"canary": {
                    "traffic": {
                        "service": self.name,
                        "routes": [{self.route.member(): route}],
                        "settle": "2s",
                        "drain": "5s",
                    },
                    "steps": [
                        {"setWeight": 25}, {"pause": {"duration": "5s"}},
                        {"setWeight": 50}, {"pause": {"duration": "5s"}},
                    ],
                }},
            },
        });
        for (pointer, value) in &self.changes {
            set(&mut rollout, pointer, value.clone());
        }
        rollout
    }

    /// What else stands in Git: the Service that clients call, and the route where it is not the operator's.
    pub fn surroundings(&self) -> Vec<Value> {
        let (name, namespace) = (&self.name, &self.namespace);
        let service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "selector": {"app": name},
                "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}],
            },
        });
        let route = json!({
            "apiVersion": self.route.kind().api_version(),
            "kind": self.route.kind().kind,
            "metadata": {"name": name, "namespace": namespace},
            "spec": self.route.spec(name),
        });
        if self.owns_route { vec![service] } else { vec![service, route] }
    }

    /// The image of its pods.
    pub fn image(&self) -> String {
        format!("{}:{}", self.name, self.version)
    }

    /// The revision that is declared, as the label `leadsman.dev/revision`.
    pub fn hash(&self) -> String {
        pod_template_hash(&self.rollout().pointer("/spec/template").cloned().unwrap_or_default())
    }

    /// The name of the Rollout.
    pub fn name(&self) -> Name {
        Name::new(&kind::ROLLOUT, &self.namespace, &self.name)
    }

    /// The name of the route.
    pub fn route_name(&self) -> Name {
        Name::new(self.route.kind(), &self.namespace, &self.name)
    }

    /// The name of the set of a revision.
    pub fn set_name(&self) -> Name {
        Name::new(&kind::REPLICA_SET, &self.namespace, &format!("{}-{}", self.name, self.hash()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_is_a_rollout_as_the_types_know_it() {
        let application = Application::new("shop", "podinfo").watched_by("errors").set("/spec/paused", json!(true));
        let rollout: leadsman_api::Rollout = serde_json::from_value(application.rollout()).unwrap();
        assert!(rollout.spec.paused);
        assert_eq!(rollout.spec.strategy.canary.unwrap().analysis.unwrap().metrics.len(), 1);
        assert_ne!(application.hash(), application.version("v2").hash());
    }
}
