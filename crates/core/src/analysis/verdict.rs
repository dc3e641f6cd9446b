//! One answer, judged: five different things, of which only two are about the release.

use serde::{Deserialize, Serialize};

use super::Outcome;
use super::condition::Condition;
use super::metric::Metric;

/// What one measurement says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The success condition holds, or no failure condition does.
    Success,
    /// The failure condition holds, or the only condition, for success, does not.
    Failure,
    /// Both conditions are given and neither holds.
    Inconclusive,
    /// Nothing to judge: no sample, or only NaN.
    NoData,
    /// No usable answer.
    ProviderError,
}

impl Verdict {
    /// True when the measurement says something about the release, not only about the measuring.
    pub fn is_about_the_release(self) -> bool {
        matches!(self, Self::Success | Self::Failure | Self::Inconclusive)
    }
}

/// A verdict with what it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// The value or values, as people read them; empty without data.
    pub value: String,
    /// The condition that decided, or the provider's words.
    pub because: String,
}

/// Judges an answer by the metric's conditions. `failure` wins where both hold.
pub fn judge(metric: &Metric, outcome: &Outcome) -> Judgement {
    let samples = match outcome {
        Outcome::Error { message, .. } => return judgement(Verdict::ProviderError, "", message),
        Outcome::Empty => return judgement(Verdict::NoData, "", "the query has no sample"),
        Outcome::Samples(samples) => samples,
    };
    let value = shown(samples);
    if samples.is_empty() || samples.iter().all(|sample| sample.is_nan()) {
        return judgement(Verdict::NoData, &value, "the value is not a number (no requests in the window?)");
    }
    let decide = |condition: &Condition| condition.holds(samples, &metric.args);
    let failure = metric.failure.as_ref().map(|condition| (condition, decide(condition)));
    let mut undecided = None;
    match failure {
        Some((condition, Ok(true))) => {
            return judgement(Verdict::Failure, &value, &format!("failureCondition {}", condition.as_str()));
        }
        Some((condition, Err(error))) => return broken("failureCondition", condition.as_str(), &value, &error),
        Some((condition, Ok(false))) if metric.success.is_none() => {
            return judgement(Verdict::Success, &value, &format!("not failureCondition {}", condition.as_str()));
        }
        Some((condition, Ok(false))) => undecided = Some(condition),
        None => {}
    }
    let success = metric.success.as_ref().map(|condition| (condition, decide(condition)));
    match (success, undecided) {
        (Some((condition, Ok(true))), _) => {
            judgement(Verdict::Success, &value, &format!("successCondition {}", condition.as_str()))
        }
        (Some((condition, Err(error))), _) => broken("successCondition", condition.as_str(), &value, &error),
        (Some((condition, Ok(false))), None) => {
            judgement(Verdict::Failure, &value, &format!("successCondition {} does not hold", condition.as_str()))
        }
        (Some((condition, Ok(false))), Some(failure)) => judgement(
            Verdict::Inconclusive,
            &value,
            &format!("neither successCondition {} nor failureCondition {}", condition.as_str(), failure.as_str()),
        ),
        (None, _) => judgement(Verdict::Inconclusive, &value, "the metric has no condition"),
    }
}

fn broken(which: &str, condition: &str, value: &str, error: &str) -> Judgement {
    judgement(Verdict::ProviderError, value, &format!("{which} {condition} cannot judge this answer: {error}"))
}

fn judgement(verdict: Verdict, value: &str, because: &str) -> Judgement {
    Judgement { verdict, value: value.to_owned(), because: because.to_owned() }
}

/// Values with at most four significant decimals; ten series at the most.
fn shown(samples: &[f64]) -> String {
    let one = |value: &f64| {
        let text = format!("{value:.4}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    };
    let mut shown: Vec<_> = samples.iter().take(10).map(one).collect();
    if samples.len() > 10 {
        shown.push(format!("and {} more", samples.len() - 10));
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::tally::tests::metric;

    fn with(success: Option<&str>, failure: Option<&str>) -> Metric {
        let condition = |source: &str| Condition::new(source, &std::collections::BTreeMap::new()).unwrap();
        Metric { success: success.map(condition), failure: failure.map(condition), ..metric("m") }
    }

    fn verdict(success: Option<&str>, failure: Option<&str>, samples: &[f64]) -> Verdict {
        judge(&with(success, failure), &Outcome::Samples(samples.to_vec())).verdict
    }

    #[test]
    fn with_one_condition_every_value_is_success_or_failure() {
        assert_eq!(verdict(Some("value > 0.9"), None, &[0.95]), Verdict::Success);
        assert_eq!(verdict(Some("value > 0.9"), None, &[0.85]), Verdict::Failure);
        assert_eq!(verdict(None, Some("value < 0.9"), &[0.95]), Verdict::Success);
        assert_eq!(verdict(None, Some("value < 0.9"), &[0.85]), Verdict::Failure);
    }

    #[test]
    fn between_two_conditions_is_inconclusive_and_failure_wins() {
        let both = (Some("value > 0.9"), Some("value < 0.5"));
        assert_eq!(verdict(both.0, both.1, &[0.7]), Verdict::Inconclusive);
        assert_eq!(verdict(both.0, both.1, &[0.4]), Verdict::Failure);
        assert_eq!(verdict(Some("value > 0.1"), Some("value < 0.5"), &[0.4]), Verdict::Failure);
    }

    #[test]
    fn no_data_is_neither_success_nor_failure_nor_error() {
        let metric = with(Some("value > 0.9"), None);
        assert_eq!(judge(&metric, &Outcome::Empty).verdict, Verdict::NoData);
        assert_eq!(judge(&metric, &Outcome::Samples(vec![f64::NAN])).verdict, Verdict::NoData);
        let down = Outcome::Error { query_is_wrong: false, message: "connection refused".to_owned() };
        assert_eq!(judge(&metric, &down).verdict, Verdict::ProviderError);
    }

    #[test]
    fn a_condition_on_one_value_cannot_judge_several_series() {
        let judgement = judge(&with(Some("value > 0.9"), None), &Outcome::Samples(vec![1.0, 0.2]));
        assert_eq!(judgement.verdict, Verdict::ProviderError);
        assert_eq!(verdict(Some("result.all(v, v > 0.9)"), None, &[1.0, 0.2]), Verdict::Failure);
    }

    #[test]
    fn values_are_shown_as_people_read_them() {
        assert_eq!(shown(&[0.7, 1.0, 0.123_456]), "0.7, 1, 0.1235");
    }
}
