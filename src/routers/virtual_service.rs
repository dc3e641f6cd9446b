//! Istio's VirtualService: the destinations of `spec.http[]`.
//!
//! It has no status to rely on (Istio writes one only with its analysis switched on, and late), so what was written counts
//! as accepted. Routes for TCP and TLS are left alone; what they give to `canaryService` is counted.

use leadsman_core::observed::Acceptance;
use serde_json::{Value, json};

use super::json::{filled, list, place, quoted, text};
use super::rule::{Backend, Rule, is_named, weight};
use super::{Backends, Side};

/// What a destination without a weight counts as beside others.
const ABSENT_WEIGHT: u64 = 0;
/// The lists of routes that are not for HTTP.
const OTHER_PROTOCOLS: [&str; 2] = ["tcp", "tls"];

/// Every route of it, for whatever protocol. Split are the http routes named in `only`, or, where it is empty, all that
/// name both Services.
pub(super) fn rules<'a>(object: &'a Value, only: &[String], backends: &Backends<'_>) -> Vec<Rule<'a>> {
    let split = routes(object, "http").map(|(index, route)| {
        let mut read = rule("http", index, route, backends);
        read.is_split = is_named(route, only) || (only.is_empty() && read.names_both());
        read
    });
    let others = OTHER_PROTOCOLS.into_iter().flat_map(|protocol| {
        routes(object, protocol).map(move |(index, route)| rule(protocol, index, route, backends))
    });
    split.chain(others).collect()
}

fn routes<'a>(object: &'a Value, protocol: &str) -> impl Iterator<Item = (usize, &'a Value)> {
    list(object.get("spec").and_then(|spec| spec.get(protocol))).enumerate()
}

fn rule<'a>(protocol: &str, index: usize, route: &'a Value, backends: &Backends<'_>) -> Rule<'a> {
    let destinations = list(route.get("route")).enumerate();
    let backend = |(place, destination)| backend(protocol, index, place, destination, backends);
    Rule {
        at: place(&format!("spec.{protocol}"), index, route),
        is_split: false,
        backends: destinations.map(backend).collect(),
        single_gets_all: true,
        keeps_sessions: false,
    }
}

fn backend<'a>(
    protocol: &str,
    route: usize,
    place: usize,
    destination: &'a Value,
    backends: &Backends<'_>,
) -> Backend<'a> {
    let pointer = format!("/spec/{protocol}/{route}/route/{place}");
    let host = host(destination.get("destination"));
    Backend {
        name_pointer: format!("{pointer}/destination/host"),
        pointer,
        name: host,
        side: side(host, backends),
        weight: weight(destination, ABSENT_WEIGHT),
    }
}

fn host(destination: Option<&Value>) -> &str {
    destination.and_then(|destination| text(destination, "host")).unwrap_or_default()
}

fn side(host: &str, backends: &Backends<'_>) -> Option<Side> {
    service(host, backends.namespace).and_then(|service| backends.side(service))
}

/// The first name in `only` that no http route has, as a problem.
pub(super) fn absent(object: &Value, only: &[String]) -> Option<String> {
    let has = |name: &String| routes(object, "http").any(|(_, route)| is_named(route, std::slice::from_ref(name)));
    let name = only.iter().find(|name| !has(name))?;
    Some(format!(
        "has no http route named {name}: name one that it has, or leave routes out for all that name both Services"
    ))
}

/// A VirtualService is not acknowledged by anybody.
pub(super) fn acceptance() -> Acceptance {
    Acceptance::Accepted
}

/// Where requests are sent a second time to `canaryService`, in words.
pub(super) fn mirrors(object: &Value, backends: &Backends<'_>) -> Vec<String> {
    let all = routes(object, "http").flat_map(|(index, route)| {
        let share = |value: Option<&Value>| value.and_then(Value::as_f64);
        // The one mirror has its share beside it, under one of three names of three ages; each of many has its own.
        let percentage = share(route.pointer("/mirrorPercentage/value"));
        let beside = percentage.or(share(route.get("mirrorPercent"))).or(share(route.get("mirror_percent")));
        let one = route.get("mirror").map(|mirror| (host(Some(mirror)), beside));
        let many = list(route.get("mirrors"));
        let many = many.map(move |it| (host(it.get("destination")), share(it.pointer("/percentage/value"))));
        one.into_iter().chain(many).map(move |(host, share)| (index, route, host, share.unwrap_or(100.0)))
    });
    all.filter(|(_, _, host, _)| side(host, backends) == Some(Side::Canary))
        .filter_map(|(index, route, _, share)| super::mirrored(&place("spec.http", index, route), share, backends))
        .collect()
}

/// Whether requests from the mesh to one of our Services pass this route: it is one of its hosts.
pub(super) fn takes_calls_to<'a>(object: &Value, backends: &'a Backends<'_>) -> Option<&'a str> {
    let mut gateways = list(object.pointer("/spec/gateways")).filter_map(Value::as_str).peekable();
    if gateways.peek().is_some() && !gateways.any(|gateway| gateway == "mesh") {
        return None;
    }
    let hosts = list(object.pointer("/spec/hosts")).filter_map(Value::as_str);
    hosts.filter_map(|host| side(host, backends)).map(|side| backends.name(side)).next()
}

/// What stands in the way of a split in a VirtualService none of whose http routes names both Services, where it can be
/// told.
pub(super) fn shape(object: &Value, backends: &Backends<'_>) -> Option<String> {
    let Backends { stable, canary, namespace } = backends;
    if routes(object, "http").next().is_none() {
        let present = OTHER_PROTOCOLS.into_iter().filter(|protocol| routes(object, protocol).next().is_some());
        let present: Vec<_> = present.collect();
        return (!present.is_empty()).then(|| {
            let protocols = present.join(" and ");
            format!("has only {protocols} routes, which are not split yet: name one with http routes")
        });
    }
    routes(object, "http").find_map(|(index, route)| {
        let at = place("spec.http", index, route);
        if let Some(delegate) = route.get("delegate") {
            let to = quoted(filled(delegate, "name").unwrap_or("?"));
            let there = filled(delegate, "namespace").filter(|there| there != namespace);
            let hint = there.map_or_else(String::new, |there| {
                format!(" (it has to be in the Rollout's namespace, {namespace}, not {})", quoted(there))
            });
            return Some(format!("{at} hands over to the VirtualService {to}: name that one instead{hint}"));
        }
        let destinations = || list(route.get("route")).filter_map(|it| it.get("destination"));
        let hosts: Vec<_> = destinations().map(|it| host(Some(it))).collect();
        let has_subsets = destinations().any(|destination| filled(destination, "subset").is_some());
        if has_subsets && hosts.len() > 1 && hosts.windows(2).all(|pair| pair.first() == pair.last()) {
            let host = quoted(hosts.first().copied().unwrap_or_default());
            return Some(format!(
                "{at} splits {host} between subsets: name the hosts {stable} and {canary} instead, without subsets"
            ));
        }
        let elsewhere = hosts.iter().find(|host| {
            let name = host.split('.').next().unwrap_or_default();
            side(host, backends).is_none() && backends.side(name).is_some()
        })?;
        let host = quoted(elsewhere);
        Some(format!("{at} names {host}, in another namespace: a Rollout's Services are in its own, {namespace}"))
    })
}

/// Adds both Services to http routes without destinations, except those that answer by themselves.
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
