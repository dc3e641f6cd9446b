//! Which rules are split, what the others give to the canary, and what third backends keep.

use leadsman_core::traffic::Weight;
use serde_json::{Value, json};

use super::super::{RouteKind, patch, view};
use super::{BACKENDS, destination, http_route, only, patched, reference, route, split, virtual_service};

fn named(name: &str, mut rule: Value) -> Value {
    rule["name"] = json!(name);
    rule
}

fn percent(value: u32) -> Weight {
    Weight::clamped(value)
}

#[test]
fn of_a_gateway_route_only_the_named_rules_are_split_when_some_are_named() {
    let by_cookie = named("by-cookie", split(0, 100));
    let object = http_route(&json!([by_cookie, named("main", split(100, 0)), split(70, 30)]));
    for kind in [RouteKind::HttpRoute, RouteKind::GrpcRoute] {
        let route = only(kind, &["main"]);
        let seen = view(&route, &object, &BACKENDS);
        assert_eq!((seen.problem.as_ref(), seen.least, seen.most), (None, percent(0), percent(0)));
        assert_eq!(seen.fixed, Weight::FULL, "the largest of the others");
        let after = patched(&object, patch(&route, &object, &BACKENDS, percent(20)).unwrap());
        assert_eq!(after, http_route(&json!([by_cookie, named("main", split(80, 20)), split(70, 30)])));
    }
}

#[test]
fn a_name_that_no_rule_has_and_a_named_rule_that_cannot_be_split_are_problems() {
    let fixed = named("fixed", json!({"backendRefs": [reference("podinfo-canary", 1)]}));
    let object = http_route(&json!([named("main", split(100, 0)), fixed]));
    for (names, words) in [
        (
            &["main", "other"][..],
            "HTTPRoute podinfo: has no rule named other: name one that it has, or leave rules out",
        ),
        (&["main", "fixed"][..], "spec.rules[1] (fixed) does not name podinfo-stable and podinfo-canary: name both"),
    ] {
        let seen = view(&only(RouteKind::HttpRoute, names), &object, &BACKENDS);
        let problem = seen.problem.unwrap();
        assert!(problem.message.contains(words), "{}", problem.message);
        assert_eq!((seen.most, seen.fixed), (Weight::ZERO, Weight::FULL), "what cannot be written is fixed");
    }
}

#[test]
fn a_rule_that_names_the_canary_alone_is_left_alone_and_counted() {
    let alone = json!({"backendRefs": [reference("podinfo-canary", 1)]});
    let beside = json!({"backendRefs": [reference("podinfo-canary", 1), reference("other", 3)]});
    let nothing = json!({"backendRefs": [reference("podinfo-canary", 0)]});
    for (rule, fixed) in [(&alone, 100), (&beside, 25), (&nothing, 0)] {
        let object = http_route(&json!([rule, split(100, 0)]));
        let seen = view(&route(RouteKind::HttpRoute), &object, &BACKENDS);
        assert_eq!((seen.problem, seen.most, seen.fixed), (None, Weight::ZERO, percent(fixed)), "{rule}");
        let after = patched(&object, patch(&route(RouteKind::HttpRoute), &object, &BACKENDS, percent(20)).unwrap());
        assert_eq!(after, http_route(&json!([rule, split(80, 20)])));
    }
}

#[test]
fn of_a_virtual_service_everything_that_is_not_split_is_counted_whatever_its_protocol() {
    let both = |stable: u64, canary: u64| {
        json!([destination("podinfo-stable", stable), destination("podinfo-canary", canary)])
    };
    let canary_alone = json!({"route": [{"destination": {"host": "podinfo-canary.shop.svc.cluster.local"}}]});
    for (pointer, value, fixed) in [
        ("/http", json!([{"name": "primary", "route": both(100, 0)}]), 0),
        ("/http", json!([{"name": "primary", "route": both(100, 0)}, {"name": "testers", "route": both(30, 70)}]), 70),
        ("/http", json!([{"name": "primary", "route": both(100, 0)}, canary_alone]), 100),
        ("/tcp", json!([{"route": both(999, 1)}]), 1),
        ("/tls", json!([{"match": [], "route": both(0, 0)}, canary_alone]), 100),
        ("/tcp", json!([{"route": both(0, 0)}]), 100),
        ("/tcp", json!([{"route": [destination("podinfo-stable", 100)]}]), 0),
    ] {
        let mut object = virtual_service(&json!([{"name": "primary", "route": both(100, 0)}]));
        object["spec"].as_object_mut().unwrap().insert(pointer[1..].to_owned(), value.clone());
        let seen = view(&only(RouteKind::VirtualService, &["primary"]), &object, &BACKENDS);
        assert_eq!((seen.problem, seen.most, seen.fixed), (None, Weight::ZERO, percent(fixed)), "{pointer} {value}");
    }
}

#[test]
fn mirrors_to_the_canary_are_said_with_their_rule_and_what_they_mean() {
    let mirror = |name: &str, more: &Value| {
        let mut mirror = json!({"backendRef": {"name": name, "port": 80}});
        mirror.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"type": "RequestMirror", "requestMirror": mirror})
    };
    let canary = |more: Value| mirror("podinfo-canary", &more);
    for (filter, share) in [
        (canary(json!({})), Some("100%")),
        (canary(json!({"percent": 20})), Some("20%")),
        (canary(json!({"fraction": {"numerator": 1, "denominator": 8}})), Some("12.5%")),
        (canary(json!({"fraction": {"numerator": 5}})), Some("5%")),
        (canary(json!({"percent": 0})), None),
        (mirror("shadow", &json!({})), None),
        (mirror("podinfo-stable", &json!({})), None),
    ] {
        let mut on_rule = split(100, 0);
        on_rule["filters"] = json!([filter]);
        let mut on_backend = split(100, 0);
        on_backend["backendRefs"][0]["filters"] = json!([filter]);
        for rule in [on_rule, on_backend] {
            let object = http_route(&json!([split(100, 0), named("shadowed", rule)]));
            let seen = view(&route(RouteKind::HttpRoute), &object, &BACKENDS);
            let words = share
                .map(|share| format!("spec.rules[1] (shadowed) mirrors {share} of its requests to podinfo-canary: "));
            let said: Vec<_> = seen.warnings.iter().filter(|warning| warning.contains("mirrors")).collect();
            assert_eq!(said.len(), usize::from(words.is_some()), "{filter}: {said:?}");
            assert!(words.is_none_or(|words| said[0].starts_with(&words) && said[0].contains("metrics")), "{said:?}");
            assert_eq!((seen.problem, seen.fixed), (None, Weight::ZERO));
        }
    }
}

#[test]
fn mirrors_of_a_virtual_service_are_said_in_each_of_their_forms() {
    let host = |host: &str| json!({"host": host});
    for (member, share) in [
        (json!({"mirror": host("podinfo-canary")}), Some("100%")),
        (json!({"mirror": host("podinfo-canary.shop"), "mirrorPercentage": {"value": 0.5}}), Some("0.5%")),
        (json!({"mirror": host("podinfo-canary"), "mirrorPercent": 7}), Some("7%")),
        (
            json!({"mirrors": [{"destination": host("other")}, {"destination": host("podinfo-canary"), "percentage": {"value": 3}}]}),
            Some("3%"),
        ),
        (json!({"mirrors": [{"destination": host("podinfo-canary"), "percentage": {"value": 0}}]}), None),
        (json!({"mirror": host("podinfo-canary.other")}), None),
    ] {
        let mut rule =
            json!({"name": "primary", "route": [destination("podinfo-stable", 100), destination("podinfo-canary", 0)]});
        rule.as_object_mut().unwrap().extend(member.as_object().unwrap().clone());
        let seen = view(&route(RouteKind::VirtualService), &virtual_service(&json!([rule])), &BACKENDS);
        let words =
            share.map(|share| format!("spec.http[0] (primary) mirrors {share} of its requests to podinfo-canary: "));
        assert_eq!(seen.warnings.len(), usize::from(words.is_some()), "{member}: {:?}", seen.warnings);
        assert!(words.is_none_or(|words| seen.warnings[0].starts_with(&words)), "{:?}", seen.warnings);
    }
}

/// A rule with a third backend, by its weights: stable, canary, legacy.
fn three(stable: u64, canary: u64, legacy: u64) -> Value {
    json!({"backendRefs": [
        reference("podinfo-stable", stable), reference("legacy", legacy), reference("podinfo-canary", canary),
    ]})
}

#[test]
fn a_third_backend_keeps_its_share_and_the_canary_gets_its_percentage_of_what_the_two_have() {
    for (before, weight, after) in [
        // What divides well is kept.
        ((80, 0, 20), 25, (60, 20, 20)),
        ((60, 20, 20), 100, (0, 80, 20)),
        ((400, 0, 100), 1, (396, 4, 100)),
        // What does not is written in the smallest numbers of the same shares.
        ((80, 0, 20), 1, (99, 1, 25)),
        ((1, 0, 1), 50, (1, 1, 2)),
        ((1, 2, 4), 10, (27, 3, 40)),
        // A third without weight costs nothing.
        ((1, 0, 0), 5, (19, 1, 0)),
        // Going back does not change the third's number.
        ((99, 1, 25), 0, (100, 0, 25)),
        // Unless the two have more together than one may have.
        ((1_000_000, 1_000_000, 1_000_000), 0, (2, 0, 1)),
    ] {
        let object = http_route(&json!([three(before.0, before.1, before.2)]));
        let route = route(RouteKind::HttpRoute);
        let moved = patched(&object, patch(&route, &object, &BACKENDS, percent(weight)).unwrap());
        assert_eq!(moved, http_route(&json!([three(after.0, after.1, after.2)])), "{before:?} to {weight}");
        let seen = view(&route, &moved, &BACKENDS);
        assert!(seen.is_at(percent(weight)) && seen.problem.is_none(), "{before:?} to {weight}: {seen:?}");
    }
}

#[test]
fn the_name_of_a_third_backend_is_tested_where_it_is_written_and_only_there() {
    let object = http_route(&json!([three(80, 0, 20)]));
    let tests = |weight| {
        let patch = patch(&route(RouteKind::HttpRoute), &object, &BACKENDS, percent(weight)).unwrap();
        let tested = patch.as_array().unwrap().iter().filter(|it| it["op"] == "test");
        tested.map(|it| it["value"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(tests(25), ["1207", "podinfo-stable", "podinfo-canary"]);
    assert_eq!(tests(1), ["1207", "podinfo-stable", "podinfo-canary", "legacy"]);
}

#[test]
fn a_third_backend_that_leaves_the_two_nothing_or_no_exact_share_is_a_problem() {
    for (rule, words) in [
        (three(0, 0, 20), "gives podinfo-stable and podinfo-canary nothing: give podinfo-stable a weight"),
        (three(0, 0, 0), "has no weight above 0, so it answers nothing"),
        (three(3, 4, 999_999), "has weights too large to be split exactly"),
        (three(999_999, 0, 1), "has weights too large to be split exactly"),
    ] {
        let object = http_route(&json!([rule]));
        let seen = view(&route(RouteKind::HttpRoute), &object, &BACKENDS);
        assert!(seen.problem.as_ref().is_some_and(|it| it.message.contains(words)), "{:?}", seen.problem);
        let back = patched(&object, patch(&route(RouteKind::HttpRoute), &object, &BACKENDS, Weight::ZERO).unwrap());
        let after = view(&route(RouteKind::HttpRoute), &back, &BACKENDS);
        assert_eq!(after.most, Weight::ZERO);
        assert_eq!(back["spec"]["rules"][0]["backendRefs"][1], object["spec"]["rules"][0]["backendRefs"][1]);
    }
    let large = http_route(&json!([three(1_000_000, 0, 999_999)]));
    assert_eq!(
        view(&route(RouteKind::HttpRoute), &large, &BACKENDS).problem,
        None,
        "a multiple of 100 needs no other numbers"
    );
}

#[test]
fn a_pair_that_does_not_divide_well_is_said_before_a_release() {
    let warnings = |rule: Value| view(&route(RouteKind::HttpRoute), &http_route(&json!([rule])), &BACKENDS).warnings;
    let said = warnings(three(80, 0, 20)).join("; ");
    assert!(
        said.starts_with("spec.rules[0] gives both Services 80 together, ") && said.contains("weight of legacy"),
        "{said}"
    );
    for quiet in [three(100, 0, 25), three(80, 0, 0), split(80, 0), split(4, 1)] {
        assert_eq!(warnings(quiet.clone()), [""; 0], "{quiet}");
    }
}

#[test]
fn sessions_that_outlive_a_weight_are_refused_in_a_rule_that_is_split() {
    let sticky = |mut rule: Value| {
        rule["sessionPersistence"] = json!({"sessionName": "shop", "type": "Cookie"});
        rule
    };
    for kind in [RouteKind::HttpRoute, RouteKind::GrpcRoute] {
        let object = http_route(&json!([split(100, 0), named("carts", sticky(split(100, 0)))]));
        let problem = view(&route(kind), &object, &BACKENDS).problem.unwrap();
        let words =
            "take sessionPersistence off spec.rules[1] (carts): sessions would stay on a canary that was rolled back";
        assert!(problem.message.ends_with(words), "{}", problem.message);
        let elsewhere =
            http_route(&json!([split(100, 0), sticky(json!({"backendRefs": [reference("podinfo-stable", 1)]}))]));
        assert_eq!(view(&route(kind), &elsewhere, &BACKENDS).problem, None);
    }
}
