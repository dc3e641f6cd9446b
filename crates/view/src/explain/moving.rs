//! Why a Rollout stands where it stands.

use leadsman_api::{RolloutStatus, Verdict};

use super::ended::because;
use super::parts::{sentence, take_report, version};
use crate::instants::{said, seconds_between};
use crate::model::{About, Explanation, Gate, Waiting};
use crate::numbers::duration;
use crate::objects::Objects;
use crate::{commands, phases, release};

/// Why it stands as it does, by its status; what changed, and what was asked, by the report that is being written.
pub fn explain(objects: &Objects, status: &RolloutStatus, about: About, base: Explanation) -> Explanation {
    let mut explanation = base;
    explanation.about = about;
    let under_way = matches!(about, About::RollingBack | About::Paused | About::Held | About::Moving);
    if under_way && status.canary.is_some() {
        take_changes(&mut explanation, objects, status);
    }
    let measured = std::mem::take(&mut explanation.other_gates);
    let (gate, others) = told_apart(measured, &explanation);
    (explanation.gate, explanation.other_gates) = (gate, others);
    explanation.answer = answer(&explanation, status, objects);
    explanation
}

/// What the unfinished report says that the status does not.
fn take_changes(explanation: &mut Explanation, objects: &Objects, status: &RolloutStatus) {
    let Some(report) = release::report_of(objects, status) else {
        explanation.unknown.push("there is no report of this attempt yet: what changed is not known".to_owned());
        return;
    };
    let mut reported = explanation.clone();
    take_report(&mut reported, report);
    explanation.changes = reported.changes;
    explanation.most_weight = reported.most_weight;
    explanation.requests = reported.requests;
    explanation.began_at = reported.began_at;
    explanation.unknown = reported.unknown;
    (explanation.way_back_written_at, explanation.way_back_in_force_at) =
        (reported.way_back_written_at, reported.way_back_in_force_at);
    if !report.spec.pods.is_empty() {
        explanation.pods = reported.pods;
    }
}

/// The gate that is waited for, or failed, before the others.
fn told_apart(mut gates: Vec<Gate>, explanation: &Explanation) -> (Option<Gate>, Vec<Gate>) {
    let waits = explanation.waiting.as_ref().map(|waiting| waiting.what.as_str()).unwrap_or_default();
    let is_named = |gate: &Gate| {
        waits.split(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_')).any(|word| word == gate.metric)
    };
    let is_bad = |gate: &Gate| gate.verdict.is_some_and(|verdict| verdict != Verdict::Success) && !gate.dry_run;
    let decided = gates.iter().position(|gate| gate.decided);
    let failed = || gates.iter().position(|gate| gate.verdict == Some(Verdict::Failure) && !gate.dry_run);
    let found = decided
        .or_else(failed)
        .or_else(|| gates.iter().position(|gate| is_bad(gate) && is_named(gate)))
        .or_else(|| gates.iter().position(is_bad));
    let gate = found.map(|index| gates.remove(index));
    (gate, gates)
}

fn answer(explanation: &Explanation, status: &RolloutStatus, objects: &Objects) -> Vec<String> {
    let name = &explanation.name;
    let message = sentence(&explanation.message);
    match explanation.about {
        About::RollingBack => {
            let since =
                explanation.decided_at.map(|at| format!(" since {}", said(at, explanation.at))).unwrap_or_default();
            let what =
                if explanation.reason.is_empty() { message } else { because(explanation, explanation.gate.as_ref()) };
            vec![format!("{name} {} is being rolled back{since}", version(explanation.to.as_ref())), what]
        }
        About::Held => vec![format!("{name} is not going on: {}", held(explanation)), deadline(explanation)],
        About::Paused => vec![format!("{name} waits for a person: {}", held(explanation)), users(explanation)],
        About::Moving => vec![format!("{name} is on its way{}", place(status)), next(explanation)],
        About::Degraded => vec![format!("{name} lacks pods: {}", ready(status)), message],
        About::Invalid => {
            let reason = phases::reason_of(status, "Stalled");
            vec![
                format!("{name} cannot be followed as it is declared: {reason}")
                    .trim_end_matches([':', ' '])
                    .to_owned(),
                message,
            ]
        }
        About::Serving => {
            vec![format!("{name} serves what is declared: {}", ready(status)), last(explanation, objects)]
        }
        _ if objects.status().is_none() => vec![
            format!("{name} has not been seen by an operator: it has no status"),
            "Either none is running that watches its namespace, or it has only just been created.".to_owned(),
        ],
        _ => vec![format!("{name} stands in a word that only a later version of this plugin knows"), message],
    }
}

/// What is waited for, and since when.
fn held(explanation: &Explanation) -> String {
    let Some(Waiting { what, since, .. }) = &explanation.waiting else { return explanation.message.clone() };
    let what = commands::without_verb(what);
    let what = what.strip_prefix("for a person: ").unwrap_or(what);
    let waits = if what.starts_with("for ") { format!("it waits {what}") } else { what.to_owned() };
    let since = since.map(|at| format!(", since {}", said(at, explanation.at))).unwrap_or_default();
    format!("{waits}{since}")
}

/// What follows where it stays so.
fn deadline(explanation: &Explanation) -> String {
    let Some(at) = explanation.waiting.as_ref().and_then(|waiting| waiting.deadline) else {
        return "It waits for as long as it takes.".to_owned();
    };
    match seconds_between(explanation.at, at) {
        0 => format!("It was to be rolled back at {}.", said(at, explanation.at)),
        seconds => {
            format!("If that stays so, it is rolled back in {}, at {}.", duration(seconds), said(at, explanation.at))
        }
    }
}

fn users(explanation: &Explanation) -> String {
    if explanation.users.is_empty() {
        return "Nothing goes forward until then.".to_owned();
    }
    format!("Nothing goes forward until then: {}.", explanation.users)
}

/// Which step has its turn.
fn place(status: &RolloutStatus) -> String {
    let Some(position) = release::position(status) else { return String::new() };
    let number = position.index.saturating_add(1).min(position.of);
    let weight = status.weight.as_ref().map(|weight| format!(", {}% in force", weight.in_force)).unwrap_or_default();
    format!(": step {number} of {}{weight}", position.of)
}

/// What follows by itself.
fn next(explanation: &Explanation) -> String {
    if let Some(next) = &explanation.next {
        let at = next.at.map(|at| format!(" at {}", said(at, explanation.at))).unwrap_or_default();
        return sentence(&format!("Next{at}: {}", next.what));
    }
    let waits = explanation.waiting.as_ref().map_or(explanation.message.as_str(), |waiting| waiting.what.as_str());
    if waits.is_empty() {
        "Nothing is in the way.".to_owned()
    } else {
        sentence(&format!("Nothing is in the way: {waits}"))
    }
}

fn ready(status: &RolloutStatus) -> String {
    let Some(stable) = &status.stable else { return "nothing serves yet".to_owned() };
    let (from, _) = release::revisions(status);
    let wanted = status.replicas.max(stable.replicas);
    format!("{} of {wanted} pods of {} are ready", stable.ready_replicas, version(from.as_ref()))
}

/// What became of the last attempt.
fn last(explanation: &Explanation, objects: &Objects) -> String {
    let Some(report) = objects.newest_first().into_iter().next() else {
        return "Nothing is under way, and no report of an attempt is left.".to_owned();
    };
    let (spec, name) = (&report.spec, &explanation.name);
    let ended = spec.ended_at.map(|at| format!(" at {}", said(at, explanation.at))).unwrap_or_default();
    format!(
        "Nothing is under way. The last attempt, revision {} of {name}, ended{ended}: {}.",
        spec.revision, spec.outcome
    )
}
