//! What share a route gives to the canary, what is wrong with its rules, and how the share is changed.

use leadsman_core::spec::Reason;
use leadsman_core::traffic::Weight;
use serde_json::{Value, json};

use super::super::{RouteKind, patch, view};
use super::{BACKENDS, destination, http_route, only, patched, reference, route, split, virtual_service};

fn shares(object: &Value) -> (u32, u32) {
    let kind = if object["kind"] == "VirtualService" { RouteKind::VirtualService } else { RouteKind::HttpRoute };
    let view = view(&route(kind), object, &BACKENDS);
    (view.least.percent(), view.most.percent())
}

#[test]
fn the_share_is_the_canary_s_part_of_the_sum_rounded_both_ways() {
    for (stable, canary, share) in [
        (100, 0, (0, 0)),
        (0, 100, (100, 100)),
        (95, 5, (5, 5)),
        (3, 1, (25, 25)),
        (2, 1, (33, 34)),
        (999, 1, (0, 1)),
        (1, 999, (99, 100)),
    ] {
        assert_eq!(shares(&http_route(&json!([split(stable, canary)]))), share, "{stable} to {canary}");
        let http = json!([{"route": [destination("podinfo-stable", stable), destination("podinfo-canary", canary)]}]);
        assert_eq!(shares(&virtual_service(&http)), share, "{stable} to {canary}");
    }
}

#[test]
fn the_least_and_the_most_are_over_all_rules_that_name_the_canary() {
    let other = json!({"backendRefs": [reference("other", 1)]});
    let stable_only = json!({"backendRefs": [reference("podinfo-stable", 1)]});
    let redirect = json!({"filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}]});
    let rules = json!([split(90, 10), other, split(70, 30), stable_only, redirect]);
    assert_eq!(shares(&http_route(&rules)), (10, 30));
    assert_eq!(view(&route(RouteKind::HttpRoute), &http_route(&rules), &BACKENDS).problem, None);
}

#[test]
fn a_weight_that_is_left_out_counts_as_the_api_says() {
    let bare = |name: &str| json!({"name": name, "port": 80});
    let object = http_route(&json!([{"backendRefs": [bare("podinfo-stable"), reference("podinfo-canary", 3)]}]));
    assert_eq!(shares(&object), (75, 75));
    let bare = json!({"destination": {"host": "podinfo-stable"}});
    let object = virtual_service(&json!([{"route": [bare, destination("podinfo-canary", 3)]}]));
    assert_eq!(shares(&object), (100, 100));
    let patch = patch(&route(RouteKind::VirtualService), &object, &BACKENDS, Weight::ZERO).unwrap();
    assert_eq!(shares(&patched(&object, patch)), (0, 0));
}

#[test]
fn rules_whose_weights_cannot_be_kept_are_named_with_what_to_do() {
    let canary = || reference("podinfo-canary", 10);
    let stable = || reference("podinfo-stable", 90);
    for (backends, share, words) in [
        (json!([stable(), canary(), canary()]), (18, 19), "names podinfo-canary more than once"),
        (json!([reference("podinfo-stable", 0), reference("podinfo-canary", 0)]), (0, 100), "has no weight above 0"),
        (json!([stable(), reference("podinfo-canary", "10")]), (0, 100), "has a weight that is not a whole number"),
        (json!([stable(), reference("podinfo-canary", -1)]), (0, 100), "has a weight that is not a whole number"),
    ] {
        let object = http_route(&json!([{"backendRefs": [stable()]}, {"backendRefs": backends}]));
        let problem = view(&route(RouteKind::HttpRoute), &object, &BACKENDS).problem.unwrap();
        assert_eq!(problem.reason, Reason::InvalidRoute);
        assert!(problem.message.starts_with("HTTPRoute podinfo: spec.rules[1] "), "{}", problem.message);
        assert!(problem.message.contains(words), "{}", problem.message);
        assert_eq!(shares(&object), share, "{words}");
    }
}

#[test]
fn what_has_the_name_of_a_service_and_is_none_of_ours_is_not_split() {
    let elsewhere = json!({"name": "podinfo-stable", "namespace": "other", "port": 80, "weight": 90});
    let import =
        json!({"group": "multicluster.x-k8s.io", "kind": "ServiceImport", "name": "podinfo-stable", "weight": 90});
    for other in [elsewhere, import] {
        let object = http_route(&json!([{"backendRefs": [other, reference("podinfo-canary", 10)]}, split(80, 20)]));
        let seen = view(&route(RouteKind::HttpRoute), &object, &BACKENDS);
        assert_eq!((seen.problem, seen.most.percent(), seen.fixed.percent()), (None, 20, 10), "{other}");
    }
}

#[test]
fn a_route_without_a_rule_to_split_is_a_problem_and_gives_the_canary_nothing() {
    for object in [json!({}), http_route(&json!([])), http_route(&json!([{"backendRefs": [reference("podinfo", 1)]}]))]
    {
        let view = view(&route(RouteKind::HttpRoute), &object, &BACKENDS);
        let problem = view.problem.unwrap();
        assert!(
            problem.message.contains("no rule names both podinfo-stable and podinfo-canary"),
            "{}",
            problem.message
        );
        assert_eq!((view.least, view.most), (Weight::ZERO, Weight::ZERO));
        assert_eq!(patch(&route(RouteKind::HttpRoute), &object, &BACKENDS, Weight::ZERO), Err(problem));
    }
}

#[test]
fn a_patch_tests_version_and_names_and_writes_weights_only() {
    let object = http_route(&json!([{"backendRefs": [reference("other", 1)]}, split(100, 0)]));
    let actual = patch(&route(RouteKind::HttpRoute), &object, &BACKENDS, Weight::clamped(20)).unwrap();
    let expected = json!([
        {"op": "test", "path": "/metadata/resourceVersion", "value": "1207"},
        {"op": "test", "path": "/spec/rules/1/backendRefs/0/name", "value": "podinfo-stable"},
        {"op": "test", "path": "/spec/rules/1/backendRefs/1/name", "value": "podinfo-canary"},
        {"op": "add", "path": "/spec/rules/1/backendRefs/0/weight", "value": 80},
        {"op": "add", "path": "/spec/rules/1/backendRefs/1/weight", "value": 20},
    ]);
    assert_eq!(actual, expected);
    assert_eq!(patched(&object, actual), http_route(&json!([{"backendRefs": [reference("other", 1)]}, split(80, 20)])));
}

#[test]
fn a_route_that_is_there_already_in_whatever_numbers_needs_no_patch() {
    let object = http_route(&json!([split(80, 20), split(4, 1)]));
    assert_eq!(patch(&route(RouteKind::HttpRoute), &object, &BACKENDS, Weight::clamped(20)), Ok(json!([])));
    let object = http_route(&json!([split(80, 20), split(5, 1)]));
    let patch = patch(&route(RouteKind::HttpRoute), &object, &BACKENDS, Weight::clamped(20)).unwrap();
    assert!(
        patch.as_array().unwrap().iter().skip(1).all(|op| op["path"].as_str().unwrap().starts_with("/spec/rules/1/"))
    );
}

#[test]
fn going_back_does_not_wait_for_the_repair_of_a_rule() {
    let third = json!({"backendRefs": [
        reference("podinfo-stable", 30), reference("podinfo-canary", 20), reference("third", 50), reference("podinfo-canary", 7),
    ]});
    let lame = json!({"backendRefs": [reference("podinfo-canary", 1)]});
    let object = http_route(&json!([lame, third, split(0, 0)]));
    let patch = patch(&route(RouteKind::HttpRoute), &object, &BACKENDS, Weight::ZERO).unwrap();
    let repaired = json!({"backendRefs": [
        reference("podinfo-stable", 57), reference("podinfo-canary", 0), reference("third", 50), reference("podinfo-canary", 0),
    ]});
    assert_eq!(patched(&object, patch), http_route(&json!([lame, repaired, split(100, 0)])));
}

#[test]
fn a_virtual_service_is_split_where_its_hosts_mean_the_services() {
    let both =
        json!([destination("podinfo-stable.shop", 100), destination("podinfo-canary.shop.svc.cluster.local", 0)]);
    let foreign = json!([destination("podinfo-stable.other", 50), destination("podinfo-canary.other", 50)]);
    let object = virtual_service(&json!([{"name": "a", "route": both}, {"name": "b", "route": foreign}]));
    let reference = route(RouteKind::VirtualService);
    assert_eq!(view(&reference, &object, &BACKENDS).problem, None);
    let patch = patch(&reference, &object, &BACKENDS, Weight::clamped(30)).unwrap();
    let after = patched(&object, patch);
    assert_eq!(after["spec"]["http"][0]["route"][0]["weight"], 70);
    assert_eq!(after["spec"]["http"][0]["route"][1]["weight"], 30);
    assert_eq!(after["spec"]["http"][1], object["spec"]["http"][1]);
}

#[test]
fn of_a_virtual_service_only_the_named_routes_are_split_when_some_are_named() {
    let both = || json!([destination("podinfo-stable", 100), destination("podinfo-canary", 0)]);
    let testers = json!({"name": "testers", "route": [destination("podinfo-canary", 100)]});
    let object =
        virtual_service(&json!([testers, {"name": "primary", "route": both()}, {"name": "rest", "route": both()}]));
    let mut reference = only(RouteKind::VirtualService, &["primary"]);
    let seen = view(&reference, &object, &BACKENDS);
    assert_eq!((seen.problem.as_ref(), seen.most, seen.fixed), (None, Weight::ZERO, Weight::FULL));
    let after = patched(&object, patch(&reference, &object, &BACKENDS, Weight::clamped(5)).unwrap());
    assert_eq!(after["spec"]["http"][1]["route"][1]["weight"], 5);
    assert_eq!(after["spec"]["http"][2], object["spec"]["http"][2]);

    reference.only = vec!["primary".to_owned(), "secondary".to_owned()];
    let problem = view(&reference, &object, &BACKENDS).problem.unwrap();
    assert!(problem.message.contains("has no http route named secondary"), "{}", problem.message);
}
