//! Why an attempt ended as it did.

use leadsman_api::{Phase, RejectedRevision, RolloutReport, RolloutStatus, Verdict};

use super::parts::{sentence, take_report, version};
use crate::attempts::commander;
use crate::gates::limit;
use crate::images::short_commit;
use crate::instants::{said, seconds_between};
use crate::model::{About, Explanation, Gate, Revision, WayOn};
use crate::numbers::duration;
use crate::objects::Objects;
use crate::{images, release, ways};

/// What became of an attempt, by its report; by the rejection in the status where that is gone.
pub fn explain(objects: &Objects, status: &RolloutStatus, revision: i64, base: Explanation) -> Explanation {
    let report = objects.report(revision);
    let rejected = status.rejected.iter().find(|rejected| rejected.revision == revision);
    let mut explanation = base;
    forget_present(&mut explanation);
    explanation.attempt = Some(revision);
    match (report, rejected) {
        (Some(report), _) => {
            take_report(&mut explanation, report);
            explanation.about = about(report, rejected.is_some());
        }
        (None, Some(rejected)) => take_rejection(&mut explanation, status, rejected),
        (None, None) => {
            explanation.answer = vec![
                format!("nothing is known of revision {revision} of {}", explanation.name),
                "no report of it is kept, and it is not among those that were rejected.".to_owned(),
            ];
            return explanation;
        }
    }
    explanation.answer = answer(&explanation, report, objects);
    explanation.now = now(status, &explanation);
    explanation.to_go_on = to_go_on(objects, status, &explanation);
    explanation
}

/// What is about the present is no part of what is over.
fn forget_present(explanation: &mut Explanation) {
    explanation.sides.clear();
    explanation.pods.clear();
    explanation.timeline.clear();
    explanation.other_gates.clear();
    (explanation.waiting, explanation.next, explanation.ended_at) = (None, None, None);
    (explanation.began_at, explanation.decided_at) = (None, None);
    explanation.users.clear();
    explanation.to_go_on.clear();
    explanation.message.clear();
    explanation.reason.clear();
}

/// The report's last word may come some moments after the rejection.
fn about(report: &RolloutReport, is_rejected: bool) -> About {
    match report.spec.outcome.as_str() {
        "RolledBack" | "Aborted" => About::RolledBack,
        "Progressing" if is_rejected => About::RolledBack,
        "Promoted" | "First" => About::Promoted,
        _ => About::Ended,
    }
}

/// What the status remembers of a rejection.
fn take_rejection(explanation: &mut Explanation, status: &RolloutStatus, rejected: &RejectedRevision) {
    let known = status.canary.as_ref().filter(|canary| canary.hash == rejected.hash);
    let stable = status.stable.as_ref().map(|stable| stable.images.clone()).unwrap_or_default();
    explanation.about = About::RolledBack;
    explanation.reason.clone_from(&rejected.reason);
    explanation.message = crate::commands::without_commands(&rejected.message);
    explanation.decided_at = Some(rejected.at);
    explanation.to = known.map(|canary| images::of_status(canary, &stable)).or_else(|| {
        let (hash, version) = (rejected.hash.clone(), rejected.hash.clone());
        Some(Revision {
            hash,
            version,
            revision: rejected.revision,
            commit: rejected.commit.clone(),
            ..Revision::default()
        })
    });
    if let Some(query) = &rejected.query {
        let metric = rejected.message.split_whitespace().next().unwrap_or_default().to_owned();
        let verdict = Some(Verdict::Failure);
        explanation.gate = Some(Gate {
            metric,
            query: query.clone(),
            verdict,
            decided: true,
            message: rejected.message.clone(),
            ..Gate::default()
        });
    }
    explanation.unknown.push(
        "no report of this attempt is left: what changed, who was hit and what else was measured are not known"
            .to_owned(),
    );
}

fn answer(explanation: &Explanation, report: Option<&RolloutReport>, objects: &Objects) -> Vec<String> {
    let outcome = report.map(|report| report.spec.outcome.as_str()).unwrap_or_default();
    let (name, version) = (&explanation.name, version(explanation.to.as_ref()));
    let (decided, ended) = (explanation.decided_at, explanation.ended_at);
    let when =
        |at: Option<jiff::Timestamp>| at.map(|at| format!(" at {}", said(at, explanation.at))).unwrap_or_default();
    let after = |at: Option<jiff::Timestamp>| match (explanation.began_at, at) {
        (Some(began), Some(at)) => format!(", {} after it began", duration(seconds_between(began, at))),
        _ => String::new(),
    };
    match explanation.about {
        About::RolledBack if explanation.reason == "RolledBackByCommand" => {
            let who = commander(&explanation.message).unwrap_or("a person");
            vec![
                format!("{name} {version} was rolled back by {who}{}{}", when(decided), after(decided)),
                "because a person said so: what was stable before came back.".to_owned(),
            ]
        }
        About::RolledBack if explanation.reason == "Aborted" => {
            let who = commander(&explanation.message).unwrap_or("a person");
            vec![
                format!("{name} {version} was aborted by {who}{}{}", when(decided), after(decided)),
                "because a person said so, not because anything was measured.".to_owned(),
            ]
        }
        About::RolledBack => {
            vec![
                format!("{name} {version} was rolled back{}{}", when(decided), after(decided)),
                because(explanation, explanation.gate.as_ref()),
            ]
        }
        About::Promoted if outcome == "First" => vec![
            format!(
                "{name} {version} was the first revision; it serves since {}{}",
                said(ended.unwrap_or(explanation.at), explanation.at),
                after(ended)
            ),
            "There was nothing to compare it with: it got all traffic once its pods were ready.".to_owned(),
        ],
        About::Promoted => vec![
            format!("{name} {version} was promoted{}{}", when(ended), after(ended)),
            passed(&explanation.other_gates),
        ],
        _ => {
            let end = if outcome == "Progressing" {
                "has no end that is known".to_owned()
            } else {
                format!("ended{}{}: {outcome}", when(ended), after(ended))
            };
            vec![
                format!("{name} {version} (revision {}) {end}", explanation.attempt.unwrap_or_default()),
                ended_because(outcome, explanation, objects),
            ]
        }
    }
}

/// Why a revision was rejected: the gate with its value and its limit, or what the operator says.
pub fn because(explanation: &Explanation, gate: Option<&Gate>) -> String {
    let Some((gate, value)) = gate.and_then(|gate| Some((gate, gate.value.as_ref()?))) else {
        return sentence(&format!("because of {}: {}", explanation.reason, explanation.message)).replace(": .", ".");
    };
    let needs = if gate.limit.is_empty() { String::new() } else { format!("; it needs {}", limit(gate)) };
    let stable = gate.stable.as_ref().map(|stable| format!(" Stable: {}.", stable.text)).unwrap_or_default();
    format!("because {} was {} on {}{needs}.{stable}", gate.metric, value.text, version(explanation.to.as_ref()))
}

/// Which gates a promoted revision passed.
fn passed(gates: &[Gate]) -> String {
    let told = |gate: &Gate| {
        let value = gate.value.as_ref().map(|value| format!(" {}", value.text)).unwrap_or_default();
        let against = if gate.limit.is_empty() { String::new() } else { format!(" ({})", limit(gate)) };
        format!("{}{value}{against}", gate.metric)
    };
    let good: Vec<_> =
        gates.iter().filter(|gate| gate.verdict == Some(Verdict::Success) && !gate.dry_run).map(told).collect();
    match good.as_slice() {
        [] => "because all its steps were passed; no gate of it succeeded or was measured.".to_owned(),
        good => format!("because all its steps were passed, and so were its gates: {}.", good.join(", ")),
    }
}

fn ended_because(outcome: &str, explanation: &Explanation, objects: &Objects) -> String {
    let revision = explanation.attempt.unwrap_or_default();
    let successor =
        || objects.newest_first().into_iter().map(|report| report.spec.revision).filter(|it| *it > revision).min();
    let told = match outcome {
        _ if !explanation.message.is_empty() => explanation.message.clone(),
        "Superseded" => successor().map_or_else(
            || "a newer template was declared".to_owned(),
            |it| format!("a newer template was declared: revision {it}"),
        ),
        "Reverted" => "Git went back to the template that serves".to_owned(),
        "GivenUp" => "the rollback to it was given up by command".to_owned(),
        "TargetsChanged" => "other Services were declared, so that its release began anew".to_owned(),
        "Recovered" => "the operator's record was lost, so that all traffic was put on stable".to_owned(),
        "Progressing" => "its report was not finished, and it is not what is on its way now".to_owned(),
        _ => String::new(),
    };
    if told.is_empty() { "Why is not written down.".to_owned() } else { sentence(&format!("because {told}")) }
}

/// How things stand since then.
fn now(status: &RolloutStatus, explanation: &Explanation) -> String {
    let (from, _) = release::revisions(status);
    let Some(serves) = from else { return String::new() };
    let hash = explanation.to.as_ref().map(|to| to.hash.as_str()).unwrap_or_default();
    if serves.hash == hash {
        return format!("{} serves", serves.numbered());
    }
    let is_rejected = status.rejected.iter().any(|rejected| rejected.hash == hash);
    let stays =
        if is_rejected { format!("; {} stays rejected", version(explanation.to.as_ref())) } else { String::new() };
    match status.phase {
        Some(Phase::Healthy | Phase::RolledBack) => {
            format!("all traffic on {}{stays}", serves.numbered())
        }
        _ => format!("{} is stable{stays}", serves.numbered()),
    }
}

/// What there is to do about a rejected revision that is still declared.
fn to_go_on(objects: &Objects, status: &RolloutStatus, explanation: &Explanation) -> Vec<WayOn> {
    let hash = explanation.to.as_ref().map(|to| to.hash.as_str()).unwrap_or_default();
    let is_declared = status.canary.as_ref().is_some_and(|canary| canary.hash == hash);
    if explanation.about != About::RolledBack || status.phase != Some(Phase::RolledBack) || !is_declared {
        return Vec::new();
    }
    let mut ways = vec![WayOn { what: "mend it and push".to_owned(), command: None }];
    let commit = explanation.to.as_ref().and_then(|to| to.commit.as_deref());
    ways.push(match commit {
        Some(commit) => WayOn {
            what: "or go back in Git".to_owned(),
            command: Some(format!("git revert {}", short_commit(commit))),
        },
        None => WayOn { what: "or go back in Git".to_owned(), command: None },
    });
    let retry = ways::on(objects, status).into_iter().filter(|way| way.command.is_some());
    ways.extend(
        retry.map(|way| WayOn { what: "or, if it was not at fault, run the same once more".to_owned(), ..way }),
    );
    ways
}
