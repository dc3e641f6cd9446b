//! Conditions, awaited by watch: none is looked at on a timer. What takes too long says what was seen last.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Resource;
use kube::api::Api;
use kube::runtime::{WatchStreamExt as _, watcher};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

/// How long a busy API server may take for the first answer.
const FIRST_LOOK: Duration = Duration::from_mins(1);

/// Waits until an object is as wanted, and gives it. `what` completes the sentence "waited for <name> ..."; `limit` runs from the
/// first look at it.
pub async fn wait_for<K>(
    api: Api<K>,
    name: &str,
    what: &str,
    limit: Duration,
    mut wanted: impl FnMut(Option<&K>) -> bool,
) -> Result<Option<K>>
where
    K: Resource + Clone + Debug + DeserializeOwned + Serialize + Send + 'static,
{
    let mut last = None;
    let mut trouble = None;
    let mut seen = watcher::watch_object(api, name).default_backoff().boxed();
    let mut deadline = None;
    while let Ok(next) = timeout_at(deadline.unwrap_or_else(|| Instant::now() + FIRST_LOOK), seen.next()).await {
        deadline.get_or_insert_with(|| Instant::now() + limit);
        match next.context("the watch ended")? {
            Ok(object) if wanted(object.as_ref()) => return Ok(object),
            Ok(object) => last = object,
            Err(error) => trouble = Some(error.to_string()),
        }
    }
    let trouble = trouble.map(|words| format!("; trouble with the watch: {words}")).unwrap_or_default();
    let last = match (&last, deadline) {
        (Some(last), _) => describe(last),
        (None, Some(_)) => "it did not exist".to_owned(),
        (None, None) => "the API server did not answer".to_owned(),
    };
    bail!("waited {} s in vain for {name} {what}; {last}{trouble}", limit.as_secs());
}

/// Waits until a Deployment has the pods that are declared, all of them ready and no other.
pub async fn until_ready(deployments: Api<Deployment>, name: &str) -> Result<()> {
    let ready = |deployment: Option<&Deployment>| {
        let Some(deployment) = deployment else { return false };
        let Some(status) = &deployment.status else { return false };
        let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        status.observed_generation == deployment.metadata.generation
            && status.ready_replicas.unwrap_or_default() == wanted
            && status.replicas.unwrap_or_default() == wanted
    };
    wait_for(deployments, name, "to be ready", Duration::from_mins(1), ready).await.map(drop)
}

/// Watches an object for a while, and fails as soon as it is not as it has to be.
pub async fn stays<K>(
    api: Api<K>,
    name: &str,
    what: &str,
    period: Duration,
    mut holds: impl FnMut(Option<&K>) -> bool,
) -> Result<()>
where
    K: Resource + Clone + Debug + DeserializeOwned + Serialize + Send + 'static,
{
    let watching = async {
        let mut seen = watcher::watch_object(api, name).default_backoff().boxed();
        while let Some(next) = seen.next().await {
            if let Ok(object) = next
                && !holds(object.as_ref())
            {
                let object = object.as_ref().map_or_else(|| "it does not exist".to_owned(), describe);
                bail!("{name} did not stay {what} for {} s: {object}", period.as_secs());
            }
        }
        bail!("the watch ended")
    };
    tokio::time::timeout(period, watching).await.unwrap_or(Ok(()))
}

/// What people look at first: phase, message and conditions, or the whole status.
fn describe<K: Serialize>(object: &K) -> String {
    let object = serde_json::to_value(object).unwrap_or_default();
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let message = text("/status/message");
    if !message.is_empty() {
        return format!("last seen: {} - {message}", text("/status/phase"));
    }
    let status = object.get("status").or_else(|| object.get("spec")).unwrap_or(&Value::Null);
    format!("last seen: {}", status.to_string().chars().take(1500).collect::<String>())
}
