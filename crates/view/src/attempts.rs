//! What became of each attempt: one line for each report that is kept, and for each rejection whose report is gone.

use jiff::Timestamp;
use leadsman_api::{RejectedRevision, Rollout, RolloutReport};
use leadsman_core::text::one_line;

use crate::images;
use crate::instants::seconds_between;
use crate::model::{Attempt, History};
use crate::objects::{name_of, namespace_of, newest_first};

/// Longest message of an attempt, in characters.
const LONGEST: usize = 500;

/// The attempts of a Rollout, the newest first.
pub fn history(rollout: &Rollout, reports: &[RolloutReport], now: Timestamp) -> History {
    let reports = newest_first(rollout, reports);
    let mut attempts: Vec<_> = reports.iter().map(|report| attempt(report, &reports)).collect();
    let rejected = rollout.status.as_ref().map(|status| status.rejected.as_slice()).unwrap_or_default();
    let is_told = |revision: i64| reports.iter().any(|report| report.spec.revision == revision);
    attempts.extend(rejected.iter().filter(|rejected| !is_told(rejected.revision)).map(without_report));
    attempts.sort_by_key(|attempt| std::cmp::Reverse(attempt.revision));
    let status = rollout.status.as_ref();
    let known = status.into_iter().flat_map(|status| status.stable.iter().chain(&status.canary)).map(|it| it.revision);
    let total = attempts.iter().map(|attempt| attempt.revision).chain(known).max().unwrap_or_default();
    History {
        at: now,
        namespace: namespace_of(rollout).to_owned(),
        name: name_of(rollout).to_owned(),
        attempts,
        total,
        kept: rollout.spec.report_history_limit,
    }
}

fn attempt(report: &RolloutReport, all: &[&RolloutReport]) -> Attempt {
    let spec = &report.spec;
    let beside = spec.stable.as_ref().map(|stable| stable.images.as_slice()).unwrap_or_default();
    let version = images::of_report(&spec.canary, beside).version;
    Attempt {
        revision: spec.revision,
        outcome: spec.outcome.clone(),
        reason: spec.reason.clone(),
        hash: spec.canary.hash.clone(),
        version: if spec.shown.image.is_empty() { version } else { spec.shown.image.clone() },
        commit: spec.canary.commit.as_deref().map(images::short_commit),
        began_at: Some(spec.began_at),
        ended_at: spec.ended_at,
        took_seconds: spec.ended_at.map(|ended| seconds_between(spec.began_at, ended)),
        most_weight: Some(spec.most_weight),
        why: why(report, all),
        message: one_line(&spec.message, LONGEST),
    }
}

/// Who or what ended it, as far as that says more than the outcome.
fn why(report: &RolloutReport, all: &[&RolloutReport]) -> String {
    let spec = &report.spec;
    let successor = || all.iter().map(|other| other.spec.revision).filter(|revision| *revision > spec.revision).min();
    let decided = spec.gates.iter().find(|gate| gate.decided).map(|gate| gate.metric.clone());
    let shown = Some(spec.shown.why.clone()).filter(|why| *why != spec.outcome).unwrap_or_default();
    match spec.outcome.as_str() {
        "Superseded" => successor().map_or(shown, |revision| format!("by revision {revision}")),
        "Aborted" => commander(&spec.message).map_or(shown, |who| format!("by {who}")),
        "RolledBack" if shown.is_empty() => decided.unwrap_or_else(|| spec.reason.clone()),
        _ => shown,
    }
}

/// Who gave the command that a rejection tells of.
pub fn commander(message: &str) -> Option<&str> {
    let (_, after) = message.split_once("by command ")?;
    after.split_once(" of ").map(|(_, who)| who.trim()).filter(|who| !who.is_empty())
}

fn without_report(rejected: &RejectedRevision) -> Attempt {
    let aborted = rejected.reason == "Aborted";
    Attempt {
        revision: rejected.revision,
        outcome: if aborted { "Aborted" } else { "RolledBack" }.to_owned(),
        reason: rejected.reason.clone(),
        hash: rejected.hash.clone(),
        version: String::new(),
        commit: rejected.commit.as_deref().map(images::short_commit),
        began_at: None,
        ended_at: Some(rejected.at),
        took_seconds: None,
        most_weight: None,
        why: rejected.reason.clone(),
        message: one_line(&rejected.message, LONGEST),
    }
}
