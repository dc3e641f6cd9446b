//! What a route hangs on, and which report in its status is about which parent.
//!
//! Controllers copy a parentRef into their report with fields filled in, left out or, in some versions, wrong. A report
//! belongs to the parents of the spec that it resembles most.

use std::fmt;

use serde_json::Value;

use super::json::{filled, list, quoted, text};

const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";

/// A parentRef with what is left out filled in, so that two that mean the same are equal.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parent<'a> {
    group: &'a str,
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
    section: Option<&'a str>,
    port: Option<u64>,
}

/// How much a report's parentRef resembles one of the spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Likeness {
    /// Name, section and port fit; the namespace is another, or the kind may have been left out. Envoy Gateway wrote
    /// `default` as namespace for years (envoyproxy/gateway#4127).
    Remote,
    /// The same, but for a section or a port that one of the two leaves out.
    Close,
    /// The same.
    Exact,
}

impl<'a> Parent<'a> {
    pub fn of(reference: &'a Value, namespace: &'a str) -> Self {
        let kind = filled(reference, "kind").unwrap_or("Gateway");
        let group = filled(reference, "group");
        let is_core = kind == "Service" && group.is_none_or(|group| group.eq_ignore_ascii_case("core"));
        Self {
            // The core group has no name, and is called `core` by some.
            group: if is_core { "" } else { group.unwrap_or(GATEWAY_GROUP) },
            kind,
            namespace: filled(reference, "namespace").unwrap_or(namespace),
            name: text(reference, "name").unwrap_or_default(),
            section: filled(reference, "sectionName"),
            port: reference.get("port").and_then(Value::as_u64).filter(|port| *port > 0),
        }
    }

    fn likeness(&self, reported: &Self) -> Option<Likeness> {
        if self == reported {
            return Some(Likeness::Exact);
        }
        let fits = self.name == reported.name
            && (self.section == reported.section || self.section.is_none() || reported.section.is_none())
            && (self.port == reported.port || self.port.is_none() || reported.port.is_none());
        if !fits {
            return None;
        }
        let same_kind = (self.group, self.kind) == (reported.group, reported.kind);
        if same_kind && self.namespace == reported.namespace {
            return Some(Likeness::Close);
        }
        // The API server fills in group and kind where they are left out, with those of a Gateway.
        let left_out = reported.group == GATEWAY_GROUP && ["Gateway", self.kind].contains(&reported.kind);
        (same_kind || left_out).then_some(Likeness::Remote)
    }
}

impl fmt::Display for Parent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [kind, namespace, name] = [self.kind, self.namespace, self.name].map(quoted);
        write!(f, "{kind} {namespace}/{name}")?;
        match (self.section, self.port) {
            (Some(section), _) => write!(f, " ({})", quoted(section)),
            (None, Some(port)) => write!(f, " (port {port})"),
            (None, None) => Ok(()),
        }
    }
}

/// The parents of a route's spec, each with the reports in its status that are about it. A report about a parent that the
/// spec does not have (any more) is nobody's.
pub(super) fn with_reports<'a>(object: &'a Value, namespace: &'a str) -> Vec<(Parent<'a>, Vec<&'a Value>)> {
    let parents: Vec<_> =
        list(object.pointer("/spec/parentRefs")).map(|reference| Parent::of(reference, namespace)).collect();
    let mut found: Vec<Vec<(Likeness, &Value)>> = parents.iter().map(|_| Vec::new()).collect();
    for report in list(object.pointer("/status/parents")) {
        let Some(reference) = report.get("parentRef") else { continue };
        let reported = Parent::of(reference, namespace);
        let likenesses: Vec<_> = parents.iter().map(|parent| parent.likeness(&reported)).collect();
        let best = likenesses.iter().flatten().max().copied();
        for (likeness, reports) in likenesses.iter().zip(&mut found) {
            if let Some(likeness) = likeness.filter(|likeness| Some(*likeness) == best) {
                reports.push((likeness, report));
            }
        }
    }
    let nearest = |reports: Vec<(Likeness, &'a Value)>| {
        let best = reports.iter().map(|(likeness, _)| *likeness).max();
        reports.into_iter().filter(|(likeness, _)| Some(*likeness) == best).map(|(_, report)| report).collect()
    };
    parents.into_iter().zip(found).map(|(parent, reports)| (parent, nearest(reports))).collect()
}
