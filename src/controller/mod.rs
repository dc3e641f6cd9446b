//! The controller: watches feed caches and the queue, workers take Rollouts from the queue and make passes.

mod act;
pub mod apply;
pub mod cache;
pub mod context;
mod decide;
pub mod events;
pub mod expectations;
pub mod failures;
pub mod key;
pub mod loaded;
mod log;
mod manifest;
pub mod memory;
pub mod observe;
pub mod persist;
pub mod queue;
pub mod reconcile;
pub mod references;
pub(crate) mod report;
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

use crate::runtime::backoff::Backoff;
use crate::runtime::panics::caught;

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
    while let Some(ended) = tasks.join_next().await {
        // Not in a pass: that is no single Rollout's affair, and nothing would work on.
        if let Err(error) = ended
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

async fn wait_for_caches(context: &Context, stop: &CancellationToken) {
    let began = Instant::now();
    while !stop.is_cancelled() {
        let awaited = context.caches.awaited();
        if awaited.is_empty() {
            return;
        }
        if began.elapsed() >= SYNC_PATIENCE {
            tracing::warn!(?awaited, "going on without kinds that cannot be listed");
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn pass(context: &Context, memories: &Memories, key: &Key) {
    let began = Instant::now();
    if let Some(until) = memories.held_until(key).filter(|until| *until > began) {
        context.queue.at(key, until);
        return;
    }
    let mut memory = memories.take(key);
    let outcome = match caught(Box::pin(reconcile::reconcile(context, key, &mut memory))).await {
        Ok(outcome) => outcome,
        Err(words) => {
            // What it had noted may be half noted.
            drop(memory);
            let until = memories.panicked(key);
            tracing::error!(rollout = %key, words, "a fault of the operator: a pass panicked, and is tried again");
            context.metrics.reconciled("panicked", began.elapsed());
            context.metrics.panicked("pass");
            context.queue.at(key, until);
            return;
        }
    };
    context.metrics.reconciled(outcome.word, began.elapsed());
    if outcome.gone {
        context.measurer.forget(key);
        context.references.forget(key);
        context.metrics.forget(&key.namespace, &key.name);
        memories.forget(key);
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
    /// Rollouts whose last pass panicked, and when to try again.
    panicked: Mutex<HashMap<Key, (Backoff, Instant)>>,
}

impl Memories {
    fn take(&self, key: &Key) -> Box<Memory> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).remove(key).unwrap_or_default()
    }

    /// A pass has ended as it should.
    fn put(&self, key: &Key, memory: Box<Memory>) {
        self.forget(key);
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), memory);
    }

    fn held_until(&self, key: &Key) -> Option<Instant> {
        let panicked = self.panicked.lock().unwrap_or_else(PoisonError::into_inner);
        panicked.get(key).map(|(_, until)| *until)
    }

    /// A pass panicked. Gives when to try again: not much later, since a way back may wait for it.
    fn panicked(&self, key: &Key) -> Instant {
        let mut panicked = self.panicked.lock().unwrap_or_else(PoisonError::into_inner);
        let (backoff, until) = panicked.entry(key.clone()).or_insert((Backoff::READ, Instant::now()));
        *until = Instant::now() + backoff.fail();
        *until
    }

    fn forget(&self, key: &Key) {
        self.panicked.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}
