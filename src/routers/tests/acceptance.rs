//! What implementations say of a route.

use leadsman_core::observed::Acceptance;
use serde_json::{Value, json};

use super::super::{RouteKind, view};
use super::{BACKENDS, http_route, route, split, virtual_service};

fn acceptance(parents: &Value, reports: &Value) -> Acceptance {
    let mut object = http_route(&json!([split(100, 0)]));
    object["spec"]["parentRefs"] = parents.clone();
    object["status"] = json!({"parents": reports});
    view(&route(RouteKind::HttpRoute), &object, &BACKENDS).acceptance
}

/// A report at the present generation, 4, unless another is given.
fn report(parent: &Value, accepted: &str, resolved: &str, generation: Option<i64>) -> Value {
    let condition = |kind: &str, status: &str| {
        let mut condition = json!({"type": kind, "status": status, "reason": "Why", "message": "in words"});
        if let Some(generation) = generation {
            condition["observedGeneration"] = json!(generation);
        }
        condition
    };
    json!({
        "controllerName": "example.com/controller",
        "parentRef": parent,
        "conditions": [condition("Accepted", accepted), condition("ResolvedRefs", resolved)],
    })
}

#[test]
fn every_parent_has_to_have_accepted_the_present_generation() {
    let (gateway, service) =
        (json!({"name": "public"}), json!({"group": "", "kind": "Service", "name": "podinfo", "port": 80}));
    let both = json!([gateway, service]);
    let yes = |parent| report(parent, "True", "True", Some(4));
    for (reports, expected) in [
        (json!([yes(&gateway), yes(&service)]), Acceptance::Accepted),
        (json!([yes(&gateway)]), Acceptance::Pending),
        (json!([]), Acceptance::Pending),
        (json!([yes(&gateway), report(&service, "True", "True", Some(3))]), Acceptance::Pending),
        (json!([yes(&gateway), report(&service, "False", "True", Some(3))]), Acceptance::Pending),
        (json!([yes(&gateway), report(&service, "Unknown", "True", Some(4))]), Acceptance::Pending),
        (json!([yes(&gateway), report(&service, "True", "True", Some(5))]), Acceptance::Accepted),
        (json!([yes(&gateway), report(&service, "True", "True", None)]), Acceptance::Accepted),
        (
            json!([yes(&gateway), {"parentRef": service, "conditions": [{"type": "Accepted", "status": "True"}]}]),
            Acceptance::Pending,
        ),
    ] {
        assert_eq!(acceptance(&both, &reports), expected, "{reports}");
    }
}

#[test]
fn a_refusal_is_told_with_parent_controller_and_words() {
    let gateway = json!({"name": "public", "namespace": "infra", "sectionName": "https"});
    for (accepted, resolved, kind) in [("False", "True", "Accepted"), ("True", "False", "ResolvedRefs")] {
        let words = format!("Gateway infra/public (https): example.com/controller says {kind}=False: Why: in words");
        let reports = json!([report(&gateway, accepted, resolved, Some(4))]);
        assert_eq!(acceptance(&json!([gateway]), &reports), Acceptance::Refused(words));
    }
}

#[test]
fn parents_are_the_same_when_they_mean_the_same() {
    let short = json!({"name": "public"});
    let long = json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public", "namespace": "shop"});
    assert_eq!(acceptance(&json!([short]), &json!([report(&long, "True", "True", Some(4))])), Acceptance::Accepted);
    for other in [
        json!({"name": "public", "namespace": "infra"}),
        json!({"name": "public", "sectionName": "https"}),
        json!({"name": "public", "port": 80}),
        json!({"name": "public", "kind": "Service", "group": ""}),
    ] {
        let reports = json!([report(&other, "True", "True", Some(4))]);
        assert_eq!(acceptance(&json!([short]), &reports), Acceptance::Pending, "{other}");
    }
}

#[test]
fn of_several_controllers_one_that_accepts_is_enough() {
    let gateway = json!({"name": "public"});
    let yes = report(&gateway, "True", "True", Some(4));
    let no = report(&gateway, "False", "True", Some(4));
    let old = report(&gateway, "True", "True", Some(3));
    assert_eq!(acceptance(&json!([gateway]), &json!([no, yes])), Acceptance::Accepted);
    assert!(matches!(acceptance(&json!([gateway]), &json!([old, no])), Acceptance::Refused(_)));
}

#[test]
fn a_route_without_parents_serves_nobody_and_a_virtual_service_is_always_accepted() {
    assert!(matches!(acceptance(&json!([]), &json!([])), Acceptance::Refused(_)));
    let object = virtual_service(&json!([]));
    assert_eq!(view(&route(RouteKind::VirtualService), &object, &BACKENDS).acceptance, Acceptance::Accepted);
}
