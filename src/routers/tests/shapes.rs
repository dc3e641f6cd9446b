//! Routes of shapes that cannot be split: each has its own words.

use leadsman_core::spec::Reason;
use serde_json::{Value, json};

use super::super::{RouteKind, view};
use super::{BACKENDS, destination, http_route, reference, route, split, virtual_service};

fn told(kind: RouteKind, object: &Value) -> Option<String> {
    let problem = view(&route(kind), object, &BACKENDS).problem?;
    assert_eq!(problem.reason, Reason::InvalidRoute);
    Some(problem.message)
}

#[test]
fn a_virtual_service_that_cannot_be_split_says_why() {
    let subset = |name: &str| json!({"destination": {"host": "podinfo", "subset": name}, "weight": 50});
    let both = json!([destination("podinfo-stable", 100), destination("podinfo-canary", 0)]);
    let spec = |members: Value| {
        let mut object = virtual_service(&json!([]));
        object["spec"] = members;
        object
    };
    let delegate = |to: Value| virtual_service(&json!([{"name": "all", "delegate": to}]));
    for (object, words) in [
        (spec(json!({"hosts": ["podinfo"], "tcp": [{"route": both}]})), "has only tcp routes, which are not split yet"),
        (
            spec(json!({"hosts": ["podinfo"], "tcp": [{"route": both}], "tls": [{"route": both}], "http": []})),
            "has only tcp and tls routes, which are not split yet",
        ),
        (
            virtual_service(&json!([{"name": "primary", "route": [subset("v1"), subset("v2")]}])),
            "spec.http[0] (primary) splits podinfo between subsets: name the hosts podinfo-stable and podinfo-canary instead",
        ),
        (
            delegate(json!({"name": "podinfo-routes"})),
            "spec.http[0] (all) hands over to the VirtualService podinfo-routes: name that one instead",
        ),
        (
            delegate(json!({"name": "podinfo-routes", "namespace": "mesh"})),
            "name that one instead (it has to be in the Rollout's namespace, shop, not mesh)",
        ),
        (
            virtual_service(
                &json!([{"route": [destination("podinfo-stable.other", 50), destination("podinfo-canary.other", 50)]}]),
            ),
            "spec.http[0] names podinfo-stable.other, in another namespace: a Rollout's Services are in its own, shop",
        ),
        (
            virtual_service(&json!([{"route": [destination("podinfo", 1)]}])),
            "no rule names both podinfo-stable and podinfo-canary",
        ),
        (spec(json!({"hosts": ["podinfo"]})), "no rule names both podinfo-stable and podinfo-canary"),
    ] {
        let told = told(RouteKind::VirtualService, &object).unwrap();
        assert!(told.starts_with("VirtualService podinfo: ") && told.contains(words), "{told}");
    }
}

#[test]
fn backends_of_another_namespace_are_told_as_such() {
    let there = |name: &str| {
        let mut there = reference(name, 1);
        there["namespace"] = json!("other");
        there
    };
    let object = http_route(&json!([{"backendRefs": [there("podinfo-stable"), there("podinfo-canary")]}]));
    let told = told(RouteKind::HttpRoute, &object).unwrap();
    assert!(
        told.contains("spec.rules[0] names podinfo-stable in namespace other: a Rollout's Services are in its own"),
        "{told}"
    );
}

#[test]
fn calls_to_one_of_the_two_services_are_not_to_be_split() {
    let parent = |name: &str, namespace: &str| {
        let mut object = http_route(&json!([split(100, 0)]));
        object["spec"]["parentRefs"] =
            json!([{"group": "", "kind": "Service", "name": name, "namespace": namespace, "port": 80}]);
        told(RouteKind::HttpRoute, &object)
    };
    for ours in ["podinfo-stable", "podinfo-canary"] {
        let told = parent(ours, "shop").unwrap();
        assert!(
            told.contains(&format!("has the Service {ours} as parent, which is to reach one revision only")),
            "{told}"
        );
    }
    assert_eq!(parent("podinfo", "shop"), None);
    assert_eq!(parent("podinfo-stable", "other"), None);

    let both = json!([{"route": [destination("podinfo-stable", 100), destination("podinfo-canary", 0)]}]);
    let hosts = |hosts: &[&str], gateways: Value| {
        let mut object = virtual_service(&both);
        object["spec"]["hosts"] = json!(hosts);
        object["spec"]["gateways"] = gateways;
        told(RouteKind::VirtualService, &object)
    };
    for gateways in [Value::Null, json!([]), json!(["public", "mesh"])] {
        let told = hosts(&["a.example", "podinfo-stable.shop.svc.cluster.local"], gateways).unwrap();
        assert!(told.contains("has podinfo-stable as host, which is to reach one revision only"), "{told}");
    }
    assert_eq!(hosts(&["podinfo-stable"], json!(["public"])), None, "a name at a gateway is no Service");
    assert_eq!(hosts(&["podinfo", "podinfo-stable.other"], json!(["mesh"])), None);
}
