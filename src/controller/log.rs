//! Lines in the log and figures on `/metrics`: one line for each decision and each change of phase.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use leadsman_api::Rollout;
use leadsman_core::analysis::Scope;
use leadsman_core::analysis::metric::Metric;
use leadsman_core::analysis::proportion::Counts;
use leadsman_core::analysis::tally::Tally;
use leadsman_core::analysis::verdict::Verdict;
use leadsman_core::plan::{Event, Fact, Plan};
use leadsman_core::state::{Release, Stage, State, Why};
use leadsman_core::traffic::Strategy;

use super::context::Context;
use super::key::Key;
use super::loaded::Loaded;
use super::memory::Memory;
use crate::cluster::Error;
use crate::runtime::rollouts::{Gate, Told};

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
    context.metrics.rollouts.tell(namespace, name, told(loaded, plan.state.as_ref()));
    if before != Some(phase) {
        memory.phase = Some(phase);
        tracing::info!(rollout = %loaded.key, phase = phase.as_str(), "{}", plan.report.message);
    }
}

/// What `/metrics` says of a Rollout.
fn told(loaded: &Loaded, state: Option<&State>) -> Told {
    let Some(state) = state else { return Told::default() };
    let release = match &state.stage {
        Stage::Releasing(release) => Some(release),
        _ => None,
    };
    let canary = match &state.stage {
        Stage::Releasing(release) => Some(&release.canary.hash),
        Stage::Leaving(leaving) => Some(&leaving.canary.hash),
        Stage::Deploying | Stage::Resting | Stage::Promoting(_) => None,
    };
    Told {
        strategy: match loaded.declared.core.targets.strategy {
            Strategy::Canary => "canary",
            Strategy::BlueGreen => "blueGreen",
        },
        stable: state.stable.hash.to_string(),
        canary: canary.map(ToString::to_string).unwrap_or_default(),
        commit: loaded.declared.core.commit.clone().unwrap_or_default(),
        step_started: release.map(|release| seconds(release.step_since)),
        promoted: promoted(&loaded.rollout),
        gates: release.map(|release| gates(release)).unwrap_or_default(),
    }
}

/// What is measured of the new revision.
fn gates(release: &Release) -> Vec<Gate> {
    let of_canary = release.tallies().filter(|(scope, ..)| *scope != Scope::Preflight);
    of_canary.map(|(scope, name, tally)| gate(name, tally, release.metric(scope, name).as_deref())).collect()
}

fn gate(name: &str, tally: &Tally, metric: Option<&Metric>) -> Gate {
    let proportion = metric.and_then(|metric| metric.proportion.as_ref());
    Gate {
        metric: name.to_owned(),
        canary: tally.number(),
        stable: tally.gate.as_ref().and_then(|gate| gate.shown_of_stable()).map(Counts::share),
        limit: proportion.and_then(|proportion| proportion.limit).map(|limit| limit.max.as_f64()),
    }
}

/// Since when the condition Promoted is True.
fn promoted(rollout: &Rollout) -> Option<f64> {
    let conditions = rollout.status.iter().flat_map(|status| &status.conditions);
    let promoted = conditions.into_iter().find(|it| it.type_ == "Promoted" && it.status == "True")?;
    Some(seconds(promoted.last_transition_time.0))
}

fn seconds(at: Timestamp) -> f64 {
    at.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64()
}

/// Releases that ended or were decided on.
fn releases(context: &Context, loaded: &Loaded, plan: &Plan) {
    let Key { namespace, name } = &loaded.key;
    for fact in &plan.facts {
        match fact {
            Fact::Promoted { number: Some(_), .. } | Fact::Left { .. } => {
                context.metrics.release_ended(namespace, name, fact.reason());
            }
            _ => {}
        }
        if matches!(fact, Fact::Promoted { .. }) {
            context.metrics.rollouts.promoted(namespace, name, seconds(context.clock.now()));
        }
    }
    let began = loaded.state.as_ref().and_then(|state| match &state.stage {
        Stage::Releasing(release) => Some(release.began_at),
        _ => None,
    });
    let goes_on = plan.state.as_ref().is_none_or(|state| matches!(state.stage, Stage::Releasing(_)));
    if let Some(began) = began.filter(|_| !goes_on) {
        context
            .metrics
            .release_decided(Duration::try_from(context.clock.now().duration_since(began)).unwrap_or_default());
    }
}

/// Verdicts, rollbacks and ends of releases, counted once they are persisted.
pub fn persisted(context: &Context, loaded: &Loaded, plan: &Plan) {
    releases(context, loaded, plan);
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
