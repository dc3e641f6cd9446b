//! Looking at one object: in the cache, in what we know better than the cache, or in the API itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kube::core::ApiResource;
use leadsman_core::observed::Look;
use tokio::time::Instant;

use crate::cluster::{Cluster, Result};
use crate::controller::cache::Slim;
use crate::controller::cache::{Cached, Store};
use crate::controller::expectations::{Expectations, Known};
use crate::controller::key::Key;

/// How long a pass waits for all that it reads, side by side. It reads only where nothing else will do, so that a server
/// which is slow must be given the time: a pass that gave up each time would never get any further.
pub const PATIENCE: Duration = crate::cluster::TIMEOUT;

/// How far a look goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Nothing is read: what is known has to do.
    Known,
    /// What the caches cannot be trusted with is read.
    Doubts,
    /// Everything is read.
    Live,
}

/// How a pass looks at objects.
pub struct Reader {
    reach: Reach,
    cluster: Cluster,
    /// Something was not read that goes beyond the reach.
    doubts: AtomicBool,
}

impl Reader {
    /// Looks as far as `reach`, and waits no longer for any answer than [`PATIENCE`] from now on.
    pub fn new(cluster: &Cluster, reach: Reach) -> Self {
        Self { reach, cluster: cluster.until(Instant::now() + PATIENCE), doubts: AtomicBool::new(false) }
    }

    /// The API server, until this reader's patience ends.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Whether to read what a cache says nothing certain about: it has not been filled yet, or its watch has failed just now.
    /// With [`Reach::Live`] in any case.
    pub fn reads<T: Slim>(&self, store: &Store<T>) -> bool {
        self.reach == Reach::Live || self.resolves(!store.is_synced() || store.is_doubtful())
    }

    /// Whether to read what is in doubt. Where that is beyond the reach it is noted that there is such a thing.
    pub fn resolves(&self, is_in_doubt: bool) -> bool {
        if is_in_doubt && self.reach == Reach::Known {
            self.doubts.store(true, Ordering::Relaxed);
        }
        is_in_doubt && self.reach != Reach::Known
    }

    /// Whether what is known has to do where it cannot be read.
    pub fn may_fall_back(&self) -> bool {
        self.reach != Reach::Live
    }

    /// Whether something was not read that should be, for it is beyond the reach.
    pub fn has_doubts(&self) -> bool {
        self.doubts.load(Ordering::Relaxed)
    }
}

/// Looks at one object.
///
/// A read that fails leaves the object `Stale`: the pass goes on without it and comes back.
pub async fn read_through<T: Slim>(
    reader: &Reader,
    kind: &ApiResource,
    (expectations, store): (&Expectations<T>, &Store<T>),
    key: &Key,
) -> Look<Arc<T>> {
    let known = match expectations.known(&key.name, store.get(key), Instant::now()) {
        Known::Seen(object) => Some(Look::Seen(object)),
        Known::Missing => Some(Look::Missing),
        Known::Unsynced | Known::Ask => None,
    };
    if !reader.reads(store) && !reader.resolves(known.is_none()) {
        return known.unwrap_or(Look::Stale);
    }
    match read(&reader.cluster, kind, (expectations, store), key).await {
        Ok(Some(object)) => Look::Seen(object),
        Ok(None) => Look::Missing,
        Err(error) => {
            tracing::debug!(kind = %kind.kind, object = %key, %error, "cannot be read");
            // What a failing watch delivered last is still no older than our own last write.
            known.filter(|_| reader.may_fall_back()).unwrap_or(Look::Stale)
        }
    }
}

/// Reads one object from the API server.
pub async fn read<T: Slim>(
    cluster: &Cluster,
    kind: &ApiResource,
    (expectations, store): (&Expectations<T>, &Store<T>),
    key: &Key,
) -> Result<Option<Arc<T>>> {
    let object = cluster.objects(kind, &key.namespace).get(&key.name).await?;
    let now = Instant::now();
    let Some(object) = object else {
        note_gone(expectations, store, key, now);
        return Ok(None);
    };
    let object = Arc::new(T::of(&object));
    expectations.confirmed(&key.name, Arc::clone(&object), now);
    // The watch may have delivered this version, or a newer one, while we read.
    match expectations.known(&key.name, store.get(key), now) {
        Known::Seen(newest) => Ok(Some(newest)),
        Known::Missing | Known::Unsynced | Known::Ask => Ok(Some(object)),
    }
}

/// Notes that an object is not there, although the cache may still hold it.
pub fn note_gone<T: Slim>(expectations: &Expectations<T>, store: &Store<T>, key: &Key, now: Instant) {
    if let Cached::Holds(cached) = store.get(key) {
        expectations.deleted(&key.name, &cached.identity().uid, now);
    } else {
        expectations.deleted(&key.name, "", now);
        // Settles at once where the cache says the same.
        let _ = expectations.known(&key.name, store.get(key), now);
    }
}
