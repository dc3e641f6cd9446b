//! Shares of traffic in whole percent, and how many pods they need.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The canary's share of the traffic, in whole percent; stable has the rest. Never above 100.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Weight(u8);

/// A weight above 100.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a weight is a whole number from 0 to 100, not {0}")]
pub struct NotAWeight(u8);

impl TryFrom<u8> for Weight {
    type Error = NotAWeight;
    fn try_from(percent: u8) -> Result<Self, NotAWeight> {
        if percent <= 100 { Ok(Self(percent)) } else { Err(NotAWeight(percent)) }
    }
}

impl From<Weight> for u8 {
    fn from(weight: Weight) -> u8 {
        weight.0
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl Weight {
    /// Nothing for the canary.
    pub const ZERO: Self = Self(0);
    /// One in twenty.
    pub const FIVE: Self = Self(5);
    /// Both alike: what two whole revisions behind one selector get.
    pub const HALF: Self = Self(50);
    /// Everything for the canary.
    pub const FULL: Self = Self(100);

    /// The nearest weight: values above 100 become 100.
    pub fn clamped(percent: u32) -> Self {
        Self(u8::try_from(percent.min(100)).unwrap_or(100))
    }

    /// The weight in percent.
    pub fn percent(self) -> u32 {
        u32::from(self.0)
    }

    /// The weight from 0 to 1.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 100.0
    }

    /// True for a share that leaves something to both.
    pub fn is_shared(self) -> bool {
        self != Self::ZERO && self != Self::FULL
    }

    /// What is left for stable.
    #[must_use]
    pub fn rest(self) -> Self {
        Self(100 - self.0.min(100))
    }

    /// This weight less another, never below 0.
    #[must_use]
    pub fn less(self, by: Weight) -> Self {
        Self(self.0.saturating_sub(by.0))
    }

    /// Ready pods that a backend with this share needs: `ceil(replicas * share)`.
    pub fn needs(self, replicas: u32) -> u32 {
        let pods = (u64::from(replicas) * u64::from(self.0)).div_ceil(100);
        u32::try_from(pods).unwrap_or(u32::MAX)
    }

    /// The largest share that `ready` pods of `replicas` can carry. Everything where nothing is needed.
    pub fn carried_by(ready: u32, replicas: u32) -> Self {
        if replicas == 0 {
            return Self::FULL;
        }
        let percent = u64::from(ready) * 100 / u64::from(replicas);
        Self::clamped(u32::try_from(percent).unwrap_or(100))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_pods_carry_never_needs_more_than_those_pods(ready in 0u32..5000, replicas in 0u32..5000) {
            let share = Weight::carried_by(ready, replicas);
            prop_assert!(share.needs(replicas) <= ready || replicas == 0);
        }

        #[test]
        fn what_pods_carry_is_the_most_they_carry(ready in 0u32..500, replicas in 1u32..500) {
            let share = Weight::carried_by(ready, replicas);
            if share < Weight::FULL {
                prop_assert!(Weight::clamped(share.percent() + 1).needs(replicas) > ready);
            }
        }
    }

    #[test]
    fn one_percent_of_anything_needs_a_pod_and_nothing_needs_none() {
        assert_eq!(Weight::clamped(1).needs(3), 1);
        assert_eq!(Weight::ZERO.needs(3), 0);
        assert_eq!(Weight::FULL.needs(3), 3);
    }

    #[test]
    fn a_weight_above_100_is_no_weight() {
        assert!(Weight::try_from(101).is_err());
        assert!(serde_json::from_str::<Weight>("101").is_err());
    }
}
