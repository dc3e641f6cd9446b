//! One answer, judged: five different things, of which only two are about the release.

use serde::{Deserialize, Serialize};

use super::Outcome;
use super::condition::{Condition, MAX_LENGTH};
use super::metric::Metric;
use crate::text::one_line;

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
    /// All of them, for metrics.
    pub const ALL: [Self; 5] = [Self::Success, Self::Failure, Self::Inconclusive, Self::NoData, Self::ProviderError];

    /// The word in the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "Success",
            Self::Failure => "Failure",
            Self::Inconclusive => "Inconclusive",
            Self::NoData => "NoData",
            Self::ProviderError => "ProviderError",
        }
    }

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
///
/// Series without a number (NaN: nothing happened in the window) say nothing about the release: conditions are asked about
/// the others, and the words say how many were left out.
pub fn judge(metric: &Metric, outcome: &Outcome) -> Judgement {
    let samples = match outcome {
        Outcome::Error { message, .. } => return judgement(Verdict::ProviderError, "", message),
        Outcome::Empty => return judgement(Verdict::NoData, "", "the query has no sample"),
        Outcome::Samples(samples) => samples,
        Outcome::Done { well: true, words } => return judgement(Verdict::Success, "done", words),
        Outcome::Done { well: false, words } => return judgement(Verdict::Failure, "failed", words),
        Outcome::Counted(_) => return judgement(Verdict::ProviderError, "", "the answer has counts, not values"),
    };
    let value = shown(samples);
    let numbers: Vec<f64> = samples.iter().copied().filter(|sample| !sample.is_nan()).collect();
    if numbers.is_empty() {
        return judgement(Verdict::NoData, &value, "the value is not a number (no requests in the window?)");
    }
    let (verdict, because) = decide(metric, &numbers, samples.len());
    judgement(verdict, &value, &format!("{because}{}", left_out(numbers.len(), samples.len())))
}

/// What the conditions say about the numbers of an answer with so many series.
fn decide(metric: &Metric, numbers: &[f64], series: usize) -> (Verdict, String) {
    let holds = |condition: &Condition| condition.holds(numbers, series, &metric.args);
    let mut undecided = None;
    if let Some(condition) = &metric.failure {
        match holds(condition) {
            Ok(true) => return (Verdict::Failure, format!("failureCondition {}", told(condition))),
            Ok(false) if metric.success.is_none() => {
                return (Verdict::Success, format!("not failureCondition {}", told(condition)));
            }
            Ok(false) => undecided = Some(condition),
            Err(error) => return broken("failureCondition", condition, &error),
        }
    }
    let Some(condition) = &metric.success else {
        return (Verdict::Inconclusive, "the metric has no condition".to_owned());
    };
    match (holds(condition), undecided) {
        (Ok(true), _) => (Verdict::Success, format!("successCondition {}", told(condition))),
        (Ok(false), None) => (Verdict::Failure, format!("successCondition {} does not hold", told(condition))),
        (Ok(false), Some(failure)) => {
            let (success, failure) = (told(condition), told(failure));
            (Verdict::Inconclusive, format!("neither successCondition {success} nor failureCondition {failure}"))
        }
        (Err(error), _) => broken("successCondition", condition, &error),
    }
}

fn broken(which: &str, condition: &Condition, error: &str) -> (Verdict, String) {
    (Verdict::ProviderError, format!("{which} {} cannot judge this answer: {error}", told(condition)))
}

/// A condition may be written on several lines.
fn told(condition: &Condition) -> String {
    one_line(condition.as_str(), MAX_LENGTH)
}

/// How many series the condition was not asked about.
fn left_out(numbers: usize, series: usize) -> String {
    match series.saturating_sub(numbers) {
        0 => String::new(),
        1 => format!(" (1 of {series} series has no number)"),
        more => format!(" ({more} of {series} series have no number)"),
    }
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

    /// An error rate by path, one path of which is idle.
    #[test]
    fn series_without_a_number_are_left_out_and_counted() {
        let idle = Outcome::Samples(vec![0.01, f64::NAN]);
        let judgement = judge(&with(Some("result.all(v, v < 0.05)"), None), &idle);
        assert_eq!((judgement.verdict, judgement.value.as_str()), (Verdict::Success, "0.01, NaN"));
        assert_eq!(judgement.because, "successCondition result.all(v, v < 0.05) (1 of 2 series has no number)");
        let judgement = judge(&with(None, Some("result.exists(v, v > 0.05)")), &idle);
        assert_eq!(judgement.because, "not failureCondition result.exists(v, v > 0.05) (1 of 2 series has no number)");
        let worse = Outcome::Samples(vec![f64::NAN, 0.2, f64::NAN]);
        let judgement = judge(&with(Some("result.all(v, v < 0.05)"), None), &worse);
        assert_eq!(judgement.verdict, Verdict::Failure);
        assert!(judgement.because.ends_with("does not hold (2 of 3 series have no number)"), "{}", judgement.because);
    }

    #[test]
    fn no_condition_sees_a_series_without_a_number_however_it_is_written() {
        let nan = f64::NAN;
        for samples in [vec![0.01, nan], vec![nan, 0.01], vec![nan, 0.01, nan]] {
            for good in [
                "result.all(v, v < 0.05)",
                "!result.exists(v, v >= 0.05)",
                "result.all(v, !(v > 0.05))",
                "!(result[0] > 0.05)",
                "len(result) == 1",
                "result.filter(v, v < 0.05) == result",
                "result.all(v, v == v)",
            ] {
                assert_eq!(verdict(Some(good), None, &samples), Verdict::Success, "{good} of {samples:?}");
                assert_eq!(verdict(None, Some(good), &samples), Verdict::Failure, "{good} of {samples:?}");
                assert_eq!(verdict(Some(good), Some("result[0] > 0.5"), &samples), Verdict::Success, "{good}");
            }
        }
    }

    /// Which of several series `value` would be must not depend on which of them are idle.
    #[test]
    fn the_only_number_of_several_series_is_not_their_value() {
        let samples = [0.01, f64::NAN];
        for condition in ["value < 0.05", "default(result, 1.0) < 0.05"] {
            let judgement = judge(&with(Some(condition), None), &Outcome::Samples(samples.to_vec()));
            assert_eq!(judgement.verdict, Verdict::ProviderError);
            assert!(judgement.because.contains("there are 2"), "{}", judgement.because);
            assert!(judgement.because.ends_with("(1 of 2 series has no number)"), "{}", judgement.because);
        }
        assert_eq!(verdict(Some("len(result) == 1 && result[0] < 0.05"), None, &samples), Verdict::Success);
    }

    #[test]
    fn words_about_an_answer_are_on_one_line() {
        let written = "result.all(v,\n  v > 0.5)\n";
        for metric in [with(Some(written), None), with(None, Some(written)), with(Some(written), Some(written))] {
            for samples in [vec![0.2], vec![0.7], vec![f64::NAN]] {
                let because = judge(&metric, &Outcome::Samples(samples)).because;
                assert!(!because.contains('\n'), "{because:?}");
            }
        }
        let broken = judge(&with(Some("value\n> 0.5"), None), &Outcome::Samples(vec![1.0, 2.0])).because;
        assert!(broken.starts_with("successCondition value > 0.5 cannot judge"), "{broken:?}");
    }

    /// p99 beyond the last bucket, a quotient by nothing.
    #[test]
    fn infinities_are_numbers() {
        let infinity = f64::INFINITY;
        assert_eq!(verdict(Some("value < 0.5"), None, &[infinity]), Verdict::Failure);
        assert_eq!(verdict(Some("value < 0.5"), None, &[-infinity]), Verdict::Success);
        assert_eq!(verdict(Some("result.all(v, v < 0.5)"), None, &[0.1, infinity]), Verdict::Failure);
        assert_eq!(verdict(None, Some("isInf(value)"), &[infinity]), Verdict::Failure);
        let judgement = judge(&with(Some("result.all(v, v < 0.5)"), None), &Outcome::Samples(vec![0.1, infinity]));
        assert_eq!((judgement.value.as_str(), judgement.because.contains("no number")), ("0.1, inf", false));
    }

    /// 0.0 / 0.0 in the condition itself: neither good nor bad.
    #[test]
    fn a_condition_that_computes_no_number_judges_nothing() {
        for condition in ["result[0] / result[1] < 0.05", "!(result[0] / result[1] > 0.05)"] {
            assert_eq!(verdict(Some(condition), None, &[0.0, 0.0]), Verdict::ProviderError, "{condition}");
            assert_eq!(verdict(None, Some(condition), &[0.0, 0.0]), Verdict::ProviderError, "{condition}");
        }
    }

    #[test]
    fn values_are_shown_as_people_read_them() {
        assert_eq!(shown(&[0.7, 1.0, 0.123_456]), "0.7, 1, 0.1235");
    }
}
