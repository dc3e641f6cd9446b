//! Proportions of requests, judged on counts: how many went wrong, of how many.
//!
//! Two questions, two tests. *Failure*, "worse than it may be", rolls back, so that nothing about the requests of one interval
//! is assumed ([`evidence`]). *Success*, "shown to be good enough", only goes on while Failure keeps watching, so that it may
//! take requests as independent ([`sequence`]). [`gate`] is both, with what is known of stable beside it.
//!
//! Nothing here knows a clock or draws lots. Numbers of requests are real: sources interpolate.

mod evidence;
mod gate;
mod latency;
pub mod look;
pub mod queries;
pub mod sequence;
pub mod trials;
pub mod words;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::analysis::Reporter;
use crate::state::is_default;

pub use gate::{Failed, Finding, Gate};
pub use latency::{Latency, Unit};
pub use queries::BASELINE_MINUTES;

/// A share of requests, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Share(pub u32);

impl Share {
    /// All of them.
    pub const ALL: Self = Self(1_000_000);

    /// From 0 to 1.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 1e6
    }

    /// Twice as many, or half-way to all where that is less.
    #[must_use]
    pub fn twice(self) -> Self {
        Self(self.0.saturating_mul(2).min(u32::midpoint(self.0, Self::ALL.0)))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:04}", self.0 / 10_000, self.0 % 10_000);
        write!(f, "{}%", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// What is asked of a proportion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Proportion {
    /// The share that may go wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// By how much it may be worse than stable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<Against>,
    /// That a Failure is none by chance, over the whole release.
    pub confidence: Share,
    /// Requests in a row that may all fail; 0 where that is no failure by itself.
    pub hard_failure: u32,
    /// Requests at a weight below which it does not pass.
    #[serde(default, skip_serializing_if = "is_default")]
    pub min_samples: u32,
    /// How long an undecided result is borne after the step would otherwise have ended.
    pub patience: Duration,
    /// What follows then.
    pub on_inconclusive: OnInconclusive,
    /// What follows where stable fails as well.
    pub on_shared_failure: OnSharedFailure,
    /// How long a source takes to know what happened.
    pub delay: Duration,
    /// What is asked of stable before anything moves.
    pub baseline: String,
    /// What goes wrong is that it takes too long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// The query of a look by each reporter that may know; the first that knows stable is asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<(Reporter, String)>,
    /// The canary's part of all requests has to follow its weight.
    #[serde(default, skip_serializing_if = "is_default")]
    pub traffic_share: bool,
}

/// A limit of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limit {
    /// The share that may go wrong.
    pub max: Share,
    /// It passes once it is shown to be below this.
    pub pass_below: Share,
}

/// A limit by what stable shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Against {
    /// By how much the share may be greater than stable's.
    pub margin: Share,
    /// It passes once it is shown to be greater by no more than this.
    pub pass_within: Share,
}

/// What follows where a proportion stays undecided.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnInconclusive {
    /// Wait for a person.
    #[default]
    Pause,
    /// Go on: it was not shown to be bad.
    Proceed,
    /// Roll back.
    Fail,
}

/// What follows where stable fails as well.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnSharedFailure {
    /// Hold until it is over or the progress deadline has passed: nothing is held against the canary.
    #[default]
    Hold,
    /// Roll back: the canary may be what harms stable.
    Fail,
}

impl Proportion {
    /// The greatest probability of a Failure by chance.
    pub fn alpha(&self) -> f64 {
        1.0 - self.confidence.as_f64()
    }

    /// What it is held against, as people read it: `1%, stable + 0.5 points`.
    pub fn told(&self) -> String {
        let limit = self.limit.map(|limit| limit.max.to_string());
        let against = self.against.map(|against| format!("stable + {}", words::points(against.margin.as_f64())));
        let told = limit.into_iter().chain(against).collect::<Vec<_>>().join(", ");
        match &self.latency {
            Some(latency) => format!("{told} {}{}", latency.told(), latency.as_said()),
            None => told,
        }
    }

    /// Requests after which a revision with this share is most likely shown to be good enough; `None` where that is never,
    /// or where it is held against stable alone.
    pub fn requests_to_pass(&self, share: f64) -> Option<u64> {
        let needed = sequence::requests_to_pass(share, self.limit?.pass_below.as_f64(), self.alpha())?;
        Some(needed.max(self.min_samples.into()))
    }

    /// Evidence that rolls back. The probability is shared by the tests of one gate.
    pub fn threshold(&self) -> f64 {
        f64::from(u8::from(self.limit.is_some()) + u8::from(self.against.is_some())) / self.alpha()
    }
}

/// Requests of one revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Those that went wrong.
    pub bad: f64,
    /// All of them.
    pub total: f64,
}

impl Counts {
    /// As they are to be counted: never negative, never more bad ones than there are, never without a number.
    #[must_use]
    pub fn clean(self) -> Self {
        let total = finite(self.total);
        Self { bad: finite(self.bad).min(total), total }
    }

    /// The share of bad ones; 0 of none.
    pub fn share(self) -> f64 {
        if self.total > 0.0 { self.bad / self.total } else { 0.0 }
    }

    /// All of them, as a whole number.
    pub fn requests(self) -> u64 {
        whole_number(self.total)
    }

    /// Those that went wrong, as a whole number.
    pub fn failed(self) -> u64 {
        whole_number(self.bad)
    }

    /// More bad ones than noise explains at this rate, at two standard deviations.
    fn is_clearly_above(self, rate: f64) -> bool {
        let expected = self.total * rate;
        self.total > 0.0 && self.bad > expected + 2.0 * expected.sqrt()
    }

    #[must_use]
    fn plus(self, other: Self) -> Self {
        Self { bad: self.bad + other.bad, total: self.total + other.total }
    }

    #[must_use]
    fn half(self) -> Self {
        Self { bad: self.bad / 2.0, total: self.total / 2.0 }
    }
}

/// What is known of stable before anything moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Baseline {
    /// Its requests in the last [`BASELINE_MINUTES`].
    pub stable: Counts,
    /// Time between two scrapes of it; zero where that is not known.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub scrapes_every: Duration,
    /// For how long of those minutes it has been known; zero where that is not known.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub known_for: Duration,
    /// Who counts, where several could.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reporter: Option<Reporter>,
    /// The boundaries of its histogram between which the limit lies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub neighbours: Option<(f64, f64)>,
}

impl Baseline {
    /// Requests of stable in a second.
    pub fn rate(&self) -> f64 {
        let all = Duration::from_mins(BASELINE_MINUTES);
        let known = if self.known_for.is_zero() { all } else { self.known_for.min(all) };
        self.stable.total / known.as_secs_f64()
    }
}

impl std::iter::Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Self::plus)
    }
}

/// A number that may be counted with: what is none, infinite or negative counts for nothing.
fn whole_number(count: f64) -> u64 {
    format!("{count:.0}").parse().unwrap_or(u64::MAX)
}

fn finite(number: f64) -> f64 {
    if number.is_finite() && number > 0.0 { number } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of the reference implementation.
    pub(super) fn vectors() -> serde_json::Value {
        serde_json::from_str(include_str!("../../../fixtures/proportion.json")).unwrap()
    }

    /// As near as the reference is printed.
    pub(super) fn close(one: f64, other: f64) -> bool {
        (one - other).abs() <= 1e-6 * one.abs().max(other.abs()).max(1.0)
    }

    #[test]
    fn shares_are_shown_as_people_write_them() {
        for (share, text) in [(0, "0%"), (100, "0.01%"), (5000, "0.5%"), (10_000, "1%"), (123_456, "12.3456%")] {
            assert_eq!(Share(share).to_string(), text);
        }
        assert_eq!((Share(10_000).twice(), Share(800_000).twice()), (Share(20_000), Share(900_000)));
    }
}
