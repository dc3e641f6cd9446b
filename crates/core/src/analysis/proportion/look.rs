//! One look at a proportion: an answer of its source, counted where it goes on from the look before, and judged.

use std::time::Duration;

use super::queries::{counts, time};
use super::sequence::lower;
use super::words::{self, percent, whole};
use super::{BASELINE_MINUTES, Baseline, Counts, Failed, Finding, Gate, OnSharedFailure, Proportion};
use crate::analysis::verdict::{Judgement, Verdict};
use crate::analysis::{Answer, Counted, Number, Outcome, Part, Reads, Span};
use crate::time::after;

/// A source that is new shows everything that ever was as if it were now: more than so many times what there was in all the
/// time before.
const MOST_TIMES: f64 = 20.0;
/// Requests below which that is no reason not to believe it.
const BELIEVED: f64 = 1000.0;

/// Counts an answer and judges what there is then; `None` for one that does not go on from the look before.
pub fn judge(
    gate: &mut Gate,
    proportion: &Proportion,
    answer: &Answer,
    part: &Part,
    min_window: Duration,
) -> Option<Judgement> {
    let none: &[Counted] = &[];
    let numbers = match &part.outcome {
        Outcome::Error { message, .. } => {
            return Some(judgement(Verdict::ProviderError, String::new(), message.clone()));
        }
        Outcome::Counted(numbers) => numbers,
        Outcome::Empty => none,
        Outcome::Samples(_) | Outcome::Done { .. } => {
            let words = "the answer has numbers without names".to_owned();
            return Some(judgement(Verdict::ProviderError, String::new(), words));
        }
    };
    match answer.reads {
        Reads::Values => None,
        Reads::Baseline => Some(match baseline(proportion, numbers) {
            Ok(baseline) => {
                *gate = Gate::with_baseline(baseline);
                of_stable(baseline, proportion)
            }
            Err(error) => judgement(Verdict::ProviderError, String::new(), error),
        }),
        Reads::Counts(span) => count(gate, proportion, answer, span, numbers, min_window),
    }
}

fn count(
    gate: &mut Gate,
    proportion: &Proportion,
    answer: &Answer,
    span: Span,
    numbers: &[Counted],
    min_window: Duration,
) -> Option<Judgement> {
    let since = answer.token.since;
    gate.weigh(since);
    if gate.until.is_some_and(|until| span.from < until) || span.to <= span.from {
        return None;
    }
    let latency = proportion.latency.as_ref().map(|latency| latency.of(gate.baseline().reporter));
    let (canary, stable) = match counts(numbers, None, latency.as_ref()) {
        Ok(counts) => counts,
        Err(error) => return Some(judgement(Verdict::ProviderError, String::new(), error)),
    };
    let stable = stable.filter(|stable| is_believed(*stable, gate.baseline().stable));
    gate.count(proportion, canary.unwrap_or_default(), stable);
    gate.until = Some(span.to);
    let mut finding = gate.finding(proportion);
    if finding == Finding::SharedFailure && proportion.on_shared_failure == OnSharedFailure::Fail {
        gate.failed = Some(Failed::SharedFailure);
        finding = Finding::Failed(Failed::SharedFailure);
    }
    let mut verdict = finding.verdict();
    let mut because = words::because(gate, proportion, finding);
    let is_early = span.to < after(since, min_window);
    if is_early && matches!(verdict, Verdict::Success | Verdict::NoData) {
        verdict = Verdict::Inconclusive;
        because = format!("{because} (not before minWindow, {} s, is over)", min_window.as_secs());
    }
    Some(judgement(verdict, words::value(gate), because))
}

/// What stable shows before anything moves, by the first who knows it.
fn baseline(proportion: &Proportion, numbers: &[Counted]) -> Result<Baseline, String> {
    let latency = |reporter| proportion.latency.as_ref().map(|latency| latency.of(reporter));
    let of = |reporter| Ok::<_, String>(counts(numbers, reporter, latency(reporter).as_ref())?.1.unwrap_or_default());
    let (mut reporter, mut stable) = (None, Counts::default());
    if proportion.by.is_empty() {
        stable = of(None)?;
    }
    for (candidate, _) in &proportion.by {
        if stable.total <= 0.0 {
            (reporter, stable) = (Some(*candidate), of(Some(*candidate))?);
        }
    }
    let time = |number| time(numbers, reporter, number).unwrap_or_default();
    let (scrapes_every, known_for) = (time(Number::ScrapeInterval), time(Number::KnownFor));
    let neighbours = latency(reporter).and_then(|latency| latency.neighbours(numbers, reporter));
    Ok(Baseline { stable, scrapes_every, known_for, reporter, neighbours })
}

fn is_believed(stable: Counts, baseline: Counts) -> bool {
    baseline.total <= 0.0 || stable.total <= BELIEVED || stable.total <= MOST_TIMES * baseline.total
}

/// What stable shows before anything moves.
fn of_stable(Baseline { stable, reporter, .. }: Baseline, proportion: &Proportion) -> Judgement {
    let Counts { bad, total } = stable;
    if total <= 0.0 {
        let by: Vec<_> = proportion.by.iter().map(|(reporter, _)| reporter.as_str()).collect();
        let by = if by.is_empty() { String::new() } else { format!(", by none of {}", by.join(", ")) };
        let because = format!("stable had no request in the last {BASELINE_MINUTES} min{by}");
        return judgement(Verdict::NoData, String::new(), because);
    }
    let value = percent(stable.share());
    let by = reporter.map(|reporter| format!(", counted by {}", reporter.as_str())).unwrap_or_default();
    let requests = words::requests(stable, proportion);
    let of = format!("{} of {requests} in the last {BASELINE_MINUTES} min{by}", whole(bad));
    let Some(limit) = proportion.limit else { return judgement(Verdict::Success, value, of) };
    if lower(bad, total, proportion.alpha()) > limit.max.as_f64() {
        return judgement(Verdict::Failure, value, format!("{of}, limit {}", limit.max));
    }
    if stable.share() >= limit.pass_below.as_f64() {
        let never = format!("{of}: a revision like this can never be shown to be below {}", limit.pass_below);
        return judgement(Verdict::Failure, value, never);
    }
    judgement(Verdict::Success, value, format!("{of}, limit {}", limit.max))
}

fn judgement(verdict: Verdict, value: String, because: String) -> Judgement {
    Judgement { verdict, value, because }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_young_stable_is_believed_and_a_lifetime_that_appears_at_once_is_not() {
        let of = |total| Counts { bad: 0.0, total };
        assert!(is_believed(of(3680.0), of(2000.0)), "ten seconds of 200 requests were all that there was before");
        assert!(!is_believed(of(100_217.0), of(2000.0)));
        assert!(is_believed(of(900.0), of(1.0)) && is_believed(of(1e6), of(0.0)));
    }
}
