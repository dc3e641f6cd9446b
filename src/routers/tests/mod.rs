//! Tests of views and patches, over all kinds of route.

mod acceptance;
mod held;
mod linkerd;
mod owned;
mod pace;
mod properties;
mod rules;
mod shapes;
mod split;

use std::time::Duration;

use leadsman_api::AcceptancePolicy;
use serde_json::{Value, json};

use super::{Backends, RouteKind, RouteRef, Settle};

const BACKENDS: Backends<'_> = Backends { stable: "podinfo-stable", canary: "podinfo-canary", namespace: "shop" };

fn route(kind: RouteKind) -> RouteRef {
    RouteRef {
        kind,
        name: "podinfo".to_owned(),
        only: Vec::new(),
        owned: false,
        spec: None,
        acceptance: AcceptancePolicy::Any,
        settle: Settle { weights: Duration::from_secs(3), endpoints: Duration::from_secs(3) },
    }
}

/// The same with only these rules split.
fn only(kind: RouteKind, names: &[&str]) -> RouteRef {
    RouteRef { only: names.iter().map(|name| (*name).to_owned()).collect(), ..route(kind) }
}

/// An HTTPRoute as the API server gives it, accepted by Istio, with these rules.
fn http_route(rules: &Value) -> Value {
    let accepted =
        |kind: &str| json!({"type": kind, "status": "True", "reason": kind, "message": "", "observedGeneration": 4});
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "podinfo", "namespace": "shop", "generation": 4, "resourceVersion": "1207"},
        "spec": {
            "parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public", "namespace": "infra"}],
            "hostnames": ["podinfo.example"],
            "rules": rules,
        },
        "status": {"parents": [{
            "controllerName": "istio.io/gateway-controller",
            "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public", "namespace": "infra"},
            "conditions": [accepted("Accepted"), accepted("ResolvedRefs")],
        }]},
    })
}

/// A backend of an HTTPRoute.
fn reference(name: &str, weight: impl Into<Value>) -> Value {
    json!({"group": "", "kind": "Service", "name": name, "port": 80, "weight": weight.into()})
}

/// A rule of an HTTPRoute that splits between the two Services.
fn split(stable: u64, canary: u64) -> Value {
    json!({
        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
        "backendRefs": [reference("podinfo-stable", stable), reference("podinfo-canary", canary)],
        "timeouts": {"request": "10s"},
    })
}

fn virtual_service(http: &Value) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "podinfo", "namespace": "shop", "resourceVersion": "77"},
        "spec": {"hosts": ["podinfo"], "gateways": ["mesh"], "http": http},
    })
}

/// A destination of a VirtualService.
fn destination(host: &str, weight: impl Into<Value>) -> Value {
    json!({"destination": {"host": host, "port": {"number": 80}}, "weight": weight.into()})
}

/// The object after a JSON patch, as the API server would apply it.
fn patched(object: &Value, patch: Value) -> Value {
    let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
    let mut object = object.clone();
    json_patch::patch(&mut object, &patch).unwrap();
    object
}
