//! A duration as people write it: `30s`, `1m30s`, `500ms`.
//!
//! The text is kept as it was written, so that reading an object never fails because of a duration and writing it back
//! changes nothing. [`Duration::parse`] says what it means, or what is wrong with it. The form is the Gateway API's.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Up to four numbers of up to five digits, each with its unit.
const PATTERN: &str = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";
/// What [`PATTERN`] matches is no longer than this.
const MAX_LENGTH: usize = 28;

/// A duration on the wire: up to four whole numbers, each with one of the units `h`, `m`, `s`, `ms`. Never negative.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Duration(String);

/// A text that is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a duration: write whole numbers with the units h, m, s or ms, like 30s, 1m30s or 500ms")]
pub struct InvalidDuration {
    text: String,
}

impl Duration {
    /// Takes a duration as it stands in a manifest, without looking at it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the text means.
    pub fn parse(&self) -> Result<std::time::Duration, InvalidDuration> {
        milliseconds(&self.0)
            .map(std::time::Duration::from_millis)
            .ok_or_else(|| InvalidDuration { text: self.0.chars().take(MAX_LENGTH * 2).collect() })
    }
}

fn milliseconds(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total = 0;
    for _ in 0..4 {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let units = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(units);
        let factor = match unit {
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1_000,
            "ms" => 1,
            _ => return None,
        };
        if number.len() > 5 {
            return None;
        }
        total += number.parse::<u64>().ok()? * factor;
        rest = tail;
        if rest.is_empty() {
            return Some(total);
        }
    }
    None
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": PATTERN, "maxLength": MAX_LENGTH })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> u128 {
        Duration::new(text).parse().unwrap().as_millis()
    }

    #[test]
    fn durations_mean_what_go_says_they_mean() {
        assert_eq!(millis("0s"), 0);
        assert_eq!(millis("500ms"), 500);
        assert_eq!(millis("90s"), 90_000);
        assert_eq!(millis("1m30s"), 90_000);
        assert_eq!(millis("1h2m3s4ms"), 3_723_004);
        assert_eq!(millis("99999h"), 359_996_400_000);
    }

    #[test]
    fn everything_else_is_refused_with_the_text_and_the_form() {
        for text in
            ["", "5", "s", "-5s", "+5s", "1.5h", "1d", "5 s", "5s ", "1us", "100000s", "1s1s1s1s1s", "٣s", "1m30"]
        {
            assert!(Duration::new(text).parse().is_err(), "{text}");
        }
        let message = Duration::new("1d").parse().unwrap_err().to_string();
        assert_eq!(
            message,
            "\"1d\" is not a duration: write whole numbers with the units h, m, s or ms, like 30s, 1m30s or 500ms"
        );
    }

    #[test]
    fn an_odd_duration_is_read_and_written_back_as_it_is() {
        let duration: Duration = serde_json::from_str("\"soon\"").unwrap();
        assert_eq!(serde_json::to_string(&duration).unwrap(), "\"soon\"");
    }
}
