//! How long to wait after a failure: twice as long each time, within bounds, never the same for two that fail together.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Delays that double from `first` to at most `last`.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first: Duration,
    last: Duration,
    failures: u32,
}

impl Backoff {
    /// For one object: from half a second to a minute.
    pub const OBJECT: Self = Self::new(Duration::from_millis(500), Duration::from_mins(1));
    /// For what a pass could not read: from half a second to five seconds, since a rollback may wait for it.
    pub const READ: Self = Self::new(Duration::from_millis(500), Duration::from_secs(5));
    /// For one watch: from half a second to half a minute.
    pub const WATCH: Self = Self::new(Duration::from_millis(500), Duration::from_secs(30));

    /// Starts without a failure.
    pub const fn new(first: Duration, last: Duration) -> Self {
        Self { first, last, failures: 0 }
    }

    /// Counts a failure. Gives how long to wait, between 80% and 120% of the present delay.
    pub fn fail(&mut self) -> Duration {
        let factor = 2_u32.saturating_pow(self.failures.min(20));
        self.failures = self.failures.saturating_add(1);
        jittered(self.first.saturating_mul(factor).min(self.last))
    }

    /// After a success the next failure is the first again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures since the last success.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

/// Between 80% and 120% of a delay.
pub fn jittered(delay: Duration) -> Duration {
    // Each RandomState is seeded anew: its hash of anything is a random number.
    let random = RandomState::new().hash_one(delay.as_nanos());
    let percent = 80 + u32::try_from(random % 41).unwrap_or(20);
    delay.saturating_mul(percent) / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_last_and_start_again_after_a_success() {
        let mut backoff = Backoff::OBJECT;
        let delays: Vec<_> = (0..10).map(|_| backoff.fail().as_millis()).collect();
        assert!((400..=600).contains(&delays[0]), "{delays:?}");
        assert!((800..=1200).contains(&delays[1]), "{delays:?}");
        assert!((48_000..=72_000).contains(&delays[9]), "{delays:?}");
        backoff.reset();
        assert!(backoff.fail() <= Duration::from_millis(600));
    }

    #[test]
    fn even_very_many_failures_do_not_overflow() {
        let mut backoff = Backoff { failures: u32::MAX - 1, ..Backoff::WATCH };
        backoff.fail();
        assert!(backoff.fail() <= Duration::from_secs(36));
    }

    #[test]
    fn two_that_fail_together_do_not_wait_equally_long() {
        let delays: std::collections::HashSet<_> = (0..50).map(|_| jittered(Duration::from_secs(1))).collect();
        assert!(delays.len() > 5);
    }
}
