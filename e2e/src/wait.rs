//! Conditions, awaited by watch: none is looked at on a timer. What takes too long says what was seen last.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Result, bail};
use futures::StreamExt as _;
use kube::Resource;
use kube::api::Api;
use kube::runtime::{WatchStreamExt as _, watcher};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Waits until an object is as wanted, and gives it. `what` completes the sentence "waited for <name> ...".
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
    let waiting = async {
        let mut seen = watcher::watch_object(api, name).default_backoff().boxed();
        while let Some(next) = seen.next().await {
            match next {
                Ok(object) if wanted(object.as_ref()) => return Ok(object),
                Ok(object) => last = object,
                Err(error) => trouble = Some(error.to_string()),
            }
        }
        bail!("the watch ended")
    };
    let Ok(found) = tokio::time::timeout(limit, waiting).await else {
        let trouble = trouble.map(|words| format!("; trouble with the watch: {words}")).unwrap_or_default();
        let last = last.as_ref().map_or_else(|| "it did not exist".to_owned(), describe);
        bail!("waited {} s in vain for {name} {what}; {last}{trouble}", limit.as_secs());
    };
    found
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
