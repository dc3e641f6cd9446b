//! Routes that the Rollout declares.

use leadsman_core::traffic::Weight;
use serde_json::{Value, json};

use super::super::{DECLARED_ANNOTATION, RouteKind, RouteRef, declared, patch, view};
use super::{BACKENDS, patched, route};

fn owned(kind: RouteKind, spec: Value) -> RouteRef {
    RouteRef { owned: true, spec: Some(spec), ..route(kind) }
}

fn http_spec() -> Value {
    json!({
        "parentRefs": [{"name": "public"}],
        "hostnames": ["podinfo.example"],
        "rules": [
            {"backendRefs": [{"name": "podinfo-stable", "port": 80}, {"name": "podinfo-canary", "port": 80}]},
            {"filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}]},
        ],
    })
}

/// What the API server makes of a fragment: metadata and defaults.
fn live(fragment: &Value) -> Value {
    let mut object = fragment.clone();
    object["metadata"]["resourceVersion"] = json!("9");
    object["metadata"]["generation"] = json!(1);
    object["spec"]["parentRefs"][0]["group"] = json!("gateway.networking.k8s.io");
    object["spec"]["rules"][0]["matches"] = json!([{"path": {"type": "PathPrefix", "value": "/"}}]);
    object["spec"]["rules"][0]["backendRefs"][0]["kind"] = json!("Service");
    object
}

#[test]
fn a_declared_route_is_written_with_its_split_and_nothing_else_changed() {
    let fragment = declared(&owned(RouteKind::HttpRoute, http_spec()), &BACKENDS, Weight::clamped(25)).unwrap();
    let mut spec = http_spec();
    spec["rules"][0]["backendRefs"][0]["weight"] = json!(75);
    spec["rules"][0]["backendRefs"][1]["weight"] = json!(25);
    assert_eq!(fragment["spec"], spec);
    assert_eq!(fragment["kind"], "HTTPRoute");
    assert_eq!(
        (&fragment["metadata"]["name"], &fragment["metadata"]["namespace"]),
        (&json!("podinfo"), &json!("shop"))
    );
}

#[test]
fn defaults_and_weights_are_no_difference_and_everything_else_is() {
    let reference = owned(RouteKind::HttpRoute, http_spec());
    let object = live(&declared(&reference, &BACKENDS, Weight::clamped(25)).unwrap());
    let differs = |reference: &RouteRef, object: &Value| view(reference, object, &BACKENDS).differs;
    assert!(!differs(&reference, &object));
    let moved = patched(&object, patch(&reference, &object, &BACKENDS, Weight::FULL).unwrap());
    assert!(!differs(&reference, &moved));

    let mut foreign = object.clone();
    foreign["spec"]["hostnames"] = json!(["other.example"]);
    assert!(differs(&reference, &foreign));
    foreign = object.clone();
    foreign["metadata"]["annotations"] = json!({});
    assert!(differs(&reference, &foreign));
    foreign = object.clone();
    foreign["spec"]["rules"][0]["backendRefs"][1]["port"] = json!(81);
    assert!(differs(&reference, &foreign));
}

#[test]
fn a_key_that_is_no_longer_declared_is_a_difference() {
    let object = live(&declared(&owned(RouteKind::HttpRoute, http_spec()), &BACKENDS, Weight::ZERO).unwrap());
    let mut spec = http_spec();
    spec.as_object_mut().unwrap().remove("hostnames");
    assert!(view(&owned(RouteKind::HttpRoute, spec), &object, &BACKENDS).differs);
}

#[test]
fn a_route_that_somebody_else_declares_never_differs_and_is_never_applied() {
    let object = json!({"metadata": {"annotations": {DECLARED_ANNOTATION: "x"}}, "spec": http_spec()});
    assert!(!view(&route(RouteKind::HttpRoute), &object, &BACKENDS).differs);
    assert!(declared(&route(RouteKind::HttpRoute), &BACKENDS, Weight::ZERO).is_err());
}

#[test]
fn a_declared_rule_without_backends_gets_both_services_where_that_is_complete() {
    let parent = json!({"group": "", "kind": "Service", "name": "podinfo", "port": 9898});
    let mesh = json!({"parentRefs": [parent], "rules": [{"timeouts": {"request": "1s"}}]});
    for kind in [RouteKind::HttpRoute, RouteKind::GrpcRoute] {
        let fragment = declared(&owned(kind, mesh.clone()), &BACKENDS, Weight::clamped(10)).unwrap();
        let backends = json!([
            {"name": "podinfo-stable", "port": 9898, "weight": 90},
            {"name": "podinfo-canary", "port": 9898, "weight": 10},
        ]);
        assert_eq!(fragment["spec"]["rules"], json!([{"timeouts": {"request": "1s"}, "backendRefs": backends}]));
    }
    let gateway = json!({"parentRefs": [{"name": "public"}], "rules": [{}]});
    let problem = declared(&owned(RouteKind::HttpRoute, gateway), &BACKENDS, Weight::ZERO).unwrap_err();
    assert!(problem.message.contains("no rule names both"), "{}", problem.message);

    let http = json!({"hosts": ["podinfo"], "http": [{"timeout": "1s"}, {"redirect": {"uri": "/"}}]});
    let fragment = declared(&owned(RouteKind::VirtualService, http), &BACKENDS, Weight::clamped(10)).unwrap();
    let route = json!([
        {"destination": {"host": "podinfo-stable"}, "weight": 90},
        {"destination": {"host": "podinfo-canary"}, "weight": 10},
    ]);
    assert_eq!(fragment["spec"]["http"], json!([{"timeout": "1s", "route": route}, {"redirect": {"uri": "/"}}]));
}

#[test]
fn a_declared_spec_that_cannot_be_split_keeps_nobody_from_patching_the_live_route() {
    let object = live(&declared(&owned(RouteKind::HttpRoute, http_spec()), &BACKENDS, Weight::clamped(25)).unwrap());
    let spec = json!({"rules": [{"backendRefs": [{"name": "podinfo-canary"}]}]});
    let reference = owned(RouteKind::HttpRoute, spec);
    assert!(declared(&reference, &BACKENDS, Weight::ZERO).is_err());
    let seen = view(&reference, &object, &BACKENDS);
    assert_eq!((seen.problem, seen.differs), (None, false));
    let back = patched(&object, patch(&reference, &object, &BACKENDS, Weight::ZERO).unwrap());
    assert!(view(&reference, &back, &BACKENDS).is_at(Weight::ZERO));
}
