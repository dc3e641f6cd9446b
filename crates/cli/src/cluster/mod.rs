//! What is asked of the API server: few requests, each under a timeout, and watches.
//!
//! Lists are selected by the label that the operator puts on everything of a Rollout, so that their cost does not grow
//! with the namespace. Objects that cannot be read are left out of lists: one odd Rollout must not hide the others.

mod failure;
mod forever;

use std::time::Duration;

use futures::future::ready;
use futures::stream::{Stream, StreamExt};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{ApiResource, DynamicObject, ListParams, LogParams, Patch, PatchParams, PostParams};
use kube::core::Resource;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watch_object};
use kube::{Api, Client};
use leadsman_api::names::{REVISION_LABEL, ROLLOUT_LABEL};
use leadsman_api::{Rollout, RolloutReport};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::exit::{Exit, Failure};
use failure::{Asked, failure};
pub use failure::{chain, is_passing};
pub use forever::{Change, Part, changes};

/// Who the writes are by. A name that begins with kubectl would be stripped by Flux.
pub const FIELD_MANAGER: &str = "leadsman-cli";

/// Objects of one page of a list.
const PAGE: u32 = 500;

/// The API server.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    timeout: Option<Duration>,
}

/// What a watch of one object says.
#[derive(Debug)]
pub enum Seen {
    /// It is so now.
    Is(Box<Rollout>),
    /// It is not there.
    Gone,
    /// The watch broke; it is tried again.
    Lost(String),
    /// There is no use in trying again.
    Refused(Failure),
}

impl Cluster {
    /// Answers are waited for so long; for ever where that is nothing.
    pub fn new(client: Client, timeout: Duration) -> Self {
        Self { client, timeout: Some(timeout).filter(|timeout| !timeout.is_zero()) }
    }

    /// The client, for what is asked nowhere else.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// One request.
    ///
    /// # Errors
    /// What the refusal means; `what` stands after "cannot".
    pub async fn ask<T>(&self, what: &str, request: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
        self.bounded(Asked { what, object: None }, request).await
    }

    async fn bounded<T>(&self, asked: Asked<'_>, request: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
        let answer = match self.timeout {
            None => request.await,
            Some(timeout) => tokio::time::timeout(timeout, request).await.map_err(|_| {
                let what = format!("cannot {}: no answer within {}s", asked.what, timeout.as_secs_f32());
                Failure::new(Exit::Unknown, what).advise("--request-timeout waits longer")
            })?,
        };
        answer.map_err(|error| failure(asked, &error))
    }

    /// A Rollout.
    ///
    /// # Errors
    /// Where there is none, or it cannot be read.
    pub async fn rollout(&self, namespace: &str, name: &str) -> Result<Rollout, Failure> {
        let api: Api<Rollout> = Api::namespaced(self.client.clone(), namespace);
        let full = format!("{namespace}/{name}");
        let what = format!("read Rollout {full}");
        self.bounded(Asked { what: &what, object: Some(("Rollout", &full)) }, api.get(name)).await
    }

    /// A Rollout, where there is one.
    ///
    /// # Errors
    /// Where that cannot be found out.
    pub async fn rollout_if_any(&self, namespace: &str, name: &str) -> Result<Option<Rollout>, Failure> {
        let api: Api<Rollout> = Api::namespaced(self.client.clone(), namespace);
        let request = async {
            match api.get(name).await {
                Err(kube::Error::Api(status)) if status.code == 404 && status.message.contains(name) => Ok(None),
                answer => answer.map(Some),
            }
        };
        self.ask(&format!("read Rollout {namespace}/{name}"), request).await
    }

    /// All Rollouts of a namespace, or of all; those that cannot be read are counted only.
    ///
    /// # Errors
    /// Where they cannot be listed.
    pub async fn rollouts(&self, namespace: Option<&str>, labels: &str) -> Result<(Vec<Rollout>, usize), Failure> {
        self.list("list Rollouts", namespace, labels).await
    }

    /// Names of all namespaces.
    ///
    /// # Errors
    /// Where they cannot be listed.
    pub async fn namespaces(&self) -> Result<Vec<String>, Failure> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let listed = self.ask("list Namespaces", api.list_metadata(&ListParams::default())).await?;
        Ok(listed.items.into_iter().filter_map(|namespace| namespace.metadata.name).collect())
    }

    /// The reports of a Rollout.
    ///
    /// # Errors
    /// Where they cannot be listed.
    pub async fn reports(&self, namespace: &str, name: &str) -> Result<Vec<RolloutReport>, Failure> {
        self.of_rollout("list RolloutReports", namespace, name).await
    }

    /// The ReplicaSets of a Rollout.
    ///
    /// # Errors
    /// Where they cannot be listed.
    pub async fn sets(&self, namespace: &str, name: &str) -> Result<Vec<ReplicaSet>, Failure> {
        self.of_rollout("list ReplicaSets", namespace, name).await
    }

    /// The pods of a Rollout.
    ///
    /// # Errors
    /// Where they cannot be listed.
    pub async fn pods(&self, namespace: &str, name: &str) -> Result<Vec<Pod>, Failure> {
        self.of_rollout("list Pods", namespace, name).await
    }

    /// The pods of one revision of a Rollout.
    ///
    /// # Errors
    /// Where they cannot be listed.
    pub async fn pods_of(&self, namespace: &str, name: &str, hash: &str) -> Result<Vec<Pod>, Failure> {
        let labels = format!("{},{REVISION_LABEL}={hash}", label_of(name));
        Ok(self.list("list Pods", Some(namespace), &labels).await?.0)
    }

    async fn of_rollout<K>(&self, what: &str, namespace: &str, name: &str) -> Result<Vec<K>, Failure>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        Ok(self.list(what, Some(namespace), &label_of(name)).await?.0)
    }

    async fn list<K>(&self, what: &str, namespace: Option<&str>, labels: &str) -> Result<(Vec<K>, usize), Failure>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        let kind = ApiResource::erase::<K>(&());
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &kind),
            None => Api::all_with(self.client.clone(), &kind),
        };
        let mut parameters = ListParams::default().labels(labels).limit(PAGE);
        let (mut read, mut unread) = (Vec::new(), 0);
        loop {
            let page = self.ask(what, api.list(&parameters)).await?;
            for object in page.items {
                let object = serde_json::to_value(object).and_then(serde_json::from_value);
                object.map_or_else(|_| unread += 1, |object| read.push(object));
            }
            match page.metadata.continue_.filter(|more| !more.is_empty()) {
                Some(more) => parameters = parameters.continue_token(&more),
                None => return Ok((read, unread)),
            }
        }
    }

    /// Changes a Rollout by a merge patch. With the resourceVersion in it, nobody else's change is overwritten.
    ///
    /// # Errors
    /// The error as it came: a conflict is for the caller.
    pub async fn patch(&self, namespace: &str, name: &str, patch: &Value) -> Result<kube::Result<Rollout>, Failure> {
        let api: Api<Rollout> = Api::namespaced(self.client.clone(), namespace);
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let full = format!("{namespace}/{name}");
        let what = format!("change Rollout {full}");
        let request = async {
            match api.patch(name, &parameters, &Patch::Merge(patch)).await {
                Err(kube::Error::Api(status)) if status.code == 409 => Ok(Err(kube::Error::Api(status))),
                answer => answer.map(Ok),
            }
        };
        self.bounded(Asked { what: &what, object: Some(("Rollout", &full)) }, request).await
    }

    /// Who the API server takes us for; `None` where it does not say.
    pub async fn who_am_i(&self) -> Option<String> {
        let api: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let answer = self.ask("ask who I am", api.create(&PostParams::default(), &SelfSubjectReview::default())).await;
        answer.ok()?.status?.user_info?.username.filter(|name| !name.is_empty())
    }

    /// Follows one Rollout: no polling, and on across broken connections.
    pub fn follow(&self, namespace: &str, name: &str) -> impl Stream<Item = Seen> + Send + use<> {
        let api: Api<Rollout> = Api::namespaced(self.client.clone(), namespace);
        watch_object(api, name).default_backoff().map(|seen| match seen {
            Ok(Some(rollout)) => Seen::Is(Box::new(rollout)),
            Ok(None) => Seen::Gone,
            Err(error) => match cause(&error) {
                Some(cause) if !is_passing(cause) => {
                    Seen::Refused(failure(Asked { what: "watch the Rollout", object: None }, cause))
                }
                _ => Seen::Lost(chain(&error)),
            },
        })
    }

    /// Says whenever a Rollout of these has changed: once for many changes that come together.
    pub fn any_change(
        &self,
        namespace: Option<&str>,
        labels: &str,
    ) -> impl Stream<Item = Result<(), Failure>> + Send + use<> {
        let api: Api<Rollout> = match namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let config = watcher::Config::default().labels(labels);
        let events = watcher::watcher(api, config).default_backoff().filter_map(|event| async move {
            match event {
                Ok(watcher::Event::Apply(_) | watcher::Event::Delete(_) | watcher::Event::InitDone) => Some(Ok(())),
                Ok(_) => None,
                Err(error) => match cause(&error) {
                    Some(cause) if !is_passing(cause) => {
                        Some(Err(failure(Asked { what: "watch Rollouts", object: None }, cause)))
                    }
                    _ => None,
                },
            }
        });
        events.ready_chunks(PAGE as usize).map(|chunk| chunk.into_iter().collect())
    }

    /// Waits until the report of an attempt says how it ended: it is written some moments after the Rollout says so.
    pub async fn until_reported(&self, namespace: &str, name: &str, revision: i64) {
        let api: Api<RolloutReport> = Api::namespaced(self.client.clone(), namespace);
        let config = watcher::Config::default().labels(&label_of(name));
        let says = |report: &RolloutReport| report.spec.revision == revision && report.spec.outcome != "Progressing";
        let reports = watcher::watcher(api, config).default_backoff().applied_objects();
        let mut ended = std::pin::pin!(reports.filter(|seen| ready(seen.as_ref().is_ok_and(says))));
        ended.next().await;
    }

    /// The log of a pod, as it is now or as it comes.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub async fn log(
        &self,
        namespace: &str,
        pod: &str,
        parameters: &LogParams,
    ) -> Result<impl futures::AsyncBufRead + Send + Unpin + use<>, Failure> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let stream = self.ask(&format!("read the log of {pod}"), api.log_stream(pod, parameters)).await?;
        Ok(Box::pin(stream))
    }
}

/// Selects what belongs to a Rollout.
pub fn label_of(name: &str) -> String {
    format!("{ROLLOUT_LABEL}={name}")
}

fn cause(error: &watcher::Error) -> Option<&kube::Error> {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => Some(error),
        watcher::Error::WatchError(_) | watcher::Error::NoResourceVersion => None,
    }
}
