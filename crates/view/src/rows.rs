//! Rollouts in a list: what needs a person first.

use jiff::Timestamp;
use leadsman_api::{Phase, Rollout, RolloutStatus, commit_of};
use leadsman_core::text::one_line;

use crate::instants::said;
use crate::model::Row;
use crate::objects::{name_of, namespace_of};
use crate::{causes, commands, images, phases, release};

/// Longest message of a row, in characters.
const LONGEST: usize = 200;

/// Rollouts, those first that need a person, then by namespace and name.
pub fn list(rollouts: &[Rollout], now: Timestamp) -> Vec<Row> {
    let mut rows: Vec<_> = rollouts.iter().map(|rollout| row(rollout, now)).collect();
    rows.sort_by(|one, other| order(one).cmp(&order(other)));
    rows
}

fn order(row: &Row) -> (u8, &str, &str) {
    (phases::urgency(row.phase), &row.name, &row.namespace)
}

fn row(rollout: &Rollout, now: Timestamp) -> Row {
    let nothing = RolloutStatus::default();
    let status = rollout.status.as_ref().unwrap_or(&nothing);
    let (from, to) = release::revisions(status);
    let is_moving = phases::is_moving(status.phase);
    let of_trial = status.canary.as_ref().filter(|canary| is_moving || canary.ready_replicas > 0);
    Row {
        namespace: namespace_of(rollout).to_owned(),
        name: name_of(rollout).to_owned(),
        phase: status.phase,
        is_seen: rollout.status.is_some(),
        step: release::position(status).filter(|_| is_moving),
        weight: status.weight.as_ref().filter(|_| is_moving && to.is_some()).map(|weight| weight.in_force),
        stable: from.map(|revision| revision.version),
        canary: to.map(|revision| revision.version),
        ready_stable: status.stable.as_ref().map(|stable| stable.ready_replicas),
        ready_canary: of_trial.map(|canary| canary.ready_replicas),
        replicas: rollout.status.as_ref().map(|status| status.replicas),
        since: since(status),
        next_at: status.next.as_ref().and_then(|next| next.at).filter(|_| is_moving && !is_held(status)),
        next: next(rollout, status),
        commit: commit_of(&rollout.metadata).map(|commit| images::short_commit(&commit)),
        message: message(status, now),
    }
}

/// True where something is in the way: what follows by itself is a rollback, and what is waited for says more.
fn is_held(status: &RolloutStatus) -> bool {
    status.waiting.as_ref().is_some_and(|waiting| !causes::is_as_declared(&waiting.reason))
}

/// Since when it stands as it does.
fn since(status: &RolloutStatus) -> Option<Timestamp> {
    let turned = |kind: &str| {
        let found = status.conditions.iter().find(|condition| condition.type_ == kind);
        found.map(|condition| condition.last_transition_time.0)
    };
    match status.phase {
        Some(Phase::Healthy) => turned("Promoted").or_else(|| turned("Ready")),
        Some(Phase::RolledBack) => status.rejected.first().map(|rejected| rejected.at).or_else(|| turned("Ready")),
        Some(Phase::Degraded) => turned("Ready"),
        Some(Phase::Invalid) => turned("Stalled"),
        Some(Phase::RollingBack) => status.rejected.first().map(|rejected| rejected.at),
        Some(Phase::Progressing | Phase::Paused) => {
            let step = status.step.as_ref().and_then(|step| step.started_at);
            step.or_else(|| status.waiting.as_ref().and_then(|waiting| waiting.since)).or_else(|| turned("Reconciling"))
        }
        None => None,
    }
}

/// A command, what is waited for, or what is wrong, in a word or two.
fn next(rollout: &Rollout, status: &RolloutStatus) -> String {
    let waiting = status.waiting.as_ref().map(|waiting| waiting.reason.as_str());
    let may = |verb: &&str| commands::of(status).iter().any(|it| it.verb == *verb && it.refused.is_none());
    if phases::is_behind(rollout, status) {
        return "not seen yet".to_owned();
    }
    match status.phase {
        Some(Phase::RolledBack) => "explain".to_owned(),
        Some(Phase::Invalid) => phases::reason_of(status, "Stalled").to_owned(),
        Some(Phase::Degraded) => {
            let missing =
                status.stable.as_ref().map_or(0, |stable| status.replicas.saturating_sub(stable.ready_replicas));
            format!("{missing} not ready")
        }
        Some(Phase::Paused) => match (waiting, ["resume", "promote"].into_iter().find(may)) {
            (Some("SpecPaused"), _) => "spec.paused".to_owned(),
            (_, Some(verb)) => verb.to_owned(),
            (reason, None) => reason.unwrap_or("a person").to_owned(),
        },
        Some(Phase::Progressing | Phase::RollingBack) => waiting.unwrap_or_default().to_owned(),
        None if rollout.status.is_none() => "no operator?".to_owned(),
        Some(Phase::Healthy) | None => String::new(),
    }
}

/// What matters most: what is waited for, why it was rolled back, or what the operator says.
fn message(status: &RolloutStatus, now: Timestamp) -> String {
    let waiting = status.waiting.as_ref().map(|waiting| waiting.what.as_str());
    let until =
        status.waiting.as_ref().filter(|waiting| waiting.reason == "Pause").and_then(|waiting| waiting.deadline);
    let text = match (status.phase, until) {
        (Some(Phase::Progressing), Some(until)) => format!("pausing until {}", said(until, now)),
        (Some(Phase::Progressing | Phase::Paused), None) => waiting.unwrap_or(&status.message).to_owned(),
        _ => status.message.clone(),
    };
    one_line(&commands::without_commands(&text), LONGEST)
}
