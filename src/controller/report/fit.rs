//! A report has room for 64 KiB. What tells least is cut first, and the report says so.

use leadsman_api::RolloutReportSpec;
use leadsman_core::text::one_line;

/// Room, in bytes of JSON, with something to spare for the metadata.
const ROOM: usize = 62 * 1024;
/// Lines of a log that are kept at first, and in the end.
const LINES: [usize; 2] = [12, 4];
/// Facts that are kept when there is no room for all: so many of the first, and so many of the last.
const FACTS: (usize, usize) = (20, 30);

/// Characters of a query, or of a message, that tells less than others.
const SHORT: usize = 200;

type Cut = fn(&mut RolloutReportSpec) -> Option<&'static str>;

/// In the order in which they are tried.
const CUTS: [Cut; 7] = [
    |spec| shorten_logs(spec, LINES[0]).then_some("Logs were cut to their last 12 lines."),
    forget_measurements,
    |spec| shorten_logs(spec, LINES[1]).then_some("Logs were cut to their last 4 lines."),
    forget_queries,
    forget_facts,
    |spec| keep(&mut spec.changes, 8).then_some("Of what changed, 8 lines were kept."),
    |spec| keep(&mut spec.pods, 2).then_some("Of what the pods said, 2 were kept."),
];

/// Cuts until it fits.
pub fn into_room(spec: &mut RolloutReportSpec) {
    for cut in CUTS {
        if size(spec) <= ROOM {
            return;
        }
        if let Some(said) = cut(spec).filter(|said| !spec.cut.iter().any(|cut| cut == said)) {
            spec.cut.push(said.to_owned());
        }
    }
}

fn size(spec: &RolloutReportSpec) -> usize {
    serde_json::to_vec(spec).map_or(0, |bytes| bytes.len())
}

fn keep<T>(list: &mut Vec<T>, most: usize) -> bool {
    let is_longer = list.len() > most;
    list.truncate(most);
    is_longer
}

fn shorten_logs(spec: &mut RolloutReportSpec, most: usize) -> bool {
    let mut was_cut = false;
    for pod in &mut spec.pods {
        let surplus = pod.log.len().saturating_sub(most);
        pod.log.drain(..surplus);
        was_cut |= surplus > 0;
    }
    was_cut
}

/// What was measured one by one, of metrics that decided nothing.
fn forget_measurements(spec: &mut RolloutReportSpec) -> Option<&'static str> {
    let mut was_cut = false;
    for gate in spec.gates.iter_mut().filter(|gate| !gate.decided) {
        was_cut |= !gate.recent.is_empty();
        gate.recent.clear();
    }
    was_cut.then_some("Of metrics that decided nothing, the last value alone was kept.")
}

fn forget_queries(spec: &mut RolloutReportSpec) -> Option<&'static str> {
    let mut was_cut = false;
    for gate in spec.gates.iter_mut().filter(|gate| !gate.decided) {
        for text in [&mut gate.query, &mut gate.message] {
            was_cut |= text.chars().count() > SHORT;
            *text = one_line(text, SHORT);
        }
    }
    was_cut.then_some("Queries and messages of metrics that decided nothing were cut to 200 characters.")
}

fn forget_facts(spec: &mut RolloutReportSpec) -> Option<&'static str> {
    let (first, last) = FACTS;
    let until = spec.facts.len().saturating_sub(last);
    if until <= first {
        return None;
    }
    spec.facts.drain(first..until);
    Some("Facts between the first 20 and the last 30 were left out.")
}

#[cfg(test)]
mod tests {
    use leadsman_api::{Change, PodWords, RecentMeasurement, ReportFact, ReportGate};

    use super::*;

    #[test]
    fn what_fits_is_kept_as_it_is() {
        let pods = vec![PodWords { log: vec!["line".to_owned(); 30], ..PodWords::default() }];
        let mut spec = RolloutReportSpec { pods, ..RolloutReportSpec::default() };
        let before = spec.clone();
        into_room(&mut spec);
        assert_eq!(spec, before);
    }

    #[test]
    fn the_largest_report_fits_and_says_what_was_cut_and_keeps_what_decided() {
        let long = "q".repeat(3_000);
        let recent = vec![RecentMeasurement { value: "9".repeat(24), ..RecentMeasurement::default() }; 16];
        let gate = |index: usize| ReportGate {
            metric: format!("m{index}"),
            decided: index == 7,
            query: long.clone(),
            message: "w".repeat(1_500),
            recent: recent.clone(),
            ..ReportGate::default()
        };
        let fact = ReportFact { words: "w".repeat(500), ..ReportFact::default() };
        let pod = PodWords { words: "w".repeat(600), log: vec!["l".repeat(400); 40], ..PodWords::default() };
        let change = Change { path: "p".repeat(100), before: Some("b".repeat(200)), after: Some("a".repeat(200)) };
        let mut spec = RolloutReportSpec {
            gates: (0..24).map(gate).collect(),
            facts: (0..160).map(|index| ReportFact { index, ..fact.clone() }).collect(),
            pods: vec![pod; 6],
            changes: vec![change; 24],
            ..RolloutReportSpec::default()
        };
        into_room(&mut spec);
        assert!(size(&spec) <= 64 * 1024, "{} bytes", size(&spec));
        let decided = spec.gates.iter().find(|gate| gate.decided).unwrap();
        assert_eq!((decided.query.len(), decided.recent.len()), (3_000, 16));
        assert!(spec.cut.len() >= 3, "{:?}", spec.cut);
        assert_eq!(spec.facts.last().map(|fact| fact.index), Some(159));
    }
}
