//! Failure: is the canary worse than it may be?
//!
//! A bettor against the release starts with money of 1 and bets on each interval that more requests go wrong than are
//! allowed. One interval is one observation, whatever hangs together inside it. While in every interval the expected number
//! of bad requests is at most what is allowed, the money reaches `1 / alpha` in at most a share `alpha` of all releases,
//! however often one looks (Ville 1939). It is the capital process for bounded means of Waudby-Smith and Ramdas
//! ("Estimating means of bounded random variables by betting", 2024), made one-sided, with fixed bets and with stakes that
//! are placed over time.

use serde::{Deserialize, Serialize};

use super::finite;

/// Share of each third of the money that is risked in an interval.
const BETS: [f64; 3] = [0.25, 0.5, 0.75];
/// Bad requests; smaller allowances are betted on as if they were this.
const LEAST_ALLOWED: f64 = 1.0 / 3.0;
/// Less money than this is thrown away, which is always allowed, as is what goes beyond the most.
const LEAST_MONEY: f64 = 1e-12;
const MOST_MONEY: f64 = 1e100;

/// The money of a bettor against the release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Evidence([f64; 3]);

impl Evidence {
    /// Puts in the `stake`-th stake, from 1.
    pub(super) fn put_in(&mut self, stake: u32) {
        let part = share_of_stake(stake) / 3.0;
        for money in &mut self.0 {
            *money += part;
        }
    }

    /// Counts an interval with so many bad requests where so many were allowed.
    pub(super) fn count(&mut self, bad: f64, allowed: f64) {
        let gain = (bad - allowed) / allowed.max(LEAST_ALLOWED);
        for (money, bet) in self.0.iter_mut().zip(BETS) {
            let now = *money * (1.0 + bet * gain);
            *money = if now >= LEAST_MONEY { now.min(MOST_MONEY) } else { 0.0 };
        }
    }

    /// All the money, that which is not at stake after so many stakes with it.
    pub(super) fn total(&self, stakes: u32) -> f64 {
        let [first, second, third] = self.0;
        if stakes == 0 { 1.0 } else { cash(stakes) + (first + second + third) }
    }

    /// A persisted value that is none counts for nothing.
    pub(super) fn make_sound(&mut self) {
        for money in &mut self.0 {
            *money = finite(*money).min(MOST_MONEY);
        }
    }
}

/// Share of the first money that a stake puts on the bets. All of them together are 1.
fn share_of_stake(stake: u32) -> f64 {
    let twice = 2.0 * f64::from(stake);
    2.0 / ((twice - 1.0) * (twice + 1.0))
}

/// What is left of the first money after so many stakes.
fn cash(stakes: u32) -> f64 {
    1.0 / (2.0 * f64::from(stakes) + 1.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{close, vectors};
    use super::*;

    #[test]
    fn stakes_are_those_of_the_reference_and_are_the_whole_money_together() {
        let stakes = vectors()["stakes"].as_array().unwrap().clone();
        for (stake, expected) in [1, 2, 3, 10].into_iter().zip(stakes) {
            assert!(close(share_of_stake(stake), expected.as_f64().unwrap()), "{stake}");
        }
        for stakes in 1..1000 {
            let placed: f64 = (1..=stakes).map(share_of_stake).sum();
            assert!(close(placed + cash(stakes), 1.0), "{stakes}");
        }
    }

    /// Exactly what Ville's inequality asks for, by enumeration: nobody wins on average where as much goes wrong as may.
    #[test]
    fn at_the_limit_no_bet_gains_on_average() {
        for (total, rate) in [(1, 0.01), (20, 0.01), (100, 0.05), (60, 0.3)] {
            let mut mean = [0.0; 3];
            let mut likelihood = f64::powi(1.0 - rate, total);
            for bad in 0..=total {
                let mut evidence = Evidence([1.0; 3]);
                evidence.count(f64::from(bad), f64::from(total) * rate);
                for (mean, money) in mean.iter_mut().zip(evidence.0) {
                    *mean += likelihood * money;
                }
                likelihood *= f64::from(total - bad) / f64::from(bad + 1) * rate / (1.0 - rate);
            }
            assert!(mean.iter().all(|mean| *mean < 1.0 + 1e-9), "{total} at {rate}: {mean:?}");
        }
    }

    proptest! {
        #[test]
        fn the_money_is_never_negative_and_grows_with_what_goes_wrong(
            intervals in proptest::collection::vec((0.0..1e9_f64, 1e-9..1e9_f64), 1..40), more in 0.0..1e6_f64,
        ) {
            let (mut less, mut worse) = (Evidence::default(), Evidence::default());
            for evidence in [&mut less, &mut worse] {
                evidence.put_in(1);
            }
            for (bad, allowed) in intervals {
                less.count(bad, allowed);
                worse.count(bad + more, allowed);
                prop_assert!(less.total(1) >= cash(1));
                prop_assert!(worse.total(1) >= less.total(1) * (1.0 - 1e-12));
            }
        }
    }
}
