//! Looking at one object: in the cache, in what we know better than the cache, or in the API itself.

use std::sync::Arc;
use std::time::Duration;

use kube::core::ApiResource;
use leadsman_core::observed::Look;
use tokio::time::Instant;

use crate::cluster::{Cluster, Result};
use crate::controller::cache::Slim;
use crate::controller::cache::{Cached, Store};
use crate::controller::expectations::{Expectations, Known};
use crate::controller::key::Key;

/// How long a pass waits for one read. It is made only where nothing else will do, so that a server which is slow must be
/// given the time: a pass that gave up each time would never get any further.
pub const PATIENCE: Duration = crate::cluster::TIMEOUT;

/// Looks at one object. With `live` it is read from the API server whatever the cache says.
///
/// A read that fails leaves the object `Stale`: the pass goes on without it and comes back.
pub async fn read_through<T: Slim>(
    cluster: &Cluster,
    kind: &ApiResource,
    (expectations, store): (&mut Expectations<T>, &Store<T>),
    key: &Key,
    live: bool,
) -> Look<Arc<T>> {
    let state = expectations.known(&key.name, store.get(key), Instant::now());
    let known = match state {
        Known::Seen(object) => Some(Look::Seen(object)),
        Known::Missing => Some(Look::Missing),
        Known::Unsynced => Some(Look::Stale),
        Known::Ask => None,
    };
    if let Some(known) = known.as_ref().filter(|_| !live && !store.is_doubtful()) {
        return known.clone();
    }
    match read(&cluster.within(PATIENCE), kind, (expectations, store), key).await {
        Ok(Some(object)) => Look::Seen(object),
        Ok(None) => Look::Missing,
        Err(error) => {
            tracing::debug!(kind = %kind.kind, object = %key, %error, "cannot be read");
            // What a failing watch delivered last is still no older than our own last write.
            known.filter(|_| !live).unwrap_or(Look::Stale)
        }
    }
}

/// Reads one object from the API server.
pub async fn read<T: Slim>(
    cluster: &Cluster,
    kind: &ApiResource,
    (expectations, store): (&mut Expectations<T>, &Store<T>),
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
pub fn note_gone<T: Slim>(expectations: &mut Expectations<T>, store: &Store<T>, key: &Key, now: Instant) {
    if let Cached::Holds(cached) = store.get(key) {
        expectations.deleted(&key.name, &cached.identity().uid, now);
    } else {
        expectations.deleted(&key.name, "", now);
        // Settles at once where the cache says the same.
        let _ = expectations.known(&key.name, store.get(key), now);
    }
}
