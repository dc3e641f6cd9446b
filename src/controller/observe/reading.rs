//! Looking at one object: in the cache, in what we know better than the cache, or in the API itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kube::core::ApiResource;
use leadsman_core::observed::Look;
use tokio::time::Instant;

use crate::cluster::{Cluster, Result};
use crate::controller::cache::{Cached, Slim, Store, Uid};
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

    /// Whether to read what a cache says nothing certain about: it has not been filled yet for this namespace, or its watch
    /// has failed just now. With [`Reach::Live`] in any case.
    pub fn reads<T: Slim>(&self, store: &Store<T>, namespace: &str) -> bool {
        let is_in_doubt = !store.is_synced(namespace) || store.is_doubtful(namespace);
        self.reach == Reach::Live || self.resolves(is_in_doubt)
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
        // It may have come since the watch failed.
        Known::Missing if store.is_doubtful(&key.namespace) => None,
        Known::Missing => Some(Look::Missing),
        Known::Unsynced | Known::Ask => None,
    };
    if !reader.reads(store, &key.namespace) && !reader.resolves(known.is_none()) {
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
        expectations.deleted(&key.name, &Uid::default(), now);
        // Settles at once where the cache says the same.
        let _ = expectations.known(&key.name, store.get(key), now);
    }
}

#[cfg(test)]
mod tests {
    use leadsman_testkit::{ApiServer, Fault, Rule, kind};
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::kinds;
    use crate::controller::cache::{EVERYTHING, ServiceEntry};
    use crate::runtime::leadership::Leadership;
    use crate::runtime::metrics::Metrics;

    struct Bed {
        server: ApiServer,
        cluster: Cluster,
        store: Store<ServiceEntry>,
        expectations: Expectations<ServiceEntry>,
    }

    /// A cache that has been filled and is empty, of a server with one Service.
    fn bed() -> Bed {
        let server = ApiServer::new();
        let service = json!({"kind": "Service", "metadata": {"name": "shop", "namespace": "n"}});
        server.hand("git").create(&service).unwrap();
        let client = server.connect("test").client();
        let cluster = Cluster::new(client, Leadership::none(), Arc::new(Metrics::new()));
        let store = Store::default();
        store.end_list(EVERYTHING);
        Bed { server, cluster, store, expectations: Expectations::default() }
    }

    impl Bed {
        async fn look(&self, reach: Reach) -> (&'static str, bool) {
            let reader = Reader::new(&self.cluster, reach);
            let known = (&self.expectations, &self.store);
            let look = match read_through(&reader, &kinds::SERVICES, known, &Key::new("n", "shop")).await {
                Look::Seen(_) => "seen",
                Look::Missing => "missing",
                Look::Stale => "stale",
            };
            (look, reader.has_doubts())
        }

        fn put(&self) {
            let object: Value = (*self.server.get(&kind::SERVICE, "n", "shop").unwrap()).clone();
            self.store.put(Key::new("n", "shop"), Arc::new(ServiceEntry::of(&object)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_cache_that_is_filled_and_not_in_doubt_is_believed() {
        let bed = bed();
        assert_eq!(bed.look(Reach::Known).await, ("missing", false));
        assert_eq!(bed.look(Reach::Doubts).await, ("missing", false));
        assert_eq!(bed.look(Reach::Live).await, ("seen", false));
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_failing_watch_has_not_delivered_is_not_known_to_be_absent() {
        let bed = bed();
        bed.store.doubt(EVERYTHING, Instant::now() + Duration::from_hours(1));
        assert_eq!(bed.look(Reach::Known).await, ("stale", true));
        assert_eq!(bed.look(Reach::Doubts).await, ("seen", false));
        let bed = self::bed();
        bed.store.doubt(EVERYTHING, Instant::now() + Duration::from_hours(1));
        bed.server.inject(Rule::new(Fault::Gone));
        assert_eq!(bed.look(Reach::Doubts).await, ("stale", false));
        bed.put();
        assert_eq!(bed.look(Reach::Doubts).await, ("seen", false), "what it delivered last is better than nothing");
        assert_eq!(bed.look(Reach::Live).await, ("stale", false));
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_not_been_listed_is_read_and_a_kind_that_is_not_served_says_nothing() {
        let bed = Bed { store: Store::default(), ..bed() };
        assert_eq!(bed.look(Reach::Known).await, ("stale", true));
        assert_eq!(bed.look(Reach::Doubts).await, ("seen", false));
        let bed = Bed { store: Store::default(), ..self::bed() };
        bed.server.withdraw(&kind::SERVICE);
        assert_eq!(bed.look(Reach::Doubts).await, ("stale", false));
    }

    #[tokio::test(start_paused = true)]
    async fn reads_that_hang_end_with_the_patience_of_the_whole_look() {
        let bed = bed();
        bed.server.inject(Rule::new(Fault::AnswerNeverComes));
        let (began, reader) = (Instant::now(), Reader::new(&bed.cluster, Reach::Live));
        tokio::time::sleep(Duration::from_secs(3)).await;
        let known = (&bed.expectations, &bed.store);
        assert!(matches!(read_through(&reader, &kinds::SERVICES, known, &Key::new("n", "shop")).await, Look::Stale));
        assert_eq!(began.elapsed(), PATIENCE);
    }
}
