//! What this process knows better than its caches: the answers to its own writes and reads, until the watch has caught up.
//!
//! So a pass never decides on an object that is older than our own last write to it. A write whose answer was lost leaves
//! a mark that has to be cleared by a read. What a watch has not delivered within a second is read as well: it may have
//! been changed or deleted by somebody else since.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::cache::{Cached, Slim, Uid};

/// How long the cache may lag behind an answer before the object is read again.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// How an object stands, all things known.
#[derive(Debug)]
pub enum Known<T> {
    /// This is the newest version known.
    Seen(Arc<T>),
    /// It does not exist.
    Missing,
    /// The cache has not synced, and nothing else is known.
    Unsynced,
    /// It has to be read.
    Ask,
}

enum Record<T> {
    Present(Arc<T>),
    Gone { uid: Uid },
    Unknown,
}

struct Entry<T> {
    known: Record<T>,
    since: Instant,
}

type Entries<T> = BTreeMap<Arc<str>, Entry<T>>;

/// Objects of one kind that concern one Rollout, by name. Reads that run side by side note what they found.
pub struct Expectations<T> {
    entries: Mutex<Entries<T>>,
}

impl<T> Default for Expectations<T> {
    fn default() -> Self {
        Self { entries: Mutex::new(BTreeMap::new()) }
    }
}

impl<T: Slim> Expectations<T> {
    fn entries(&self) -> MutexGuard<'_, Entries<T>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, name: &str, known: Record<T>, now: Instant) {
        self.entries().insert(name.into(), Entry { known, since: now });
    }

    /// The API server gave this version, in answer to a write or a read.
    pub fn confirmed(&self, name: &str, object: Arc<T>, now: Instant) {
        self.note(name, Record::Present(object), now);
    }

    /// The API server said that it is deleted, or that there is none of that name. `uid` is that of the object that is no
    /// more, empty where none was known.
    pub fn deleted(&self, name: &str, uid: &Uid, now: Instant) {
        self.note(name, Record::Gone { uid: uid.clone() }, now);
    }

    /// The cache knows as much.
    pub fn forget(&self, name: &str) {
        self.entries().remove(name);
    }

    /// A write was sent and its answer was lost.
    pub fn unknown(&self, name: &str, now: Instant) {
        self.note(name, Record::Unknown, now);
    }

    /// How the object stands, given what the cache says. Drops what the cache has caught up with.
    pub fn known(&self, name: &str, cached: Cached<T>, now: Instant) -> Known<T> {
        let mut entries = self.entries();
        let Some(entry) = entries.get(name) else {
            return match cached {
                Cached::Holds(object) => Known::Seen(object),
                Cached::Absent => Known::Missing,
                Cached::Unsynced => Known::Unsynced,
            };
        };
        let caught_up = match (&entry.known, &cached) {
            (Record::Present(ours), Cached::Holds(theirs)) => theirs.identity().version >= ours.identity().version,
            (Record::Gone { uid }, Cached::Holds(theirs)) => theirs.identity().uid != *uid,
            (Record::Gone { .. }, Cached::Absent) => true,
            _ => false,
        };
        if caught_up {
            entries.remove(name);
            drop(entries);
            return self.known(name, cached, now);
        }
        let overdue = now.saturating_duration_since(entry.since) >= PATIENCE;
        match &entry.known {
            Record::Unknown => Known::Ask,
            _ if overdue => Known::Ask,
            Record::Present(ours) => Known::Seen(Arc::clone(ours)),
            Record::Gone { .. } => Known::Missing,
        }
    }

    /// The version of an object as the API server gave it last, until the watch has caught up.
    pub fn confirmed_version(&self, name: &str) -> Option<u64> {
        match &self.entries().get(name)?.known {
            Record::Present(object) => Some(object.identity().version),
            Record::Gone { .. } | Record::Unknown => None,
        }
    }

    /// Forgets what nobody asks about any more: no look would ever settle it.
    pub fn retain(&self, is_asked_about: impl Fn(&str) -> bool) {
        self.entries().retain(|name, _| is_asked_about(name));
    }

    /// The names of all objects about which something is known here.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.entries().keys().cloned().collect()
    }

    /// When to look again although no watch says anything.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.entries().values().map(|entry| entry.since + PATIENCE).min()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::controller::cache::RawEntry;

    fn version(version: u64) -> Arc<RawEntry> {
        uid("u", version)
    }

    fn uid(uid: &str, version: u64) -> Arc<RawEntry> {
        Arc::new(RawEntry::of(&json!({"metadata": {"uid": uid, "resourceVersion": version.to_string()}})))
    }

    fn seen(known: &Known<RawEntry>) -> Option<u64> {
        if let Known::Seen(object) = known { Some(object.identity().version) } else { None }
    }

    #[tokio::test(start_paused = true)]
    async fn our_own_write_is_seen_before_the_watch_delivers_it() {
        let (expectations, now) = (Expectations::default(), Instant::now());
        expectations.confirmed("a", version(9), now);
        assert_eq!(seen(&expectations.known("a", Cached::Holds(version(8)), now)), Some(9));
        assert_eq!(seen(&expectations.known("a", Cached::Absent, now)), Some(9));
        assert_eq!(seen(&expectations.known("a", Cached::Holds(version(10)), now)), Some(10));
        assert!(expectations.next_deadline().is_none());
        assert_eq!(seen(&expectations.known("a", Cached::Holds(version(8)), now)), Some(8));
    }

    #[tokio::test(start_paused = true)]
    async fn versions_are_compared_as_numbers() {
        let (expectations, now) = (Expectations::default(), Instant::now());
        expectations.confirmed("a", version(100), now);
        assert_eq!(seen(&expectations.known("a", Cached::Holds(version(99)), now)), Some(100));
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_watch_does_not_deliver_is_read_after_a_second() {
        let (expectations, now) = (Expectations::default(), Instant::now());
        expectations.confirmed("a", version(9), now);
        assert_eq!(expectations.next_deadline(), Some(now + PATIENCE));
        assert!(matches!(expectations.known("a", Cached::Absent, now + PATIENCE), Known::Ask));
        expectations.deleted("a", &Uid::of("u"), now + PATIENCE);
        assert!(matches!(expectations.known("a", Cached::Absent, now + PATIENCE), Known::Missing));
    }

    #[tokio::test(start_paused = true)]
    async fn what_we_deleted_is_missing_although_the_cache_still_has_it() {
        let (expectations, now) = (Expectations::default(), Instant::now());
        expectations.deleted("a", &Uid::of("u"), now);
        assert!(matches!(expectations.known("a", Cached::Holds(version(9)), now), Known::Missing));
        assert_eq!(seen(&expectations.known("a", Cached::Holds(uid("another", 12)), now)), Some(12));
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_whose_answer_was_lost_has_to_be_looked_at() {
        let (expectations, now) = (Expectations::default(), Instant::now());
        expectations.unknown("a", now);
        assert!(matches!(expectations.known("a", Cached::Holds(version(50)), now), Known::Ask));
        expectations.confirmed("a", version(51), now);
        assert_eq!(seen(&expectations.known("a", Cached::Holds(version(50)), now)), Some(51));
    }
}
