//! A cache of one kind: what its watch has delivered so far.
//!
//! It says honestly when it does not know: before the first complete list nothing is absent, and while its watch fails it
//! is doubtful. While a watch is listed anew, what was known before stays until the list is complete.
//!
//! One watch feeds it, or one for each namespace that is watched. Each namespace is listed and in doubt by itself.

use std::collections::{BTreeMap, HashMap, HashSet};
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

/// The scope of a watch that covers all objects of its kind. The scope of any other is its namespace.
pub const EVERYTHING: &str = "";

struct Inner<T> {
    /// How far each watch has come, by its scope.
    listings: BTreeMap<Box<str>, Listing>,
    objects: HashMap<Key, Arc<T>>,
    /// Names, few and in order, by the Rollout that their label names.
    by_rollout: HashMap<Key, Box<[Arc<str>]>>,
}

/// How far a watch has come.
#[derive(Default)]
struct Listing {
    synced: bool,
    /// Set while a list is under way: what it has delivered.
    listed: Option<HashSet<Key>>,
    /// Until when it is not known whether the watch works.
    doubtful_until: Option<Instant>,
}

impl Listing {
    fn is_doubtful(&self) -> bool {
        self.doubtful_until.is_some_and(|until| Instant::now() < until)
    }
}

impl<T> Default for Store<T> {
    fn default() -> Self {
        Self::of(&[EVERYTHING.into()])
    }
}

impl<T> Store<T> {
    /// An empty cache that watches with these scopes are to feed. What lies in none of them is absent.
    pub fn of(scopes: &[Box<str>]) -> Self {
        let listings = scopes.iter().map(|scope| (scope.clone(), Listing::default())).collect();
        Self { inner: RwLock::new(Inner { listings, objects: HashMap::new(), by_rollout: HashMap::new() }) }
    }
}

impl<T: Slim> Store<T> {
    fn read(&self) -> RwLockReadGuard<'_, Inner<T>> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner<T>> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there has been a complete list of a namespace.
    pub fn is_synced(&self, namespace: &str) -> bool {
        self.read().listing(namespace).is_none_or(|listing| listing.synced)
    }

    /// Whether the watch of a namespace has failed just now, so that what is held of it may be old.
    pub fn is_doubtful(&self, namespace: &str) -> bool {
        self.read().listing(namespace).is_some_and(Listing::is_doubtful)
    }

    /// The scopes that have not been listed completely yet.
    pub fn unlisted(&self) -> Vec<Box<str>> {
        self.scopes(|listing| !listing.synced)
    }

    /// Those of them whose watch has not failed either: whoever waits for a list should go on where it has.
    pub fn awaited(&self) -> Vec<Box<str>> {
        self.scopes(|listing| !listing.synced && listing.doubtful_until.is_none())
    }

    fn scopes(&self, are: impl Fn(&Listing) -> bool) -> Vec<Box<str>> {
        let inner = self.read();
        inner.listings.iter().filter(|(_, listing)| are(listing)).map(|(scope, _)| scope.clone()).collect()
    }

    /// The watch of a scope failed, and it will not be known before `until` whether it works again.
    pub fn doubt(&self, scope: &str, until: Instant) {
        if let Some(listing) = self.write().listings.get_mut(scope) {
            listing.doubtful_until = Some(until);
        }
    }

    /// One object.
    pub fn get(&self, key: &Key) -> Cached<T> {
        let inner = self.read();
        match inner.objects.get(key) {
            Some(object) => Cached::Holds(Arc::clone(object)),
            None if inner.listing(&key.namespace).is_none_or(|listing| listing.synced) => Cached::Absent,
            None => Cached::Unsynced,
        }
    }

    /// All that bear the label of a Rollout, by name.
    pub fn of_rollout(&self, rollout: &Key) -> Vec<(Arc<str>, Arc<T>)> {
        let inner = self.read();
        let names = inner.by_rollout.get(rollout).into_iter().flatten();
        let objects = names.filter_map(|name| {
            let key = Key { namespace: Arc::clone(&rollout.namespace), name: Arc::clone(name) };
            Some((key.name.clone(), Arc::clone(inner.objects.get(&key)?)))
        });
        objects.collect()
    }

    /// The names of all objects.
    pub fn keys(&self) -> Vec<Key> {
        self.read().objects.keys().cloned().collect()
    }

    /// A list of a scope begins.
    pub fn begin_list(&self, scope: &str) {
        if let Some(listing) = self.write().listings.get_mut(scope) {
            listing.listed = Some(HashSet::new());
        }
    }

    /// The list of a scope is complete. Gives what it did not have and is gone.
    pub fn end_list(&self, scope: &str) -> Vec<(Key, Arc<T>)> {
        let mut inner = self.write();
        let Some(listing) = inner.listings.get_mut(scope) else { return Vec::new() };
        listing.synced = true;
        let Some(listed) = listing.listed.take() else { return Vec::new() };
        let is_gone = |key: &&Key| covers(scope, key) && !listed.contains(*key);
        let gone: Vec<Key> = inner.objects.keys().filter(is_gone).cloned().collect();
        gone.into_iter().filter_map(|key| inner.take(&key).map(|object| (key, object))).collect()
    }

    /// An object was delivered. Gives what was known of it before. What was read meanwhile in a newer version stays.
    pub fn put(&self, key: Key, object: Arc<T>) -> Option<Arc<T>> {
        let mut inner = self.write();
        if let Some(listed) = inner.listing_mut(&key.namespace).and_then(|listing| listing.listed.as_mut()) {
            listed.insert(key.clone());
        }
        if let Some(newer) = inner.objects.get(&key).filter(|held| is_newer(&***held, &*object)) {
            return Some(Arc::clone(newer));
        }
        inner.hold(key, object)
    }

    /// An object was read past the watch. One that the watch does not know yet is left to it, as is what is gone: only it
    /// can tell later that these are gone, or there again. True where this version is what is held from now on.
    pub fn learn(&self, key: &Key, object: &Arc<T>) -> bool {
        let mut inner = self.write();
        let is_news = inner.objects.get(key).is_some_and(|held| is_newer(&**object, &**held));
        if is_news {
            // A list that is under way says for itself what it has.
            inner.hold(key.clone(), Arc::clone(object));
        }
        is_news
    }

    /// An object was deleted. Gives what was known of it.
    pub fn remove(&self, key: &Key) -> Option<Arc<T>> {
        self.write().take(key)
    }

    /// Forgets everything: the kind is not served any more.
    pub fn clear(&self) {
        let mut inner = self.write();
        for listing in inner.listings.values_mut() {
            listing.synced = false;
            listing.listed = None;
        }
        inner.by_rollout.clear();
        inner.objects.clear();
    }
}

fn covers(scope: &str, key: &Key) -> bool {
    scope == EVERYTHING || scope == &*key.namespace
}

/// Whether one version of an object is newer than another of the same object.
fn is_newer<T: Slim>(one: &T, other: &T) -> bool {
    let (one, other) = (one.identity(), other.identity());
    one.uid == other.uid && one.version > other.version
}

impl<T: Slim> Inner<T> {
    /// Keeps an object in place of what was known of it.
    fn hold(&mut self, key: Key, object: Arc<T>) -> Option<Arc<T>> {
        let before = self.take(&key);
        if let Some(rollout) = object.rollout() {
            let group = self.by_rollout.entry(key.beside(rollout)).or_default();
            let mut names = group.to_vec();
            if let Err(place) = names.binary_search(&key.name) {
                names.insert(place, Arc::clone(&key.name));
                *group = names.into();
            }
        }
        self.objects.insert(key, object);
        before
    }

    /// That of the watch which covers a namespace.
    fn listing(&self, namespace: &str) -> Option<&Listing> {
        self.listings.get(EVERYTHING).or_else(|| self.listings.get(namespace))
    }

    fn listing_mut(&mut self, namespace: &str) -> Option<&mut Listing> {
        let scope = if self.listings.contains_key(EVERYTHING) { EVERYTHING } else { namespace };
        self.listings.get_mut(scope)
    }

    fn take(&mut self, key: &Key) -> Option<Arc<T>> {
        let object = self.objects.remove(key)?;
        if let Some(rollout) = object.rollout() {
            let group = key.beside(rollout);
            if let Some(names) = self.by_rollout.get_mut(&group) {
                *names = names.iter().filter(|name| **name != key.name).cloned().collect();
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
        store.of_rollout(&Key::new("n", rollout)).into_iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    #[test]
    fn before_the_first_list_is_complete_nothing_is_absent() {
        let store: Store<ReplicaSetEntry> = Store::default();
        let (key, object) = set("a", "shop");
        assert!(matches!(store.get(&key), Cached::Unsynced));
        store.begin_list(EVERYTHING);
        store.put(key.clone(), object);
        assert!(matches!(store.get(&key), Cached::Holds(_)));
        assert!(matches!(store.get(&Key::new("n", "b")), Cached::Unsynced));
        store.end_list(EVERYTHING);
        assert!(matches!(store.get(&Key::new("n", "b")), Cached::Absent));
    }

    #[test]
    fn what_a_new_list_does_not_have_is_gone_when_it_is_complete() {
        let store: Store<ReplicaSetEntry> = Store::default();
        store.begin_list(EVERYTHING);
        for (key, object) in [set("a", "shop"), set("b", "shop")] {
            store.put(key, object);
        }
        store.end_list(EVERYTHING);
        store.begin_list(EVERYTHING);
        let (key, object) = set("b", "shop");
        store.put(key, object);
        assert_eq!(names(&store, "shop"), ["a", "b"]);
        let gone = store.end_list(EVERYTHING);
        assert_eq!(gone.len(), 1);
        assert_eq!(names(&store, "shop"), ["b"]);
    }

    #[test]
    fn each_namespace_is_listed_and_in_doubt_by_itself() {
        let store: Store<ReplicaSetEntry> = Store::of(&["a".into(), "b".into()]);
        let (object, until) = (set("x", "shop").1, Instant::now() + std::time::Duration::from_mins(1));
        let key = |namespace| Key::new(namespace, "x");
        let is_absent = |namespace| matches!(store.get(&key(namespace)), Cached::Absent);
        for scope in ["a", "b"] {
            store.begin_list(scope);
            store.put(key(scope), Arc::clone(&object));
        }
        store.end_list("a");
        assert_eq!((store.is_synced("a"), store.is_synced("b")), (true, false));
        assert_eq!((&*store.unlisted(), &*store.awaited()), (&["b".into()][..], &["b".into()][..]));
        store.doubt("b", until);
        assert_eq!((store.is_doubtful("a"), store.is_doubtful("b")), (false, true));
        assert_eq!((store.unlisted().len(), store.awaited().len()), (1, 0));
        store.end_list("b");

        store.begin_list("a");
        let gone: Vec<_> = store.end_list("a").into_iter().map(|(key, _)| key).collect();
        assert_eq!(gone, [key("a")]);
        assert!(is_absent("a") && !is_absent("b"));
        assert!(is_absent("c"), "nobody looks there");
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
        store.begin_list(EVERYTHING);
        assert!(store.learn(&key, &version(9, 90)) && !store.learn(&key, &version(8, 80)));
        assert_eq!(
            store.end_list(EVERYTHING).len(),
            1,
            "what a list does not have is gone, whatever was written meanwhile"
        );
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
