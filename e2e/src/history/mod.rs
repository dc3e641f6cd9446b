//! The checker: what happened to routes, Services, slices and sets, seen from outside and held to I1, I2 and I4.
//!
//! [`Recorder`] keeps every change of the kinds that traffic depends on, from the API server's watches. [`judge`] replays
//! the changes of one namespace in the order of their resourceVersions (etcd counts all kinds in one sequence) and looks
//! at each moment: was weight given to a Service without enough ready endpoints of its revision, was anything scaled down
//! or re-pointed that still had traffic? Only what the operator itself wrote can be its fault; who wrote what is in the
//! audit log.

mod fact;
mod judge;
mod recorder;
mod replay;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub use fact::{Change, Fact};
pub use judge::{Verdict, judge};
pub use recorder::Recorder;
use serde_json::Value;

use crate::audit::{Request, seconds};

/// Who wrote what, from the audit log.
#[derive(Clone, Debug, Default)]
pub struct Writers {
    /// Who, and when it was done; seconds since 1970.
    versions: BTreeMap<u64, (String, f64)>,
    deletions: BTreeSet<(String, String, String)>,
}

impl Writers {
    /// Of every request that changed an object.
    pub fn of(requests: &[Request]) -> Self {
        let mut writers = Self::default();
        for request in requests.iter().filter(|request| request.is_done_write()) {
            let user = request.user().to_owned();
            let object = &request.object_ref;
            if request.verb == "delete" {
                writers.deletions.insert((object.resource.clone(), object.name.clone(), user.clone()));
            }
            let version = request.response_object.pointer("/metadata/resourceVersion").and_then(Value::as_str);
            if let Some(version) = version.and_then(|version| version.parse().ok()) {
                // A later request that changed nothing is answered with the same version.
                let done = seconds(request.stage_timestamp);
                writers.versions.entry(version).or_insert((user, done));
            }
        }
        writers
    }

    fn is_by(&self, change: &Change, user: &str) -> bool {
        if change.fact.is_none() {
            let deletion = (change.resource.to_owned(), change.name.clone(), user.to_owned());
            return self.deletions.contains(&deletion);
        }
        self.versions.get(&change.version).is_some_and(|(writer, _)| writer == user)
    }

    /// The same changes with better times. When a change was heard of can be late by seconds, after a watch had to be resumed;
    /// the audit log knows when most were made, and none is later than the next.
    fn timed(&self, changes: &[Change]) -> Vec<Change> {
        let mut changes = changes.to_vec();
        let mut next = f64::INFINITY;
        for change in changes.iter_mut().rev() {
            let done = self.versions.get(&change.version).map_or(change.at, |(_, done)| *done);
            next = next.min(done);
            change.at = next;
        }
        changes
    }

    /// The first change of weights, bindings or sizes that nobody in the audit log made: it could not be judged.
    pub fn unknown<'a>(&self, changes: &'a [Change]) -> Option<&'a Change> {
        let mut last: BTreeMap<(&str, &str), &Fact> = BTreeMap::new();
        changes.iter().find(|change| {
            let Some(fact @ (Fact::Route(_) | Fact::Service { .. } | Fact::Set { .. })) = &change.fact else {
                return false;
            };
            let before = last.insert((change.resource, &change.name), fact);
            before != Some(fact) && !self.versions.contains_key(&change.version)
        })
    }
}
