//! An application as Git would declare it: Rollout, Service and routes, by chained modifiers.

use leadsman_api::pod_template_hash;
use serde_json::{Value, json};

use crate::kind::{self, Kind};
use crate::object::{Name, set, unset};

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

    fn spec(self, service: &str, [stable, canary]: [&str; 2]) -> Value {
        let backend = |name: &str, weight: u32| json!({"name": name, "port": 80, "weight": weight});
        let destination =
            |host: &str, weight: u32| json!({"destination": {"host": host, "port": {"number": 80}}, "weight": weight});
        match self {
            Self::HttpRoute | Self::GrpcRoute => json!({
                "parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public"}],
                "rules": [{"backendRefs": [backend(stable, 100), backend(canary, 0)]}],
            }),
            Self::VirtualService => json!({
                "hosts": [service],
                "http": [{"name": "primary", "route": [destination(stable, 100), destination(canary, 0)]}],
            }),
        }
    }
}

/// How the traffic of an application is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carried {
    Route { owned: bool },
    Service { made: bool },
    Pods,
}

/// An application.
#[derive(Clone, Debug)]
pub struct Application {
    namespace: String,
    name: String,
    version: String,
    route: Route,
    carried: Carried,
    is_blue_green: bool,
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
            carried: Carried::Route { owned: false },
            is_blue_green: false,
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
        Self { carried: Carried::Route { owned: true }, ..self.clone() }
    }

    /// Without routes: behind the selector of its Service, which Git declares without one.
    #[must_use]
    pub fn plain(&self) -> Self {
        Self { carried: Carried::Service { made: false }, ..self.clone() }
    }

    /// Without routes, and the operator makes its Service.
    #[must_use]
    pub fn plain_and_made(&self) -> Self {
        Self { carried: Carried::Service { made: true }, ..self.clone() }
    }

    /// Without a Service: its pods pull their work.
    #[must_use]
    pub fn worker(&self) -> Self {
        Self { carried: Carried::Pods, ..self.clone() }
    }

    /// By a preview of one pod, which is shown for five seconds, instead of a canary.
    #[must_use]
    pub fn blue_green(&self) -> Self {
        Self { is_blue_green: true, ..self.clone() }
    }

    /// The steps.
    #[must_use]
    pub fn steps(&self, steps: &Value) -> Self {
        self.set("/spec/strategy/canary/steps", steps.clone())
    }

    /// Analysis beside the steps: a metric with this query that wants `value < 0.05`, every five seconds.
    #[must_use]
    pub fn watched_by(&self, query: &str) -> Self {
        self.set("/spec/strategy/canary/analysis", json!({"metrics": [errors(query)]}))
    }

    /// The same once a preview has been promoted, for ten minutes.
    #[must_use]
    pub fn measured_after_promotion(&self, query: &str) -> Self {
        let mut metric = errors(query);
        set(&mut metric, "/count", json!(120));
        self.set("/spec/strategy/blueGreen/postPromotionAnalysis", json!({"metrics": [metric]}))
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
                "strategy": if self.is_blue_green { self.as_blue_green() } else { self.as_canary() },
            },
        });
        for (pointer, value) in &self.changes {
            set(&mut rollout, pointer, value.clone());
        }
        rollout
    }

    fn as_canary(&self) -> Value {
        let mut canary = json!({
            "traffic": {"service": self.name, "settle": "2s", "drain": "5s"},
            "steps": [
                {"setWeight": 25}, {"pause": {"duration": "5s"}},
                {"setWeight": 50}, {"pause": {"duration": "5s"}},
            ],
        });
        match self.carried {
            Carried::Pods => unset(&mut canary, "/traffic"),
            Carried::Route { .. } | Carried::Service { .. } => self.complete(&mut canary, "/traffic"),
        }
        json!({"canary": canary})
    }

    fn as_blue_green(&self) -> Value {
        let mut blue_green = json!({
            "activeService": self.service_names()[0],
            "previewService": self.service_names()[1],
            "previewReplicas": 1,
            "autoPromotionAfter": "5s",
            "settle": "2s",
            "drain": "5s",
        });
        self.complete(&mut blue_green, "");
        json!({"blueGreen": blue_green})
    }

    /// Routes or ports, beside what a strategy says of traffic.
    fn complete(&self, strategy: &mut Value, at: &str) {
        match self.carried {
            Carried::Route { owned } => {
                let mut route = json!({"name": self.name});
                if owned {
                    set(&mut route, "/spec", self.route_spec());
                }
                set(strategy, &format!("{at}/service"), json!(self.name));
                set(strategy, &format!("{at}/routes"), json!([{self.route.member(): route}]));
            }
            Carried::Service { made: true } => set(strategy, &format!("{at}/ports"), ports()),
            Carried::Service { made: false } | Carried::Pods => {}
        }
    }

    /// What else stands in Git: the Service that clients call, and the route, where these are not the operator's.
    pub fn surroundings(&self) -> Vec<Value> {
        let (name, namespace) = (&self.name, &self.namespace);
        let mut service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "selector": {"app": name},
                "ports": ports(),
            },
        });
        let route = json!({
            "apiVersion": self.route.kind().api_version(),
            "kind": self.route.kind().kind,
            "metadata": {"name": name, "namespace": namespace},
            "spec": self.route_spec(),
        });
        match self.carried {
            Carried::Route { owned: false } => vec![service, route],
            Carried::Route { owned: true } => vec![service],
            Carried::Service { made: false } => {
                unset(&mut service, "/spec/selector");
                vec![service]
            }
            Carried::Service { made: true } | Carried::Pods => Vec::new(),
        }
    }

    /// The Services of the stable revision and of the new one.
    pub fn services(&self) -> [Name; 2] {
        self.service_names().map(|name| Name::new(&kind::SERVICE, &self.namespace, &name))
    }

    fn service_names(&self) -> [String; 2] {
        let (stable, new) = match (self.carried, self.is_blue_green) {
            (Carried::Route { .. }, false) => ("-stable", "-canary"),
            (Carried::Route { .. }, true) => ("-active", "-preview"),
            (_, false) => ("", "-canary"),
            (_, true) => ("", "-preview"),
        };
        [stable, new].map(|suffix| format!("{}{suffix}", self.name))
    }

    fn route_spec(&self) -> Value {
        let [stable, new] = self.service_names();
        self.route.spec(&self.name, [&stable, &new])
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

fn errors(query: &str) -> Value {
    json!({
        "name": "errors",
        "interval": "5s",
        "minWindow": "4s",
        "successCondition": "value < 0.05",
        "provider": {"prometheus": {"address": "http://prometheus:9090", "query": query}},
    })
}

fn ports() -> Value {
    json!([{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_carries_the_traffic_is_told_by_what_is_left_out() {
        let strategy = |application: Application| application.rollout().pointer("/spec/strategy").unwrap().clone();
        let podinfo = || Application::new("shop", "podinfo");
        assert!(strategy(podinfo().worker()).pointer("/canary/traffic").is_none());
        let plain = strategy(podinfo().plain());
        assert!(
            plain.pointer("/canary/traffic/service").is_some() && plain.pointer("/canary/traffic/routes").is_none()
        );
        assert!(strategy(podinfo().plain_and_made().blue_green()).pointer("/blueGreen/ports").is_some());
        assert!(podinfo().plain_and_made().surroundings().is_empty());
        assert!(podinfo().plain().surroundings()[0].pointer("/spec/selector").is_none());
    }

    #[test]
    fn what_is_built_is_a_rollout_as_the_types_know_it() {
        let application = Application::new("shop", "podinfo").watched_by("errors").set("/spec/paused", json!(true));
        let rollout: leadsman_api::Rollout = serde_json::from_value(application.rollout()).unwrap();
        assert!(rollout.spec.paused);
        assert_eq!(rollout.spec.strategy.canary.unwrap().analysis.unwrap().metrics.len(), 1);
        assert_ne!(application.hash(), application.version("v2").hash());
    }
}
