//! Which Rollouts are due, and when.
//!
//! A Rollout is in the queue once, with its earliest instant, and is never handed out while it is being worked on: what
//! becomes due meanwhile is handed out afterwards. Entries are not timers that could be lost: each pass gives the instant
//! of the next, computed from what is persisted.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::key::Key;

/// The queue.
#[derive(Default)]
pub struct Queue {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Default)]
struct Inner {
    order: BTreeSet<(Instant, Key)>,
    due: HashMap<Key, Instant>,
    running: HashSet<Key>,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Due at once.
    pub fn now(&self, key: &Key) {
        self.at(key, Instant::now());
    }

    /// Due at an instant, if it is not due earlier.
    pub fn at(&self, key: &Key, when: Instant) {
        let mut inner = self.lock();
        if let Some(before) = inner.due.get(key).copied() {
            if before <= when {
                return;
            }
            inner.order.remove(&(before, key.clone()));
        }
        inner.due.insert(key.clone(), when);
        inner.order.insert((when, key.clone()));
        drop(inner);
        self.changed.notify_one();
    }

    /// Waits for the next that is due. It is not handed out again until [`Queue::done`].
    pub async fn next(&self) -> Key {
        loop {
            let changed = self.changed.notified();
            let wait = {
                let mut inner = self.lock();
                match inner.take(Instant::now()) {
                    Ok(key) => {
                        drop(inner);
                        // Whoever waits beside us may have slept through a notification that we took.
                        self.changed.notify_one();
                        return key;
                    }
                    Err(next) => next,
                }
            };
            match wait {
                Some(instant) => tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(instant) => {}
                },
                None => changed.await,
            }
        }
    }

    /// The work on this Rollout has ended.
    pub fn done(&self, key: &Key) {
        self.lock().running.remove(key);
        self.changed.notify_one();
    }

    /// How many are due now.
    pub fn depth(&self) -> usize {
        let now = Instant::now();
        self.lock().order.iter().take_while(|(when, _)| *when <= now).count()
    }
}

impl Inner {
    /// The first that is due and idle, or when to look again.
    fn take(&mut self, now: Instant) -> Result<Key, Option<Instant>> {
        let Some((when, key)) = self.order.iter().find(|(_, key)| !self.running.contains(key)).cloned() else {
            return Err(None);
        };
        if when > now {
            return Err(Some(when));
        }
        self.order.remove(&(when, key.clone()));
        self.due.remove(&key);
        self.running.insert(key.clone());
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    fn key(name: &str) -> Key {
        Key::new("n", name)
    }

    async fn within(queue: &Queue, millis: u64) -> Option<String> {
        let next = tokio::time::timeout(Duration::from_millis(millis), queue.next()).await;
        next.ok().map(|key| (*key.name).to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_instant_wins_and_each_is_handed_out_once() {
        let queue = Queue::default();
        let start = Instant::now();
        queue.at(&key("a"), start + Duration::from_mins(1));
        queue.at(&key("a"), start + Duration::from_secs(2));
        queue.at(&key("a"), start + Duration::from_secs(30));
        assert_eq!(within(&queue, 1_900).await, None);
        assert_eq!(within(&queue, 200).await.as_deref(), Some("a"));
        queue.done(&key("a"));
        assert_eq!(within(&queue, 120_000).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_becomes_due_during_the_work_is_handed_out_after_it() {
        let queue = Queue::default();
        queue.now(&key("a"));
        assert_eq!(within(&queue, 10).await.as_deref(), Some("a"));
        queue.now(&key("a"));
        assert_eq!(within(&queue, 10).await, None);
        queue.done(&key("a"));
        assert_eq!(within(&queue, 10).await.as_deref(), Some("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_worked_on_holds_nobody_up() {
        let queue = Queue::default();
        queue.now(&key("a"));
        assert_eq!(within(&queue, 10).await.as_deref(), Some("a"));
        queue.now(&key("a"));
        queue.now(&key("b"));
        assert_eq!(within(&queue, 10).await.as_deref(), Some("b"));
    }

    #[tokio::test(start_paused = true)]
    async fn several_that_wait_are_all_woken() {
        let queue = Arc::new(Queue::default());
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let queue = Arc::clone(&queue);
                tokio::spawn(async move { queue.next().await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(1)).await;
        for name in ["a", "b", "c", "d"] {
            queue.now(&key(name));
        }
        let mut names = Vec::new();
        for worker in workers {
            names.push(tokio::time::timeout(Duration::from_secs(1), worker).await.unwrap().unwrap().name);
        }
        names.sort();
        assert_eq!(names.iter().map(|name| &**name).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    }
}
