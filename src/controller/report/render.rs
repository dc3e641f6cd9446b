//! A report, as it grows by what is recorded.

use jiff::Timestamp;
use leadsman_api::{ReportFact, ReportGate, ReportRevision, RequestCounts, RolloutReportSpec, Shown, WayBack};
use leadsman_core::names::Revision;
use leadsman_core::report::Measured;
use leadsman_core::state::{End, Entry, GateRecord, Record};
use leadsman_core::text::{image_version, one_line, without_container};
use leadsman_core::traffic::Strategy;

use crate::controller::key::Key;
use crate::controller::status::{long, recent, signed};

/// Longest message, in characters.
const LONGEST_MESSAGE: usize = 1_500;
/// Longest query, in characters.
const LONGEST_QUERY: usize = 3_000;

/// A report of which nothing is told yet.
pub fn begun(rollout: &Key, record: &Record) -> RolloutReportSpec {
    RolloutReportSpec {
        rollout: rollout.name.to_string(),
        revision: long(record.canary.number),
        strategy: if record.strategy == Strategy::BlueGreen { "blueGreen" } else { "canary" }.to_owned(),
        outcome: "Progressing".to_owned(),
        began_at: record.began_at,
        canary: revision(&record.canary),
        stable: record.stable.as_ref().map(revision),
        ..RolloutReportSpec::default()
    }
}

/// Adds what is recorded and not in there yet.
pub fn add(spec: &mut RolloutReportSpec, record: &Record) {
    let next = spec.facts.last().map_or(0, |fact| fact.index + 1);
    spec.facts.extend(record.entries.iter().map(fact).filter(|fact| fact.index >= next));
    for gate in record.gates.iter().map(gate) {
        spec.gates.retain(|known| !(known.metric == gate.metric && known.step == gate.step));
        spec.gates.push(gate);
    }
    spec.canary.commit.clone_from(&record.canary.commit);
    spec.most_weight = signed(record.most.percent());
    spec.requests = record.requests.as_ref().map(|counted| RequestCounts {
        total: long(counted.total),
        failed: long(counted.failed),
        metric: counted.metric.clone(),
    });
    spec.way_back =
        record.way_back.map(|way| WayBack { decided: way.decided, written: way.written, in_force: way.in_force });
    if record.omitted > 0 {
        let said = |cut: &String| cut.ends_with("were too many to be kept.");
        spec.cut.retain(|cut| !said(cut));
        spec.cut.push(format!("{} facts that came again and again were too many to be kept.", record.omitted));
    }
    if let Some(End { at, outcome, reason, message }) = &record.end {
        outcome.as_str().clone_into(&mut spec.outcome);
        spec.ended_at = Some(*at);
        spec.reason.clone_from(reason);
        let last = || spec.facts.last().map(|fact| fact.words.clone()).unwrap_or_default();
        spec.message = if message.is_empty() { last() } else { one_line(message, LONGEST_MESSAGE) };
    } else if let Some(rejected) = record.entries.iter().find(|entry| entry.kind == "RollingBack") {
        let (reason, message) = rejected.words.split_once(": ").unwrap_or(("", &rejected.words));
        (spec.reason, spec.message) = (reason.to_owned(), message.to_owned());
    }
    spec.shown = shown(spec);
}

fn shown(spec: &RolloutReportSpec) -> Shown {
    let before = spec.stable.as_ref().map(|stable| stable.images.as_slice()).unwrap_or_default();
    let changed = spec.canary.images.iter().find(|image| !before.contains(image));
    let decided = spec.gates.iter().find(|gate| gate.decided).map(|gate| gate.metric.clone());
    let why = decided.unwrap_or_else(|| spec.reason.clone());
    Shown {
        image: changed
            .or(spec.canary.images.first())
            .map(|it| image_version(without_container(it)))
            .unwrap_or_default(),
        took: spec.ended_at.map(|ended| took(spec.began_at, ended)).unwrap_or_default(),
        why,
    }
}

/// A time as columns show it: 12s, 3m36s, 2h05m.
fn took(began: Timestamp, ended: Timestamp) -> String {
    let seconds = ended.duration_since(began).as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

fn revision(revision: &Revision) -> ReportRevision {
    ReportRevision {
        hash: revision.hash.to_string(),
        revision: long(revision.number),
        commit: revision.commit.clone(),
        images: revision.images.clone(),
    }
}

fn fact(Entry { index, at, kind, words, weight, step }: &Entry) -> ReportFact {
    ReportFact {
        index: long(*index),
        at: *at,
        kind: kind.clone(),
        words: words.clone(),
        weight: weight.map(|weight| signed(weight.percent())),
        step: step.map(signed),
    }
}

fn gate(GateRecord { step, decided, query, measured, .. }: &GateRecord) -> ReportGate {
    let Measured { metric, verdict, value, because, limit, confidence, samples, stable, .. } = measured;
    ReportGate {
        metric: metric.clone(),
        step: step.map(signed),
        decided: *decided,
        limit: one_line(limit, LONGEST_MESSAGE),
        verdict: Some(*verdict),
        value: Some(value.clone()).filter(|value| !value.is_empty()),
        stable: stable.clone(),
        samples: samples.map(long),
        confidence: confidence.clone(),
        message: one_line(because, LONGEST_MESSAGE),
        query: one_line(query, LONGEST_QUERY),
        dry_run: measured.dry_run,
        measurements: signed(measured.measurements),
        failed: signed(measured.failed),
        recent: measured.recent.iter().map(recent).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let told = [12, 216, 7_500].map(|seconds| took(at(0), at(seconds)));
        assert_eq!(told, ["12s", "3m36s", "2h05m"]);
        assert_eq!(took(at(5), at(0)), "0s");
    }

    #[test]
    fn what_is_recorded_is_added_once() {
        let revision = Revision { hash: "new".into(), number: 2, commit: None, images: Vec::new(), ports: Vec::new() };
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let mut record = Record::new(revision, None, Strategy::Canary, now);
        let entry = |words: &str| Entry {
            index: 0,
            at: now,
            kind: "StepCompleted".to_owned(),
            words: words.to_owned(),
            weight: None,
            step: None,
        };
        record.note(entry("one"), true, false);
        let mut spec = RolloutReportSpec::default();
        add(&mut spec, &record);
        add(&mut spec, &record);
        record.seen(1, now);
        record.note(entry("two"), true, false);
        add(&mut spec, &record);
        add(&mut spec, &record);
        let told: Vec<_> = spec.facts.iter().map(|fact| (fact.index, fact.words.as_str())).collect();
        assert_eq!(told, [(0, "one"), (1, "two")]);
    }
}
