//! What keeps Linkerd from following a route, where its policy controller reports on it.
//!
//! A route that the policy controller cannot convert keeps its predecessor in force, `Accepted` stays true, and weights
//! written to it change nothing (linkerd2, `policy-controller/k8s/index/src/outbound/index.rs`). What it cannot convert is
//! read from there; regular expressions are not tried.

use serde_json::Value;

use super::gateway_api::{filters, parent_services};
use super::json::{list, place, quoted, text};
use super::kind::{RouteKind, Shape};
use super::rule::Rule;
use super::{Backends, parent};

const CONTROLLER: &str = "linkerd.io/policy-controller";

/// Filters that are converted.
const FILTERS: [&str; 3] = ["RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect"];

/// Whether Linkerd reports on a route of the Gateway API in this namespace.
pub fn reports_on(object: &Value, namespace: &str) -> bool {
    let all = parent::with_reports(object, namespace);
    let mut reports = all.iter().flat_map(|(_, reports)| reports);
    reports.any(|report| text(report, "controllerName") == Some(CONTROLLER))
}

/// What of the route itself Linkerd does not follow, and what to do.
pub(super) fn wrong(kind: RouteKind, object: &Value, rules: &[Rule<'_>], backends: &Backends<'_>) -> Option<String> {
    if !reports_on(object, backends.namespace) {
        return None;
    }
    let frozen = "Linkerd would keep the route as it was and follow no weight";
    let numbered = || list(object.pointer("/spec/rules")).enumerate();
    let filter = numbered().find_map(|(index, rule)| {
        let (filter, backend) = filters(rule).find(|(filter, _)| !is_converted(filter))?;
        let kind = quoted(text(filter, "type").unwrap_or("?"));
        let at = place("spec.rules", index, rule);
        match backend {
            None => Some(format!("{at} has a {kind} filter that Linkerd does not know: take it off, {frozen}")),
            // Only the backend that has it is not served; somebody else's is somebody else's business.
            Some(backend) => {
                let name = text(backend, "name").unwrap_or_default();
                backends.side(name).map(|_| {
                    format!(
                        "{at} has a {kind} filter on {name} that Linkerd does not know: take it off, requests to {name} would fail"
                    )
                })
            }
        }
    });
    let without_port = || {
        let mut split = numbered().zip(rules).filter(|(_, rule)| rule.is_written());
        split.find_map(|((_, rule), read)| {
            let mut backends = list(rule.get("backendRefs")).zip(&read.backends);
            let (_, backend) =
                backends.find(|(it, read)| read.side.is_some() && it.get("port").is_none_or(Value::is_null))?;
            Some(format!("{} names {} without a port, which Linkerd wants: add it", read.at, backend.name))
        })
    };
    let annotation = || {
        let annotations = object.pointer("/metadata/annotations").and_then(Value::as_object)?;
        let (name, value) = annotations
            .iter()
            .find(|(name, value)| value.as_str().is_some_and(|value| !is_understood(kind, name, value)))?;
        let value = quoted(value.as_str().unwrap_or_default());
        Some(format!("annotation {name} is {value:?}, which Linkerd does not understand: correct it, {frozen}"))
    };
    filter.or_else(without_port).or_else(annotation)
}

/// Whether the policy controller knows a filter.
fn is_converted(filter: &Value) -> bool {
    let path = filter.pointer("/requestRedirect/path");
    let is_absolute = path.is_none_or(|path| {
        let given = text(path, "replaceFullPath").or(text(path, "replacePrefixMatch"));
        given.is_some_and(|path| path.starts_with('/'))
    });
    text(filter, "type").is_some_and(|kind| FILTERS.contains(&kind)) && is_absolute
}

/// Whether the policy controller can read an annotation of the route; others' are none of its business.
fn is_understood(kind: RouteKind, name: &str, value: &str) -> bool {
    match (name, kind) {
        ("retry.linkerd.io/limit", _) => value.parse::<u16>().is_ok(),
        ("retry.linkerd.io/http", RouteKind::HttpRoute | RouteKind::LinkerdHttpRoute) => {
            value.split(',').all(is_http_condition)
        }
        ("retry.linkerd.io/grpc", RouteKind::GrpcRoute) => value.split(',').all(is_grpc_condition),
        (
            "retry.linkerd.io/timeout"
            | "timeout.linkerd.io/request"
            | "timeout.linkerd.io/response"
            | "timeout.linkerd.io/idle",
            _,
        ) => is_duration(value),
        _ => true,
    }
}

/// `5xx`, `gateway-error`, a status, or a range of statuses.
fn is_http_condition(condition: &str) -> bool {
    let status = |text: &str| text.parse::<u32>().ok().filter(|status| (100..600).contains(status));
    let is_range = || {
        let (first, last) = condition.split_once('-')?;
        Some(status(first)? <= status(last)?)
    };
    ["5xx", "gateway-error"].iter().any(|word| condition.eq_ignore_ascii_case(word))
        || status(condition).is_some()
        || is_range() == Some(true)
}

fn is_grpc_condition(condition: &str) -> bool {
    let known = ["cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"];
    known.iter().any(|word| condition.eq_ignore_ascii_case(word))
}

/// A whole number and a unit from milliseconds to days; 0 needs none.
fn is_duration(text: &str) -> bool {
    let text = text.trim();
    let digits = text.rfind(|letter: char| letter.is_ascii_digit()).map_or(0, |last| last + 1);
    let (magnitude, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000_u64,
        "" if magnitude == "0" => 0,
        _ => return false,
    };
    magnitude.parse::<u64>().is_ok_and(|magnitude| magnitude.checked_mul(factor).is_some())
}

/// Another route that takes the same calls, while Linkerd follows HTTPRoutes or GRPCRoutes of a Service, never both.
/// `others` are routes of the Gateway API in the namespace, in whatever order; only those for the other protocol count.
pub fn conflict<'a>(
    kind: RouteKind,
    object: &Value,
    namespace: &str,
    others: impl IntoIterator<Item = (RouteKind, &'a Value)>,
) -> Option<String> {
    let ours: Vec<_> = parent_services(object, namespace).collect();
    let overlap = |other: &Value| {
        parent_services(other, namespace).find_map(|(there, name, port)| {
            let same = |(namespace, service, its): &&(&str, &str, Option<u64>)| {
                *namespace == there && *service == name && (its.is_none() || port.is_none() || *its == port)
            };
            ours.iter().find(same).map(|_| quoted(name))
        })
    };
    let others = others.into_iter().filter(|(other, _)| {
        other.shape() == Shape::GatewayApi && (*other == RouteKind::GrpcRoute) != (kind == RouteKind::GrpcRoute)
    });
    others
        .filter_map(|(other, route)| Some((other, route, overlap(route)?)))
        .map(|(other, route, service)| {
            let name = route.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
            format!(
                "{} {name} has the same parent, Service {service}, and Linkerd follows one kind of route per Service: remove one of them",
                other.full_name()
            )
        })
        .next()
}

/// A ServiceProfile that wins over the route: it is of one of the parents, and has routes or overrides of its own. Its name
/// ends in the cluster's domain, whatever that is.
pub fn overridden(object: &Value, namespace: &str, profiles: &[Value]) -> Option<String> {
    let parents: Vec<_> =
        parent_services(object, namespace).map(|(namespace, name, _)| format!("{name}.{namespace}.svc.")).collect();
    let name = |profile: &'_ Value| profile.pointer("/metadata/name").and_then(Value::as_str).map(str::to_owned);
    let filled = |profile: &Value, pointer: &str| list(profile.pointer(pointer)).next().is_some();
    let profile = profiles.iter().find(|profile| {
        let is_ours = name(profile).is_some_and(|name| parents.iter().any(|parent| name.starts_with(parent.as_str())));
        is_ours && (filled(profile, "/spec/routes") || filled(profile, "/spec/dstOverrides"))
    })?;
    let name = quoted(&name(profile).unwrap_or_default());
    Some(format!("ServiceProfile {name} has routes or dstOverrides, so Linkerd ignores the route: remove the profile"))
}
