//! Whether a count can be chance. Exact tails of the binomial distribution, in logarithms.

/// All checks of a run together are wrong about a sound cluster no more often than this.
pub const ALPHA: f64 = 1e-6;
/// The most checks that a run may make: each gets an equal part of [`ALPHA`].
pub const MOST_CHECKS: u32 = 2000;

/// The probability of a result at least as far out as `k` of `n`, on its side, doubled for the choice of the side.
pub fn two_sided(k: u64, n: u64, p: f64) -> f64 {
    if n == 0 {
        return 1.0;
    }
    if p <= 0.0 {
        return if k == 0 { 1.0 } else { 0.0 };
    }
    if p >= 1.0 {
        return if k == n { 1.0 } else { 0.0 };
    }
    let mean = n as f64 * p;
    let tail = if (k as f64) < mean { tail(0..=k, n, p) } else { tail(k..=n, n, p) };
    (2.0 * tail).min(1.0)
}

/// True when `k` of `n` is what chance gives at `p`, at the level of a single check.
pub fn is_plausible(k: u64, n: u64, p: f64) -> bool {
    two_sided(k, n, p) >= ALPHA / f64::from(MOST_CHECKS)
}

fn tail(range: std::ops::RangeInclusive<u64>, n: u64, p: f64) -> f64 {
    let (log_p, log_q) = (p.ln(), (-p).ln_1p());
    let mut log_choose = log_choose(n, *range.start());
    let mut sum = 0.0;
    for k in range {
        sum += (k as f64).mul_add(log_p, (n - k) as f64 * log_q + log_choose).exp();
        log_choose += ((n - k) as f64 / (k + 1) as f64).ln();
    }
    sum
}

fn log_choose(n: u64, k: u64) -> f64 {
    (1..=k).map(|i| ((n - k + i) as f64 / i as f64).ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9 * (a + b) + 1e-15
    }

    #[test]
    fn tails_are_those_of_the_distribution() {
        // 1 of 10 or fewer at a half: 11 of 1024, twice.
        assert!(near(two_sided(1, 10, 0.5), 22.0 / 1024.0));
        assert!(near(two_sided(9, 10, 0.5), 22.0 / 1024.0));
        assert!(near(two_sided(3, 3, 0.1), 0.002));
        assert!(near(two_sided(5, 10, 0.5), 1.0));
    }

    #[test]
    fn what_cannot_happen_is_never_plausible() {
        assert!(!is_plausible(1, 10_000, 0.0));
        assert!(!is_plausible(9_999, 10_000, 1.0));
        assert!(is_plausible(0, 10_000, 0.0) && is_plausible(10_000, 10_000, 1.0) && is_plausible(0, 0, 0.3));
    }

    #[test]
    fn a_share_that_is_off_by_a_fifth_is_found_in_twenty_thousand() {
        assert!(is_plausible(2_050, 20_000, 0.1));
        assert!(!is_plausible(2_400, 20_000, 0.1));
        assert!(!is_plausible(1_600, 20_000, 0.1));
    }
}
