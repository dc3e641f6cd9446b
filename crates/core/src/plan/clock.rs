//! The progress deadline: time spent waiting for pods, endpoints, routes or data, accumulated across restarts.

use super::hold::Hold;
use super::{Pass, after, between};
use crate::state::Clock;

impl Pass<'_> {
    /// Starts or stops the clock by what the pass waits for; true when the deadline is over and the canary leaves.
    pub(super) fn deadline_is_over(&mut self) -> bool {
        let (now, waiting) = (self.now, self.hold.as_ref().is_some_and(Hold::runs_clock));
        let unseen = matches!(self.hold, Some(Hold::Unseen(_)));
        let Some(release) = self.release_mut().filter(|release| release.preflight.is_none() && !unseen) else {
            return false;
        };
        let deadline = release.recipe.progress_deadline;
        let clock = &mut release.clock;
        if !waiting {
            if let Some(since) = clock.running_since.take() {
                clock.accumulated = clock.accumulated.saturating_add(between(since, now));
            }
            return false;
        }
        let since = *clock.running_since.get_or_insert(now);
        let over_at = after(since, deadline.saturating_sub(clock.accumulated));
        if now < over_at {
            self.wake_at(over_at);
            return false;
        }
        let waited = self.hold.as_ref().map(|hold| hold.message(&self.rollout.name)).unwrap_or_default();
        let reason = if matches!(self.hold, Some(Hold::Data(_))) { "NoEvidence" } else { "ProgressDeadlineExceeded" };
        self.reject(reason, format!("no progress within {} s: {waited}", deadline.as_secs()), None);
        true
    }

    /// Progress was made: the clock starts anew.
    pub(super) fn reset_clock(&mut self) {
        if let Some(release) = self.release_mut() {
            release.clock = Clock::default();
        }
    }
}
