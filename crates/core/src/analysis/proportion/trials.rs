//! Simulated releases: what the tables of docs/gates.md and the tests of the gate are made of. The same for the same seed,
//! everywhere.

use std::time::Duration;

use super::{Counts, Gate, Limit, OnInconclusive, OnSharedFailure, Proportion, Share};
use crate::dice::Dice;

/// How the failures of one interval hang together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Together {
    /// Each request fails by itself.
    Not,
    /// Two requests of an interval are correlated by so much: the share of an interval is drawn from a Beta distribution.
    Correlated(f64),
    /// Ten stand and fall together, as those of one connection.
    ClustersOfTen,
    /// Three intervals in a hundred have most of the failures.
    Bursts,
}

impl Dice {
    /// How many of `requests` fail of which a share `rate` does, each by itself.
    pub fn failures(&mut self, requests: u32, rate: f64) -> u32 {
        if rate <= 0.0 {
            return 0;
        }
        if rate >= 1.0 {
            return requests;
        }
        // From one failure to the next, which is quick where they are rare.
        let ln_good = (-rate).ln_1p();
        let (mut failures, mut at) = (0, 0.0);
        loop {
            at += ((1.0 - self.unit()).ln() / ln_good).floor() + 1.0;
            if at > f64::from(requests) {
                return failures;
            }
            failures += 1;
        }
    }

    /// The same where they hang together.
    pub fn failures_together(&mut self, requests: u32, rate: f64, together: Together) -> u32 {
        match together {
            Together::Not => self.failures(requests, rate),
            Together::Correlated(rho) => self.urn(requests, rate, rho),
            Together::ClustersOfTen => self.failures(requests / 10, rate) * 10,
            Together::Bursts => {
                const BURSTS: f64 = 0.03;
                let calm = 0.2 * rate;
                let burst = ((rate - (1.0 - BURSTS) * calm) / BURSTS).min(1.0);
                let now = if self.unit() < BURSTS { burst } else { calm };
                self.failures(requests, now)
            }
        }
    }

    /// Pólya's urn: what was drawn is put back twice, which is a Beta distribution of the share.
    fn urn(&mut self, requests: u32, rate: f64, rho: f64) -> u32 {
        let size = (1.0 - rho) / rho;
        let (mut bad, mut failures) = (rate * size, 0);
        for drawn in 0..requests {
            if self.unit() * (size + f64::from(drawn)) < bad {
                bad += 1.0;
                failures += 1;
            }
        }
        failures
    }
}

/// A revision as it is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Revision {
    /// The share that fails.
    pub rate: f64,
    /// How failures hang together.
    pub together: Together,
}

impl Revision {
    /// One whose requests fail by themselves.
    pub fn failing(rate: f64) -> Self {
        Self { rate, together: Together::Not }
    }

    /// So many requests of it.
    pub fn counts(self, dice: &mut Dice, requests: u32) -> Counts {
        let bad = dice.failures_together(requests, self.rate, self.together);
        Counts { bad: f64::from(bad), total: f64::from(requests) }
    }
}

/// The look at which a gate has failed; `None` where it has not within so many.
pub fn fails_at(
    proportion: &Proportion,
    revision: Revision,
    requests: u32,
    looks: u32,
    dice: &mut Dice,
) -> Option<u32> {
    let mut gate = Gate::default();
    (1..=looks).find(|_| {
        gate.count(proportion, revision.counts(dice, requests), None);
        gate.failed.is_some()
    })
}

/// The part of so many releases that a gate takes back within so many looks.
pub fn rolled_back(
    proportion: &Proportion,
    revision: Revision,
    requests: u32,
    looks: u32,
    releases: u32,
    dice: &mut Dice,
) -> f64 {
    let failed = (0..releases).filter(|_| fails_at(proportion, revision, requests, looks, dice).is_some()).count();
    failed as f64 / f64::from(releases)
}

/// A gate with this limit, at 95%, and everything else as it is by default.
pub fn limited_to(max: Share) -> Proportion {
    Proportion {
        limit: Some(Limit { max, pass_below: max.twice() }),
        against: None,
        confidence: Share(950_000),
        hard_failure: 10,
        min_samples: 0,
        patience: Duration::from_mins(10),
        on_inconclusive: OnInconclusive::Pause,
        on_shared_failure: OnSharedFailure::Hold,
        delay: Duration::from_secs(2),
        baseline: String::new(),
        latency: None,
        by: Vec::new(),
        traffic_share: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Share = Share(10_000);
    const RELEASES: u32 = 10_000;

    fn taken_back(rate: f64, together: Together) -> f64 {
        rolled_back(&limited_to(ONE), Revision { rate, together }, 100, 100, RELEASES, &mut Dice::new(20_261_126))
    }

    /// Of releases that are exactly at the limit no more than 5% may be taken back at 95%; simulated are 2.9%, and 2.6% where
    /// failures hang together.
    #[test]
    fn at_the_limit_few_are_taken_back_however_often_one_looks() {
        for together in [Together::Not, Together::Correlated(0.05)] {
            let part = taken_back(0.01, together);
            assert!((0.015..0.04).contains(&part), "{part} of those that fail {together:?}");
        }
    }

    #[test]
    fn with_a_third_of_the_limit_none_is_taken_back() {
        assert!(taken_back(0.003, Together::Not) < 1e-9);
    }

    #[test]
    fn shares_are_drawn_as_they_are_asked_for() {
        let mut dice = Dice::new(1);
        for together in [Together::Not, Together::Correlated(0.05), Together::ClustersOfTen, Together::Bursts] {
            let all: u32 = (0..20_000).map(|_| dice.failures_together(100, 0.01, together)).sum();
            let share = f64::from(all) / 2e6;
            assert!((0.009..0.011).contains(&share), "{share} {together:?}");
        }
        assert_eq!((dice.failures(7, 0.0), dice.failures(7, 1.0)), (0, 7));
    }
}
