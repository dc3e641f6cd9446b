//! HTTPRoute and GRPCRoute of the Gateway API: they have the same backends, weights and parents.

use leadsman_core::names::Side;
use serde_json::{Map, Value, json};

use super::Backends;
use super::json::{filled, list, place, quoted, text};
use super::rule::{Backend, Rule, is_named, weight};

/// What a backend without a weight counts as.
const ABSENT_WEIGHT: u64 = 1;

/// Every rule, also those that name neither Service. Split are those named in `only`, or, where it is empty, all that name
/// both Services.
pub(super) fn rules<'a>(object: &'a Value, only: &[String], backends: &Backends<'_>) -> Vec<Rule<'a>> {
    let rules = numbered(object);
    rules
        .map(|(index, rule)| {
            let references = list(rule.get("backendRefs")).enumerate();
            let mut read = Rule {
                at: place("spec.rules", index, rule),
                is_split: is_named(rule, only),
                backends: references.map(|(place, reference)| backend(index, place, reference, backends)).collect(),
                single_gets_all: false,
                keeps_sessions: rule.get("sessionPersistence").is_some_and(|it| !it.is_null()),
            };
            read.is_split |= only.is_empty() && read.names_both();
            read
        })
        .collect()
}

fn numbered(object: &Value) -> impl Iterator<Item = (usize, &Value)> {
    list(object.pointer("/spec/rules")).enumerate()
}

/// The first name in `only` that no rule has, as a problem.
pub(super) fn absent(object: &Value, only: &[String]) -> Option<String> {
    let has = |name: &String| numbered(object).any(|(_, rule)| is_named(rule, std::slice::from_ref(name)));
    let name = only.iter().find(|name| !has(name))?;
    Some(format!("has no rule named {name}: name one that it has, or leave rules out for all that name both Services"))
}

fn backend<'a>(rule: usize, place: usize, reference: &'a Value, backends: &Backends<'_>) -> Backend<'a> {
    let pointer = format!("/spec/rules/{rule}/backendRefs/{place}");
    Backend {
        name_pointer: format!("{pointer}/name"),
        pointer,
        name: text(reference, "name").unwrap_or_default(),
        side: side(reference, backends),
        weight: weight(reference, ABSENT_WEIGHT),
    }
}

/// The side of our Service that a reference means, if it means one.
fn side(reference: &Value, backends: &Backends<'_>) -> Option<Side> {
    let here = filled(reference, "namespace").is_none_or(|namespace| namespace == backends.namespace);
    backends.side(text(reference, "name")?).filter(|_| here && is_service(reference))
}

/// Whether a reference to a backend is one to a Service: the core group has no name, and is called `core` by some.
fn is_service(reference: &Value) -> bool {
    filled(reference, "group").is_none_or(|group| group.eq_ignore_ascii_case("core"))
        && filled(reference, "kind").unwrap_or("Service") == "Service"
}

/// The filters of a rule and of its backends, each with where it stands, and the backend that it belongs to.
pub(super) fn filters<'a>(rule: &'a Value) -> impl Iterator<Item = (&'a Value, Option<&'a Value>)> {
    let own = list(rule.get("filters")).map(|filter| (filter, None));
    let of_backend = |backend: &'a Value| list(backend.get("filters")).map(move |filter| (filter, Some(backend)));
    own.chain(list(rule.get("backendRefs")).flat_map(of_backend))
}

/// Where requests are sent a second time to `canaryService`, in words.
pub(super) fn mirrors(object: &Value, backends: &Backends<'_>) -> Vec<String> {
    let all = numbered(object).flat_map(|(index, rule)| filters(rule).map(move |(filter, _)| (index, rule, filter)));
    all.filter_map(|(index, rule, filter)| {
        let mirror = filter.get("requestMirror")?;
        let reference = mirror.get("backendRef")?;
        (side(reference, backends) == Some(Side::Canary))
            .then(|| super::mirrored(&place("spec.rules", index, rule), share_of_mirror(mirror), backends))?
    })
    .collect()
}

/// The percentage of requests that a mirror gets; all of them where nothing that can be read says otherwise.
fn share_of_mirror(mirror: &Value) -> f64 {
    let fraction = mirror.get("fraction").and_then(|fraction| {
        let denominator = fraction.get("denominator").and_then(Value::as_f64).unwrap_or(100.0);
        Some(fraction.get("numerator")?.as_f64()? * 100.0 / denominator)
    });
    mirror.get("percent").and_then(Value::as_f64).or(fraction).unwrap_or(100.0)
}

/// Whether a backend's own word could be meant where a controller says that some reference of the route does not resolve:
/// anything but the two Services, as a backend or behind a filter.
pub(super) fn refers_to_others(object: &Value, index: usize, backends: &Backends<'_>) -> bool {
    let Some((_, rule)) = numbered(object).nth(index) else { return false };
    let reference_of = |filter: &Value| {
        let mirrored = filter.pointer("/requestMirror/backendRef").is_some_and(|it| side(it, backends).is_none());
        mirrored || filter.get("extensionRef").is_some()
    };
    list(rule.get("backendRefs")).any(|reference| side(reference, backends).is_none())
        || filters(rule).any(|(filter, _)| reference_of(filter))
}

/// The Services that are its parents: namespace, name, and the port where one is given.
pub(super) fn parent_services<'a>(
    object: &'a Value,
    namespace: &'a str,
) -> impl Iterator<Item = (&'a str, &'a str, Option<u64>)> {
    let services = list(object.pointer("/spec/parentRefs")).filter(|parent| filled(parent, "kind") == Some("Service"));
    services.filter_map(move |parent| {
        let port = parent.get("port").and_then(Value::as_u64).filter(|port| *port > 0);
        Some((filled(parent, "namespace").unwrap_or(namespace), text(parent, "name")?, port))
    })
}

/// What stands in the way of a split in a route none of whose rules names both Services, where it can be told.
pub(super) fn shape(object: &Value, backends: &Backends<'_>) -> Option<String> {
    numbered(object).find_map(|(index, rule)| {
        let elsewhere = list(rule.get("backendRefs")).find_map(|reference| {
            let namespace = filled(reference, "namespace").filter(|namespace| *namespace != backends.namespace)?;
            let name = text(reference, "name").filter(|name| backends.side(name).is_some())?;
            Some((name, namespace))
        });
        elsewhere.map(|(name, namespace)| {
            format!(
                "{} names {name} in namespace {}: a Rollout's Services are in its own namespace, {}",
                place("spec.rules", index, rule),
                quoted(namespace),
                backends.namespace
            )
        })
    })
}

/// Adds both Services to rules without backends. A backend needs a port, which is known only where the parents are Services
/// and all name the same one; elsewhere the rule stays as it is, and is found to name neither.
pub(super) fn fill(object: &mut Value, only: &[String], backends: &Backends<'_>) {
    let Some(port) = port_of_parents(object) else { return };
    let rules = object.pointer_mut("/spec/rules").and_then(Value::as_array_mut);
    for rule in rules.into_iter().flatten().filter(|rule| only.is_empty() || is_named(rule, only)) {
        let Some(rule) = rule.as_object_mut() else { continue };
        let has_none = rule.get("backendRefs").is_none_or(|backends| backends.as_array().is_some_and(Vec::is_empty));
        if has_none && !redirects(rule) {
            let reference = |side| json!({"name": backends.name(side), "port": port});
            rule.insert("backendRefs".to_owned(), json!([reference(Side::Stable), reference(Side::Canary)]));
        }
    }
}

fn port_of_parents(object: &Value) -> Option<u64> {
    let mut ports = list(object.pointer("/spec/parentRefs"))
        .map(|parent| parent.get("port").filter(|_| text(parent, "kind") == Some("Service")).and_then(Value::as_u64));
    let port = ports.next()??;
    ports.all(|other| other == Some(port)).then_some(port)
}

fn redirects(rule: &Map<String, Value>) -> bool {
    list(rule.get("filters")).any(|filter| filter.get("requestRedirect").is_some())
}
