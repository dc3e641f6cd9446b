//! The watch of one kind: feeds its cache and says what changed.
//!
//! Each runs in a task of its own with a backoff of its own, so that one that fails holds up nothing else. It ends only
//! when its kind is not served any more.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::api::{Api, DynamicObject};
use kube::core::ApiResource;
use kube::runtime::watcher::{self, Event, watcher};
use leadsman_api::names::FIELD_MANAGER;
use leadsman_core::text::one_line;
use tokio::time::Instant;

use super::cache::{EVERYTHING, Slim, Store, key_of};
use super::key::Key;
use crate::cluster::Cluster;
use crate::runtime::backoff::Backoff;
use crate::runtime::metrics::Metrics;

/// After this the server ends a watch; a connection that died silently is noticed five seconds later.
const TIMEOUT_SECONDS: u32 = 60;
/// How long a watch that was started anew has to go without a failure to be trusted again.
const PROBATION: Duration = Duration::from_secs(3);
/// Objects a page: what a list takes for a moment beyond what is kept.
const PAGE: u32 = 100;

/// Longest error that is logged, in characters.
const LONGEST_WORDS: usize = 500;

/// What is watched.
pub struct Watch<T> {
    /// The kind.
    pub kind: ApiResource,
    /// Its scope: a namespace, or [`EVERYTHING`].
    pub scope: Box<str>,
    /// Only objects with these labels.
    pub labels: Option<&'static str>,
    /// Where it is kept.
    pub store: Arc<Store<T>>,
}

/// One change: the object before and after it.
pub struct Change<'a, T> {
    /// Which object.
    pub key: &'a Key,
    /// What was known of it.
    pub before: Option<&'a T>,
    /// What it is now; `None` when it is gone.
    pub after: Option<&'a T>,
}

impl<T: Slim> Watch<T> {
    /// Watches until the kind is not served any more, and tells `changed` of each change that a pass could see.
    pub async fn run(self, cluster: &Cluster, metrics: &Metrics, changed: impl Fn(&Change<'_, T>)) {
        let client = cluster.client().clone();
        let api: Api<DynamicObject> = match &*self.scope {
            EVERYTHING => Api::all_with(client, &self.kind),
            namespace => Api::namespaced_with(client, namespace, &self.kind),
        };
        let config = watcher::Config { label_selector: self.labels.map(str::to_owned), ..watcher::Config::default() };
        let mut events = watcher(api, config.timeout(TIMEOUT_SECONDS).page_size(PAGE)).boxed();
        let mut backoff = Backoff::WATCH;
        let mut failed_at = Instant::now();
        let mut expired = false;
        let mut said = String::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    // A list that fails begins anew each time: only what comes after it is a success.
                    if !matches!(event, Event::Init) {
                        backoff.reset();
                        expired = false;
                        said.clear();
                    }
                    self.take(event, metrics, &changed);
                }
                Err(error) if is_not_served(&error) => {
                    tracing::info!(kind = %self.kind.kind, "the kind is not served (any more)");
                    return;
                }
                // Once is how the server works. Of a list that was just begun it says that something is wrong.
                Err(error) if is_expired(&error) && !std::mem::replace(&mut expired, true) => {
                    tracing::debug!(kind = %self.kind.kind, namespace = %self.scope, %error, "the watch has to be listed anew");
                }
                Err(error) => {
                    if failed_at.elapsed() > Duration::from_mins(2) {
                        backoff.reset();
                    }
                    failed_at = Instant::now();
                    metrics.watch_failed(&self.kind.kind);
                    let delay = backoff.fail();
                    self.store.doubt(&self.scope, Instant::now() + delay + PROBATION);
                    let words = words(&error);
                    let (kind, namespace) = (&*self.kind.kind, &*self.scope);
                    if words == said {
                        tracing::debug!(kind, namespace, error = words, ?delay, "the watch fails as before");
                    } else {
                        tracing::warn!(kind, namespace, error = words, ?delay, "the watch failed");
                    }
                    said = words;
                    tokio::time::sleep(delay).await;
                }
            }
        }
    }

    fn take(&self, event: Event<DynamicObject>, metrics: &Metrics, changed: &impl Fn(&Change<'_, T>)) {
        match event {
            Event::Init => self.store.begin_list(&self.scope),
            Event::InitDone => {
                for (key, before) in self.store.end_list(&self.scope) {
                    changed(&Change { key: &key, before: Some(&before), after: None });
                }
            }
            Event::Apply(object) | Event::InitApply(object) => {
                let (key, after) = copy::<T>(object);
                if !after.is_sound() {
                    metrics.skipped(&self.kind.kind);
                }
                let after = Arc::new(after);
                let before = self.store.put(key.clone(), Arc::clone(&after));
                if before.as_ref().is_none_or(|before| !before.same(&after)) {
                    changed(&Change { key: &key, before: before.as_deref(), after: Some(&after) });
                }
            }
            Event::Delete(object) => {
                let (key, last) = copy::<T>(object);
                let before = self.store.remove(&key);
                changed(&Change { key: &key, before: Some(before.as_deref().unwrap_or(&last)), after: None });
            }
        }
    }
}

fn copy<T: Slim>(mut object: DynamicObject) -> (Key, T) {
    // They can be larger than the object. What others own is of no interest, but that there are others is.
    for entry in object.metadata.managed_fields.iter_mut().flatten() {
        if entry.manager.as_deref() != Some(FIELD_MANAGER) {
            entry.fields_v1 = None;
        }
    }
    let object = serde_json::to_value(object).unwrap_or_default();
    (key_of(&object), T::of(&object))
}

fn status(error: &watcher::Error) -> Option<&kube::core::Status> {
    use watcher::Error::{InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed};
    match error {
        InitialListFailed(kube::Error::Api(status))
        | WatchStartFailed(kube::Error::Api(status))
        | WatchFailed(kube::Error::Api(status))
        | WatchError(status) => Some(status),
        InitialListFailed(_) | WatchStartFailed(_) | WatchFailed(_) | NoResourceVersion => None,
    }
}

/// kube's own words repeat the whole status.
fn words(error: &watcher::Error) -> String {
    let words =
        status(error).map_or_else(|| error.to_string(), |status| format!("{} ({})", status.message, status.code));
    one_line(&words, LONGEST_WORDS)
}

fn is_not_served(error: &watcher::Error) -> bool {
    status(error).is_some_and(|status| status.code == 404)
}

fn is_expired(error: &watcher::Error) -> bool {
    status(error).is_some_and(|status| status.code == 410)
}
