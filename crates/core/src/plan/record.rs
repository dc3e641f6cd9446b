//! What is recorded of an attempt, and when that is written into its report: where a step ended that lasted, where a rollback
//! was decided, and at the end. Nothing waits for it.

use std::time::Duration;

use jiff::Timestamp;

use super::present::measured;
use super::{Action, Fact, Pass};
use crate::analysis::Scope;
use crate::analysis::tally::Tally;
use crate::names::Revision;
use crate::state::{End, Entry, GateRecord, Outcome, Record, Release, Requests, Stage, WayBack, Why};
use crate::time::after;
use crate::traffic::Weight;

/// Attempts that are remembered while their reports cannot be written.
const MOST_RECORDS: usize = 3;
/// A report that was written lately waits for the next step to end.
const STEPS_APART: Duration = Duration::from_secs(30);
/// Entries after which it is written in any case.
const MOST_WAITING: usize = 24;
/// Pods whose words are kept when a release fails.
const MOST_WORDS: usize = 3;

/// An attempt begins; what was recorded before it is over.
pub(super) fn open(pass: &mut Pass<'_>, canary: &Revision, stable: Option<&Revision>) {
    let strategy = pass.view.rollout.targets.strategy;
    let record = Record::new(canary.clone(), stable.cloned(), strategy, pass.view.now);
    let records = &mut pass.state.records;
    records.push(record);
    records.drain(..records.len().saturating_sub(MOST_RECORDS));
}

/// The attempt that is under way.
fn present<'a>(pass: &'a mut Pass<'_>) -> Option<&'a mut Record> {
    pass.state.records.last_mut().filter(|record| record.end.is_none())
}

/// Notes a fact, and the end of the attempt where it is that.
pub(super) fn note(pass: &mut Pass<'_>, fact: &Fact, at: Timestamp) {
    let outcome = outcome(fact);
    let step = pass.release().filter(|release| release.preflight.is_none()).map(|release| release.step);
    let step = if let Fact::StepCompleted { step, .. } = fact { Some(*step) } else { step };
    let Some(record) = present(pass) else { return };
    if let Fact::WeightInForce { weight } = fact {
        record.most = record.most.max(*weight);
    }
    let entry =
        Entry { index: 0, at, kind: fact.reason().to_owned(), words: fact.to_string(), weight: fact.weight(), step };
    record.note(entry, tells_where_it_stands(fact), outcome.is_some());
    if let Some(outcome) = outcome {
        end(pass, outcome);
    }
}

/// False for what may come again and again.
fn tells_where_it_stands(fact: &Fact) -> bool {
    !matches!(
        fact,
        Fact::ShareReduced { .. }
            | Fact::ShareRestored { .. }
            | Fact::MeshSpills { .. }
            | Fact::WeightsPutBack { .. }
            | Fact::SelectorPutBack { .. }
            | Fact::Command { outcome: Err(_), .. }
            | Fact::StepsChanged { .. }
    )
}

/// How an attempt ends by a fact.
fn outcome(fact: &Fact) -> Option<Outcome> {
    Some(match fact {
        Fact::Deployed { .. } => Outcome::First,
        Fact::Promoted { .. } => Outcome::Promoted,
        Fact::Left { why, .. } => match why {
            Why::Failed => Outcome::RolledBack,
            Why::Superseded => Outcome::Superseded,
            Why::Reverted => Outcome::Reverted,
            Why::Lost => Outcome::Recovered,
            Why::GivenUp => Outcome::GivenUp,
            Why::Moved => Outcome::TargetsChanged,
        },
        _ => return None,
    })
}

/// The present attempt is over.
pub(super) fn end(pass: &mut Pass<'_>, outcome: Outcome) {
    let at = pass.view.now;
    let Some(hash) = present(pass).map(|record| record.canary.hash.clone()) else { return };
    let rejection = pass.state.rejected.iter().find(|rejection| rejection.revision.hash == hash);
    let why = rejection.filter(|_| outcome == Outcome::RolledBack);
    let (reason, message) = why.map(|it| (it.reason.clone(), it.message.clone())).unwrap_or_default();
    let outcome = if reason == "Aborted" { Outcome::Aborted } else { outcome };
    if let Some(record) = present(pass) {
        record.end = Some(End { at, outcome, reason, message });
    }
}

/// Notes what the present step has measured, before it is forgotten.
pub(super) fn note_step(pass: &mut Pass<'_>) {
    note_gates(pass, |scope| scope == Scope::Step, None);
}

/// Notes everything that was measured of the release, before it is forgotten, and what decided it.
pub(super) fn note_release(pass: &mut Pass<'_>, decided: Option<(Scope, &str)>) {
    note_gates(pass, |scope| scope != Scope::Preflight, decided);
    let requests = pass.release().and_then(requests);
    if let Some(record) = present(pass) {
        record.requests = requests;
    }
}

fn note_gates(pass: &mut Pass<'_>, is_meant: impl Fn(Scope) -> bool, decided: Option<(Scope, &str)>) {
    let Some(release) = pass.release() else { return };
    let step = release.step;
    let gate = |(scope, name, tally): (Scope, &String, &Tally)| {
        Some(GateRecord {
            index: 0,
            step: (scope == Scope::Step).then_some(step),
            decided: decided == Some((scope, name.as_str())),
            query: tally.last.as_ref()?.query.clone(),
            measured: measured(name, tally, release.metric(scope, name).as_deref())?,
        })
    };
    let gates: Vec<_> = release.tallies().filter(|(scope, ..)| is_meant(*scope)).filter_map(gate).collect();
    if let Some(record) = present(pass) {
        for mut gate in gates {
            let of_stable = || record.of_stable.get(&gate.measured.metric).cloned();
            gate.measured.stable = gate.measured.stable.take().or_else(of_stable);
            record.note_gate(gate);
        }
    }
}

/// Requests of the whole attempt, by the first metric that counts them and those that go wrong.
fn requests(release: &Release) -> Option<Requests> {
    let counted = |(scope, name, tally): (Scope, &String, &Tally)| {
        let metric = release.metric(scope, name)?;
        let counts_failures = metric.proportion.as_ref().is_some_and(|proportion| proportion.latency.is_none());
        let whole = tally.gate.as_ref().filter(|_| counts_failures).map(|gate| gate.whole)?;
        let (total, failed) = (whole.requests(), whole.failed());
        (total > 0).then(|| Requests { total, failed, metric: name.clone() })
    };
    release.tallies().filter(|(scope, ..)| *scope != Scope::Preflight).find_map(counted)
}

/// Notes what stable was measured as, before anything moved.
pub(super) fn note_stable(pass: &mut Pass<'_>) {
    let preflight = pass.release().and_then(|release| release.preflight.as_ref());
    let value = |tally: &Tally| Some(tally.last.as_ref()?.judgement.value.clone()).filter(|value| !value.is_empty());
    let values = preflight.map(|it| it.measured.iter().filter_map(|(name, it)| Some((name.clone(), value(it)?))));
    let values = values.map(Iterator::collect).unwrap_or_default();
    if let Some(record) = present(pass) {
        record.of_stable = values;
    }
}

/// Notes what stable was measured as, beside a canary that failed.
pub(super) fn note_of_stable(pass: &mut Pass<'_>, metric: &str, value: &str) {
    let Some(record) = present(pass).filter(|_| !value.is_empty()) else { return };
    record.of_stable.insert(metric.to_owned(), value.to_owned());
    for gate in record.gates.iter_mut().filter(|gate| gate.measured.metric == metric) {
        gate.measured.stable = Some(value.to_owned());
    }
}

/// Notes that traffic is taken from the canary, and what its pods say where it failed.
pub(super) fn note_way_back(pass: &mut Pass<'_>, why: Why, had: Weight) {
    let (view, decided) = (pass.view, pass.view.now);
    let Some(canary) = present(pass).map(|record| record.canary.hash.clone()) else { return };
    if let Some(record) = present(pass).filter(|_| had > Weight::ZERO) {
        record.way_back = Some(WayBack { decided, written: None, in_force: None });
    }
    if why == Why::Failed {
        for said in view.words(&canary).take(MOST_WORDS) {
            let (pod, container, words) = (said.pod.clone(), said.container.clone(), said.words.clone());
            pass.tell(Fact::Said { pod, container, words });
        }
    }
}

/// Notes that the share came into force.
pub(super) fn note_share_in_force(pass: &mut Pass<'_>, weight: Weight) {
    if is_moving_traffic(pass) {
        let now = pass.view.now;
        if let Some(way_back) = way_back(pass, weight) {
            way_back.in_force = Some(now);
        }
        pass.tell(Fact::WeightInForce { weight });
    }
}

/// Notes that the share was seen written: now, or at an instant that a former pass has told of.
pub(super) fn note_share_written(pass: &mut Pass<'_>, weight: Weight, told: Option<Timestamp>) {
    if !is_moving_traffic(pass) {
        return;
    }
    let at = told.unwrap_or(pass.view.now);
    if let Some(way_back) = way_back(pass, weight) {
        way_back.written = Some(at);
    }
    let fact = Fact::WeightWritten { weight };
    if told.is_some() {
        note(pass, &fact, at);
    } else {
        pass.tell(fact);
    }
}

fn is_moving_traffic(pass: &Pass<'_>) -> bool {
    matches!(pass.state.stage, Stage::Releasing(_) | Stage::Leaving(_))
}

/// The instants of the way back, where this share is its end.
fn way_back<'a>(pass: &'a mut Pass<'_>, weight: Weight) -> Option<&'a mut WayBack> {
    let leaves = matches!(pass.state.stage, Stage::Leaving(_));
    present(pass).and_then(|it| it.way_back.as_mut()).filter(|_| leaves && weight == Weight::ZERO)
}

/// Drops what reports are known to have.
pub(super) fn note_written(pass: &mut Pass<'_>) {
    let (seen, now) = (pass.view.seen, pass.view.now);
    for record in &mut pass.state.records {
        if let Some(through) = seen.reports.get(&record.canary.number) {
            record.seen(*through, now);
        }
    }
    pass.state.records.retain(|record| !record.is_told());
}

/// Has what is recorded written where that is due.
pub(super) fn write(pass: &Pass<'_>, actions: &mut Vec<Action>) {
    let now = pass.view.now;
    let keep = pass.view.rollout.reports_kept;
    let due = pass.state.records.iter().filter(|record| is_due(record, now));
    actions.extend(due.map(|record| Action::Report { record: Box::new(record.clone()), keep }));
}

fn is_due(record: &Record, now: Timestamp) -> bool {
    let has = |kind: &str| record.entries.iter().any(|entry| entry.kind == kind);
    let step_ended = || has("StepCompleted") && now >= after(record.written_at, STEPS_APART);
    !record.entries.is_empty()
        && (record.end.is_some() || has("RollingBack") || record.entries.len() >= MOST_WAITING || step_ended())
}
