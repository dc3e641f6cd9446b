//! Every change of the kinds that traffic depends on, in the whole cluster, from the moment the recorder is started.
//!
//! A watch that ends is resumed where it ended. One that cannot be resumed has missed something, and whoever asks for a
//! history then is told so instead of given one with a hole.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures::StreamExt as _;
use jiff::Timestamp;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams, WatchEvent, WatchParams};
use kube::{Client, ResourceExt as _};
use tokio::sync::Notify;

use super::{Change, Fact};
use crate::audit::seconds;

/// Group, version, kind and plural.
const KINDS: [(&str, &str, &str, &str); 7] = [
    ("leadsman.dev", "v1alpha1", "Rollout", "rollouts"),
    ("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes"),
    ("gateway.networking.k8s.io", "v1", "GRPCRoute", "grpcroutes"),
    ("networking.istio.io", "v1", "VirtualService", "virtualservices"),
    ("", "v1", "Service", "services"),
    ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
    ("apps", "v1", "ReplicaSet", "replicasets"),
];

/// How long the record may lag behind what a list says.
const CATCH_UP: Duration = Duration::from_secs(20);

/// Keeps what it hears.
#[derive(Clone)]
pub struct Recorder {
    client: Client,
    kept: Arc<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    state: Mutex<State>,
    heard: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// By namespace.
    changes: HashMap<String, Vec<Change>>,
    gaps: Vec<String>,
}

/// What a list said: its own version, and that of each object.
struct Listed {
    at: u64,
    versions: BTreeMap<String, u64>,
}

impl Recorder {
    /// Starts one watch for each kind.
    pub async fn start(client: &Client) -> Result<Self> {
        let recorder = Self { client: client.clone(), kept: Arc::default() };
        for (group, version, kind, plural) in KINDS {
            let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            let from = api.list_metadata(&ListParams::default().limit(1)).await?.metadata.resource_version;
            let from = from.context("a list without a version")?;
            tokio::spawn(Arc::clone(&recorder.kept).listen(api, plural, from));
        }
        Ok(recorder)
    }

    /// What was recorded of a namespace that did not exist when the recorder was started; complete up to now.
    pub async fn history(&self, namespace: &str) -> Result<Vec<Change>> {
        for (group, version, kind, plural) in KINDS {
            let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
            let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
            let list = api.list_metadata(&ListParams::default()).await?;
            let at = version_of(list.metadata.resource_version.as_ref());
            let versions =
                list.into_iter().map(|it| (it.name_any(), version_of(it.metadata.resource_version.as_ref())));
            let listed = Listed { at, versions: versions.collect() };
            let caught_up = tokio::time::timeout(CATCH_UP, self.kept.until_at(namespace, plural, &listed)).await;
            ensure!(caught_up.is_ok(), "the record of {plural} is behind what the API server lists");
        }
        let state = self.kept.lock();
        if !state.gaps.is_empty() {
            bail!("changes were missed: {}", state.gaps.join("; "));
        }
        let mut changes = state.changes.get(namespace).cloned().unwrap_or_default();
        changes.sort_by_key(|change| change.version);
        Ok(changes)
    }
}

impl Kept {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hears for ever; each watch goes on where the last one ended.
    async fn listen(self: Arc<Self>, api: Api<DynamicObject>, resource: &'static str, mut from: String) {
        loop {
            let watch = match api.watch(&WatchParams::default(), &from).await {
                Ok(watch) => watch,
                Err(error) => {
                    if self.is_gap(resource, &error) {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
            };
            let mut watch = watch.boxed();
            while let Some(event) = watch.next().await {
                match event {
                    Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => {
                        from = self.keep(resource, &object, false);
                    }
                    Ok(WatchEvent::Deleted(object)) => from = self.keep(resource, &object, true),
                    Ok(WatchEvent::Bookmark(bookmark)) => from = bookmark.metadata.resource_version,
                    Ok(WatchEvent::Error(status)) => {
                        if self.is_gap(resource, &kube::Error::Api(status)) {
                            return;
                        }
                        break;
                    }
                    Err(_) => break,
                }
            }
        }
    }

    /// The versions in between are not to be had any more.
    fn is_gap(&self, resource: &str, error: &kube::Error) -> bool {
        let gone = matches!(error, kube::Error::Api(status) if status.code == 410);
        if gone {
            self.lock().gaps.push(format!("{resource}: {error}"));
        }
        gone
    }

    fn keep(&self, resource: &'static str, object: &DynamicObject, deleted: bool) -> String {
        let version = object.metadata.resource_version.clone().unwrap_or_default();
        let json = serde_json::to_value(object).unwrap_or_default();
        let change = Change {
            version: version_of(Some(&version)),
            at: seconds(Timestamp::now()),
            resource,
            name: object.name_any(),
            fact: Fact::read(resource, &json).filter(|_| !deleted),
        };
        let namespace = object.namespace().unwrap_or_default();
        self.lock().changes.entry(namespace).or_default().push(change);
        self.heard.notify_waiters();
        version
    }

    async fn until_at(&self, namespace: &str, resource: &str, listed: &Listed) {
        loop {
            let heard = self.heard.notified();
            tokio::pin!(heard);
            heard.as_mut().enable();
            if self.is_at(namespace, resource, listed) {
                return;
            }
            heard.await;
        }
    }

    /// True when the last thing recorded of every object is what was listed, or newer.
    fn is_at(&self, namespace: &str, resource: &str, listed: &Listed) -> bool {
        let state = self.lock();
        let mut last: BTreeMap<&str, (u64, bool)> = BTreeMap::new();
        let changes = state.changes.get(namespace).into_iter().flatten();
        for change in changes.filter(|change| change.resource == resource) {
            last.insert(&change.name, (change.version, change.fact.is_none()));
        }
        let is_known = |(name, version): (&String, &u64)| last.get(name.as_str()).is_some_and(|it| it.0 >= *version);
        let listed_is_known = listed.versions.iter().all(is_known);
        // What is not listed is gone, or came after the list.
        let rest_is_gone = last
            .iter()
            .filter(|(name, _)| !listed.versions.contains_key(**name))
            .all(|(_, (version, gone))| *gone || *version > listed.at);
        listed_is_known && rest_is_gone
    }
}

fn version_of(version: Option<&String>) -> u64 {
    version.and_then(|version| version.parse().ok()).unwrap_or_default()
}
