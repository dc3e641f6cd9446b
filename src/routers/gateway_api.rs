//! HTTPRoute and GRPCRoute of the Gateway API: they have the same backends, weights, parents and status.

use leadsman_core::names::Side;
use leadsman_core::observed::Acceptance;
use serde_json::{Map, Value, json};

use super::Backends;
use super::rule::{Backend, Rule, weight};

/// What a backend without a weight counts as.
const ABSENT_WEIGHT: u64 = 1;

/// Every rule, also those that name neither Service.
pub(super) fn rules<'a>(object: &'a Value, backends: &Backends<'_>) -> Vec<Rule<'a>> {
    let rules = list(object.pointer("/spec/rules")).enumerate();
    rules
        .map(|(index, rule)| {
            let references = list(rule.get("backendRefs")).enumerate();
            let backends = references.map(|(place, reference)| backend(index, place, reference, backends));
            Rule { at: format!("spec.rules[{index}]"), backends: backends.collect(), single_gets_all: false }
        })
        .collect()
}

fn backend<'a>(rule: usize, place: usize, reference: &'a Value, backends: &Backends<'_>) -> Backend<'a> {
    let pointer = format!("/spec/rules/{rule}/backendRefs/{place}");
    let name = text(reference, "name").unwrap_or_default();
    let is_service_here = text(reference, "group").unwrap_or_default().is_empty()
        && text(reference, "kind").unwrap_or("Service") == "Service"
        && text(reference, "namespace").unwrap_or(backends.namespace) == backends.namespace;
    Backend {
        name_pointer: format!("{pointer}/name"),
        pointer,
        name,
        side: backends.side(name).filter(|_| is_service_here),
        weight: weight(reference, ABSENT_WEIGHT),
    }
}

/// Adds both Services to rules without backends. A backend needs a port, which is known only where the parents are Services
/// and all name the same one; elsewhere the rule stays as it is, and is found to name neither.
pub(super) fn fill(object: &mut Value, backends: &Backends<'_>) {
    let Some(port) = port_of_parents(object) else { return };
    let rules = object.pointer_mut("/spec/rules").and_then(Value::as_array_mut);
    for rule in rules.into_iter().flatten().filter_map(Value::as_object_mut) {
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

/// What the implementations say of the present generation.
///
/// Each parent has to be accepted by at least one of those that report on it. Their word says that they read the route,
/// not that any proxy has it: what `settle` is for.
pub(super) fn acceptance(object: &Value, backends: &Backends<'_>) -> Acceptance {
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0);
    let mut parents = list(object.pointer("/spec/parentRefs")).peekable();
    if parents.peek().is_none() {
        return Acceptance::Refused("spec.parentRefs is empty, so no gateway and no mesh serves it".to_owned());
    }
    let mut pending = false;
    for wanted in parents {
        let wanted = Parent::of(wanted, backends);
        let reports = list(object.pointer("/status/parents"))
            .filter(|report| report.get("parentRef").is_some_and(|parent| Parent::of(parent, backends) == wanted));
        match said(reports, generation) {
            Acceptance::Accepted => {}
            Acceptance::Pending | Acceptance::Behind(_) => pending = true,
            Acceptance::Refused(words) => return Acceptance::Refused(format!("{wanted}: {words}")),
        }
    }
    if pending { Acceptance::Pending } else { Acceptance::Accepted }
}

/// What the reports on one parent come to: one that accepts is enough, one that refuses counts only where none does.
fn said<'a>(reports: impl Iterator<Item = &'a Value>, generation: i64) -> Acceptance {
    let mut refusal = None;
    for report in reports {
        let verdicts = ["Accepted", "ResolvedRefs"].map(|kind| condition(report, kind, generation));
        if verdicts.iter().all(|verdict| *verdict == Acceptance::Accepted) {
            return Acceptance::Accepted;
        }
        let refused = verdicts.into_iter().find(|verdict| matches!(verdict, Acceptance::Refused(_)));
        refusal = refusal.or(refused);
    }
    refusal.unwrap_or(Acceptance::Pending)
}

fn condition(report: &Value, kind: &str, generation: i64) -> Acceptance {
    let current = |condition: &&Value| {
        condition.get("observedGeneration").and_then(Value::as_i64).is_none_or(|observed| observed >= generation)
    };
    let found = list(report.get("conditions")).find(|condition| text(condition, "type") == Some(kind)).filter(current);
    match found.and_then(|condition| Some((condition, text(condition, "status")?))) {
        Some((_, "True")) => Acceptance::Accepted,
        Some((condition, "False")) => {
            let words = ["reason", "message"].map(|field| text(condition, field).unwrap_or_default());
            let by = text(report, "controllerName").unwrap_or("its controller");
            Acceptance::Refused(format!("{by} says {kind}=False: {}", words.join(": ")))
        }
        _ => Acceptance::Pending,
    }
}

/// A parentRef with what is left out filled in, so that two that mean the same are equal.
#[derive(Debug, PartialEq, Eq)]
struct Parent<'a> {
    group: &'a str,
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
    section: Option<&'a str>,
    port: Option<u64>,
}

impl<'a> Parent<'a> {
    fn of(reference: &'a Value, backends: &Backends<'a>) -> Self {
        Self {
            group: text(reference, "group").unwrap_or("gateway.networking.k8s.io"),
            kind: text(reference, "kind").unwrap_or("Gateway"),
            namespace: text(reference, "namespace").unwrap_or(backends.namespace),
            name: text(reference, "name").unwrap_or_default(),
            section: text(reference, "sectionName"),
            port: reference.get("port").and_then(Value::as_u64),
        }
    }
}

impl std::fmt::Display for Parent<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)?;
        self.section.map_or(Ok(()), |section| write!(f, " ({section})"))
    }
}

fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object.get(field).and_then(Value::as_str)
}
