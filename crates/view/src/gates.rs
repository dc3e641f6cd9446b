//! What is measured, from the status or from a report.

use leadsman_api::{MetricStatus, RecentMeasurement, ReportGate};

use crate::model::{Gate, Measure, Recent};
use crate::numbers::{measure, number};

/// A metric of the status, with the query that the report keeps of it.
pub fn of_status(metric: &MetricStatus, reported: &[ReportGate]) -> Gate {
    let kept = reported.iter().rev().find(|gate| gate.metric == metric.metric);
    Gate {
        metric: metric.metric.clone(),
        step: kept.and_then(|gate| gate.step),
        decided: kept.is_some_and(|gate| gate.decided),
        dry_run: metric.dry_run,
        limit: metric.limit.clone(),
        value: metric.value.as_deref().and_then(measure),
        stable: metric.stable.as_deref().and_then(of_stable),
        samples: metric.samples,
        confidence: metric.confidence.as_deref().and_then(number),
        verdict: metric.verdict,
        measurements: metric.measurements,
        failed: metric.failed,
        message: metric.message.clone(),
        query: kept.map(|gate| gate.query.clone()).unwrap_or_default(),
        since: metric.since,
        recent: metric.recent.iter().map(recent).collect(),
    }
}

/// A metric of a report.
pub fn of_report(gate: &ReportGate) -> Gate {
    Gate {
        metric: gate.metric.clone(),
        step: gate.step,
        decided: gate.decided,
        dry_run: gate.dry_run,
        limit: gate.limit.clone(),
        value: gate.value.as_deref().and_then(measure),
        stable: gate.stable.as_deref().and_then(of_stable),
        samples: gate.samples,
        confidence: gate.confidence.as_deref().and_then(number),
        verdict: gate.verdict,
        measurements: gate.measurements,
        failed: gate.failed,
        message: gate.message.clone(),
        query: gate.query.clone(),
        since: None,
        recent: gate.recent.iter().map(recent).collect(),
    }
}

/// What stable measures; nothing where it has no traffic that could be measured.
fn of_stable(text: &str) -> Option<Measure> {
    measure(text).filter(|measured| !measured.text.eq_ignore_ascii_case("nan"))
}

fn recent(taken: &RecentMeasurement) -> Recent {
    Recent { at: taken.at, value: measure(&taken.value), verdict: taken.verdict }
}

/// The limit as it is read beside a value: ≥ 0.99 for `value >= 0.99`, ≤ 1% for a proportion; else as it is declared.
pub fn limit(gate: &Gate) -> String {
    let limit = gate.limit.trim();
    for (operator, sign) in
        [("value >= ", "≥"), ("value <= ", "≤"), ("value > ", ">"), ("value < ", "<"), ("value == ", "=")]
    {
        if let Some(bound) = limit.strip_prefix(operator).filter(|bound| number(bound).is_some()) {
            return format!("{sign} {bound}");
        }
    }
    let is_share = limit.split_once('%').is_some_and(|(share, _)| number(share).is_some());
    if is_share || limit.starts_with("stable + ") { format!("≤ {limit}") } else { limit.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simple_limit_is_told_by_its_sign() {
        let told = |limit_text: &str| limit(&Gate { limit: limit_text.to_owned(), ..Gate::default() });
        assert_eq!(told("value >= 0.99"), "≥ 0.99");
        assert_eq!(told("1%, stable + 0.5 points"), "≤ 1%, stable + 0.5 points");
        assert_eq!(told("stable + 0.5 points"), "≤ stable + 0.5 points");
        for other in ["value >= double(args.threshold)", "result.all(v, v < 0.05)", "not value > 5", "", "exit 0"] {
            assert_eq!(told(other), other);
        }
    }
}
