//! A cache of one kind: what its watch has delivered so far.
//!
//! It says honestly when it does not know: before the first complete list nothing is absent, and while its watch fails it
//! is doubtful. While a watch is listed anew, what was known before stays until the list is complete.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::time::Instant;

use super::Slim;
use crate::controller::key::Key;

/// What a cache says of an object.
#[derive(Debug)]
pub enum Cached<T> {
    /// There has been no complete list yet, and this object has not been delivered.
    Unsynced,
    /// Not there, as far as the watch has come.
    Absent,
    /// There, in this version.
    Holds(Arc<T>),
}

/// The cache of a kind.
pub struct Store<T> {
    inner: RwLock<Inner<T>>,
}

struct Inner<T> {
    synced: bool,
    objects: HashMap<Key, Arc<T>>,
    by_rollout: HashMap<Key, BTreeSet<Box<str>>>,
    /// Set while a list is under way: what it has delivered.
    listed: Option<HashSet<Key>>,
    /// Until when it is not known whether the watch works.
    doubtful_until: Option<Instant>,
}

impl<T> Default for Store<T> {
    fn default() -> Self {
        Self {
            inner: RwLock::new(Inner {
                synced: false,
                objects: HashMap::new(),
                by_rollout: HashMap::new(),
                listed: None,
                doubtful_until: None,
            }),
        }
    }
}

impl<T: Slim> Store<T> {
    fn read(&self) -> RwLockReadGuard<'_, Inner<T>> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner<T>> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there has been a complete list.
    pub fn is_synced(&self) -> bool {
        self.read().synced
    }

    /// Whether its watch has failed just now, so that what it holds may be old.
    pub fn is_doubtful(&self) -> bool {
        self.read().doubtful_until.is_some_and(|until| Instant::now() < until)
    }

    /// Whether there has been a complete list, or a watch that failed: whoever waits for the former should go on.
    pub fn is_listed_or_fails(&self) -> bool {
        let inner = self.read();
        inner.synced || inner.doubtful_until.is_some()
    }

    /// The watch failed, and it will not be known before `until` whether it works again.
    pub fn doubt(&self, until: Instant) {
        self.write().doubtful_until = Some(until);
    }

    /// One object.
    pub fn get(&self, key: &Key) -> Cached<T> {
        let inner = self.read();
        match inner.objects.get(key) {
            Some(object) => Cached::Holds(Arc::clone(object)),
            None if inner.synced => Cached::Absent,
            None => Cached::Unsynced,
        }
    }

    /// All that bear the label of a Rollout, by name.
    pub fn of_rollout(&self, rollout: &Key) -> Vec<(Box<str>, Arc<T>)> {
        let inner = self.read();
        let names = inner.by_rollout.get(rollout).into_iter().flatten();
        let objects = names.filter_map(|name| {
            let object = inner.objects.get(&Key::new(&rollout.namespace, name))?;
            Some((name.clone(), Arc::clone(object)))
        });
        objects.collect()
    }

    /// The names of all objects.
    pub fn keys(&self) -> Vec<Key> {
        self.read().objects.keys().cloned().collect()
    }

    /// A list begins.
    pub fn begin_list(&self) {
        self.write().listed = Some(HashSet::new());
    }

    /// The list is complete. Gives what it did not have and is gone.
    pub fn end_list(&self) -> Vec<(Key, Arc<T>)> {
        let mut inner = self.write();
        inner.synced = true;
        let Some(listed) = inner.listed.take() else { return Vec::new() };
        let gone: Vec<Key> = inner.objects.keys().filter(|key| !listed.contains(key)).cloned().collect();
        gone.into_iter().filter_map(|key| inner.take(&key).map(|object| (key, object))).collect()
    }

    /// An object was delivered. Gives what was known of it before. What was read meanwhile in a newer version stays.
    pub fn put(&self, key: Key, object: Arc<T>) -> Option<Arc<T>> {
        let mut inner = self.write();
        if let Some(listed) = &mut inner.listed {
            listed.insert(key.clone());
        }
        if let Some(newer) = inner.objects.get(&key).filter(|held| is_newer(&***held, &*object)) {
            return Some(Arc::clone(newer));
        }
        let before = inner.take(&key);
        if let Some(rollout) = object.rollout() {
            let group = inner.by_rollout.entry(Key::new(&key.namespace, rollout)).or_default();
            group.insert(key.name.clone());
        }
        inner.objects.insert(key, object);
        before
    }

    /// An object was read past the watch. One that the watch does not know yet is left to it, as is what is gone: only it
    /// can tell later that these are gone, or there again.
    pub fn learn(&self, key: &Key, object: &Arc<T>) {
        if matches!(self.get(key), Cached::Holds(held) if is_newer(&**object, &*held)) {
            self.put(key.clone(), Arc::clone(object));
        }
    }

    /// An object was deleted. Gives what was known of it.
    pub fn remove(&self, key: &Key) -> Option<Arc<T>> {
        self.write().take(key)
    }

    /// Forgets everything: the kind is not served any more.
    pub fn clear(&self) -> Vec<(Key, Arc<T>)> {
        let mut inner = self.write();
        inner.synced = false;
        inner.listed = None;
        inner.by_rollout.clear();
        inner.objects.drain().collect()
    }
}

/// Whether one version of an object is newer than another of the same object.
fn is_newer<T: Slim>(one: &T, other: &T) -> bool {
    let (one, other) = (one.identity(), other.identity());
    one.uid == other.uid && one.version > other.version
}

impl<T: Slim> Inner<T> {
    fn take(&mut self, key: &Key) -> Option<Arc<T>> {
        let object = self.objects.remove(key)?;
        if let Some(rollout) = object.rollout() {
            let group = Key::new(&key.namespace, rollout);
            if let Some(names) = self.by_rollout.get_mut(&group) {
                names.remove(&key.name);
                if names.is_empty() {
                    self.by_rollout.remove(&group);
                }
            }
        }
        Some(object)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::controller::cache::ReplicaSetEntry;

    fn set(name: &str, rollout: &str) -> (Key, Arc<ReplicaSetEntry>) {
        let labels = json!({"leadsman.dev/rollout": rollout, "leadsman.dev/revision": "abc"});
        let object = json!({"metadata": {"namespace": "n", "name": name, "labels": labels}});
        (Key::new("n", name), Arc::new(ReplicaSetEntry::of(&object)))
    }

    fn names(store: &Store<ReplicaSetEntry>, rollout: &str) -> Vec<String> {
        store.of_rollout(&Key::new("n", rollout)).into_iter().map(|(name, _)| name.into()).collect()
    }

    #[test]
    fn before_the_first_list_is_complete_nothing_is_absent() {
        let store: Store<ReplicaSetEntry> = Store::default();
        let (key, object) = set("a", "shop");
        assert!(matches!(store.get(&key), Cached::Unsynced));
        store.begin_list();
        store.put(key.clone(), object);
        assert!(matches!(store.get(&key), Cached::Holds(_)));
        assert!(matches!(store.get(&Key::new("n", "b")), Cached::Unsynced));
        store.end_list();
        assert!(matches!(store.get(&Key::new("n", "b")), Cached::Absent));
    }

    #[test]
    fn what_a_new_list_does_not_have_is_gone_when_it_is_complete() {
        let store: Store<ReplicaSetEntry> = Store::default();
        store.begin_list();
        for (key, object) in [set("a", "shop"), set("b", "shop")] {
            store.put(key, object);
        }
        store.end_list();
        store.begin_list();
        let (key, object) = set("b", "shop");
        store.put(key, object);
        assert_eq!(names(&store, "shop"), ["a", "b"]);
        let gone = store.end_list();
        assert_eq!(gone.len(), 1);
        assert_eq!(names(&store, "shop"), ["b"]);
    }

    #[test]
    fn what_was_read_past_a_watch_that_lags_is_not_forgotten_when_it_delivers_what_is_older() {
        let store: Store<ReplicaSetEntry> = Store::default();
        let version = |version: u32, replicas: u32| {
            let metadata = json!({"namespace": "n", "name": "a", "uid": "u", "resourceVersion": version.to_string()});
            Arc::new(ReplicaSetEntry::of(&json!({"metadata": metadata, "spec": {"replicas": replicas}})))
        };
        let key = Key::new("n", "a");
        let held = || if let Cached::Holds(set) = store.get(&key) { Some(set.view.wanted) } else { None };
        store.learn(&key, &version(5, 50));
        assert_eq!(held(), None, "the watch has yet to say that it is there");
        store.put(key.clone(), version(1, 10));
        store.learn(&key, &version(5, 50));
        assert_eq!(held(), Some(50));
        store.put(key.clone(), version(3, 30));
        assert_eq!(held(), Some(50));
        store.put(key.clone(), version(7, 70));
        assert_eq!(held(), Some(70));
    }

    #[test]
    fn an_object_whose_label_changes_moves_to_its_new_rollout() {
        let store: Store<ReplicaSetEntry> = Store::default();
        for (key, object) in [set("a", "shop"), set("a", "cart")] {
            store.put(key, object);
        }
        assert!(names(&store, "shop").is_empty());
        assert_eq!(names(&store, "cart"), ["a"]);
        store.remove(&Key::new("n", "a"));
        assert!(store.read().by_rollout.is_empty());
    }
}
