//! A Rollout as Git would declare it, by chained modifiers.

use leadsman_bed::App;
use serde_json::{Value, json};

use crate::routes::{APP, CANARY, PREVIEW, RouteKind, STABLE};

/// Seconds that a change is given to reach every proxy, unless a scenario says otherwise. Much more than it takes, but
/// for a machine that has other things to do.
pub const SETTLE: f64 = 2.0;

/// What carries the traffic of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carried {
    /// Routes, between two Services.
    Routes,
    /// The selector of its Service, which has none in Git.
    Service,
    /// Nothing: its pods pull their work.
    Pods,
}

/// A Rollout of the sample application, and what belongs to it.
#[derive(Clone, Debug)]
pub struct RolloutBuilder {
    namespace: String,
    app: App,
    carried: Carried,
    /// Fields of `blueGreen`, instead of a canary.
    blue_green: Option<Value>,
    routes: Vec<RouteKind>,
    owned: bool,
    replicas: Option<u32>,
    settle: String,
    drain: String,
    deadline: u32,
    background: Vec<Value>,
    steps: Vec<Value>,
    changes: Vec<(String, Value)>,
}

/// A step.
pub fn set_weight(percent: u32) -> Value {
    json!({"setWeight": percent})
}

/// A step.
pub fn pause(duration: &str) -> Value {
    json!({"pause": {"duration": duration}})
}

/// A step that ends by a command.
pub fn pause_until_promoted() -> Value {
    json!({"pause": {}})
}

/// A step.
pub fn step_analysis(metrics: &[Value]) -> Value {
    json!({"analysis": {"metrics": metrics}})
}

impl RolloutBuilder {
    /// Two pods of `v1` behind a route of this kind; 20% and 50% for 4 s each; everything settles within [`SETTLE`].
    pub fn new(namespace: &str, route: RouteKind) -> Self {
        Self {
            namespace: namespace.to_owned(),
            app: App::new("v1"),
            carried: Carried::Routes,
            blue_green: None,
            routes: vec![route],
            owned: false,
            replicas: Some(2),
            settle: format!("{SETTLE}s"),
            drain: "5s".to_owned(),
            deadline: 120,
            background: Vec::new(),
            steps: vec![set_weight(20), pause("4s"), set_weight(50), pause("4s")],
            changes: Vec::new(),
        }
    }

    /// Four pods of `v1` behind a Service without routes; 25% and 50% for 4 s each.
    pub fn plain(namespace: &str) -> Self {
        let steps = vec![set_weight(25), pause("4s"), set_weight(50), pause("4s")];
        let unused = RouteKind::HttpRouteGateway;
        Self { carried: Carried::Service, steps, replicas: Some(4), ..Self::new(namespace, unused) }
    }

    /// The same without any Service.
    pub fn worker(namespace: &str) -> Self {
        Self { carried: Carried::Pods, ..Self::plain(namespace) }
    }

    /// Four pods of `v1`, with a preview of the next version; `fields` stand in `blueGreen` beside the Services.
    pub fn blue_green(namespace: &str, fields: Value) -> Self {
        Self { blue_green: Some(fields), ..Self::plain(namespace) }
    }

    /// The same with a route to both Services.
    pub fn blue_green_behind(namespace: &str, route: RouteKind, fields: Value) -> Self {
        Self { blue_green: Some(fields), replicas: Some(4), ..Self::new(namespace, route) }
    }

    /// The same with another version of the application.
    #[must_use]
    pub fn app(&self, app: App) -> Self {
        Self { app, ..self.clone() }
    }

    /// The same with a version that has nothing special.
    #[must_use]
    pub fn version(&self, version: &str) -> Self {
        self.app(App::new(version))
    }

    /// Routes of these kinds, all kept on one split.
    #[must_use]
    pub fn routes(mut self, routes: &[RouteKind]) -> Self {
        self.routes = routes.to_vec();
        self
    }

    /// The operator makes the routes.
    #[must_use]
    pub fn owning_routes(mut self) -> Self {
        self.owned = true;
        self
    }

    /// Pods at full size.
    #[must_use]
    pub fn replicas(mut self, replicas: u32) -> Self {
        self.replicas = Some(replicas);
        self
    }

    /// Leaves the size to an autoscaler.
    #[must_use]
    pub fn without_replicas(mut self) -> Self {
        self.replicas = None;
        self
    }

    /// `traffic.settle`.
    #[must_use]
    pub fn settle(mut self, settle: &str) -> Self {
        settle.clone_into(&mut self.settle);
        self
    }

    /// `traffic.drain`.
    #[must_use]
    pub fn drain(mut self, drain: &str) -> Self {
        drain.clone_into(&mut self.drain);
        self
    }

    /// `progressDeadlineSeconds`.
    #[must_use]
    pub fn deadline(mut self, seconds: u32) -> Self {
        self.deadline = seconds;
        self
    }

    /// Analysis beside the steps.
    #[must_use]
    pub fn background(mut self, metrics: &[Value]) -> Self {
        self.background = metrics.to_vec();
        self
    }

    /// The steps.
    #[must_use]
    pub fn steps(mut self, steps: &[Value]) -> Self {
        self.steps = steps.to_vec();
        self
    }

    /// Sets a field by its JSON pointer, at the end; the last name is added where it is not there.
    #[must_use]
    pub fn set(&self, pointer: &str, value: Value) -> Self {
        let mut changed = self.clone();
        changed.changes.push((pointer.to_owned(), value));
        changed
    }

    /// Takes a field out by its JSON pointer, at the end.
    #[must_use]
    pub fn without(&self, pointer: &str) -> Self {
        self.set(pointer, Value::Null)
    }

    /// The Rollout.
    pub fn manifest(&self) -> Value {
        let mut rollout = json!({
            "apiVersion": "leadsman.dev/v1alpha1",
            "kind": "Rollout",
            "metadata": {
                "name": APP,
                "namespace": self.namespace,
                "annotations": {"leadsman.dev/commit": format!("commit-of-{}", self.app.version)},
            },
            "spec": {
                "selector": {"matchLabels": {"app": APP}},
                "template": self.app.template(&[("app", APP)]),
                "progressDeadlineSeconds": self.deadline,
                "strategy": self.strategy(),
            },
        });
        if let Some(replicas) = self.replicas {
            rollout = crate::metrics::with(rollout, "/spec/replicas", json!(replicas));
        }
        self.changes
            .iter()
            .fold(rollout, |rollout, (pointer, value)| crate::metrics::with(rollout, pointer, value.clone()))
    }

    fn strategy(&self) -> Value {
        let routes: Vec<_> = self.routes.iter().map(|kind| kind.reference(&self.namespace, self.owned)).collect();
        let traffic = match self.carried {
            Carried::Routes => {
                json!({"service": APP, "routes": routes, "settle": self.settle, "drain": self.drain})
            }
            Carried::Service => json!({"settle": self.settle, "drain": self.drain}),
            Carried::Pods => json!({}),
        };
        if let Some(fields) = &self.blue_green {
            let services = match self.carried {
                Carried::Routes => json!({"activeService": STABLE, "previewService": CANARY}),
                Carried::Service | Carried::Pods => json!({"activeService": APP, "previewService": PREVIEW}),
            };
            return json!({"blueGreen": merged([&services, &traffic, fields])});
        }
        let traffic = match self.carried {
            Carried::Routes => json!({"traffic": traffic}),
            Carried::Service => json!({"traffic": merged([&traffic, &json!({"service": APP})])}),
            Carried::Pods => json!({}),
        };
        let analysis =
            if self.background.is_empty() { json!({}) } else { json!({"analysis": {"metrics": self.background}}) };
        json!({"canary": merged([&traffic, &analysis, &json!({"steps": self.steps})])})
    }

    /// What else stands in Git: the Service, and the routes that are not the operator's.
    pub fn surroundings(&self) -> Vec<Value> {
        match self.carried {
            Carried::Routes => {}
            Carried::Service => return vec![leadsman_bed::App::service(&self.namespace, APP, &[])],
            Carried::Pods => return Vec::new(),
        }
        let mut objects = vec![leadsman_bed::App::service(&self.namespace, APP, &[("app", APP)])];
        if !self.owned {
            objects.extend(self.routes.iter().map(|kind| kind.manifest(&self.namespace)));
        }
        objects
    }

    /// Name of the revision that this declares, as the label `leadsman.dev/revision`.
    pub fn hash(&self) -> String {
        let template = self.manifest().pointer("/spec/template").cloned().unwrap_or_default();
        leadsman_api::pod_template_hash(&template)
    }

    /// The version of the application.
    pub fn version_name(&self) -> &str {
        &self.app.version
    }
}

/// The members of all of these.
fn merged<const N: usize>(objects: [&Value; N]) -> Value {
    let members = objects.into_iter().filter_map(Value::as_object).flatten();
    Value::Object(members.map(|(key, value)| (key.clone(), value.clone())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_is_a_rollout_as_the_types_know_it() {
        let built = RolloutBuilder::new("shop", RouteKind::VirtualService)
            .background(&[crate::metrics::success_rate()])
            .set("/spec/paused", json!(true));
        let rollout: leadsman_api::Rollout = serde_json::from_value(built.manifest()).unwrap();
        assert!(rollout.spec.paused);
        let canary = rollout.spec.strategy.canary.unwrap();
        assert_eq!(canary.steps.len(), 4);
        assert_eq!(canary.analysis.unwrap().metrics.first().unwrap().name, "success-rate");
        assert_ne!(built.hash(), built.version("v2").hash());
    }

    #[test]
    fn each_way_to_carry_traffic_is_one_as_the_types_know_it() {
        let strategy = |built: RolloutBuilder| {
            let rollout: leadsman_api::Rollout = serde_json::from_value(built.manifest()).unwrap();
            rollout.spec.strategy
        };
        assert!(strategy(RolloutBuilder::worker("shop")).canary.unwrap().traffic.is_none());
        let plain = strategy(RolloutBuilder::plain("shop")).canary.unwrap();
        assert!(plain.traffic.unwrap().routes.is_none());
        let blue_green = strategy(RolloutBuilder::blue_green("shop", json!({"previewReplicas": 1})));
        assert_eq!(blue_green.blue_green.unwrap().preview_replicas, Some(1));
        let fields = json!({});
        let behind = RolloutBuilder::blue_green_behind("shop", RouteKind::VirtualService, fields);
        assert_eq!(strategy(behind).blue_green.unwrap().routes.map(|routes| routes.len()), Some(1));
    }
}
