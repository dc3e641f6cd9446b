//! One Rollout as it stands: the status while it moves, the newest report for what is over.

use jiff::Timestamp;
use leadsman_api::{Phase, ReportFact, RolloutReport, RolloutStatus};

use crate::model::{Change, Fact, Gate, Next, Position, Release, Revision, Step, StepState, Waiting, Why};
use crate::objects::Objects;
use crate::{causes, commands, gates, images, phases, sides, source, steps, ways};

/// One Rollout, as `get` shows it.
pub fn release(objects: &Objects, now: Timestamp) -> Release {
    let (rollout, nothing) = (&objects.rollout, RolloutStatus::default());
    let status = objects.status().unwrap_or(&nothing);
    let report = report_of(objects, status);
    let sides = sides::of(objects, status);
    let carrier = steps::carrier(rollout);
    let (from, to) = revisions(status);
    Release {
        at: now,
        namespace: objects.namespace().to_owned(),
        name: objects.name().to_owned(),
        phase: status.phase,
        is_seen: objects.status().is_some(),
        is_behind: phases::is_behind(rollout, status),
        strategy: steps::strategy(rollout),
        carrier,
        attempt: trial_of(status).or_else(|| report.map(|report| report.spec.revision)).or_else(|| attempt_of(status)),
        from,
        to,
        source: source::of(rollout),
        began_at: report.map(|report| report.spec.began_at),
        ended_at: report.and_then(|report| report.spec.ended_at).filter(|_| !phases::is_moving(status.phase)),
        outcome: report.map(|report| report.spec.outcome.clone()).filter(|_| !phases::is_moving(status.phase)),
        step: position(status),
        steps: steps_of(objects, status, report),
        users: sides::users(&sides, carrier, status.phase, report.map(|report| report.spec.most_weight)),
        sides,
        gates: gates_of(status, report),
        waiting: waiting(status),
        next: status.next.as_ref().map(|next| Next { at: next.at, what: next.what.clone() }),
        you: ways::on(objects, status),
        message: commands::without_commands(&status.message),
        timeline: report.map(|report| report.spec.facts.iter().map(fact).collect()).unwrap_or_default(),
        why: why(status, report),
        commands: commands::of(status),
        last_command: commands::answered(status),
    }
}

/// What serves, and what is on trial; after a promotion the same revision is not shown as both.
pub fn revisions(status: &RolloutStatus) -> (Option<Revision>, Option<Revision>) {
    let (stable, canary) = (status.stable.as_ref(), status.canary.as_ref());
    let canary = canary.filter(|canary| stable.is_none_or(|stable| stable.hash != canary.hash));
    let images =
        |revision: Option<&leadsman_api::RevisionStatus>| revision.map(|it| it.images.clone()).unwrap_or_default();
    let from = stable.map(|it| images::of_status(it, &images(canary)));
    let to = canary.map(|it| images::of_status(it, &images(stable)));
    (from, to)
}

/// Number of the attempt under way, or of the rejected one that is still declared.
pub fn attempt_of(status: &RolloutStatus) -> Option<i64> {
    status.canary.as_ref().or(status.stable.as_ref()).map(|revision| revision.revision)
}

fn trial_of(status: &RolloutStatus) -> Option<i64> {
    status.canary.as_ref().map(|canary| canary.revision)
}

/// The report of the attempt that the status is about; at rest that of the last attempt.
pub fn report_of<'a>(objects: &'a Objects, status: &RolloutStatus) -> Option<&'a RolloutReport> {
    match &status.canary {
        Some(canary) => objects.report(canary.revision),
        None => objects.newest_first().into_iter().next(),
    }
}

/// Which step has its turn.
pub fn position(status: &RolloutStatus) -> Option<Position> {
    status.step.as_ref().map(|step| Position { index: step.index, of: step.of, started_at: step.started_at })
}

fn steps_of(objects: &Objects, status: &RolloutStatus, report: Option<&RolloutReport>) -> Vec<Step> {
    let until = status.waiting.as_ref().filter(|it| it.reason == "Pause").and_then(|it| it.deadline);
    let failed = matches!(status.phase, Some(Phase::RolledBack | Phase::RollingBack));
    let reached = || report.and_then(|report| report.spec.facts.iter().rev().find_map(|fact| fact.step));
    let mut steps = match (position(status), failed) {
        (Some(position), _) if phases::is_moving(status.phase) => steps::at(&objects.rollout, position, until),
        (_, true) => match reached() {
            Some(index) => {
                let of = i32::try_from(steps::of(&objects.rollout).len()).unwrap_or(i32::MAX);
                steps::at(&objects.rollout, Position { index, of, started_at: None }, None)
            }
            None => Vec::new(),
        },
        _ => Vec::new(),
    };
    for step in steps.iter_mut().filter(|step| failed && step.state == StepState::Now) {
        step.state = StepState::Failed;
    }
    steps
}

/// What is measured; of a release that is over, what the report kept.
fn gates_of(status: &RolloutStatus, report: Option<&RolloutReport>) -> Vec<Gate> {
    let reported = report.map(|report| report.spec.gates.as_slice()).unwrap_or_default();
    let is_over = status.phase == Some(Phase::RolledBack);
    match status.analysis.as_slice() {
        [] if is_over => reported.iter().map(gates::of_report).collect(),
        measured => measured.iter().map(|metric| gates::of_status(metric, reported)).collect(),
    }
}

/// What is waited for.
pub fn waiting(status: &RolloutStatus) -> Option<Waiting> {
    let waiting = status.waiting.as_ref()?;
    Some(Waiting {
        reason: waiting.reason.clone(),
        what: commands::without_commands(&waiting.what),
        since: waiting.since,
        deadline: waiting.deadline,
        words: waiting.words.clone(),
        is_held: !causes::is_as_declared(&waiting.reason),
    })
}

/// What happened.
pub fn fact(fact: &ReportFact) -> Fact {
    Fact { at: fact.at, kind: fact.kind.clone(), words: fact.words.clone(), weight: fact.weight, step: fact.step }
}

/// What is different.
pub fn change(change: &leadsman_api::Change) -> Change {
    Change { path: change.path.clone(), before: change.before.clone(), after: change.after.clone() }
}

/// Why the revision on trial was rejected; `None` where it was not.
fn why(status: &RolloutStatus, report: Option<&RolloutReport>) -> Option<Why> {
    if !matches!(status.phase, Some(Phase::RolledBack | Phase::RollingBack)) {
        return None;
    }
    let hash = status.canary.as_ref().map(|canary| canary.hash.as_str());
    let rejected = status.rejected.iter().find(|rejected| hash.is_none_or(|hash| rejected.hash == hash))?;
    let decided = report.and_then(|report| report.spec.gates.iter().find(|gate| gate.decided));
    Some(Why {
        reason: rejected.reason.clone(),
        message: rejected.message.clone(),
        at: rejected.at,
        metric: decided.map(|gate| gate.metric.clone()),
    })
}
