//! A percentage as people write it: `25%`.
//!
//! The text is kept as it was written, as with durations: reading an object never fails because of it.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// From 0% to 100%.
const PATTERN: &str = "^(100|[1-9]?[0-9])%$";

/// Whole percent on the wire, from `0%` to `100%`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Percent(String);

/// A text that is not a percentage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a percentage: write a whole number from 0 to 100 and %, like 25%")]
pub struct InvalidPercent {
    text: String,
}

impl Percent {
    /// Takes a percentage as it stands in a manifest, without looking at it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// What the text means, from 0 to 100.
    pub fn parse(&self) -> Result<u8, InvalidPercent> {
        let digits = self.0.strip_suffix('%').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let percent = digits.and_then(|digits| digits.parse().ok()).filter(|percent| *percent <= 100);
        percent.ok_or_else(|| InvalidPercent { text: self.0.chars().take(8).collect() })
    }
}

/// All of it: what a percentage is that is left out.
pub(crate) fn whole() -> Percent {
    Percent::new("100%")
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Percent {
    fn schema_name() -> Cow<'static, str> {
        "Percent".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": PATTERN, "maxLength": 4 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_percent_are_read_and_everything_else_is_refused_with_the_form() {
        assert_eq!(["0%", "7%", "100%"].map(|text| Percent::new(text).parse().unwrap()), [0, 7, 100]);
        for text in ["", "%", "101%", "5", "-5%", "+5%", "5.5%", "5 %"] {
            assert!(Percent::new(text).parse().is_err(), "{text}");
        }
        let message = Percent::new("half").parse().unwrap_err().to_string();
        assert_eq!(message, "\"half\" is not a percentage: write a whole number from 0 to 100 and %, like 25%");
    }
}
