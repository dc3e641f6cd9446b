//! What holds for any object at all.

use leadsman_core::traffic::Weight;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{RouteKind, RouteRef, Shape, declared, linkerd, ownership, patch, view};
use super::{BACKENDS, patched};

/// Texts that the code looks for.
const TEXTS: [&str; 12] = [
    "podinfo-stable",
    "podinfo-canary",
    "podinfo-canary.shop",
    "Service",
    "Gateway",
    "True",
    "False",
    "Accepted",
    "linkerd.io/policy-controller",
    "leadsman",
    "shop",
    "ä.",
];
/// Keys that it looks for.
const KEYS: [&str; 31] = [
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
    "filters",
    "requestMirror",
    "backendRef",
    "mirrors",
    "annotations",
    "controllerName",
    "observedGeneration",
    "managedFields",
    "retry.linkerd.io/http",
    "gateways",
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
        let mut backend = match kind.shape() {
            Shape::Istio => json!({"destination": {"host": name}, "headers": extra}),
            Shape::GatewayApi => {
                json!({"name": name, "filters": extra})
            }
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
        let rule = (vec(backend(kind), 0..4), anything()).prop_map(move |(backends, extra)| match kind.shape() {
            Shape::Istio => json!({"name": "a", "route": backends, "match": extra}),
            Shape::GatewayApi => {
                json!({"backendRefs": backends, "matches": extra})
            }
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
    RouteRef { owned: spec.is_some(), spec, ..super::route(kind) }
}

/// A rule with third backends, in whatever order, and the weights that stand in it: of stable, the canary and the others.
fn with_others() -> impl Strategy<Value = (RouteKind, Value)> {
    let weights = || prop_oneof![4 => 1..=200_u64, 2 => Just(0), 1 => 1..=5_000_u64];
    let kinds = prop::sample::select(RouteKind::ALL.to_vec());
    (kinds, weights(), weights(), vec(weights(), 1..4), any::<prop::sample::Index>()).prop_map(
        |(kind, stable, canary, others, first)| {
            let of = |(name, weight): (&str, u64)| match kind.shape() {
                Shape::Istio => super::destination(name, weight),
                Shape::GatewayApi => super::reference(name, weight),
            };
            let pair = [("podinfo-stable", stable), ("podinfo-canary", canary)];
            let mut backends: Vec<_> =
                pair.into_iter().chain(others.into_iter().map(|weight| ("other", weight))).map(of).collect();
            let turn = first.index(backends.len());
            backends.rotate_left(turn);
            let object = match kind.shape() {
                Shape::Istio => super::virtual_service(&json!([{"route": backends}])),
                Shape::GatewayApi => super::http_route(&json!([{"backendRefs": backends}])),
            };
            (kind, object)
        },
    )
}

/// The weights of a route's first rule by name: stable, canary, the others in their order.
fn weights_of(object: &Value) -> (u128, u128, Vec<u128>) {
    let backends = object.pointer("/spec/rules/0/backendRefs").or(object.pointer("/spec/http/0/route")).unwrap();
    let named = |wanted: &str| {
        let name =
            |it: &Value| it.get("name").or(it.pointer("/destination/host")).unwrap().as_str().unwrap().to_owned();
        let those = backends.as_array().unwrap().iter().filter(|it| name(it) == wanted);
        those.map(|it| u128::from(it["weight"].as_u64().unwrap())).collect::<Vec<_>>()
    };
    (named("podinfo-stable")[0], named("podinfo-canary")[0], named("other"))
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
                let _ = (ownership::is_held(&object), ownership::release(&object));
                let _ = linkerd::conflict(kind, &object, "shop", [(RouteKind::HttpRoute, &spec), (RouteKind::GrpcRoute, &object)]);
                let _ = linkerd::overridden(&object, "shop", std::slice::from_ref(&spec));
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
                // Where a third backend's weight is nothing that can be read, nobody knows the share.
                let third_is_odd = rule.others().any(|other| other.weight.is_none());
                prop_assert!(third_is_odd || rule.share().most == Weight::ZERO);
            }
        }
    }

    #[test]
    fn third_backends_keep_their_share_exactly_and_the_pair_is_split_exactly(
        (kind, object) in with_others(),
        steps in vec(0..=100_u8, 1..6),
    ) {
        let reference = route(kind, None);
        let (stable, canary, others) = weights_of(&object);
        let sum = stable + canary + others.iter().sum::<u128>();
        let sound = view(&reference, &object, &BACKENDS).problem.is_none();
        prop_assert_eq!(sound, stable + canary > 0);
        let mut now = object;
        for weight in steps {
            let weight = Weight::try_from(weight).unwrap();
            now = patched(&now, patch(&reference, &now, &BACKENDS, weight).unwrap());
            let (new_stable, new_canary, new_others) = weights_of(&now);
            let new_sum = new_stable + new_canary + new_others.iter().sum::<u128>();
            // Shares as fractions: a/b == c/d where a*d == c*b.
            for (old, new) in others.iter().zip(&new_others) {
                prop_assert_eq!(old * new_sum, new * sum, "{} of {} became {} of {}", old, sum, new, new_sum);
            }
            if sound {
                prop_assert_eq!(new_canary * 100, u128::from(weight.percent()) * (new_stable + new_canary));
                prop_assert!([new_stable, new_canary].iter().chain(&new_others).all(|weight| *weight <= 1_000_000));
                prop_assert!(view(&reference, &now, &BACKENDS).is_at(weight));
            }
        }
    }

    #[test]
    fn a_declared_route_with_third_backends_differs_only_where_one_has_another_share(
        (kind, object) in with_others(),
        weight in 0..=100_u8,
        other in 0..4_usize,
    ) {
        let weight = Weight::try_from(weight).unwrap();
        let reference = route(kind, Some(object["spec"].clone()));
        if let Ok(fragment) = declared(&reference, &BACKENDS, weight) {
            prop_assert!(!view(&reference, &fragment, &BACKENDS).differs);
            let mut changed = fragment.clone();
            let list = if kind == RouteKind::VirtualService { "/spec/http/0/route" } else { "/spec/rules/0/backendRefs" };
            let backends = changed.pointer_mut(list).unwrap().as_array_mut().unwrap();
            let mut others = backends.iter_mut().filter(|it| it.to_string().contains("other"));
            if let Some(other) = others.nth(other) {
                other["weight"] = json!(other["weight"].as_u64().unwrap() + 1);
                prop_assert!(view(&reference, &changed, &BACKENDS).differs);
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
