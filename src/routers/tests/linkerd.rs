//! What Linkerd does not follow, found where it reports. The statuses are as its policy controller writes them.

use serde_json::{Value, json};

use super::super::{RouteKind, linkerd, view};
use super::{BACKENDS, http_route, reference, route, split};

fn parent() -> Value {
    json!({"group": "", "kind": "Service", "name": "podinfo", "port": 80})
}

/// A route with these rules on which Linkerd reports.
fn object(rules: &Value) -> Value {
    let condition = |kind: &str| json!({"type": kind, "status": "True", "reason": kind, "message": ""});
    let mut object = http_route(rules);
    object["spec"]["parentRefs"] = json!([parent()]);
    object["status"]["parents"] = json!([{
        "controllerName": "linkerd.io/policy-controller",
        "parentRef": {"group": "core", "kind": "Service", "name": "podinfo", "namespace": "shop", "port": 80},
        "conditions": [condition("Accepted"), condition("ResolvedRefs")],
    }]);
    object
}

fn told(kind: RouteKind, object: &Value) -> Option<String> {
    view(&route(kind), object, &BACKENDS).problem.map(|problem| problem.message)
}

fn with_filter(filter: &Value) -> Value {
    let mut rule = json!({"backendRefs": [reference("other", 1)]});
    rule["filters"] = json!([filter]);
    rule
}

#[test]
fn a_filter_that_linkerd_cannot_convert_is_refused_in_any_rule() {
    for filter in [
        json!({"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "shadow", "port": 80}}}),
        json!({"type": "URLRewrite", "urlRewrite": {"hostname": "a.example"}}),
        json!({"type": "ExtensionRef", "extensionRef": {"group": "g", "kind": "K", "name": "n"}}),
        json!({"type": "CORS", "cors": {"allowOrigins": ["*"]}}),
        json!({"type": "SomethingNew"}),
        json!({"type": "RequestRedirect", "requestRedirect": {"path": {"type": "ReplaceFullPath", "replaceFullPath": "relative"}}}),
    ] {
        let object = object(&json!([split(100, 0), with_filter(&filter)]));
        let kind = filter["type"].as_str().unwrap();
        for route_kind in [RouteKind::HttpRoute, RouteKind::GrpcRoute] {
            let told = told(route_kind, &object).unwrap();
            assert!(
                told.contains(&format!("spec.rules[1] has a {kind} filter that Linkerd does not know: take it off")),
                "{told}"
            );
        }
        let mut by_another = object.clone();
        by_another["status"]["parents"][0]["controllerName"] = json!("istio.io/mesh-controller");
        assert_eq!(told(RouteKind::HttpRoute, &by_another), None, "{kind} is Linkerd's concern alone");
    }
}

#[test]
fn a_filter_that_linkerd_converts_is_fine() {
    for filter in [
        json!({"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "a", "value": "b"}]}}),
        json!({"type": "ResponseHeaderModifier", "responseHeaderModifier": {"remove": ["a"]}}),
        json!({"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}),
        json!({"type": "RequestRedirect", "requestRedirect": {"path": {"replacePrefixMatch": "/new"}}}),
    ] {
        assert_eq!(
            told(RouteKind::HttpRoute, &object(&json!([split(100, 0), with_filter(&filter)]))),
            None,
            "{filter}"
        );
    }
}

#[test]
fn a_filter_on_one_of_our_backends_and_a_backend_without_port_are_refused() {
    let mut filtered = split(100, 0);
    filtered["backendRefs"][1]["filters"] = json!([{"type": "URLRewrite", "urlRewrite": {}}]);
    let told = told(RouteKind::HttpRoute, &object(&json!([filtered]))).unwrap();
    assert!(told.contains("has a URLRewrite filter on podinfo-canary that Linkerd does not know"), "{told}");

    let mut others = json!({"backendRefs": [reference("other", 1)]});
    others["backendRefs"][0]["filters"] = json!([{"type": "URLRewrite", "urlRewrite": {}}]);
    assert_eq!(
        self::told(RouteKind::HttpRoute, &object(&json!([split(100, 0), others]))),
        None,
        "only that backend fails"
    );

    let mut portless = split(100, 0);
    portless["backendRefs"][1].as_object_mut().unwrap().remove("port");
    let told = self::told(RouteKind::HttpRoute, &object(&json!([portless]))).unwrap();
    assert!(told.contains("spec.rules[0] names podinfo-canary without a port, which Linkerd wants: add it"), "{told}");
}

#[test]
fn annotations_that_linkerd_cannot_read_are_refused_and_others_are_none_of_its_business() {
    for (kind, name, value, is_fine) in [
        (RouteKind::HttpRoute, "retry.linkerd.io/http", "5xx,gateway-error,404,500-599", true),
        (RouteKind::HttpRoute, "retry.linkerd.io/http", "5XX", true),
        (RouteKind::HttpRoute, "retry.linkerd.io/http", "5xx, 404", false),
        (RouteKind::HttpRoute, "retry.linkerd.io/http", "600", false),
        (RouteKind::HttpRoute, "retry.linkerd.io/http", "599-500", false),
        (RouteKind::HttpRoute, "retry.linkerd.io/grpc", "nonsense", true),
        (RouteKind::GrpcRoute, "retry.linkerd.io/grpc", "cancelled,Internal", true),
        (RouteKind::GrpcRoute, "retry.linkerd.io/grpc", "13", false),
        (RouteKind::GrpcRoute, "retry.linkerd.io/http", "nonsense", true),
        (RouteKind::HttpRoute, "retry.linkerd.io/limit", "3", true),
        (RouteKind::HttpRoute, "retry.linkerd.io/limit", "-1", false),
        (RouteKind::HttpRoute, "retry.linkerd.io/timeout", "400ms", true),
        (RouteKind::HttpRoute, "timeout.linkerd.io/request", "0", true),
        (RouteKind::HttpRoute, "timeout.linkerd.io/request", "10", false),
        (RouteKind::HttpRoute, "timeout.linkerd.io/response", "1.5s", false),
        (RouteKind::HttpRoute, "timeout.linkerd.io/idle", "99999999999999999999d", false),
        (RouteKind::HttpRoute, "timeout.linkerd.io/idle", "", false),
        (RouteKind::HttpRoute, "timeout.linkerd.io/new", "?", true),
    ] {
        let mut object = object(&json!([split(100, 0)]));
        object["metadata"]["annotations"] = json!({"team": "a", name: value});
        let told = told(kind, &object);
        assert_eq!(told.is_none(), is_fine, "{name}: {value}: {told:?}");
        let words = format!("annotation {name} is {value:?}, which Linkerd does not understand: correct it");
        assert!(told.is_none_or(|told| told.contains(&words)), "{words}");
    }
}

#[test]
fn linkerd_follows_one_kind_of_route_per_service() {
    let ours = object(&json!([split(100, 0)]));
    let other = |name: &str, parent: &Value| json!({"metadata": {"name": name, "namespace": "shop"}, "spec": {"parentRefs": [parent]}});
    let told = |kind, other: &Value| linkerd::conflict(RouteKind::HttpRoute, &ours, "shop", [(kind, other)]);
    for (parent, is_ours) in [
        (json!({"group": "core", "kind": "Service", "name": "podinfo", "namespace": "shop", "port": 80}), true),
        (json!({"group": "", "kind": "Service", "name": "podinfo"}), true),
        (json!({"group": "", "kind": "Service", "name": "podinfo", "port": 81}), false),
        (json!({"group": "", "kind": "Service", "name": "podinfo", "namespace": "other"}), false),
        (json!({"group": "", "kind": "Service", "name": "other"}), false),
        (json!({"name": "podinfo"}), false),
    ] {
        let said = told(RouteKind::GrpcRoute, &other("podinfo-grpc", &parent));
        let words =
            "GRPCRoute podinfo-grpc has the same parent, Service podinfo, and Linkerd follows one kind of route";
        assert_eq!(said.as_ref().is_some_and(|said| said.starts_with(words)), is_ours, "{parent}: {said:?}");
        for merged in [RouteKind::HttpRoute, RouteKind::LinkerdHttpRoute] {
            assert_eq!(told(merged, &other("another", &parent)), None, "two for one protocol are merged");
        }
    }
    let istio_s = http_route(&json!([split(100, 0)]));
    assert!(linkerd::reports_on(&ours, "shop"));
    assert!(!linkerd::reports_on(&istio_s, "shop"));
    let spills = |object: &Value| view(&route(RouteKind::HttpRoute), object, &BACKENDS).spills;
    assert_eq!((spills(&ours), spills(&istio_s)), (true, false));
}

#[test]
fn a_service_profile_of_the_parent_that_has_something_to_say_wins_over_the_route() {
    let ours = object(&json!([split(100, 0)]));
    let profile = |name: &str, spec: &Value| json!({"metadata": {"name": name, "namespace": "shop"}, "spec": spec});
    let routes = json!({"routes": [{"name": "/", "condition": {}}]});
    for (profile, wins) in [
        (profile("podinfo.shop.svc.cluster.local", &routes), true),
        (profile("podinfo.shop.svc.example.org", &json!({"dstOverrides": [{"authority": "a", "weight": 1}]})), true),
        (profile("podinfo.shop.svc.cluster.local", &json!({"routes": [], "retryBudget": {}})), false),
        (profile("podinfo.other.svc.cluster.local", &routes), false),
        (profile("podinfo-stable.shop.svc.cluster.local", &routes), false),
        (json!({}), false),
    ] {
        let said = linkerd::overridden(&ours, "shop", std::slice::from_ref(&profile));
        assert_eq!(said.is_some(), wins, "{profile}: {said:?}");
        assert!(said.is_none_or(|said| said.contains(profile["metadata"]["name"].as_str().unwrap())));
    }
}
