//! Istio's VirtualService: the destinations of `spec.http[]`.
//!
//! It has no status to rely on (Istio writes one only with its analysis switched on, and late), so what was written counts
//! as accepted. Routes for TCP and TLS are left alone.

use leadsman_core::observed::Acceptance;
use serde_json::{Value, json};

use super::rule::{Backend, Rule, weight};
use super::{Backends, Side};

/// What a destination without a weight counts as beside others.
const ABSENT_WEIGHT: u64 = 0;

/// The http routes that are split, or could be: those named in `only`, or all where it is empty.
pub(super) fn rules<'a>(object: &'a Value, only: &[String], backends: &Backends<'_>) -> Vec<Rule<'a>> {
    let chosen = http(object).filter(|(_, rule)| only.is_empty() || is_named(rule, only));
    chosen
        .map(|(index, rule)| {
            let at = match rule.get("name").and_then(Value::as_str) {
                Some(name) => format!("spec.http[{index}] ({name})"),
                None => format!("spec.http[{index}]"),
            };
            let destinations = rule.get("route").and_then(Value::as_array).into_iter().flatten().enumerate();
            let backends = destinations.map(|(place, destination)| backend(index, place, destination, backends));
            Rule { at, backends: backends.collect(), single_gets_all: true }
        })
        .collect()
}

/// The first name in `only` that no http route has, as a problem.
pub(super) fn absent(object: &Value, only: &[String]) -> Option<String> {
    let has = |name: &String| http(object).any(|(_, rule)| is_named(rule, std::slice::from_ref(name)));
    let name = only.iter().find(|name| !has(name))?;
    Some(format!(
        "has no http route named {name}: name one that it has, or leave routes out for all that name both Services"
    ))
}

/// A VirtualService is not acknowledged by anybody.
pub(super) fn acceptance() -> Acceptance {
    Acceptance::Accepted
}

/// Adds both Services to rules without destinations, except those that answer by themselves.
pub(super) fn fill(object: &mut Value, only: &[String], backends: &Backends<'_>) {
    let rules = object.pointer_mut("/spec/http").and_then(Value::as_array_mut);
    for rule in rules.into_iter().flatten().filter(|rule| only.is_empty() || is_named(rule, only)) {
        let Some(rule) = rule.as_object_mut() else { continue };
        let answers_itself = ["redirect", "directResponse", "delegate"].iter().any(|field| rule.contains_key(*field));
        let has_none = rule.get("route").is_none_or(|route| route.as_array().is_some_and(Vec::is_empty));
        if has_none && !answers_itself {
            let destination = |side| json!({"destination": {"host": backends.name(side)}});
            rule.insert("route".to_owned(), json!([destination(Side::Stable), destination(Side::Canary)]));
        }
    }
}

fn http(object: &Value) -> impl Iterator<Item = (usize, &Value)> {
    object.pointer("/spec/http").and_then(Value::as_array).into_iter().flatten().enumerate()
}

fn is_named(rule: &Value, only: &[String]) -> bool {
    rule.get("name").and_then(Value::as_str).is_some_and(|name| only.iter().any(|wanted| wanted == name))
}

fn backend<'a>(rule: usize, place: usize, destination: &'a Value, backends: &Backends<'_>) -> Backend<'a> {
    let pointer = format!("/spec/http/{rule}/route/{place}");
    let host = destination.pointer("/destination/host").and_then(Value::as_str).unwrap_or_default();
    Backend {
        name_pointer: format!("{pointer}/destination/host"),
        pointer,
        name: host,
        side: service(host, backends.namespace).and_then(|service| backends.side(service)),
        weight: weight(destination, ABSENT_WEIGHT),
    }
}

/// The Service in `namespace` that a host stands for: `name`, `name.namespace`, `name.namespace.svc` or, whatever the
/// cluster's domain is, `name.namespace.svc.domain`.
fn service<'a>(host: &'a str, namespace: &str) -> Option<&'a str> {
    let Some((name, rest)) = host.split_once('.') else { return Some(host) };
    let domain = rest.strip_prefix(namespace)?;
    let fits =
        domain.is_empty() || domain == ".svc" || domain.strip_prefix(".svc.").is_some_and(|rest| !rest.is_empty());
    fits.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_stands_for_a_service_in_each_of_its_four_forms() {
        for host in ["podinfo", "podinfo.shop", "podinfo.shop.svc", "podinfo.shop.svc.cluster.local"] {
            assert_eq!(service(host, "shop"), Some("podinfo"), "{host}");
        }
        for host in ["podinfo.other", "podinfo.shops", "podinfo.shop.example.com", "podinfo.shop.svc.", "podinfo.svc"] {
            assert_eq!(service(host, "shop"), None, "{host}");
        }
    }
}
