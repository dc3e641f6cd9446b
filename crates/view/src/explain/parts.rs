//! Parts of an explanation that are the same whatever it is about.

use jiff::Timestamp;
use leadsman_api::{PodWords, RolloutReport, RolloutReportSpec};
use leadsman_core::text::one_line;

use crate::instants::seconds_between;
use crate::model::{About, Explanation, Gate, Requests, Revision, Words};
use crate::numbers::{duration, part, whole};
use crate::objects::{Objects, last_of};
use crate::{gates, images, release};

/// Longest words of a pod, in characters.
const LONGEST: usize = 500;

/// What the objects say, before it is known what is explained.
pub fn base(objects: &Objects, now: Timestamp) -> Explanation {
    let shown = release(objects, now);
    let words = shown.sides.iter().flat_map(|side| &side.pods).filter(|pod| !pod.is_ready && !pod.words.is_empty());
    let said = words.map(|pod| Words {
        pod: pod.name.clone(),
        container: String::new(),
        at: None,
        words: pod.words.clone(),
        restarts: pod.restarts,
        log: Vec::new(),
        same: Vec::new(),
    });
    Explanation {
        at: now,
        namespace: shown.namespace,
        name: shown.name,
        about: About::Unknown,
        answer: Vec::new(),
        attempt: shown.attempt,
        reason: shown.why.as_ref().map(|why| why.reason.clone()).unwrap_or_default(),
        message: shown.why.as_ref().map_or(shown.message, |why| why.message.clone()),
        from: shown.from,
        to: shown.to,
        source: shown.source,
        began_at: shown.began_at,
        decided_at: shown.why.map(|why| why.at),
        ended_at: None,
        changes: Vec::new(),
        requests: None,
        users: shown.users,
        most_weight: None,
        way_back_written_at: None,
        way_back_in_force_at: None,
        gate: None,
        other_gates: shown.gates,
        pods: said.collect(),
        sides: shown.sides,
        waiting: shown.waiting,
        next: shown.next,
        timeline: shown.timeline,
        now: String::new(),
        to_go_on: shown.you,
        unknown: Vec::new(),
    }
}

/// What a report says, in place of what the objects say now.
pub fn take_report(explanation: &mut Explanation, report: &RolloutReport) {
    let spec = &report.spec;
    let images =
        |revision: Option<&leadsman_api::ReportRevision>| revision.map(|it| it.images.clone()).unwrap_or_default();
    explanation.attempt = Some(spec.revision);
    explanation.reason.clone_from(&spec.reason);
    explanation.message = crate::commands::without_commands(&spec.message);
    explanation.from = spec.stable.as_ref().map(|it| images::of_report(it, &images(Some(&spec.canary))));
    explanation.to = Some(images::of_report(&spec.canary, &images(spec.stable.as_ref())));
    explanation.began_at = Some(spec.began_at);
    explanation.ended_at = spec.ended_at;
    explanation.changes = spec.changes.iter().map(release::change).collect();
    explanation.most_weight = Some(spec.most_weight);
    explanation.timeline = spec.facts.iter().map(release::fact).collect();
    explanation.requests =
        spec.requests.as_ref().map(|it| Requests { total: it.total, failed: it.failed, metric: it.metric.clone() });
    if let Some(way_back) = &spec.way_back {
        explanation.decided_at = Some(way_back.decided);
        explanation.way_back_written_at = way_back.written;
        explanation.way_back_in_force_at = way_back.in_force;
    } else {
        explanation.decided_at = last_of(&spec.facts, "RollingBack").map(|fact| fact.at).or(spec.ended_at);
    }
    (explanation.gate, explanation.other_gates) = parted(spec.gates.iter().map(gates::of_report).collect());
    if !spec.pods.is_empty() {
        explanation.pods = spec.pods.iter().map(words).collect();
    }
    explanation.users = users(spec, &version(explanation.to.as_ref()));
    explanation.unknown.extend(spec.cut.iter().map(|cut| format!("the report was cut: {cut}")));
}

/// The gate that decided, and the others.
fn parted(mut gates: Vec<Gate>) -> (Option<Gate>, Vec<Gate>) {
    let decided = gates.iter().position(|gate| gate.decided).map(|index| gates.remove(index));
    (decided, gates)
}

fn words(said: &PodWords) -> Words {
    Words {
        pod: said.pod.clone(),
        container: said.container.clone(),
        at: Some(said.at),
        words: one_line(&said.words, LONGEST),
        restarts: said.restarts,
        log: said.log.clone(),
        same: said.same.clone(),
    }
}

/// Who was hit.
fn users(spec: &RolloutReportSpec, version: &str) -> String {
    if let Some(counts) = &spec.requests {
        let failed = match counts.failed {
            0 => "none failed".to_owned(),
            failed => format!("{} failed ({})", whole(failed), part(failed, counts.total)),
        };
        let lasted = exposed(spec).map(|seconds| format!(", in {}", duration(seconds))).unwrap_or_default();
        return format!("{} requests reached {version}, {failed}{lasted}", whole(counts.total));
    }
    match (spec.most_weight, spec.stable.is_some() && spec.outcome != "Promoted") {
        (_, false) => String::new(),
        (i32::MIN..=0, true) => "nobody: it never had traffic".to_owned(),
        (most, true) => {
            let lasted = exposed(spec).map(|seconds| format!(", for {}", duration(seconds))).unwrap_or_default();
            format!("at most {most}% of the traffic was on {version}{lasted}; requests were not counted")
        }
    }
}

/// Seconds from the first share until it was taken back.
fn exposed(spec: &RolloutReportSpec) -> Option<i64> {
    let first = spec.facts.iter().find(|fact| fact.weight.is_some_and(|weight| weight > 0))?;
    let over = spec.way_back.as_ref().and_then(|way_back| way_back.in_force).or(spec.ended_at)?;
    Some(seconds_between(first.at, over))
}

/// What a revision is called; `the new revision` where it is not known.
pub fn version(revision: Option<&Revision>) -> String {
    revision.map_or_else(|| "the new revision".to_owned(), |revision| revision.version.clone())
}

/// A text as a sentence: with a full stop, unless it ends with a mark.
pub fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() || text.ends_with(['.', '!', '?', '…']) { text.to_owned() } else { format!("{text}.") }
}
