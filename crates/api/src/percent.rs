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

/// A share on the wire, with up to four decimals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Share(String);

/// A text that is not a share.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a share: write a number from 0 to 100 with at most four decimals and %, like 0.5%")]
pub struct InvalidShare {
    text: String,
}

/// Digits that a share may have.
const SHARE: &str = "^(100|[0-9]{1,2}([.][0-9]{1,4})?)%$";

impl Share {
    /// Takes a share as it stands in a manifest, without looking at it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// What the text means, in millionths.
    pub fn parse(&self) -> Result<u32, InvalidShare> {
        let invalid = || InvalidShare { text: self.0.chars().take(12).collect() };
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = self.0.strip_suffix('%').ok_or_else(invalid)?;
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        if !is_number(whole) || !is_number(decimals) || whole.len() > 3 || decimals.len() > 4 {
            return Err(invalid());
        }
        let millionths = format!("{whole}{decimals:0<4}").parse().map_err(|_| invalid())?;
        if millionths <= 1_000_000 { Ok(millionths) } else { Err(invalid()) }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Share {
    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": SHARE, "maxLength": 8 })
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

    #[test]
    fn shares_are_read_in_millionths() {
        for (text, millionths) in
            [("0%", 0), ("1%", 10_000), ("0.5%", 5000), ("99.9999%", 999_999), ("100%", 1_000_000)]
        {
            assert_eq!(Share::new(text).parse(), Ok(millionths), "{text}");
        }
        for text in ["", "%", ".5%", "5.%", "1.23456%", "100.1%", "1", "-1%", "1e1%", "1 %"] {
            assert!(Share::new(text).parse().is_err(), "{text}");
        }
    }
}
