//! A metric as declared, with its arguments resolved.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::condition::{Condition, MAX_LENGTH};
use super::proportion::Proportion;
use super::source::Source;
use crate::text::one_line;

/// A metric with thresholds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metric {
    /// Unique within its analysis.
    pub name: String,
    /// Between measurements.
    pub interval: Duration,
    /// Before the first one, beyond what `interval` and `min_window` ask.
    pub initial_delay: Duration,
    /// Measurements of a step that have to succeed; 1 unless given. In the background it means nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Measurements that may fail.
    pub failure_limit: u32,
    /// Measurements that may be inconclusive.
    pub inconclusive_limit: u32,
    /// Provider errors in a row that are borne.
    pub consecutive_error_limit: u32,
    /// What follows when there is nothing to judge.
    pub on_no_data: OnNoData,
    /// What follows when the provider fails for too long.
    pub on_provider_error: OnProviderError,
    /// Upper bound of `{{window}}`.
    pub window: Duration,
    /// No verdict before the weight has been in force for this long.
    pub min_window: Duration,
    /// What pods show in their first so much time says nothing.
    #[serde(default, skip_serializing_if = "Duration::is_zero")]
    pub warm_up: Duration,
    /// Measured and shown; nothing follows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// True: success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success: Option<Condition>,
    /// True: failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Condition>,
    /// Judged on counts instead of by conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proportion: Option<Proportion>,
    /// Arguments, for conditions; queries have them filled in.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, String>,
    /// Who is asked, and what.
    pub source: Source,
}

impl Metric {
    /// What its values are held against, as people read it.
    pub fn limit(&self) -> String {
        if let Some(proportion) = &self.proportion {
            return proportion.told();
        }
        let told = |condition: &Condition| one_line(condition.as_str(), MAX_LENGTH);
        let success = self.success.as_ref().map(told);
        let failure = self.failure.as_ref().map(|condition| format!("not {}", told(condition)));
        success.into_iter().chain(failure).collect::<Vec<_>>().join(", ")
    }

    /// What is sound, and most likely not what its author means: a sentence for each, for an event before anything moves.
    pub fn warnings(&self) -> Vec<String> {
        let conditions = [("successCondition", &self.success), ("failureCondition", &self.failure)];
        let asked = conditions.into_iter().filter_map(|(field, condition)| {
            let how = condition.as_ref().filter(|_| self.on_no_data == OnNoData::Hold)?.asks_for_no_data()?;
            Some(format!(
                "metric {}: {field} asks for {how}, but no condition is asked about an answer without a number: such an \
                 answer holds the release; say with onNoData: Succeed or onNoData: Fail if it means something else",
                self.name
            ))
        });
        asked.collect()
    }
}

/// What follows when a measurement has no data.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnNoData {
    /// Wait for data until the progress deadline, then roll back.
    #[default]
    Hold,
    /// As if the measurement had succeeded.
    Succeed,
    /// As if the measurement had failed.
    Fail,
}

/// What follows when the provider's errors exceed their limit.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnProviderError {
    /// Wait for the provider until the progress deadline, then roll back.
    #[default]
    Hold,
    /// Roll back.
    Fail,
    /// Wait for a person.
    Pause,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::tally::tests::metric;

    #[test]
    fn a_condition_that_is_never_asked_about_no_data_is_warned_of_unless_on_no_data_says_what_it_means() {
        let condition = |source| Some(Condition::new(source, &BTreeMap::new()).unwrap());
        let idiom = "len(result) == 0 || isNaN(result[0]) || result[0] >= 0.99";
        let metric = Metric { success: condition(idiom), failure: condition("isNaN(value)"), ..metric("m") };
        let warnings = metric.warnings();
        assert_eq!(warnings.len(), 2);
        assert!(warnings[0].starts_with("metric m: successCondition asks for an empty result"), "{}", warnings[0]);
        assert!(warnings[1].starts_with("metric m: failureCondition asks for isNaN(...)"), "{}", warnings[1]);
        assert!(warnings.iter().all(|it| it.contains("onNoData: Succeed")), "{warnings:?}");
        for on_no_data in [OnNoData::Succeed, OnNoData::Fail] {
            assert_eq!(Metric { on_no_data, ..metric.clone() }.warnings(), Vec::<String>::new());
        }
        assert_eq!(Metric { success: condition("value > 0.5"), failure: None, ..metric }.warnings().len(), 0);
    }
}
