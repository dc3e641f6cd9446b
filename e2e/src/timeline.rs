//! What clients are to see, and from when on: the weights of a route and the bindings of both Services, from the audit
//! log, whoever wrote them.

use std::collections::{BTreeMap, BTreeSet};

use leadsman_api::names::REVISION_LABEL;
use serde_json::Value;

use crate::audit::{Request, seconds};
use crate::routes::RouteName;

/// How long a write is given to reach every proxy before clients are held to it.
#[derive(Clone, Copy, Debug)]
pub struct Margins {
    /// After a change of weights.
    pub route: f64,
    /// After a change of a Service's selector.
    pub binding: f64,
}

impl Margins {
    /// What the Rollout gives them: `settle`, and for bindings a second more, since slices have to follow first.
    pub fn of_settle(settle: f64) -> Self {
        Self { route: settle, binding: settle + 1.0 }
    }
}

/// A time in which nothing changed, with the share that each revision is to have.
#[derive(Clone, Debug)]
pub struct Plateau {
    /// First instant at which requests count; seconds since 1970.
    pub from: f64,
    /// Instant of the next change.
    pub to: f64,
    /// Revision hash to share; they sum to 1.
    pub shares: BTreeMap<String, f64>,
}

/// What a client calls.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A route that splits.
    Route(RouteName),
    /// A Service, around the mesh.
    Service(String),
}

/// A change that a request made, and between which instants.
#[derive(Clone, Debug)]
pub struct Change<T> {
    /// When the request came.
    pub received: f64,
    /// When it was answered.
    pub done: f64,
    /// Who.
    pub by: String,
    /// What it led to.
    pub to: T,
}

/// The canary's weights in a route, in percent of both; only changes.
pub fn weights(requests: &[Request], route: &RouteName) -> Vec<Change<f64>> {
    changes(requests, route.resource(), &route.name, |object| canary_weight(object, &route.stable, &route.canary))
}

/// The revisions that a Service was bound to; only changes.
pub fn bindings(requests: &[Request], service: &str) -> Vec<Change<String>> {
    changes(requests, "services", service, |object| {
        Some(object.get("spec")?.get("selector")?.get(REVISION_LABEL)?.as_str()?.to_owned())
    })
}

/// What a Service was to select, by its label: a revision, or any; only changes.
pub fn selections(requests: &[Request], service: &str) -> Vec<Change<String>> {
    changes(requests, "services", service, |object| {
        Some(object.pointer("/metadata/labels")?.get(REVISION_LABEL)?.as_str()?.to_owned())
    })
}

/// The revisions whose pods the `EndpointSlice` of a Service named, ready or not; only changes. Nodes follow it, not the selector.
pub fn endpoints(requests: &[Request], service: &str) -> Vec<Change<BTreeSet<String>>> {
    let of_service = |request: &Request| {
        let labels = request.response_object.pointer("/metadata/labels");
        request.object_ref.resource == "endpointslices"
            && labels.and_then(|labels| labels.get("kubernetes.io/service-name")?.as_str()) == Some(service)
    };
    changes_of(requests, of_service, |slice| {
        let pods = slice.get("endpoints")?.as_array()?.iter().filter_map(|it| it.pointer("/targetRef/name")?.as_str());
        // The set's name and five letters; the hash ends the set's.
        Some(pods.filter_map(|pod| pod.rsplit('-').nth(1)).map(str::to_owned).collect())
    })
}

/// The sizes of a `ReplicaSet`; only changes.
pub fn sizes(requests: &[Request], set: &str) -> Vec<Change<u64>> {
    changes(requests, "replicasets", set, |object| object.get("spec")?.get("replicas")?.as_u64())
}

/// Every time without a change, from the first instant at which all is known.
pub fn plateaus(requests: &[Request], entry: &Entry, names: &RouteName, margins: Margins, end: f64) -> Vec<Plateau> {
    let service = if let Entry::Service(service) = entry { service } else { &names.stable };
    let stable = bindings(requests, service);
    let (canary, weights) = match entry {
        Entry::Route(route) => (bindings(requests, &names.canary), self::weights(requests, route)),
        Entry::Service(_) => (Vec::new(), Vec::new()),
    };
    let cuts_of = |received: f64, done: f64, margin: f64| (received, done + margin);
    let mut cuts: Vec<(f64, f64)> = weights.iter().map(|it| cuts_of(it.received, it.done, margins.route)).collect();
    cuts.extend(stable.iter().chain(&canary).map(|it| cuts_of(it.received, it.done, margins.binding)));
    cuts.sort_by(|a, b| a.0.total_cmp(&b.0));
    let ends = cuts.iter().skip(1).map(|cut| cut.0).chain([end]);
    let mut from = 0.0_f64;
    let mut found = Vec::new();
    for ((received, settled), to) in cuts.iter().zip(ends) {
        // An earlier change may settle later than this one.
        from = from.max(*settled);
        let now = |changes: &[Change<String>]| last(changes, *received);
        let weight = last(&weights, *received);
        let shares = match (entry, now(&stable), now(&canary), weight) {
            (Entry::Service(_), Some(stable), ..) => BTreeMap::from([(stable, 1.0)]),
            (Entry::Route(_), Some(stable), Some(canary), Some(weight)) => {
                let mut shares = BTreeMap::from([(stable, 1.0 - weight / 100.0)]);
                *shares.entry(canary).or_default() += weight / 100.0;
                shares
            }
            _ => continue,
        };
        if from < to {
            found.push(Plateau { from, to, shares });
        }
    }
    found
}

fn last<T: Clone>(changes: &[Change<T>], at: f64) -> Option<T> {
    changes.iter().rev().find(|change| change.received <= at).map(|change| change.to.clone())
}

fn changes<T: PartialEq>(
    requests: &[Request],
    resource: &str,
    name: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Vec<Change<T>> {
    let about = |request: &Request| {
        let object = &request.object_ref;
        let object_name = request.response_object.pointer("/metadata/name").and_then(Value::as_str);
        object.resource == resource
            && object.subresource.is_empty()
            && (object.name == name || object_name == Some(name))
    };
    changes_of(requests, about, read)
}

fn changes_of<T: PartialEq>(
    requests: &[Request],
    about: impl Fn(&Request) -> bool,
    read: impl Fn(&Value) -> Option<T>,
) -> Vec<Change<T>> {
    let mut found: Vec<Change<T>> = Vec::new();
    for request in requests.iter().filter(|request| request.is_done_write() && about(request)) {
        let Some(to) = read(&request.response_object) else { continue };
        if found.last().is_none_or(|last| last.to != to) {
            let (received, done) = (seconds(request.request_received_timestamp), seconds(request.stage_timestamp));
            found.push(Change { received, done, by: request.user().to_owned(), to });
        }
    }
    found
}

/// The canary's part of what both get, in percent, in the first rule that names both.
pub fn canary_weight(route: &Value, stable: &str, canary: &str) -> Option<f64> {
    let list = |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let spec = route.get("spec")?;
    let gateway_api = list(spec, "rules").into_iter().map(|rule| {
        let backends = list(&rule, "backendRefs").into_iter();
        backends.map(|it| (text(&it, "/name"), it.get("weight").and_then(Value::as_f64).unwrap_or(1.0))).collect()
    });
    let istio = list(spec, "http").into_iter().map(|rule| {
        let backends = list(&rule, "route").into_iter();
        let weight = |it: &Value| it.get("weight").and_then(Value::as_f64).unwrap_or(0.0);
        backends.map(|it| (text(&it, "/destination/host"), weight(&it))).collect()
    });
    gateway_api.chain(istio).find_map(|backends: Vec<(String, f64)>| {
        let of = |service: &str| backends.iter().find(|(name, _)| name == service).map(|(_, weight)| *weight);
        let (stable, canary) = (of(stable)?, of(canary)?);
        (stable + canary > 0.0).then(|| 100.0 * canary / (stable + canary))
    })
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::routes::RouteKind;

    fn request(second: u32, resource: &str, name: &str, object: &Value) -> Request {
        let at = format!("2026-01-01T00:00:{second:02}Z");
        let request = json!({
            "stage": "ResponseComplete", "requestURI": "/", "verb": "patch", "user": {"username": "somebody"},
            "objectRef": {"resource": resource, "name": name}, "responseStatus": {"code": 200},
            "responseObject": object, "requestReceivedTimestamp": at, "stageTimestamp": at,
        });
        serde_json::from_value(request).unwrap()
    }

    fn bound(second: u32, service: &str, hash: &str) -> Request {
        request(second, "services", service, &json!({"spec": {"selector": {REVISION_LABEL: hash}}}))
    }

    fn split(second: u32, weights: [u32; 2]) -> Request {
        let backends = json!([
            {"name": "podinfo-stable", "weight": weights[0]}, {"name": "podinfo-canary", "weight": weights[1]},
        ]);
        request(second, "httproutes", "podinfo", &json!({"spec": {"rules": [{"backendRefs": backends}]}}))
    }

    #[test]
    fn slices_name_the_revisions_of_their_pods() {
        let slice = |second: u32, service: &str, pods: &[&str]| {
            let endpoints: Vec<_> = pods.iter().map(|pod| json!({"targetRef": {"name": pod}})).collect();
            let labels = json!({"kubernetes.io/service-name": service});
            request(second, "endpointslices", "", &json!({"metadata": {"labels": labels}, "endpoints": endpoints}))
        };
        let requests = [
            slice(1, "podinfo", &["podinfo-old-aaaaa", "podinfo-new-bbbbb"]),
            slice(2, "podinfo-stable", &["podinfo-old-aaaaa"]),
            slice(3, "podinfo", &["podinfo-new-bbbbb"]),
            slice(4, "podinfo", &["podinfo-new-ccccc"]),
        ];
        let found: Vec<_> = endpoints(&requests, "podinfo").into_iter().map(|it| (it.done % 60.0, it.to)).collect();
        let of = |hashes: &[&str]| hashes.iter().map(|&hash| hash.to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(found, [(1.0, of(&["new", "old"])), (3.0, of(&["new"]))]);
    }

    /// Within the minute, with shares as text.
    fn told(found: &[Plateau]) -> Vec<String> {
        let told = |it: &Plateau| format!("{} to {}: {:?}", it.from % 60.0, it.to % 60.0, it.shares);
        found.iter().map(told).collect()
    }

    #[test]
    fn plateaus_lie_between_changes_and_leave_out_what_settles() {
        let requests = [
            bound(0, "podinfo-stable", "old"),
            bound(0, "podinfo-canary", "old"),
            split(1, [100, 0]),
            bound(10, "podinfo-canary", "new"),
            split(20, [90, 10]),
            split(25, [90, 10]),
            split(30, [100, 0]),
        ];
        let name = RouteKind::HttpRouteGateway.route_name();
        let end = seconds("2026-01-01T00:00:40Z".parse().unwrap());
        let found = plateaus(&requests, &Entry::Route(name.clone()), &name, Margins::of_settle(1.0), end);
        let expected = [
            r#"2 to 10: {"old": 1.0}"#,
            r#"12 to 20: {"new": 0.0, "old": 1.0}"#,
            r#"21 to 30: {"new": 0.1, "old": 0.9}"#,
            r#"31 to 40: {"new": 0.0, "old": 1.0}"#,
        ];
        assert_eq!(told(&found), expected);
    }

    #[test]
    fn the_weights_of_a_virtual_service_are_read() {
        let route = json!({"spec": {"http": [
            {"route": [{"destination": {"host": "other"}}]},
            {"route": [{"destination": {"host": "a"}, "weight": 75}, {"destination": {"host": "b"}, "weight": 25}]},
        ]}});
        assert_eq!(canary_weight(&route, "a", "b"), Some(25.0));
        assert_eq!(canary_weight(&route, "a", "c"), None);
    }
}
