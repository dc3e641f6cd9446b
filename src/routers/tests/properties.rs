//! What holds for any object at all.

use leadsman_core::traffic::Weight;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{RouteKind, RouteRef, declared, patch, view};
use super::{BACKENDS, patched};

/// Texts that the code looks for.
const TEXTS: [&str; 10] = [
    "podinfo-stable",
    "podinfo-canary",
    "podinfo-canary.shop",
    "Service",
    "Gateway",
    "True",
    "False",
    "Accepted",
    "shop",
    "ä.",
];
/// Keys that it looks for.
const KEYS: [&str; 21] = [
    "metadata",
    "spec",
    "status",
    "rules",
    "http",
    "route",
    "backendRefs",
    "destination",
    "host",
    "name",
    "weight",
    "parentRefs",
    "parents",
    "parentRef",
    "conditions",
    "type",
    "status",
    "generation",
    "resourceVersion",
    "port",
    "a/b~c",
];

fn anything() -> impl Strategy<Value = Value> {
    let one_of = |words: &[&'static str]| prop::sample::select(words.to_vec()).prop_map(str::to_owned);
    crate::shapes::json(one_of(&TEXTS), one_of(&KEYS))
}

/// A weight as people and machines might write it.
fn some_weight() -> impl Strategy<Value = Option<Value>> {
    let numbers = prop_oneof![0..=100_u64, 0..=1_000_000_u64, any::<u64>()].prop_map(Value::from);
    prop_oneof![6 => numbers.prop_map(Some), 2 => Just(None), 1 => anything().prop_map(Some)]
}

fn backend(kind: RouteKind) -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec!["podinfo-stable", "podinfo-canary", "podinfo-stable.shop", "third"]);
    (names, some_weight(), anything()).prop_map(move |(name, weight, extra)| {
        let mut backend = match kind {
            RouteKind::VirtualService => json!({"destination": {"host": name}, "headers": extra}),
            RouteKind::HttpRoute | RouteKind::GrpcRoute => json!({"name": name, "filters": extra}),
        };
        if let Some(weight) = weight {
            backend["weight"] = weight;
        }
        backend
    })
}

/// A route with a plausible frame and anything in between.
fn plausible() -> impl Strategy<Value = (RouteKind, Value)> {
    prop::sample::select(RouteKind::ALL.to_vec()).prop_flat_map(|kind| {
        let rule = (vec(backend(kind), 0..4), anything()).prop_map(move |(backends, extra)| match kind {
            RouteKind::VirtualService => json!({"name": "a", "route": backends, "match": extra}),
            RouteKind::HttpRoute | RouteKind::GrpcRoute => json!({"backendRefs": backends, "matches": extra}),
        });
        (vec(rule, 0..4), anything(), anything()).prop_map(move |(rules, extra, status)| {
            let rules_key = if kind == RouteKind::VirtualService { "http" } else { "rules" };
            (
                kind,
                json!({"metadata": {"resourceVersion": "1"}, "spec": {rules_key: rules, "x": extra}, "status": status}),
            )
        })
    })
}

/// The object without the weights of all backends of all rules.
fn without_weights(object: &Value) -> Value {
    let mut object = object.clone();
    for (rules, backends) in [("/spec/rules", "backendRefs"), ("/spec/http", "route")] {
        let rules = object.pointer_mut(rules).and_then(Value::as_array_mut);
        for rule in rules.into_iter().flatten() {
            let backends = rule.get_mut(backends).and_then(Value::as_array_mut);
            for backend in backends.into_iter().flatten().filter_map(Value::as_object_mut) {
                backend.remove("weight");
            }
        }
    }
    object
}

fn route(kind: RouteKind, spec: Option<Value>) -> RouteRef {
    RouteRef { kind, name: "podinfo".to_owned(), only: Vec::new(), spec }
}

proptest! {
    #[test]
    fn nothing_makes_a_view_or_a_patch_panic(object in anything(), spec in anything(), weight in 0..=100_u8) {
        let weight = Weight::try_from(weight).unwrap();
        for kind in RouteKind::ALL {
            let mut reference = route(kind, Some(spec.clone()));
            for only in [vec![], vec!["a".to_owned()]] {
                reference.only = only;
                let _ = view(&reference, &object, &BACKENDS);
                let _ = declared(&reference, &BACKENDS, weight);
                if let Ok(patch) = patch(&reference, &object, &BACKENDS, weight) {
                    patched(&object, patch);
                }
            }
        }
    }

    #[test]
    fn a_patch_leaves_everything_but_weights_untouched((kind, object) in plausible(), weight in 0..=100_u8) {
        let weight = Weight::try_from(weight).unwrap();
        let reference = route(kind, None);
        if let Ok(patch) = patch(&reference, &object, &BACKENDS, weight) {
            let after = patched(&object, patch);
            prop_assert_eq!(without_weights(&after), without_weights(&object));
        }
    }

    #[test]
    fn after_a_patch_a_sound_route_is_at_the_weight_and_needs_no_other((kind, object) in plausible(), weight in 0..=100_u8) {
        let weight = Weight::try_from(weight).unwrap();
        let reference = route(kind, None);
        if let Ok(first) = patch(&reference, &object, &BACKENDS, weight) {
            let after = patched(&object, first);
            prop_assert_eq!(patch(&reference, &after, &BACKENDS, weight), Ok(json!([])));
            let seen = view(&reference, &after, &BACKENDS);
            prop_assert!(seen.problem.is_some() || seen.is_at(weight));
        }
    }

    #[test]
    fn going_back_takes_everything_from_the_canary_where_both_services_are_named((kind, object) in plausible()) {
        let reference = route(kind, None);
        if let Ok(back) = patch(&reference, &object, &BACKENDS, Weight::ZERO) {
            let after = patched(&object, back);
            for rule in reference.rules(&after, &BACKENDS).iter().filter(|rule| rule.names_both()) {
                let third_is_odd = rule.backends.iter().any(|backend| backend.weight.is_none());
                prop_assert!(third_is_odd || rule.share().most == Weight::ZERO);
            }
        }
    }

    #[test]
    fn a_declared_route_is_at_its_weight_and_does_not_differ((kind, object) in plausible(), weight in 0..=100_u8) {
        let weight = Weight::try_from(weight).unwrap();
        let reference = route(kind, Some(object["spec"].clone()));
        if let Ok(fragment) = declared(&reference, &BACKENDS, weight) {
            let seen = view(&reference, &fragment, &BACKENDS);
            prop_assert!(seen.is_at(weight) && !seen.differs && seen.problem.is_none());
        }
    }
}
