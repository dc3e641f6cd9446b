//! What is remembered of a Rollout between two passes. All of it may be lost at any time: nothing that a decision needs is
//! here, only what spares reads, writes, repetitions and lines in the log.

use std::collections::BTreeMap;
use std::time::Duration;

use leadsman_api::RolloutStatus;
use leadsman_core::names::Hash;
use leadsman_core::observed::Sighted;
use leadsman_core::plan::Restart;
use leadsman_core::report::Phase;
use tokio::time::Instant;

use super::cache::{RawEntry, ReplicaSetEntry, ServiceEntry, Uid};
use super::decide::Tried;
use super::expectations::Expectations;
use super::failures::Failures;
use super::observe::{Surroundings, Words};
use crate::routers::RouteKind;
use crate::runtime::backoff::{Backoff, jittered};

/// Memory of one Rollout.
#[derive(Default)]
pub struct Memory {
    /// The Rollout that this is about; one of the same name with another uid is another Rollout.
    pub uid: Uid,
    /// True once a pass has been made.
    pub has_passed: bool,
    /// What is known of the Rollout itself: our own status, before the watch delivers it.
    pub own: Expectations<RawEntry>,
    /// What is known of its ReplicaSets.
    pub sets: Expectations<ReplicaSetEntry>,
    /// What is known of its Services.
    pub services: Expectations<ServiceEntry>,
    /// What is known of its routes.
    pub routes: BTreeMap<RouteKind, Expectations<RawEntry>>,
    /// What Linkerd may follow instead of the routes.
    pub surroundings: Surroundings,
    /// When the status was last written.
    pub written_at: Option<Instant>,
    /// Since when a status is to be written and is not.
    pub unwritten_since: Option<Instant>,
    /// What has been seen to have taken effect and is not persisted.
    pub sighted: Sighted,
    /// The set whose pods' own words the last plan wanted.
    pub wants_words_of: Option<Hash>,
    /// The pods that the last plan wanted to know of, since they are to be replaced.
    pub restart: Option<Restart>,
    /// The last such words.
    pub words: Option<Words>,
    /// What the API server last said of the declared template.
    pub trial: Option<Box<Tried>>,
    /// The phase that was last logged.
    pub phase: Option<Phase>,
    /// Writes that did not succeed.
    pub failures: Failures,
    /// A status that had no effect when it was last written, and the version that it left as it was: a definition that is
    /// older than this operator drops the fields that it does not know.
    pub idle_status: Option<Box<(u64, RolloutStatus)>>,
    /// The generation of which it was said that it cannot be read.
    pub unreadable: Option<i64>,
    /// Reads that failed in a row.
    unread: Option<Backoff>,
    /// Live reads of what is waited for.
    pub live_checks: LiveChecks,
}

/// Live reads of everything that a pass waits for.
///
/// A watch tells when it changes, unless the watch died without a word. Three live reads bridge the time until such a
/// watch has been replaced.
#[derive(Default)]
pub struct LiveChecks {
    made: u32,
    next: Option<Instant>,
}

/// Before the first live check; each of the following waits twice as long.
const FIRST_CHECK_AFTER: Duration = Duration::from_secs(5);
/// A watch that says nothing any more has been replaced by then.
const MOST_CHECKS: u32 = 3;

impl LiveChecks {
    /// Schedules the next check where none is scheduled, and gives when it is due; `None` once all have been made.
    pub fn schedule(&mut self) -> Option<Instant> {
        if self.made < MOST_CHECKS && self.next.is_none() {
            self.next = Some(Instant::now() + jittered(FIRST_CHECK_AFTER * 2_u32.pow(self.made)));
        }
        self.next
    }

    /// Something moved, or nothing is waited for.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// True when this pass is to read everything live. Once for each check.
    pub fn take_due(&mut self) -> bool {
        let due = self.next.is_some_and(|at| at <= Instant::now());
        if due {
            *self = Self { made: self.made + 1, next: None };
        }
        due
    }
}

impl Memory {
    /// Nothing is remembered of the Rollout with this uid but what is known of the object itself.
    pub fn of(uid: Uid, own: Expectations<RawEntry>) -> Self {
        Self { uid, own, ..Self::default() }
    }

    /// When to come back after something could not be read: later and later.
    pub fn unread(&mut self) -> Instant {
        Instant::now() + self.unread.get_or_insert(Backoff::READ).fail()
    }

    /// Everything could be read.
    pub fn read(&mut self) {
        self.unread = None;
    }

    /// True when a status could not be written for this long, whatever was tried.
    pub fn is_unwritten_for(&self, patience: Duration) -> bool {
        self.unwritten_since.is_some_and(|since| since.elapsed() >= patience)
    }

    /// When to look again although no watch says anything: answers that a watch has not delivered yet, and writes that
    /// failed.
    pub fn next_deadline(&self) -> Option<Instant> {
        let expectations = [self.own.next_deadline(), self.sets.next_deadline(), self.services.next_deadline()];
        let routes = self.routes.values().map(Expectations::next_deadline);
        let others = [self.failures.next_deadline(), self.surroundings.next_deadline()];
        expectations.into_iter().chain(routes).chain(others).flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_waited_for_is_checked_three_times_and_again_once_something_has_moved() {
        let (mut checks, began) = (LiveChecks::default(), Instant::now());
        let mut checked = Vec::new();
        while let Some(at) = checks.schedule() {
            assert!(!checks.take_due(), "not before it is due");
            assert_eq!(checks.schedule(), Some(at), "passes in between do not put it off");
            tokio::time::advance(at.duration_since(Instant::now())).await;
            assert!(checks.take_due());
            checked.push(began.elapsed().as_secs());
        }
        assert!(matches!(checked[..], [4..=6, 12..=18, 28..=42]), "{checked:?}");
        checks.reset();
        assert!(checks.schedule().is_some());
    }
}
