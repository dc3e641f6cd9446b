//! What implementations say of a route, by the book and otherwise.

use leadsman_api::AcceptancePolicy::{self, All, Any, Ignore};
use leadsman_core::observed::{Acceptance, RouteView};
use serde_json::{Value, json};

use super::super::{RouteKind, RouteRef, view};
use super::{BACKENDS, http_route, reference, route, split, virtual_service};

fn seen_by(policy: AcceptancePolicy, rules: &Value, parents: &Value, reports: &Value) -> RouteView {
    let mut object = http_route(rules);
    object["spec"]["parentRefs"] = parents.clone();
    object["status"] = json!({"parents": reports});
    view(&RouteRef { acceptance: policy, ..route(RouteKind::HttpRoute) }, &object, &BACKENDS)
}

fn under(policy: AcceptancePolicy, parents: &Value, reports: &Value) -> Acceptance {
    seen_by(policy, &json!([split(100, 0)]), parents, reports).acceptance
}

fn pending(who: &str) -> Acceptance {
    Acceptance::Pending(who.to_owned())
}

fn condition(kind: &str, status: &str, generation: Option<i64>) -> Value {
    let mut condition = json!({"type": kind, "status": status, "reason": "Why", "message": "in words"});
    if let Some(generation) = generation {
        condition["observedGeneration"] = json!(generation);
    }
    condition
}

fn report(parent: &Value, conditions: &Value) -> Value {
    json!({"controllerName": "example.com/controller", "parentRef": parent, "conditions": conditions})
}

/// A report of both conditions; the route is at generation 4.
fn both(parent: &Value, accepted: &str, resolved: &str, generation: Option<i64>) -> Value {
    let conditions =
        json!([condition("Accepted", accepted, generation), condition("ResolvedRefs", resolved, generation)]);
    report(parent, &conditions)
}

fn yes(parent: &Value) -> Value {
    both(parent, "True", "True", Some(4))
}

fn gateway() -> Value {
    json!({"name": "public", "namespace": "infra"})
}

fn service() -> Value {
    json!({"group": "", "kind": "Service", "name": "podinfo", "port": 80})
}

const GATEWAY: &str = "Gateway infra/public";
const SERVICE: &str = "Service shop/podinfo (port 80)";

/// A report as Linkerd writes it for a Service, without generations.
fn by_linkerd(parent: &Value) -> Value {
    json!({
        "controllerName": "linkerd.io/policy-controller",
        "parentRef": parent,
        "conditions": [
            {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "lastTransitionTime": "2026-08-21T00:00:00Z"},
            {"type": "ResolvedRefs", "status": "True", "reason": "ResolvedRefs", "message": "", "lastTransitionTime": "2026-08-21T00:00:00Z"},
        ],
    })
}

#[test]
fn of_the_parents_that_report_one_that_accepts_is_enough() {
    let parents = json!([gateway(), service()]);
    let lags = format!("{SERVICE}, which reports on generation 3 of 4");
    for (reports, any) in [
        (json!([yes(&gateway()), yes(&service())]), Acceptance::Accepted),
        (json!([yes(&gateway())]), Acceptance::Accepted),
        (json!([yes(&gateway()), {"parentRef": service(), "controllerName": "x"}]), Acceptance::Accepted),
        (json!([yes(&gateway()), report(&service(), &json!([]))]), Acceptance::Accepted),
        (json!([yes(&gateway()), both(&service(), "True", "True", Some(3))]), Acceptance::Behind(lags.clone())),
        (json!([yes(&gateway()), both(&service(), "False", "True", Some(3))]), Acceptance::Behind(lags.clone())),
        (
            json!([yes(&gateway()), both(&service(), "Unknown", "True", Some(4))]),
            Acceptance::Behind(format!("{SERVICE}, which has not decided on it")),
        ),
        (json!([yes(&gateway()), both(&service(), "Unknown", "True", None)]), Acceptance::Accepted),
        (json!([yes(&gateway()), both(&service(), "False", "True", Some(4))]), Acceptance::Accepted),
        (
            json!([]),
            pending(&format!("{GATEWAY}, which has said nothing of it or {SERVICE}, which has said nothing of it")),
        ),
        (
            json!([both(&gateway(), "True", "True", Some(3))]),
            pending(&format!(
                "{GATEWAY}, which reports on generation 3 of 4 or {SERVICE}, which has said nothing of it"
            )),
        ),
    ] {
        assert_eq!(under(Any, &parents, &reports), any, "{reports}");
    }
}

#[test]
fn under_all_every_parent_has_to_have_accepted_the_present_generation() {
    let parents = json!([gateway(), service()]);
    for (reports, all) in [
        (json!([yes(&gateway()), yes(&service())]), Acceptance::Accepted),
        (json!([yes(&gateway()), both(&service(), "True", "True", Some(5))]), Acceptance::Accepted),
        (json!([yes(&gateway())]), pending(&format!("{SERVICE}, which has said nothing of it"))),
        (
            json!([yes(&gateway()), both(&service(), "True", "True", Some(3))]),
            pending(&format!("{SERVICE}, which reports on generation 3 of 4")),
        ),
        (
            json!([both(&gateway(), "True", "True", Some(3)), both(&service(), "False", "True", Some(4))]),
            Acceptance::Refused(format!("{SERVICE}: example.com/controller says Accepted=False: Why: in words")),
        ),
    ] {
        assert_eq!(under(All, &parents, &reports), all, "{reports}");
    }
}

#[test]
fn under_ignore_nobody_is_asked_and_what_they_say_is_a_warning() {
    for reports in [json!([]), json!([both(&gateway(), "True", "True", Some(3))])] {
        assert_eq!(under(Ignore, &json!([gateway()]), &reports), Acceptance::Accepted, "{reports}");
    }
    let reports = json!([both(&gateway(), "False", "True", Some(4))]);
    let seen = seen_by(Ignore, &json!([split(100, 0)]), &json!([gateway()]), &reports);
    assert_eq!(seen.acceptance, Acceptance::Accepted);
    assert_eq!(seen.warnings, [format!("{GATEWAY}: example.com/controller says Accepted=False: Why: in words")]);
}

#[test]
fn a_generation_of_0_or_none_counts_as_the_present_one() {
    for generation in [None, Some(0), Some(4), Some(5)] {
        let reports = json!([both(&gateway(), "True", "True", generation)]);
        for policy in [Any, All] {
            assert_eq!(under(policy, &json!([gateway()]), &reports), Acceptance::Accepted, "{generation:?}");
        }
        let refused = json!([both(&gateway(), "False", "True", generation)]);
        assert!(matches!(under(Any, &json!([gateway()]), &refused), Acceptance::Refused(_)), "{generation:?}");
    }
}

#[test]
fn a_condition_that_is_not_there_is_not_waited_for_and_one_of_an_earlier_generation_is() {
    let one = |conditions: Value| under(Any, &json!([gateway()]), &json!([report(&gateway(), &conditions)]));
    assert_eq!(one(json!([condition("Accepted", "True", Some(4))])), Acceptance::Accepted);
    let halves = json!([condition("Accepted", "True", Some(4)), condition("ResolvedRefs", "True", Some(3))]);
    assert_eq!(one(halves), pending(&format!("{GATEWAY}, which reports on generation 3 of 4")));
    assert_eq!(
        one(json!([condition("ResolvedRefs", "True", Some(4))])),
        pending(&format!("{GATEWAY}, which has said nothing of it"))
    );
    assert_eq!(one(json!([])), pending(&format!("{GATEWAY}, which has said nothing of it")));
}

#[test]
fn a_refusal_is_told_with_parent_controller_and_words() {
    let gateway = json!({"name": "public", "namespace": "infra", "sectionName": "https"});
    for (accepted, resolved, kind) in [("False", "True", "Accepted"), ("True", "False", "ResolvedRefs")] {
        let words = format!("Gateway infra/public (https): example.com/controller says {kind}=False: Why: in words");
        let reports = json!([both(&gateway, accepted, resolved, Some(4))]);
        for policy in [Any, All] {
            assert_eq!(under(policy, &json!([gateway]), &reports), Acceptance::Refused(words.clone()));
        }
    }
}

#[test]
fn a_parent_that_refuses_stops_nothing_where_another_accepts_and_is_said() {
    let reports = json!([yes(&gateway()), both(&service(), "False", "True", Some(4))]);
    let seen = seen_by(Any, &json!([split(100, 0)]), &json!([gateway(), service()]), &reports);
    assert_eq!(seen.acceptance, Acceptance::Accepted);
    assert_eq!(seen.warnings, [format!("{SERVICE}: example.com/controller says Accepted=False: Why: in words")]);
}

#[test]
fn while_one_refuses_another_that_lags_behind_may_yet_accept() {
    let parents = json!([gateway(), service()]);
    let reports = json!([both(&gateway(), "True", "True", Some(3)), both(&service(), "False", "True", Some(4))]);
    let Acceptance::Pending(who) = under(Any, &parents, &reports) else { panic!("refused too early") };
    assert!(who.starts_with(&format!("{GATEWAY}, which reports on generation 3 of 4 ({SERVICE}: ")), "{who}");
}

#[test]
fn words_of_others_are_bounded() {
    let mut refused = both(&gateway(), "False", "True", Some(4));
    refused["conditions"][0]["message"] = json!("no\n".repeat(10_000));
    refused["controllerName"] = json!("x".repeat(10_000));
    let Acceptance::Refused(words) = under(Any, &json!([gateway()]), &json!([refused])) else { panic!("accepted") };
    assert!(words.chars().count() < 1000 && !words.contains('\n'), "{words}");
    let parents: Vec<_> =
        (0..32).map(|index| json!({"name": format!("gateway-{index}"), "namespace": "x".repeat(63)})).collect();
    let reports: Vec<_> = parents.iter().map(|parent| both(parent, "False", "True", Some(4))).collect();
    let Acceptance::Refused(words) = under(Any, &json!(parents), &json!(reports)) else { panic!("accepted") };
    assert!(words.ends_with("; 28 more") && words.chars().count() < 2000, "{words}");
}

#[test]
fn core_and_the_empty_group_are_one_in_all_pairings() {
    let of = |group: &Value| json!({"group": group, "kind": "Service", "name": "podinfo", "port": 80});
    let groups = [json!(""), json!("core"), json!("Core"), Value::Null];
    for spec in &groups {
        for status in &groups {
            let reports = json!([by_linkerd(&of(status))]);
            for policy in [Any, All] {
                assert_eq!(under(policy, &json!([of(spec)]), &reports), Acceptance::Accepted, "{spec} and {status}");
            }
        }
    }
}

#[test]
fn core_in_a_backend_is_the_core_group() {
    let core = |name: &str, weight: u64| json!({"group": "core", "kind": "Service", "name": name, "port": 80, "weight": weight});
    let rules = json!([{"backendRefs": [core("podinfo-stable", 75), core("podinfo-canary", 25)]}]);
    let seen = seen_by(Any, &rules, &json!([service()]), &json!([by_linkerd(&service())]));
    assert_eq!((seen.problem, seen.most.percent()), (None, 25));
}

#[test]
fn what_a_controller_fills_in_or_leaves_out_of_its_copy_of_a_parent_still_fits() {
    let full = json!({
        "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public", "namespace": "shop",
        "sectionName": "https", "port": 443,
    });
    let of_kind =
        json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public", "namespace": "shop"});
    for (wanted, reported) in [
        (json!({"name": "public"}), of_kind.clone()),
        (of_kind.clone(), json!({"name": "public"})),
        (json!({"name": "public"}), full.clone()),
        (full.clone(), json!({"name": "public"})),
        (full.clone(), of_kind.clone()),
        (
            json!({"name": "public"}),
            json!({"name": "public", "sectionName": "", "namespace": "", "kind": "", "group": "", "port": 0}),
        ),
        (json!({"name": "public", "sectionName": "https"}), json!({"name": "public", "port": 443})),
        // The API server fills in group and kind of a Gateway where a controller leaves them out.
        (service(), json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "podinfo", "port": 80})),
        (service(), json!({"group": "gateway.networking.k8s.io", "kind": "Service", "name": "podinfo"})),
        (service(), json!({"kind": "Service", "name": "podinfo", "namespace": "shop"})),
        // Envoy Gateway wrote `default` for a namespace that was left out.
        (json!({"name": "public"}), json!({"name": "public", "namespace": "default"})),
        (gateway(), json!({"name": "public", "namespace": "shop"})),
    ] {
        for policy in [Any, All] {
            let is = under(policy, &json!([wanted]), &json!([yes(&reported)]));
            assert_eq!(is, Acceptance::Accepted, "{wanted} and {reported}");
        }
    }
}

#[test]
fn a_report_on_something_else_is_not_taken_for_one_on_the_parent() {
    let wanted = json!({"name": "public", "sectionName": "https", "port": 443});
    for other in [
        json!({"name": "private"}),
        json!({"name": "public", "sectionName": "http"}),
        json!({"name": "public", "port": 80}),
        json!({"name": "public", "kind": "Service", "group": ""}),
        json!({"name": "public", "kind": "ListenerSet"}),
        json!({}),
    ] {
        for policy in [Any, All] {
            let is = under(policy, &json!([wanted]), &json!([yes(&other), {"parentRef": 1}]));
            let who = "Gateway shop/public (https), which has said nothing of it";
            assert_eq!(is, pending(who), "{other}");
        }
    }
}

#[test]
fn a_report_belongs_to_the_parent_that_it_resembles_most() {
    let (infra, edge) = (gateway(), json!({"name": "public", "namespace": "edge"}));
    let parents = json!([infra, edge]);
    let silent = pending("Gateway edge/public, which has said nothing of it");
    assert_eq!(under(All, &parents, &json!([yes(&infra)])), silent);
    assert_eq!(under(All, &parents, &json!([yes(&infra), yes(&edge)])), Acceptance::Accepted);
    let [http, https] = [80, 8080].map(|port| json!({"name": "gw", "port": port}));
    let ports = json!([http, https]);
    assert_eq!(
        under(All, &ports, &json!([yes(&http)])),
        pending("Gateway shop/gw (port 8080), which has said nothing of it")
    );
    assert_eq!(under(Any, &ports, &json!([yes(&http)])), Acceptance::Accepted);
    assert_eq!(under(All, &ports, &json!([yes(&json!({"name": "gw"}))])), Acceptance::Accepted, "it speaks for both");
}

#[test]
fn a_parent_that_only_the_status_has_neither_accepts_nor_holds_up() {
    let gone = json!({"name": "gone", "namespace": "infra"});
    let late = both(&gone, "True", "True", Some(2));
    assert_eq!(under(Any, &json!([gateway()]), &json!([yes(&gateway()), late])), Acceptance::Accepted);
    let nothing = pending(&format!("{GATEWAY}, which has said nothing of it"));
    assert_eq!(under(Any, &json!([gateway()]), &json!([yes(&gone)])), nothing);
}

#[test]
fn of_several_controllers_on_one_parent_one_that_accepts_is_enough() {
    let parents = json!([gateway()]);
    let no = both(&gateway(), "False", "True", Some(4));
    let old = both(&gateway(), "True", "True", Some(3));
    for policy in [Any, All] {
        assert_eq!(under(policy, &parents, &json!([no, yes(&gateway())])), Acceptance::Accepted);
        assert_eq!(under(policy, &parents, &json!([old, yes(&gateway())])), Acceptance::Accepted, "it was uninstalled");
        assert!(matches!(under(policy, &parents, &json!([old, no])), Acceptance::Refused(_)));
    }
}

#[test]
fn a_route_without_parents_serves_nobody_and_a_virtual_service_is_always_accepted() {
    for policy in [Any, All] {
        assert!(matches!(under(policy, &json!([]), &json!([])), Acceptance::Refused(_)));
    }
    let object = virtual_service(&json!([]));
    assert_eq!(view(&route(RouteKind::VirtualService), &object, &BACKENDS).acceptance, Acceptance::Accepted);
}

/// A route with these rules whose one parent says that some reference does not resolve.
fn unresolved(rules: &Value, reason: &str, message: &str) -> RouteView {
    let mut said = both(&gateway(), "True", "False", Some(4));
    said["conditions"][1]["reason"] = json!(reason);
    said["conditions"][1]["message"] = json!(message);
    seen_by(Any, rules, &json!([gateway()]), &json!([said]))
}

#[test]
fn a_reference_of_another_rule_that_does_not_resolve_is_a_warning() {
    let reports = json!({"backendRefs": [reference("reports", 1)]});
    let mirror = json!({"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "shadow", "port": 80}}});
    let mirroring = json!({"filters": [mirror], "backendRefs": [reference("podinfo-stable", 1)]});
    for (other, reason, message) in [
        (&reports, "BackendNotFound", "backend(reports.shop.svc.cluster.local) not found"),
        (&reports, "BackendNotFound", ""),
        (&reports, "BackendNotFound", "Service shop/podinfo-canary-reports not found"),
        (&reports, "RefNotPermitted", "backendRef other/reports not accessible to a HTTPRoute in namespace shop"),
        (&reports, "InvalidKind", "referencing unsupported backendRef"),
        (&mirroring, "BackendNotFound", "Service shop/shadow not found"),
    ] {
        let seen = unresolved(&json!([split(100, 0), other]), reason, message);
        assert_eq!(seen.acceptance, Acceptance::Accepted, "{reason}: {message}");
        let warning = seen.warnings.join("; ");
        assert!(
            warning.starts_with(&format!("{GATEWAY}: example.com/controller says ResolvedRefs=False: {reason}")),
            "{warning}"
        );
        assert_eq!(seen.problem, None);
    }
}

#[test]
fn a_reference_that_may_be_ours_and_does_not_resolve_holds() {
    let reports = json!({"backendRefs": [reference("reports", 1)]});
    let third = json!({"backendRefs": [reference("podinfo-stable", 80), reference("podinfo-canary", 0), reference("legacy", 20)]});
    let extended = |mut rule: Value| {
        rule["filters"] = json!([{"type": "ExtensionRef", "extensionRef": {"group": "g", "kind": "K", "name": "n"}}]);
        rule
    };
    let mut backend_extended = split(100, 0);
    backend_extended["backendRefs"][0] = extended(backend_extended["backendRefs"][0].clone());
    let other = "Service shop/reports not found";
    for (rules, reason, message) in [
        (json!([split(100, 0)]), "BackendNotFound", "not found"),
        (json!([split(100, 0), {"backendRefs": [reference("podinfo-canary", 1)]}]), "BackendNotFound", ""),
        (json!([split(100, 0), reports]), "BackendNotFound", "Service shop/podinfo-canary not found"),
        (json!([split(100, 0), reports]), "BackendNotFound", "podinfo-stable.shop.svc: port 80 not found"),
        (json!([third, reports]), "BackendNotFound", other),
        (json!([extended(split(100, 0)), reports]), "BackendNotFound", other),
        (json!([backend_extended, reports]), "BackendNotFound", other),
        (json!([split(100, 0), reports]), "UnsupportedProtocol", other),
        (json!([split(100, 0), reports]), "SomethingElse", other),
    ] {
        let seen = unresolved(&rules, reason, message);
        assert!(matches!(seen.acceptance, Acceptance::Refused(_)), "{rules}: {reason}: {message}");
    }
}

#[test]
fn a_rule_that_was_dropped_holds_whichever_it_was() {
    for message in ["Dropped Rule(s): 1: reports", "Fall Back to generation 3", ""] {
        let mut said = yes(&gateway());
        let mut dropped = condition("PartiallyInvalid", "True", Some(4));
        dropped["message"] = json!(message);
        said["conditions"].as_array_mut().unwrap().push(dropped);
        let rules = json!([split(100, 0), {"backendRefs": [reference("reports", 1)]}]);
        let seen = seen_by(Any, &rules, &json!([gateway()]), &json!([said]));
        let Acceptance::Refused(words) = seen.acceptance else { panic!("{message}") };
        assert!(words.contains("PartiallyInvalid=True: Why") && words.contains(message), "{words}");
    }
    let mut mended = yes(&gateway());
    mended["conditions"].as_array_mut().unwrap().push(condition("PartiallyInvalid", "True", Some(3)));
    assert_eq!(
        under(Any, &json!([gateway()]), &json!([mended])),
        Acceptance::Accepted,
        "it was of an earlier generation"
    );
}
