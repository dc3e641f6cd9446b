//! The progress deadline: time spent waiting for pods, endpoints, routes or data, accumulated across restarts.
//!
//! A release that has not moved anything yet is never rejected by it; its routes are said to be stuck instead.

use super::hold::Hold;
use super::{Pass, leave};
use crate::state::{Clock, Release, Return};
use crate::time::between;

/// Starts or stops the clock by what the pass waits for; true when the deadline is over, and something follows from it.
pub(super) fn is_over(pass: &mut Pass<'_>, hold: Option<&Hold>) -> bool {
    let (now, waiting) = (pass.view.now, hold.filter(|hold| hold.runs_clock()));
    let unseen = matches!(hold, Some(Hold::Unseen(_)));
    // A rollback that a person asked for waits for as long as it takes: there is nothing better to go back to.
    let may_end = |release: &&mut Release| !unseen && release.returns != Some(Return::Commanded);
    let Some(release) = pass.release_mut().filter(may_end) else { return false };
    let deadline = release.recipe.progress_deadline;
    let clock = &mut release.clock;
    let Some(hold) = waiting else {
        if let Some(since) = clock.running_since.take() {
            clock.accumulated = clock.accumulated.saturating_add(between(since, now));
        }
        return false;
    };
    clock.running_since.get_or_insert(now);
    if let Some(over_at) = release.overdue_at().filter(|over_at| now < *over_at) {
        pass.wake_at(over_at);
        return false;
    }
    if let Some(preflight) = &mut release.preflight {
        // Nothing has moved, and nothing says that the revision is to blame: it is not rejected.
        preflight.overdue = true;
        release.clock = Clock::default();
        return true;
    }
    let refused = pass.view.seen.refused.iter().map(|refused| format!("; {refused}"));
    let waited: String = [hold.message(pass.view.rollout)].into_iter().chain(refused).collect();
    leave::reject(pass, reason(hold), format!("no progress within {} s: {waited}", deadline.as_secs()));
    true
}

/// Why a release is rejected that has waited for this too long, in a word.
pub(super) fn reason(hold: &Hold) -> &'static str {
    match hold {
        Hold::Data(_) => "NoEvidence",
        Hold::Shared(_) => "SharedFailure",
        Hold::Traffic(_) => "TrafficShare",
        _ => "ProgressDeadlineExceeded",
    }
}

/// Progress was made: the clock starts anew.
pub(super) fn reset(pass: &mut Pass<'_>) {
    if let Some(release) = pass.release_mut() {
        release.clock = Clock::default();
    }
}
