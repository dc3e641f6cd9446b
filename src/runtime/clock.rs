//! The wall clock of this process, which never jumps.
//!
//! It is read once, at the start, and goes on with the monotonic clock: a wait is as long as it is meant to be although
//! somebody sets the machine's clock meanwhile. What the two come to differ by (a clock that is corrected, a machine that
//! slept) is made up for slowly, so that times in the status stay what people call right: in an hour by at most three
//! minutes, by which any wait is at most a twentieth too short or too long.
//!
//! Between two processes there is only the machine's clock. Where that went back, the core begins waits anew
//! ([`leadsman_core::state::State::clamp`]); where it went forward, what it skipped counts as waited.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Of the time that passes, the part by which the clock may go faster or slower than the monotonic one: 1 in so many.
const SLEW: i32 = 20;

/// A wall clock. Clones are the same clock.
#[derive(Clone)]
pub struct Clock(Arc<Inner>);

struct Inner {
    /// What to come nearer to; `None` for a clock that goes by the monotonic one alone.
    machine: Option<fn() -> Timestamp>,
    last: Mutex<(Instant, Timestamp)>,
}

impl Clock {
    /// The machine's clock, made steady.
    pub fn system() -> Self {
        Self::following(Timestamp::now)
    }

    /// A clock that shows `start` now and goes with Tokio's clock alone, also where that is paused.
    pub fn starting_at(start: Timestamp) -> Self {
        Self(Arc::new(Inner { machine: None, last: Mutex::new((Instant::now(), start)) }))
    }

    fn following(machine: fn() -> Timestamp) -> Self {
        Self(Arc::new(Inner { machine: Some(machine), last: Mutex::new((Instant::now(), machine())) }))
    }

    /// The present moment. Never before one that was given earlier.
    pub fn now(&self) -> Timestamp {
        let mut last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, shown) = *last;
        let now = Instant::now();
        let passed = SignedDuration::try_from(now.saturating_duration_since(at)).unwrap_or(SignedDuration::ZERO);
        let steady = shown.saturating_add(passed).unwrap_or(Timestamp::MAX);
        let room = passed / SLEW;
        let behind = self.0.machine.map_or(SignedDuration::ZERO, |machine| machine().duration_since(steady));
        let shown = steady.saturating_add(behind.clamp(-room, room)).unwrap_or(steady);
        *last = (now, shown);
        shown
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::Duration;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_with_the_monotonic_clock() {
        let clock = Clock::starting_at(at(1000));
        pass(90).await;
        assert_eq!(clock.now(), at(1090));
        assert_eq!(clock.clone().now(), at(1090));
    }

    #[tokio::test(start_paused = true)]
    async fn a_machine_s_clock_that_is_set_forward_shortens_no_wait_by_more_than_a_twentieth() {
        static MACHINE: AtomicI64 = AtomicI64::new(1000);
        let clock = Clock::following(|| at(MACHINE.load(Ordering::SeqCst)));
        MACHINE.store(1000 + 3600, Ordering::SeqCst);
        assert_eq!(clock.now(), at(1000));
        pass(20).await;
        assert_eq!(clock.now(), at(1021));
        // It is caught up with in the end.
        for _ in 0..10_000 {
            pass(20).await;
            MACHINE.fetch_add(20, Ordering::SeqCst);
            clock.now();
        }
        assert_eq!(clock.now(), at(MACHINE.load(Ordering::SeqCst)));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_set_back_is_waited_for_and_time_never_goes_back() {
        static MACHINE: AtomicI64 = AtomicI64::new(10_000);
        let clock = Clock::following(|| at(MACHINE.load(Ordering::SeqCst)));
        MACHINE.store(0, Ordering::SeqCst);
        let mut before = clock.now();
        for _ in 0..100 {
            pass(1).await;
            let now = clock.now();
            assert!(now > before && now.duration_since(before) >= SignedDuration::from_millis(950), "{now}");
            before = now;
        }
    }
}
