//! Which Rollouts an object concerns.
//!
//! Our own objects bear the name of their Rollout as a label. Routes, templates and the Services that clients call do
//! not: for them each pass notes what its Rollout refers to, and a change of such an object finds its way back here.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::key::Key;

/// An object that a Rollout refers to by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// Its kind.
    pub kind: &'static str,
    /// Its name; the namespace is empty for kinds that have none.
    pub key: Key,
}

/// Who refers to what.
#[derive(Default)]
pub struct ReferenceIndex {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    // A set of a tree would have room for eleven where one or five are needed.
    by_reference: HashMap<Reference, Box<[Key]>>,
    by_rollout: HashMap<Key, Box<[Reference]>>,
}

impl ReferenceIndex {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes everything that a Rollout refers to, in place of what it referred to before. True where that is something else:
    /// a change that came before this call has woken nobody.
    pub fn set(&self, rollout: &Key, references: BTreeSet<Reference>) -> bool {
        let mut inner = self.lock();
        if inner.by_rollout.get(rollout).is_some_and(|known| known.iter().eq(&references)) {
            return false;
        }
        inner.remove(rollout);
        for reference in &references {
            let rollouts = inner.by_reference.entry(reference.clone()).or_default();
            *rollouts = rollouts.iter().chain([rollout]).cloned().collect();
        }
        inner.by_rollout.insert(rollout.clone(), references.into_iter().collect());
        true
    }

    /// The Rollout is gone.
    pub fn forget(&self, rollout: &Key) {
        self.lock().remove(rollout);
    }

    /// The Rollouts that refer to an object.
    pub fn of(&self, kind: &'static str, key: &Key) -> Vec<Key> {
        let reference = Reference { kind, key: key.clone() };
        self.lock().by_reference.get(&reference).into_iter().flatten().cloned().collect()
    }

    /// Whether some Rollout refers to an object of a kind.
    pub fn have(&self, kind: &str) -> bool {
        self.lock().by_reference.keys().any(|reference| reference.kind == kind)
    }
}

impl Inner {
    fn remove(&mut self, rollout: &Key) {
        for reference in self.by_rollout.remove(rollout).into_iter().flatten() {
            if let Some(rollouts) = self.by_reference.get_mut(&reference) {
                *rollouts = rollouts.iter().filter(|known| *known != rollout).cloned().collect();
                if rollouts.is_empty() {
                    self.by_reference.remove(&reference);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_word_of_a_rollout_counts() {
        let interest = ReferenceIndex::default();
        let reference = |name: &str| Reference { kind: "Service", key: Key::new("n", name) };
        let (shop, cart) = (Key::new("n", "shop"), Key::new("n", "cart"));
        assert!(interest.set(&shop, [reference("a"), reference("b")].into()));
        assert!(interest.set(&cart, [reference("b")].into()));
        assert!(interest.set(&shop, [reference("a")].into()));
        assert!(!interest.set(&shop, [reference("a")].into()));
        assert_eq!(interest.of("Service", &Key::new("n", "a")), std::slice::from_ref(&shop));
        assert_eq!(interest.of("Service", &Key::new("n", "b")), std::slice::from_ref(&cart));
        assert!(interest.have("Service") && !interest.have("HTTPRoute"));
        interest.forget(&cart);
        interest.forget(&shop);
        assert!(interest.lock().by_reference.is_empty() && !interest.have("Service"));
    }
}
