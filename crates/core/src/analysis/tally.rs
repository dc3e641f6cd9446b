//! Verdicts of one metric, counted against its limits.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Answer;
use super::metric::{Metric, OnNoData, OnProviderError};
use super::proportion::{Counts, Gate, OnInconclusive, look};
use super::verdict::{Judgement, Verdict, judge};
use crate::state::is_default;
use crate::text::one_line;

/// Measurements that are kept to be shown.
const MOST_RECENT: usize = 16;
/// Longest value of these, in characters.
const MOST_VALUE: usize = 24;

/// What has been measured of one metric, in one scope of one attempt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tally {
    /// Measurements that gave a verdict about the release (success, failure, inconclusive).
    pub measurements: u32,
    /// Those that succeeded.
    pub successes: u32,
    /// Those that failed.
    pub failures: u32,
    /// Those that were inconclusive.
    pub inconclusive: u32,
    /// Answers of any kind.
    #[serde(skip_serializing_if = "is_default")]
    pub answers: u32,
    /// Provider errors since the last answer.
    pub errors_in_a_row: u32,
    /// Last measurement of any kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Last>,
    /// The last measurements, the newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recent: Vec<Recent>,
    /// What has been counted of a proportion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<Box<Gate>>,
}

/// The last measurement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Last {
    /// When it was answered.
    pub at: Timestamp,
    /// The weight that it measured had been in force since then.
    pub since: Timestamp,
    /// What it said.
    pub judgement: Judgement,
    /// The query as sent.
    pub query: String,
}

/// One of the last measurements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recent {
    /// When it was answered; not known of those that an earlier version kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// What was measured, as people read it.
    pub value: String,
    /// What that says.
    pub verdict: Verdict,
}

/// What the tally of a metric asks for, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// Roll back.
    RollBack,
    /// Wait for a person.
    Ask,
    /// Hold: nothing to judge. Ends with the deadline.
    Hold,
    /// Go on measuring.
    Measure,
    /// It is passed.
    Pass,
}

/// How long an undecided proportion is borne.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Patience {
    /// For some time yet.
    #[default]
    Lasts,
    /// No longer.
    Over,
    /// Until the step ends: a person has said so.
    Accepted,
}

/// What passes a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enough {
    /// The last measurement at the present weight succeeded.
    SuccessSince,
    /// So many measurements succeeded.
    Successes(u32),
}

impl Tally {
    /// True where stable fails a proportion's limit as well.
    pub fn is_shared(&self) -> bool {
        self.gate.as_ref().is_some_and(|gate| gate.is_void())
    }

    /// The last value, where it is one number.
    pub fn number(&self) -> Option<f64> {
        match &self.gate {
            Some(gate) => gate.shown().map(Counts::share),
            None => self.last.as_ref()?.judgement.value.parse().ok(),
        }
    }

    /// Counts one answer.
    pub fn count(&mut self, metric: &Metric, answer: &Answer) {
        let Some(part) = answer.decisive() else { return };
        let judgement = match &metric.proportion {
            Some(proportion) => {
                let gate = self.gate.get_or_insert_default();
                let Some(judgement) = look::judge(gate, proportion, answer, part, metric.min_window) else { return };
                judgement
            }
            None => judge(metric, &part.outcome),
        };
        count_one(&mut self.answers);
        let verdict = match (judgement.verdict, metric.on_no_data) {
            (Verdict::NoData, OnNoData::Succeed) => Verdict::Success,
            (Verdict::NoData, OnNoData::Fail) => Verdict::Failure,
            (verdict, _) => verdict,
        };
        if verdict == Verdict::ProviderError {
            count_one(&mut self.errors_in_a_row);
        } else {
            self.errors_in_a_row = 0;
        }
        match verdict {
            Verdict::Success => count_one(&mut self.successes),
            Verdict::Failure => count_one(&mut self.failures),
            // A proportion that is not decided yet is in order.
            Verdict::Inconclusive if metric.proportion.is_none() => count_one(&mut self.inconclusive),
            Verdict::Inconclusive | Verdict::NoData | Verdict::ProviderError => {}
        }
        self.measurements = match &self.gate {
            Some(gate) => gate.intervals,
            None => self.successes.saturating_add(self.failures).saturating_add(self.inconclusive),
        };
        let judgement = Judgement { verdict, ..judgement };
        self.recent.push(Recent { at: Some(answer.at), value: one_line(&judgement.value, MOST_VALUE), verdict });
        self.recent.drain(..self.recent.len().saturating_sub(MOST_RECENT));
        self.last = Some(Last { at: answer.at, since: answer.token.since, judgement, query: part.query.clone() });
    }

    /// What follows at a weight in force since `since`.
    pub fn call(&self, metric: &Metric, since: Timestamp, enough: Enough, patience: Patience) -> Call {
        let too_many_errors = self.errors_in_a_row > metric.consecutive_error_limit;
        if self.failures > metric.failure_limit
            || (too_many_errors && metric.on_provider_error == OnProviderError::Fail)
        {
            return Call::RollBack;
        }
        if self.inconclusive > metric.inconclusive_limit
            || (too_many_errors && metric.on_provider_error == OnProviderError::Pause)
        {
            return Call::Ask;
        }
        let last = self.last.as_ref().filter(|last| last.since == since).map(|last| last.judgement.verdict);
        let passes = match enough {
            Enough::SuccessSince => last == Some(Verdict::Success),
            Enough::Successes(count) => self.successes >= count,
        };
        match last {
            _ if passes => Call::Pass,
            Some(Verdict::Inconclusive) if self.is_shared() => Call::Hold,
            Some(Verdict::Inconclusive) if metric.proportion.is_some() => undecided(metric, patience),
            Some(Verdict::NoData | Verdict::ProviderError) => Call::Hold,
            _ => Call::Measure,
        }
    }
}

/// What follows where a proportion is not decided.
fn undecided(metric: &Metric, patience: Patience) -> Call {
    let then = metric.proportion.as_ref().map_or(OnInconclusive::Pause, |proportion| proportion.on_inconclusive);
    match (patience, then) {
        (Patience::Lasts, _) => Call::Measure,
        (Patience::Accepted, _) | (Patience::Over, OnInconclusive::Proceed) => Call::Pass,
        (Patience::Over, OnInconclusive::Pause) => Call::Ask,
        (Patience::Over, OnInconclusive::Fail) => Call::RollBack,
    }
}

/// A count that was persisted may be anything.
fn count_one(count: &mut u32) {
    *count = count.saturating_add(1);
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::analysis::condition::Condition;
    use crate::analysis::proportion::trials::limited_to;
    use crate::analysis::proportion::{Proportion, Share};
    use crate::analysis::source::{Prometheus, Source};
    use crate::analysis::{MetricId, Outcome, Part, Reads, Scope, Token};

    pub(crate) fn metric(name: &str) -> Metric {
        Metric {
            name: name.to_owned(),
            interval: Duration::from_secs(10),
            initial_delay: Duration::ZERO,
            count: None,
            failure_limit: 0,
            inconclusive_limit: 0,
            consecutive_error_limit: 4,
            on_no_data: OnNoData::Hold,
            on_provider_error: OnProviderError::Hold,
            window: Duration::from_mins(1),
            min_window: Duration::ZERO,
            warm_up: Duration::ZERO,
            dry_run: false,
            success: Some(Condition::new("value >= 0.9", &BTreeMap::new()).unwrap()),
            failure: None,
            proportion: None,
            args: BTreeMap::new(),
            source: Source::Prometheus(Box::new(Prometheus {
                address: None,
                query: "rate(x{rev=\"{{canary.hash}}\"}[{{window}}])".to_owned(),
                timeout: Duration::from_secs(10),
                headers: Vec::new(),
                parameters: Vec::new(),
                by_get: false,
                auth: None,
                tls: None,
            })),
        }
    }

    /// One that counts requests, against a limit of 1%.
    pub(crate) fn counted(name: &str, change: impl Fn(Proportion) -> Proportion) -> Metric {
        let baseline = "baseline{{stable.hash}}".to_owned();
        let proportion = Proportion { baseline, ..limited_to(Share(10_000)) };
        Metric { proportion: Some(change(proportion)), success: None, ..metric(name) }
    }

    fn answer(outcome: Outcome) -> Answer {
        let metric = MetricId { scope: Scope::Background, name: "m".to_owned() };
        let token = Token { attempt: 1, metric, since: Timestamp::UNIX_EPOCH, step_since: None };
        Answer {
            token,
            at: Timestamp::UNIX_EPOCH,
            reads: Reads::Values,
            parts: vec![Part { query: String::new(), outcome }],
        }
    }

    fn tally(metric: &Metric, outcomes: &[Outcome]) -> Tally {
        let mut tally = Tally::default();
        for outcome in outcomes {
            tally.count(metric, &answer(outcome.clone()));
        }
        tally
    }

    fn call(metric: &Metric, outcomes: &[Outcome]) -> Call {
        tally(metric, outcomes).call(metric, Timestamp::UNIX_EPOCH, Enough::SuccessSince, Patience::Lasts)
    }

    fn good() -> Outcome {
        Outcome::Samples(vec![1.0])
    }
    fn bad() -> Outcome {
        Outcome::Samples(vec![0.1])
    }
    fn down() -> Outcome {
        Outcome::Error { query_is_wrong: false, message: "refused".to_owned() }
    }

    #[test]
    fn one_failure_more_than_the_limit_rolls_back() {
        let lenient = Metric { failure_limit: 1, ..metric("m") };
        assert_eq!(call(&metric("m"), &[bad()]), Call::RollBack);
        assert_eq!(call(&lenient, &[bad(), good()]), Call::Pass);
        assert_eq!(call(&lenient, &[bad(), good(), bad()]), Call::RollBack);
    }

    #[test]
    fn no_data_holds_and_counts_for_nothing() {
        let metric = metric("m");
        assert_eq!(call(&metric, &vec![Outcome::Empty; 50]), Call::Hold);
        assert_eq!(tally(&metric, &[Outcome::Empty, good()]).measurements, 1);
    }

    #[test]
    fn no_data_may_be_declared_to_be_good_or_bad() {
        assert_eq!(call(&Metric { on_no_data: OnNoData::Succeed, ..metric("m") }, &[Outcome::Empty]), Call::Pass);
        assert_eq!(call(&Metric { on_no_data: OnNoData::Fail, ..metric("m") }, &[Outcome::Empty]), Call::RollBack);
    }

    #[test]
    fn provider_errors_hold_and_only_those_in_a_row_exceed_their_limit() {
        let failing = Metric { on_provider_error: OnProviderError::Fail, consecutive_error_limit: 1, ..metric("m") };
        assert_eq!(call(&metric("m"), &[down(), down(), down(), down(), down(), down()]), Call::Hold);
        assert_eq!(call(&failing, &[down(), good(), down()]), Call::Hold);
        assert_eq!(call(&failing, &[down(), good(), down(), down()]), Call::RollBack);
        let asking = Metric { on_provider_error: OnProviderError::Pause, consecutive_error_limit: 0, ..metric("m") };
        assert_eq!(call(&asking, &[down()]), Call::Ask);
    }

    #[test]
    fn a_success_at_another_weight_does_not_pass_this_one() {
        let metric = metric("m");
        let later = Timestamp::from_second(100).unwrap();
        assert_eq!(
            tally(&metric, &[good()]).call(&metric, later, Enough::SuccessSince, Patience::Lasts),
            Call::Measure
        );
    }

    #[test]
    fn a_count_is_of_successes_and_nothing_else_completes_it() {
        let lenient = Metric { failure_limit: 1, inconclusive_limit: 9, ..metric("m") };
        let lenient = Metric { failure: Some(Condition::new("value < 0.5", &BTreeMap::new()).unwrap()), ..lenient };
        let unclear = || Outcome::Samples(vec![0.7]);
        let call = |outcomes: &[Outcome]| {
            tally(&lenient, outcomes).call(&lenient, Timestamp::UNIX_EPOCH, Enough::Successes(2), Patience::Lasts)
        };
        assert_eq!(call(&[unclear(), unclear(), unclear()]), Call::Measure);
        assert_eq!(call(&[good(), bad(), unclear()]), Call::Measure);
        assert_eq!(call(&[good(), bad(), good()]), Call::Pass);
        assert_eq!(call(&[good(), Outcome::Empty]), Call::Hold);
    }

    /// A clock that was set back takes the last measurement away, since nobody can tell which weight it was about.
    #[test]
    fn a_count_that_is_complete_stays_so_without_its_last_measurement() {
        let metric = metric("m");
        let complete = Tally { last: None, ..tally(&metric, &[good(), good()]) };
        assert_eq!(complete.call(&metric, Timestamp::UNIX_EPOCH, Enough::Successes(2), Patience::Lasts), Call::Pass);
    }
}
