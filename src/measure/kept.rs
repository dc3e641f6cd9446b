//! What was read, and is used for a while instead of being read again.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Values by their keys, each until an instant.
pub(super) struct Kept<K, V> {
    most: usize,
    entries: Mutex<HashMap<K, (Instant, V)>>,
}

impl<K: Eq + Hash, V: Clone> Kept<K, V> {
    /// As many at the most: what comes beyond is read each time.
    pub fn at_most(most: usize) -> Self {
        Self { most, entries: Mutex::default() }
    }

    /// What is still to be used.
    pub fn get(&self, key: &K) -> Option<V> {
        let now = Instant::now();
        self.entries().get(key).filter(|(until, _)| now < *until).map(|(_, value)| value.clone())
    }

    /// Uses a value for so long from `since` on.
    pub fn keep(&self, key: K, value: V, since: Instant, lasts: Duration) {
        let mut entries = self.entries();
        entries.retain(|_, (until, _)| since < *until);
        if entries.len() < self.most {
            entries.insert(key, (since + lasts, value));
        }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<K, (Instant, V)>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
