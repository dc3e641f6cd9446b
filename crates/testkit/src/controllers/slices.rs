//! EndpointSlices: a Service's pods, with the Service's labels, both as of one moment.

use serde_json::{Map, Value, json};

use super::sets::is_ready;
use crate::kind;
use crate::object::{Name, Selector, list, text};
use crate::server::ApiServer;

/// Computes the slice of a Service.
pub(super) fn sync(server: &ApiServer, name: &Name) {
    let Some(service) = server.get(name.kind, &name.namespace, &name.name) else { return };
    let Some(selector) = service.pointer("/spec/selector").and_then(Value::as_object).filter(|it| !it.is_empty())
    else {
        return;
    };
    let pods = server.list(&kind::POD, &name.namespace, &selector_text(selector));
    let endpoints: Vec<_> = pods
        .iter()
        .enumerate()
        .map(|(index, pod)| {
            let ready = is_ready(pod);
            json!({
                "addresses": [format!("10.0.0.{}", index + 1)],
                "conditions": {"ready": ready, "serving": ready, "terminating": false},
                "targetRef": {"kind": "Pod", "name": text(pod, "/metadata/name")},
            })
        })
        .collect();
    let ports = ports(&service, pods.first().map(|pod| &**pod));
    let mut labels = service.pointer("/metadata/labels").cloned().unwrap_or_else(|| json!({}));
    crate::object::set(&mut labels, "/kubernetes.io~1service-name", json!(name.name));
    let slice_name = Name::new(&kind::SLICE, &name.namespace, &format!("{}-1", name.name));
    let hand = server.hand("endpoint-slice-controller");
    let changed = hand.edit(&slice_name, |slice| {
        crate::object::set(slice, "/metadata/labels", labels.clone());
        crate::object::set(slice, "/endpoints", json!(endpoints));
        crate::object::set(slice, "/ports", json!(ports));
    });
    if !changed {
        let uid = text(&service, "/metadata/uid");
        let owner = json!({"apiVersion": "v1", "kind": "Service", "name": name.name, "uid": uid, "controller": true});
        let created = hand.create(&json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": slice_name.name, "namespace": name.namespace, "labels": labels, "ownerReferences": [owner],
            },
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": ports,
        }));
        debug_assert!(created.is_ok());
    }
}

/// The ports of a Service as its pods serve them. All of its pods are of one template, or the first speaks for the others.
fn ports(service: &Value, pod: Option<&Value>) -> Vec<Value> {
    let containers = pod.map(|pod| list(pod, "/spec/containers")).unwrap_or_default();
    let called = |name: &str| {
        let mut declared = containers.iter().flat_map(|container| list(container, "/ports"));
        declared.find(|port| text(port, "/name") == name)?.get("containerPort").cloned()
    };
    let number = |port: &Value| match port.get("targetPort") {
        Some(Value::String(name)) => called(name),
        Some(number) => Some(number.clone()),
        None => port.get("port").cloned(),
    };
    let served = |port: &Value| {
        let protocol = port.get("protocol").cloned().unwrap_or_else(|| json!("TCP"));
        Some(json!({"name": text(port, "/name"), "port": number(port)?, "protocol": protocol}))
    };
    list(service, "/spec/ports").iter().filter_map(served).collect()
}

/// The names of the Services that select a pod.
pub(super) fn that_select(server: &ApiServer, pod: &Value) -> impl Iterator<Item = String> {
    let services = server.list(&kind::SERVICE, text(pod, "/metadata/namespace"), "");
    let selecting = services.into_iter().filter_map(|service| {
        let selector = service.pointer("/spec/selector").and_then(Value::as_object).filter(|it| !it.is_empty())?;
        let selects = Selector::parse(&selector_text(selector)).selects(pod);
        selects.then(|| text(&service, "/metadata/name").to_owned())
    });
    selecting.collect::<Vec<_>>().into_iter()
}

fn selector_text(selector: &Map<String, Value>) -> String {
    let terms = selector.iter().map(|(label, value)| format!("{label}={}", value.as_str().unwrap_or_default()));
    terms.collect::<Vec<_>>().join(",")
}
