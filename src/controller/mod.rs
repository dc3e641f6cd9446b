//! The controller: watches feed caches and the queue, workers take Rollouts from the queue and make passes.

pub mod apply;
pub mod cache;
pub mod context;
pub mod events;
pub mod expectations;
pub mod failures;
pub mod key;
pub mod loaded;
mod log;
pub mod memory;
pub mod observe;
pub mod persist;
pub mod queue;
pub mod reconcile;
pub mod references;
pub mod status;
mod unreadable;
pub mod watch;
pub mod watches;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use context::Context;
use key::Key;
use memory::Memory;

/// How long a start waits for caches before it goes on with those that have synced.
const SYNC_PATIENCE: Duration = Duration::from_secs(30);

/// Works on Rollouts until told to stop; passes under way are finished.
pub async fn work(context: &Arc<Context>, workers: u16, stop: &CancellationToken) {
    wait_for_caches(context, stop).await;
    for key in context.caches.rollouts.keys() {
        context.queue.now(&key);
    }
    let memories = Arc::new(Memories::default());
    let mut tasks = JoinSet::new();
    for _ in 0..workers.max(1) {
        let (context, memories, stop) = (Arc::clone(context), Arc::clone(&memories), stop.clone());
        tasks.spawn(async move {
            loop {
                let key = tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    key = context.queue.next() => key,
                };
                pass(&context, &memories, &key).await;
                context.queue.done(&key);
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}

async fn wait_for_caches(context: &Context, stop: &CancellationToken) {
    let began = Instant::now();
    while !stop.is_cancelled() {
        let unsynced = context.caches.unsynced();
        if unsynced.is_empty() {
            return;
        }
        if began.elapsed() >= SYNC_PATIENCE {
            tracing::warn!(?unsynced, "going on without kinds that cannot be listed");
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn pass(context: &Context, memories: &Memories, key: &Key) {
    let began = Instant::now();
    let mut memory = memories.take(key);
    let outcome = reconcile::reconcile(context, key, &mut memory).await;
    context.metrics.reconciled(outcome.word, began.elapsed());
    if outcome.gone {
        context.measurer.forget(key);
        context.references.forget(key);
        context.metrics.forget(&key.namespace, &key.name);
        return;
    }
    memories.put(key, memory);
    if let Some(wake) = outcome.wake {
        context.queue.at(key, wake);
    }
}

/// The memories of all Rollouts that are not being worked on.
#[derive(Default)]
struct Memories {
    inner: Mutex<HashMap<Key, Box<Memory>>>,
}

impl Memories {
    fn take(&self, key: &Key) -> Box<Memory> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).remove(key).unwrap_or_default()
    }

    fn put(&self, key: &Key, memory: Box<Memory>) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), memory);
    }
}
