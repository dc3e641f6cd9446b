//! How urgently a state has to be persisted.

use jiff::Timestamp;

use super::{Action, Fact, Persist, Plan, follows};
use crate::analysis::tally::Tally;
use crate::names::Side;
use crate::state::{Clock, Stage, State};

/// What [follows] from the stage by itself, that stable was asked in vain, counts of successes, last values, the deadline's
/// clock and since when something has been seen can wait: a crash then costs a clock or a wait no more than the 10 s of
/// [`Persist::Later`]. What a report is to have cannot: its entries have to be persisted by the index that they have there.
pub(super) fn of(before: Option<&State>, plan: &Plan) -> Persist {
    let after = plan.state.as_ref();
    if before == after {
        return Persist::Nothing;
    }
    let recorded = before.map(|state| &state.records) != after.map(|state| &state.records);
    if recorded && plan.actions.iter().any(|action| matches!(action, Action::Report { .. })) {
        return Persist::Now;
    }
    // What is seen again is noted again; any other fact would be told again as well.
    if !plan.facts.iter().all(|fact| matches!(fact, Fact::WeightWritten { .. })) {
        return Persist::Now;
    }
    if before.cloned().map(without_soft_counts) == after.cloned().map(without_soft_counts) {
        Persist::Later
    } else {
        Persist::Now
    }
}

fn without_soft_counts(state: State) -> State {
    let mut state = follows::without(state);
    state.missing_since = None;
    state.split.seen_since = None;
    for side in [Side::Stable, Side::Canary] {
        state.bindings.of_mut(side).seen_since = None;
    }
    // What has been seen in a report is dropped: a crash reads the report again. What is added counts by its index.
    state.records.retain(|record| record.end.is_none());
    for record in &mut state.records {
        (record.entries, record.gates, record.written_at) = (Vec::new(), Vec::new(), Timestamp::UNIX_EPOCH);
        record.next = 0;
        record.of_stable.clear();
    }
    if let Stage::Leaving(leaving) = &mut state.stage {
        leaving.comparison = None;
    }
    if let Stage::Releasing(release) = &mut state.stage {
        let soften = |tally: &mut Tally| {
            *tally = Tally { failures: tally.failures, inconclusive: tally.inconclusive, ..Tally::default() };
        };
        release.background.values_mut().chain(release.measured.values_mut()).for_each(soften);
        if let Some(preflight) = &mut release.preflight {
            // It only matters to the preflight itself, which asks again.
            preflight.measured.clear();
        }
        release.clock = Clock::default();
        release.most_ready = 0;
        release.background.retain(|_, tally| *tally != Tally::default());
        release.measured.retain(|_, tally| *tally != Tally::default());
    }
    state
}
