//! Success: has it been shown to be good enough?
//!
//! The likelihood ratio of a mixture of odds ratios against a rate, for requests that fail independently of each other
//! (Robbins 1970; Howard and others 2021). Its expectation under that rate is 1 at every look, so that
//! the bounds hold however often one looks. Counts may be fractions.

use std::sync::LazyLock;

/// Odds ratios below 1 and their weights: against a rate from above.
static DOWN: LazyLock<[Odds; 6]> = LazyLock::new(|| {
    [(0.05, 0.20), (0.15, 0.20), (0.30, 0.20), (0.50, 0.20), (0.75, 0.15), (0.90, 0.05)].map(Odds::of)
});
/// Odds ratios above 1 and their weights: against a rate from below.
static UP: LazyLock<[Odds; 8]> = LazyLock::new(|| {
    [(1.1, 0.05), (1.25, 0.10), (1.5, 0.15), (2.0, 0.20), (3.0, 0.20), (5.0, 0.15), (10.0, 0.10), (100.0, 0.05)]
        .map(Odds::of)
});
/// Steps in the search of a bound, of which some twelve are taken: beyond so many halvings a double has no more digits.
const MOST_STEPS: u32 = 100;
/// A bound is as exact as this, as a part of itself.
const EXACT: f64 = 1e-12;
/// Nobody waits for more requests than this.
const MOST_REQUESTS: u64 = 1 << 40;

/// The logarithm of the evidence that the true share is below `rate`; increases with it.
pub fn ln_below(bad: f64, total: f64, rate: f64) -> f64 {
    ln_ratio(&DOWN, bad, total, rate)
}

/// The logarithm of the evidence that the true share is above `rate`; decreases with it.
pub fn ln_above(bad: f64, total: f64, rate: f64) -> f64 {
    ln_ratio(&UP, bad, total, rate)
}

/// An odds ratio of the mixture, with the logarithms that every look needs.
#[derive(Clone, Copy)]
struct Odds {
    less_one: f64,
    ln: f64,
    ln_weight: f64,
}

impl Odds {
    fn of((ratio, weight): (f64, f64)) -> Self {
        Self { less_one: ratio - 1.0, ln: ratio.ln(), ln_weight: weight.ln() }
    }
}

fn ln_ratio<const N: usize>(mixture: &[Odds; N], bad: f64, total: f64, rate: f64) -> f64 {
    let parts = mixture.map(|odds| odds.ln_weight + bad * odds.ln - total * (odds.less_one * rate).ln_1p());
    let top = parts.into_iter().fold(f64::NEG_INFINITY, f64::max);
    top + parts.into_iter().map(|part| (part - top).exp()).sum::<f64>().ln()
}

/// Above this the share is not, with confidence `1 - alpha`, however often one looks; 1 where nothing is known.
pub fn upper(bad: f64, total: f64, alpha: f64) -> f64 {
    let wanted = -alpha.ln();
    if total <= 0.0 || ln_below(bad, total, 1.0) < wanted {
        return 1.0;
    }
    search(((bad / total).min(1.0), 1.0), |rate| ln_below(bad, total, rate) - wanted).1
}

/// Below this the share is not, likewise; 0 where nothing is known.
pub fn lower(bad: f64, total: f64, alpha: f64) -> f64 {
    if total <= 0.0 || bad <= 0.0 {
        return 0.0;
    }
    let wanted = -alpha.ln();
    search((0.0, (bad / total).min(1.0)), |rate| wanted - ln_above(bad, total, rate)).0
}

/// The place between both where a function that only rises goes through 0, from either side: by the line between the ends
/// (the Illinois rule), and by halves where that does not get on.
fn search((mut low, mut high): (f64, f64), value: impl Fn(f64) -> f64) -> (f64, f64) {
    let (mut at_low, mut at_high) = (value(low), value(high));
    let mut width = high - low;
    for step in 0..MOST_STEPS {
        let line = low + (high - low) * at_low / (at_low - at_high);
        let halves = step % 3 == 2 && high - low > 0.5 * width;
        if step % 3 == 2 {
            width = high - low;
        }
        let inside = line.is_finite() && line > low && line < high && !halves;
        let middle = if inside { line } else { f64::midpoint(low, high) };
        if high - low <= EXACT * high || middle <= low || middle >= high {
            break;
        }
        let at_middle = value(middle);
        if at_middle < 0.0 {
            (low, at_low) = (middle, at_middle);
            at_high *= 0.5;
        } else {
            (high, at_high) = (middle, at_middle);
            at_low *= 0.5;
        }
    }
    (low, high)
}

/// Requests after which a canary with exactly this share of bad ones is shown to be below `below`; `None` for never.
pub fn requests_to_pass(share: f64, below: f64, alpha: f64) -> Option<u64> {
    if share >= below {
        return None;
    }
    let is_enough = |requests: u64| ln_below(requests as f64 * share, requests as f64, below) >= -alpha.ln();
    let mut high = 1;
    while !is_enough(high) {
        high *= 2;
        if high > MOST_REQUESTS {
            return None;
        }
    }
    let mut low = high / 2;
    while high - low > 1 {
        let middle = u64::midpoint(low, high);
        if is_enough(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(high)
}

/// The logarithm of the evidence that the canary gets less than half of its `weight` (from 0 to 1) of all requests.
pub fn ln_under_share(canary: f64, stable: f64, weight: f64) -> f64 {
    ln_below(canary, canary + stable, weight / 2.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::tests::{close, vectors};
    use super::*;

    fn number(case: &Value, name: &str) -> f64 {
        case[name].as_f64().unwrap()
    }

    #[test]
    fn logarithms_bounds_and_requests_are_those_of_the_reference() {
        let vectors = vectors();
        for case in vectors["logs"].as_array().unwrap() {
            let [bad, total, rate] = ["bad", "total", "rate"].map(|name| number(case, name));
            assert!(close(ln_below(bad, total, rate), number(case, "lnBelow")), "{case}");
            assert!(close(ln_above(bad, total, rate), number(case, "lnAbove")), "{case}");
        }
        for case in vectors["bounds"].as_array().unwrap() {
            let [bad, total, alpha] = ["bad", "total", "alpha"].map(|name| number(case, name));
            assert!(close(lower(bad, total, alpha), number(case, "lower")), "{case}");
            assert!(close(upper(bad, total, alpha), number(case, "upper")), "{case}");
        }
        for case in vectors["passes"].as_array().unwrap() {
            let [share, below, alpha] = ["share", "below", "alpha"].map(|name| number(case, name));
            assert_eq!(requests_to_pass(share, below, alpha), case["requests"].as_u64(), "{case}");
        }
        for case in vectors["underShare"].as_array().unwrap() {
            let [canary, stable, weight] = ["canary", "stable", "weight"].map(|name| number(case, name));
            assert!(close(ln_under_share(canary, stable, weight), number(case, "ln")), "{case}");
        }
        assert_eq!(requests_to_pass(0.02, 0.02, 0.05), None);
    }

    /// A likelihood ratio: its mean under the rate is 1, by enumeration.
    #[test]
    fn under_the_rate_itself_the_evidence_is_1_on_average() {
        for (total, rate) in [(1, 0.5), (20, 0.01), (100, 0.03), (100, 0.4)] {
            let (mut below, mut above) = (0.0, 0.0);
            let mut likelihood = f64::powi(1.0 - rate, total);
            for bad in 0..=total {
                below += likelihood * ln_below(f64::from(bad), f64::from(total), rate).exp();
                above += likelihood * ln_above(f64::from(bad), f64::from(total), rate).exp();
                likelihood *= f64::from(total - bad) / f64::from(bad + 1) * rate / (1.0 - rate);
            }
            assert!((below - 1.0).abs() < 1e-9 && (above - 1.0).abs() < 1e-9, "{total} at {rate}: {below}, {above}");
        }
    }

    proptest! {
        #[test]
        fn evidence_grows_away_from_the_rate_and_bounds_enclose_the_share(
            total in 0.0..1e12_f64, share in 0.0..=1.0_f64, rates in (1e-6..1.0_f64, 1e-6..1.0_f64), alpha in 1e-4..0.5_f64,
        ) {
            let bad = total * share;
            let (less, more) = (rates.0.min(rates.1), rates.0.max(rates.1));
            let slack = 1e-9 * (1.0 + total);
            prop_assert!(ln_below(bad, total, less) <= ln_below(bad, total, more) + slack);
            prop_assert!(ln_above(bad, total, less) + slack >= ln_above(bad, total, more));
            let (low, high) = (lower(bad, total, alpha), upper(bad, total, alpha));
            prop_assert!((0.0..=1.0).contains(&low) && (0.0..=1.0).contains(&high));
            prop_assert!(low <= share + 1e-9 && (share <= high + 1e-9), "{low} {share} {high}");
        }
    }
}
