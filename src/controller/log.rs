//! Lines in the log and figures on `/metrics`: one line for each decision and each change of phase.

use std::collections::BTreeMap;

use leadsman_core::analysis::tally::Tally;
use leadsman_core::analysis::verdict::Verdict;
use leadsman_core::plan::{Event, Plan};
use leadsman_core::state::{Stage, State, Why};

use super::context::Context;
use super::key::Key;
use super::loaded::Loaded;
use super::memory::Memory;
use crate::cluster::Error;

/// A decision.
pub fn decided(loaded: &Loaded, event: &Event) {
    let Event { reason, message, .. } = event;
    if event.warning {
        tracing::warn!(rollout = %loaded.key, reason, "{message}");
    } else {
        tracing::info!(rollout = %loaded.key, reason, "{message}");
    }
}

/// A write that failed.
pub fn failed(loaded: &Loaded, what: &str, error: &Error) {
    if matches!(error, Error::NotLeading | Error::Outdated(_)) {
        tracing::debug!(rollout = %loaded.key, what, %error, "not done");
    } else {
        tracing::warn!(rollout = %loaded.key, what, %error, category = error.category(), "could not be done");
    }
}

/// The phase, when it changed.
pub fn phase(context: &Context, loaded: &Loaded, memory: &mut Memory, plan: &Plan) {
    let (phase, before) = (plan.report.phase, memory.phase);
    memory.unreadable = None;
    let Key { namespace, name } = &loaded.key;
    context.metrics.rollout(namespace, name, phase, before, plan.report.weight.desired);
    if before != Some(phase) {
        memory.phase = Some(phase);
        tracing::info!(rollout = %loaded.key, phase = phase.as_str(), "{}", plan.report.message);
    }
}

/// Verdicts and rollbacks, counted once they are persisted.
pub fn persisted(context: &Context, loaded: &Loaded, plan: &Plan) {
    let (before, after) = (loaded.state.as_ref(), plan.state.as_ref());
    for verdict in Verdict::ALL {
        let new = count(after, verdict).saturating_sub(count(before, verdict));
        if new > 0 {
            context.metrics.verdicts(verdict.as_str(), new);
        }
    }
    let failing = |state: Option<&State>| match state.map(|state| &state.stage) {
        Some(Stage::Leaving(leaving)) if leaving.why == Why::Failed => Some(leaving.canary.number),
        _ => None,
    };
    if failing(after).is_some() && failing(after) != failing(before) {
        let reason = after.and_then(|state| state.rejected.first()).map_or("Unknown", |rejection| &*rejection.reason);
        context.metrics.rolled_back(reason);
    }
}

/// Measurements of this verdict in the release under way. Those without a verdict about the release are seen only where
/// they were the last.
fn count(state: Option<&State>, verdict: Verdict) -> u64 {
    let Some(Stage::Releasing(release)) = state.map(|state| &state.stage) else { return 0 };
    let tallies = |tallies: &BTreeMap<String, Tally>| tallies.values().map(|tally| of(tally, verdict)).sum::<u64>();
    tallies(&release.background) + tallies(&release.measured)
}

fn of(tally: &Tally, verdict: Verdict) -> u64 {
    match verdict {
        Verdict::Success => tally.successes.into(),
        Verdict::Failure => tally.failures.into(),
        Verdict::Inconclusive => tally.inconclusive.into(),
        Verdict::ProviderError => tally.errors_in_a_row.into(),
        Verdict::NoData => tally.last.as_ref().is_some_and(|last| last.judgement.verdict == Verdict::NoData).into(),
    }
}
