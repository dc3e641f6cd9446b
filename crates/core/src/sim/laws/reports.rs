//! Laws of reports: one for each attempt, with everything that was persisted of it, and nothing twice.

use super::{Law, Laws, law};
use crate::sim::process::Passed;
use crate::sim::world::{Told, World};
use crate::state::State;

/// What happens at most once in an attempt.
const ONCE: [&str; 6] = ["ReleaseStarted", "RollingBack", "Promoting", "Promoted", "Deployed", "RolledBack"];

impl Laws {
    /// What is persisted has to be told, whatever happens to the operator.
    pub(super) fn note_recorded(&mut self, passed: &Passed) {
        let Some(recorded) = &mut self.recorded else { return };
        for record in passed.before.iter().flat_map(|state| &state.records) {
            let entries = record.entries.iter().cloned();
            recorded.extend(entries.map(|entry| ((record.canary.number, entry.index), entry)));
        }
    }

    /// T1 to T3, once everything has come to rest.
    pub(super) fn every_attempt_is_told(&self, state: &State, world: &World) -> Law {
        for (number, told) in &world.reports {
            Self::is_told_once(*number, told)?;
        }
        let Some(recorded) = &self.recorded else { return Ok(()) };
        let under_way = |number: &u64| state.records.iter().any(|record| record.canary.number == *number);
        for number in (1..=state.attempts).filter(|number| !under_way(number)) {
            let told = world.reports.get(&number).and_then(|told| told.outcome);
            law(told.is_some(), || format!("T1: how attempt {number} ended is told nowhere"))?;
        }
        for ((number, index), entry) in recorded {
            let is_it = |it: &&crate::state::Entry| it.index == *index;
            let told = world.reports.get(number).and_then(|told| told.entries.iter().find(is_it));
            let waits =
                || state.records.iter().any(|it| it.canary.number == *number && it.entries.iter().any(|it| is_it(&it)));
            law(told == Some(entry) || told.is_none() && waits(), || {
                format!("T2: entry {index} of attempt {number} was persisted ({entry:?}) and told as {told:?}")
            })?;
        }
        Ok(())
    }

    /// T3: nothing is told twice.
    fn is_told_once(number: u64, told: &Told) -> Law {
        let indices: Vec<_> = told.entries.iter().map(|entry| entry.index).collect();
        law(indices.is_sorted_by(|a, b| a < b), || format!("T3: attempt {number} is told out of order: {indices:?}"))?;
        for kind in ONCE {
            let times = told.entries.iter().filter(|entry| entry.kind == kind).count();
            law(times <= 1, || format!("T3: attempt {number} is told to be {kind} {times} times"))?;
        }
        Ok(())
    }
}
