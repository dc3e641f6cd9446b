//! Everything of one Rollout as it changes: four watches as one stream.

use futures::stream::{BoxStream, StreamExt, select_all};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::core::Resource;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use leadsman_api::{Rollout, RolloutReport};
use serde::de::DeserializeOwned;

use super::failure::{Asked, failure};
use super::{Cluster, cause, chain, is_passing, label_of};
use crate::exit::Failure;

/// What has changed.
#[derive(Debug)]
pub enum Change {
    /// The Rollout itself.
    Rollout(Event<Rollout>),
    /// A report.
    Report(Event<RolloutReport>),
    /// A ReplicaSet.
    Set(Event<ReplicaSet>),
    /// A pod.
    Pod(Event<Pod>),
    /// A watch broke; it is tried again.
    Lost(String),
    /// What cannot be watched, and why.
    Refused(Part, Failure),
}

/// What a watch is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The Rollout: nothing can be shown without it.
    Rollout,
    /// Its reports.
    Reports,
    /// Its ReplicaSets.
    Sets,
    /// Its pods.
    Pods,
}

impl Part {
    fn what(self) -> &'static str {
        match self {
            Self::Rollout => "watch the Rollout",
            Self::Reports => "watch RolloutReports",
            Self::Sets => "watch ReplicaSets",
            Self::Pods => "watch Pods",
        }
    }
}

/// Follows a Rollout and what belongs to it. Without the right to watch pods, sets or reports, the rest goes on.
pub fn changes(cluster: &Cluster, namespace: &str, name: &str) -> BoxStream<'static, Change> {
    let own = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let labelled = || watcher::Config::default().labels(&label_of(name));
    select_all([
        events(cluster, namespace, own, Part::Rollout, Change::Rollout),
        events(cluster, namespace, labelled(), Part::Reports, Change::Report),
        events(cluster, namespace, labelled(), Part::Sets, Change::Set),
        events(cluster, namespace, labelled(), Part::Pods, Change::Pod),
    ])
    .boxed()
}

fn events<K>(
    cluster: &Cluster,
    namespace: &str,
    config: watcher::Config,
    part: Part,
    change: fn(Event<K>) -> Change,
) -> BoxStream<'static, Change>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug
        + Send
        + 'static,
{
    let api: Api<K> = Api::namespaced(cluster.client.clone(), namespace);
    let told = move |event: watcher::Result<Event<K>>| match event {
        Ok(event) => change(event),
        Err(error) => match cause(&error) {
            Some(cause) if !is_passing(cause) => {
                Change::Refused(part, failure(Asked { what: part.what(), object: None }, cause))
            }
            _ => Change::Lost(chain(&error)),
        },
    };
    // A right that is missing is not there a second later either.
    let mut is_over = false;
    watcher(api, config)
        .default_backoff()
        .map(told)
        .take_while(move |change| {
            let goes_on = !is_over;
            is_over |= matches!(change, Change::Refused(..));
            std::future::ready(goes_on)
        })
        .boxed()
}
