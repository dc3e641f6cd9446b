//! So many questions at once to one host, and a fair share of them for everybody.
//!
//! A host that hangs keeps its own questions waiting and nobody else's. The turns of one host are shared by all who ask it:
//! a Rollout has at most [`PER_ROLLOUT`] of them, and a namespace gets another one only while it has fewer than are free.
//! However slow the questions of the others are, who comes to a busy host first finds a turn, or is next. Of those that
//! wait, the one goes first whose namespace has the fewest turns, then whose Rollout has; among equals, who came first.
//!
//! All hosts together have turns as well, shared by the same rule: a template may name any number of hosts, and each
//! question that is under way takes memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::oneshot;

use crate::controller::key::Key;

/// Questions that one host is asked at the same time.
pub(super) const AT_ONCE: usize = 16;
/// Of these, questions of one Rollout.
pub(super) const PER_ROLLOUT: usize = 2;
/// Questions that all hosts are asked at the same time.
pub(super) const AT_ONCE_EVERYWHERE: usize = 128;
/// Of these, questions of one Rollout.
pub(super) const PER_ROLLOUT_EVERYWHERE: usize = 8;

/// The limits of each host, and of all. A host that nobody asks is forgotten.
pub(super) struct HostLimits {
    by_host: Mutex<HashMap<String, Weak<Host>>>,
    everywhere: Arc<Host>,
}

/// A turn at a host, or at all hosts. It ends when it is dropped.
pub(super) struct Turn {
    host: Arc<Host>,
    key: Key,
}

struct Host(Mutex<Turns>);

struct Turns {
    at_once: usize,
    per_rollout: usize,
    /// Turns taken, of those who have any.
    taken: HashMap<Key, usize>,
    /// In the order in which they came.
    waiting: Vec<Waiting>,
}

struct Waiting {
    key: Key,
    turn: oneshot::Sender<Turn>,
}

impl HostLimits {
    pub fn new() -> Self {
        let everywhere = Arc::new(Host::new(AT_ONCE_EVERYWHERE, PER_ROLLOUT_EVERYWHERE));
        Self { by_host: Mutex::default(), everywhere }
    }

    /// Waits for a turn at a host, then for one of all hosts' turns. Whoever stops waiting is forgotten.
    pub async fn turn(&self, host: &str, key: &Key) -> Option<(Turn, Turn)> {
        let here = self.of(host).turn(key).await?;
        Some((here, self.everywhere.turn(key).await?))
    }

    fn of(&self, host: &str) -> Arc<Host> {
        let mut hosts = self.by_host.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = hosts.get(host).and_then(Weak::upgrade) {
            return known;
        }
        hosts.retain(|_, host| host.strong_count() > 0);
        let new = Arc::new(Host::new(AT_ONCE, PER_ROLLOUT));
        hosts.insert(host.to_owned(), Arc::downgrade(&new));
        new
    }
}

impl Host {
    fn new(at_once: usize, per_rollout: usize) -> Self {
        Self(Mutex::new(Turns { at_once, per_rollout, taken: HashMap::new(), waiting: Vec::new() }))
    }

    async fn turn(self: &Arc<Self>, key: &Key) -> Option<Turn> {
        let (turn, given) = oneshot::channel();
        self.turns().waiting.push(Waiting { key: key.clone(), turn });
        self.give();
        given.await.ok()
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the turns that are free to those who may have them.
    fn give(self: &Arc<Self>) {
        // The lock is not held while a turn is sent: one that nobody takes any more ends at once, and locks it.
        while let Some(Waiting { key, turn }) = { self.turns().next() } {
            drop(turn.send(Turn { host: Arc::clone(self), key }));
        }
    }
}

impl Turns {
    /// Takes a turn for the one that is to have it.
    fn next(&mut self) -> Option<Waiting> {
        self.waiting.retain(|waiting| !waiting.turn.is_closed());
        let free = self.at_once.saturating_sub(self.taken.values().sum());
        let candidates = self.waiting.iter().enumerate().filter_map(|(index, Waiting { key, .. })| {
            let of_namespace = self.taken.iter().filter(|(other, _)| other.namespace == key.namespace);
            let of_namespace: usize = of_namespace.map(|(_, taken)| taken).sum();
            let of_rollout = self.taken.get(key).copied().unwrap_or(0);
            (of_rollout < self.per_rollout && of_namespace < free).then_some((of_namespace, of_rollout, index))
        });
        let (.., index) = candidates.min()?;
        let next = self.waiting.remove(index);
        *self.taken.entry(next.key.clone()).or_default() += 1;
        Some(next)
    }

    fn end(&mut self, key: &Key) {
        if let Some(taken) = self.taken.get_mut(key) {
            *taken = taken.saturating_sub(1);
            if *taken == 0 {
                self.taken.remove(key);
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.host.turns().end(&self.key);
        self.host.give();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn turn(limits: &HostLimits, host: &str, key: &str) -> Option<(Turn, Turn)> {
        let (namespace, name) = key.split_once('/').unwrap();
        limits.turn(host, &Key::new(namespace, name)).now_or_never().flatten()
    }

    /// As many turns as a namespace can have, each for another Rollout.
    fn all(limits: &HostLimits, namespace: &str) -> Vec<(Turn, Turn)> {
        (0..AT_ONCE).filter_map(|number| turn(limits, "host", &format!("{namespace}/{number}"))).collect()
    }

    #[test]
    fn a_host_is_shared_while_somebody_asks_it_and_forgotten_then() {
        let limits = HostLimits::new();
        let (a, again, b) = (limits.of("a"), limits.of("a"), limits.of("b"));
        assert!(Arc::ptr_eq(&a, &again) && !Arc::ptr_eq(&a, &b));
        drop((a, again, b));
        let _c = limits.of("c");
        assert_eq!(limits.by_host.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_rollout_has_two_turns_and_gets_another_when_one_ends() {
        let limits = HostLimits::new();
        let mut turns: Vec<_> = (0..5).filter_map(|_| turn(&limits, "host", "a/a")).collect();
        assert_eq!(turns.len(), PER_ROLLOUT);
        assert!(turn(&limits, "host", "a/b").is_some());
        turns.pop();
        assert!(turn(&limits, "host", "a/a").is_some());
    }

    #[test]
    fn a_namespace_never_has_all_turns_and_the_next_one_finds_some() {
        let limits = HostLimits::new();
        let taken: Vec<_> = ["a", "b", "c", "d", "e"].iter().map(|namespace| all(&limits, namespace)).collect();
        assert_eq!(taken.iter().map(Vec::len).collect::<Vec<_>>(), [8, 4, 2, 1, 1]);
        assert_eq!(all(&limits, "f").len(), 0, "all are taken");
    }

    #[test]
    fn nobody_has_all_turns_by_naming_many_hosts() {
        let limits = HostLimits::new();
        let many = |namespace: &str, rollouts: usize| -> Vec<_> {
            let questions = (0..rollouts).flat_map(|rollout| (0..AT_ONCE_EVERYWHERE).map(move |host| (rollout, host)));
            let ask =
                |(rollout, host)| turn(&limits, &format!("{namespace}-{host}"), &format!("{namespace}/{rollout}"));
            questions.filter_map(ask).collect()
        };
        assert_eq!(many("a", 1).len(), PER_ROLLOUT_EVERYWHERE);
        let taken = many("a", 50);
        assert_eq!(taken.len(), AT_ONCE_EVERYWHERE / 2);
        assert_eq!(many("b", 1).len(), PER_ROLLOUT_EVERYWHERE);
    }

    #[tokio::test]
    async fn of_those_that_wait_the_one_with_the_fewest_goes_first() {
        let limits = HostLimits::new();
        let mut taken: Vec<_> = ["a", "b", "c", "d", "e"].iter().map(|namespace| all(&limits, namespace)).collect();
        let key = |namespace: &str| Key::new(namespace, "late");
        let (of_a, of_f) = (key("a"), key("f"));
        let (mut a, mut f) = (Box::pin(limits.turn("host", &of_a)), Box::pin(limits.turn("host", &of_f)));
        assert!((&mut a).now_or_never().is_none() && (&mut f).now_or_never().is_none());
        taken[0].pop();
        assert!((&mut f).now_or_never().is_some(), "who has none");
        assert!((&mut a).now_or_never().is_none(), "who came before, and has most");
    }

    #[tokio::test]
    async fn who_waits_no_more_takes_no_turn() {
        let limits = HostLimits::new();
        let host = limits.of("host");
        let key = Key::new("a", "a");
        let taken = (turn(&limits, "host", "a/a"), turn(&limits, "host", "a/a"));
        let mut waiting = Box::pin(limits.turn("host", &key));
        let mut other = Box::pin(limits.turn("host", &key));
        assert!((&mut waiting).now_or_never().is_none() && (&mut other).now_or_never().is_none());
        drop(waiting);
        drop(taken);
        // Given, and never looked at.
        drop(other);
        assert!(host.turns().taken.is_empty() && host.turns().waiting.is_empty());
    }
}
