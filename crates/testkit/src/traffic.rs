//! Whether traffic always had somewhere to go: a replay of the server's history in the order of resourceVersions.
//!
//! At each change, for each rule of each route and each Service with a share above zero:
//!
//! - the Service exists, its slices were computed for the revision that it is bound to, and they have enough ready
//!   endpoints for that share of the Rollout's size;
//! - whatever proxies may still believe, of what was true within the last [`LAG`], somebody answers: no such route meets
//!   such endpoints without one that is ready.
//!
//! Where no route but one Service carries the traffic, new connections go to the ready endpoints of its slices. It has a
//! selector, its slices have at least full size of them, and each pod that they list, or have listed within the last
//! [`LAG`], is there.
//!
//! The Services of a Rollout are those with its label; routes that name none of them are none of its business. Checking
//! begins at a version, since before the first deployment nobody answers. It judges what stands in the API; faults that
//! take endpoints away by themselves (a pod that dies) are not for it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use leadsman_api::names::{REVISION_LABEL, ROLLOUT_LABEL};
use serde_json::Value;
use tokio::time::Instant;

use crate::object::{label, list, number, text};
use crate::store::Change;

/// For so long proxies may go by what is not true any more: less than the `settle` of the applications of this crate.
pub const LAG: Duration = Duration::from_millis(1500);

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The version at which it was so.
    pub version: u64,
    /// What.
    pub what: String,
}

/// A Service's share of a rule, in percent, rounded up.
type Shares = Vec<(String, u64)>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Endpoints {
    revision: String,
    ready: u64,
    pods: Vec<String>,
}

#[derive(Default)]
struct Replay {
    replicas: u64,
    /// The Service that carries the traffic by itself.
    carrier: Option<String>,
    pods: BTreeSet<String>,
    /// Service: the revision that it is bound to.
    bound: BTreeMap<String, String>,
    routes: BTreeMap<String, Vec<Shares>>,
    endpoints: BTreeMap<String, Endpoints>,
    /// What was true until then.
    old_routes: VecDeque<(Instant, Vec<Shares>)>,
    old_endpoints: VecDeque<(Instant, String, Endpoints)>,
}

/// Replays the history of one namespace with one Rollout. Breaches at versions up to `from` do not count.
pub fn check(history: &[Change], namespace: &str, from: u64) -> Vec<Breach> {
    let mut replay = Replay::default();
    let mut breaches = Vec::new();
    for change in history.iter().filter(|change| change.name.namespace == namespace) {
        replay.take(change);
        if change.version > from {
            breaches.extend(replay.judge().into_iter().map(|what| Breach { version: change.version, what }));
        }
    }
    breaches.dedup_by(|one, other| one.what == other.what);
    breaches
}

impl Replay {
    fn take(&mut self, change: &Change) {
        let (name, at) = (change.name.name.clone(), change.at);
        let forget = |since: &Instant| at.saturating_duration_since(*since) > LAG;
        while self.old_routes.front().is_some_and(|(until, _)| forget(until)) {
            self.old_routes.pop_front();
        }
        while self.old_endpoints.front().is_some_and(|(until, ..)| forget(until)) {
            self.old_endpoints.pop_front();
        }
        match (change.name.kind.kind, &change.after) {
            ("Rollout", Some(rollout)) => {
                self.replicas = number(rollout, "/spec/replicas");
                self.carrier = carrier(rollout);
            }
            ("Pod", Some(_)) => drop(self.pods.insert(name)),
            ("Pod", None) => drop(self.pods.remove(&name)),
            ("Service", Some(service)) if label(service, ROLLOUT_LABEL).is_some() => {
                self.bound.insert(name, label(service, REVISION_LABEL).unwrap_or_default().to_owned());
            }
            ("Service", _) => drop(self.bound.remove(&name)),
            ("EndpointSlice", after) => {
                let service = label(change.object(), "kubernetes.io/service-name").unwrap_or_default().to_owned();
                let now = after.as_ref().map(|slice| Endpoints {
                    revision: label(slice, REVISION_LABEL).unwrap_or_default().to_owned(),
                    ready: list(slice, "/endpoints").iter().filter(|it| is_ready(it)).count() as u64,
                    pods: ready_pods(slice),
                });
                let before = match now {
                    Some(now) => self.endpoints.insert(service.clone(), now),
                    None => self.endpoints.remove(&service),
                };
                self.old_endpoints.extend(before.map(|before| (at, service, before)));
            }
            ("HTTPRoute" | "GRPCRoute" | "VirtualService", after) => {
                let now = after.as_ref().map(|route| shares(route));
                let before = match now {
                    Some(now) => self.routes.insert(name, now),
                    None => self.routes.remove(&name),
                };
                self.old_routes.extend(before.map(|before| (at, before)));
            }
            _ => {}
        }
    }

    fn judge(&self) -> Vec<String> {
        let mut wrong: Vec<String> = self.carrier.iter().flat_map(|service| self.judge_carrier(service)).collect();
        let live = self.routes.iter().flat_map(|(route, rules)| rules.iter().flatten().map(move |it| (route, it)));
        for (route, (service, share)) in live.filter(|(_, (_, share))| *share > 0) {
            let Some(revision) = self.bound.get(service) else {
                wrong.push(format!("{route} gives {share}% to {service}, which is not there or bound to nothing"));
                continue;
            };
            let endpoints = self.endpoints.get(service).cloned().unwrap_or_default();
            let needed = (self.replicas * share).div_ceil(100);
            if endpoints.revision != *revision {
                wrong.push(format!("{route} gives {share}% to {service}, whose endpoints are not yet of {revision}"));
            } else if endpoints.ready < needed {
                let ready = endpoints.ready;
                wrong.push(format!("{route} gives {share}% to {service}, which has {ready} of {needed} endpoints"));
            }
        }
        let present = self.routes.values().flatten();
        let believed = present.chain(self.old_routes.iter().flat_map(|(_, rules)| rules)).flatten();
        for (service, share) in believed.filter(|(_, share)| *share > 0) {
            let now = self.endpoints.get(service).into_iter();
            let old = self.old_endpoints.iter().filter(|(_, its, _)| its == service).map(|(.., endpoints)| endpoints);
            if now.chain(old).any(|endpoints| endpoints.ready == 0) {
                wrong.push(format!("a proxy that lags sends {share}% to {service} and finds nobody there"));
            }
        }
        wrong
    }
}

impl Replay {
    fn judge_carrier(&self, service: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        if !self.bound.contains_key(service) {
            wrong.push(format!("{service} carries the traffic and is not there, or bound to nothing"));
        }
        let ready = self.endpoints.get(service).map_or(0, |endpoints| endpoints.ready);
        if ready < self.replicas {
            wrong.push(format!("{service} carries the traffic and has {ready} of {} endpoints", self.replicas));
        }
        let now = self.endpoints.get(service).into_iter();
        let old = self.old_endpoints.iter().filter(|(_, its, _)| its == service).map(|(.., endpoints)| endpoints);
        let listed = now.chain(old).flat_map(|endpoints| &endpoints.pods);
        let gone = listed.filter(|pod| !self.pods.contains(*pod));
        wrong.extend(gone.map(|pod| format!("{service} leads to pod {pod}, which is gone")));
        wrong
    }
}

/// The Service that carries the traffic of a Rollout without routes.
fn carrier(rollout: &Value) -> Option<String> {
    let strategy = rollout.pointer("/spec/strategy")?;
    let (traffic, service) = match strategy.get("blueGreen") {
        Some(blue_green) => (blue_green, "/activeService"),
        None => (strategy.pointer("/canary/traffic")?, "/service"),
    };
    traffic.get("routes").is_none().then(|| text(traffic, service).to_owned())
}

fn ready_pods(slice: &Value) -> Vec<String> {
    let ready = list(slice, "/endpoints").iter().filter(|it| is_ready(it));
    ready.map(|it| text(it, "/targetRef/name").to_owned()).collect()
}

fn is_ready(endpoint: &Value) -> bool {
    endpoint.pointer("/conditions/ready") == Some(&Value::Bool(true))
}

fn shares(route: &Value) -> Vec<Shares> {
    let gateway = list(route, "/spec/rules").iter().map(|rule| (list(rule, "/backendRefs"), "/name"));
    let istio = list(route, "/spec/http").iter().map(|rule| (list(rule, "/route"), "/destination/host"));
    gateway
        .chain(istio)
        .map(|(backends, name)| {
            let sum: u64 = backends.iter().map(|it| number(it, "/weight")).sum();
            let share = |backend: &Value| (number(backend, "/weight") * 100).checked_div(sum).unwrap_or(0);
            backends.iter().map(|backend| (text(backend, name).to_owned(), share(backend))).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::{Name, set};
    use crate::{ApiServer, kind};

    fn service(name: &str, revision: &str) -> Value {
        json!({"kind": "Service", "metadata": {
            "name": name, "namespace": "shop",
            "labels": {"leadsman.dev/rollout": "shop", "leadsman.dev/revision": revision},
        }})
    }

    fn slice(service: &str, revision: &str, ready: usize) -> Value {
        json!({"kind": "EndpointSlice", "endpoints": vec![json!({"conditions": {"ready": true}}); ready],
            "metadata": {"name": service, "namespace": "shop", "labels": {
                "kubernetes.io/service-name": service, "leadsman.dev/revision": revision,
            }},
        })
    }

    fn route(stable: u32, canary: u32) -> Value {
        json!({"kind": "HTTPRoute", "metadata": {"name": "shop", "namespace": "shop"}, "spec": {"rules": [
            {"backendRefs": [{"name": "s", "weight": stable}, {"name": "c", "weight": canary}]}]}})
    }

    /// Everything on stable, and two ready pods behind each Service.
    fn world() -> ApiServer {
        let server = ApiServer::new();
        let rollout =
            json!({"kind": "Rollout", "metadata": {"name": "shop", "namespace": "shop"}, "spec": {"replicas": 2}});
        let objects = [rollout, service("s", "a"), service("c", "b"), slice("s", "a", 2), slice("c", "b", 1)];
        for object in objects.iter().chain(&[route(100, 0)]) {
            server.hand("test").create(object).unwrap();
        }
        server
    }

    fn breaches(server: &ApiServer) -> String {
        let from = server.history()[5].version;
        check(&server.history(), "shop", from).into_iter().map(|breach| breach.what).collect::<Vec<_>>().join("; ")
    }

    fn weights(server: &ApiServer, stable: u32, canary: u32) {
        let name = Name::new(&kind::HTTP_ROUTE, "shop", "shop");
        server.hand("test").edit(&name, |it| set(it, "/spec", route(stable, canary)["spec"].clone()));
    }

    #[tokio::test(start_paused = true)]
    async fn shares_that_endpoints_can_carry_are_no_breach() {
        let server = world();
        weights(&server, 50, 50);
        assert_eq!(breaches(&server), "");
    }

    #[tokio::test(start_paused = true)]
    async fn a_share_beyond_what_endpoints_can_carry_is_one() {
        let server = world();
        weights(&server, 49, 51);
        assert_eq!(breaches(&server), "shop gives 51% to c, which has 1 of 2 endpoints");
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_is_bound_anew_under_traffic_is_one() {
        let server = world();
        let name = Name::new(&kind::SERVICE, "shop", "s");
        server.hand("test").edit(&name, |it| set(it, "/metadata/labels/leadsman.dev~1revision", json!("b")));
        assert_eq!(breaches(&server), "shop gives 100% to s, whose endpoints are not yet of b");
    }

    #[tokio::test(start_paused = true)]
    async fn endpoints_that_go_before_proxies_have_heard_of_the_weight_are_one() {
        let server = world();
        weights(&server, 50, 50);
        tokio::time::advance(Duration::from_secs(10)).await;
        weights(&server, 100, 0);
        tokio::time::advance(Duration::from_secs(1)).await;
        let name = Name::new(&kind::SLICE, "shop", "c");
        server.hand("test").edit(&name, |it| set(it, "/endpoints", json!([])));
        assert_eq!(breaches(&server), "a proxy that lags sends 50% to c and finds nobody there");
    }
    /// One Service without routes, and two pods behind it.
    fn carried() -> ApiServer {
        let server = ApiServer::new();
        let rollout = json!({"kind": "Rollout", "metadata": {"name": "shop", "namespace": "shop"},
            "spec": {"replicas": 2, "strategy": {"blueGreen": {"activeService": "s"}}}});
        let pod = |name: &str| json!({"kind": "Pod", "metadata": {"name": name, "namespace": "shop"}});
        let mut slice = slice("s", "a", 2);
        for (index, pod) in ["a-1", "a-2"].iter().enumerate() {
            set(&mut slice, &format!("/endpoints/{index}/targetRef"), json!({"name": pod}));
        }
        for object in [rollout, pod("a-1"), pod("a-2"), service("s", "a"), slice, pod("b-1")] {
            server.hand("test").create(&object).unwrap();
        }
        server
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_carries_the_traffic_needs_all_of_it_and_pods_that_are_there() {
        let server = carried();
        let slice = Name::new(&kind::SLICE, "shop", "s");
        let endpoint = json!({"conditions": {"ready": true}, "targetRef": {"name": "b-1"}});
        server.hand("test").edit(&slice, |it| set(it, "/endpoints/0", endpoint.clone()));
        assert_eq!(breaches(&server), "");
        server.hand("test").delete(&Name::new(&kind::POD, "shop", "a-1"), "");
        assert_eq!(breaches(&server), "s leads to pod a-1, which is gone", "proxies may not have heard of it");
        let server = carried();
        server.hand("test").edit(&slice, |it| set(it, "/endpoints", json!([endpoint])));
        assert_eq!(breaches(&server), "s carries the traffic and has 1 of 2 endpoints");
    }
}
