//! Who led when, from the lease.

use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio::task::AbortHandle;

use crate::audit::seconds;
use crate::namespace::Namespace;
use crate::operator::{NAME, holder};

/// Every holder of a namespace's lease since this was made, and when it was seen to hold it.
#[derive(Debug)]
pub struct Leaders {
    seen: Arc<Mutex<Vec<(f64, String)>>>,
    task: AbortHandle,
}

impl Leaders {
    /// From now on.
    pub fn of(namespace: &Namespace) -> Self {
        let seen: Arc<Mutex<Vec<(f64, String)>>> = Arc::default();
        let kept = Arc::clone(&seen);
        let mut leases = watcher::watch_object(namespace.api::<Lease>(), NAME).default_backoff().boxed();
        let task = tokio::spawn(async move {
            while let Some(lease) = leases.next().await {
                let Ok(Some(lease)) = lease else { continue };
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.last().is_none_or(|(_, last)| *last != holder(&lease)) {
                    kept.push((seconds(Timestamp::now()), holder(&lease)));
                }
            }
        });
        Self { seen, task: task.abort_handle() }
    }

    /// When the lease got a holder other than this one, after an instant.
    pub fn successor_of(&self, former: &str, after: f64) -> Option<f64> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().find(|(at, holder)| *at > after && !holder.is_empty() && holder != former).map(|(at, _)| *at)
    }

    /// When the lease was given back by its holder, after an instant.
    pub fn released(&self, after: f64) -> Option<f64> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().find(|(at, holder)| *at > after && holder.is_empty()).map(|(at, _)| *at)
    }
}

impl Drop for Leaders {
    fn drop(&mut self) {
        self.task.abort();
    }
}
