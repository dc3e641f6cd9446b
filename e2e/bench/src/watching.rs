//! When something was first seen, by a watch: nothing is looked at on a timer.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures::StreamExt as _;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::Value;

use crate::application::Application;
use crate::progress::Count;

/// What is waited for.
pub struct Awaited<'a> {
    /// Which objects are looked at: those with the name of an application.
    pub kind: &'a ApiResource,
    /// Of which applications.
    pub applications: &'a [Application],
    /// Completes "3 of 10 ...".
    pub what: &'a str,
    /// How long at most.
    pub limit: Duration,
}

/// When each application's object was first as wanted.
///
/// # Errors
/// When some are not within the limit; it says which one, and what was last seen of it.
pub async fn first_seen(
    client: &Client,
    awaited: &Awaited<'_>,
    mut wanted: impl FnMut(Application, &Value) -> bool,
) -> Result<BTreeMap<u32, Instant>> {
    let mut left: BTreeMap<String, Application> = awaited.applications.iter().map(|it| (it.name(), *it)).collect();
    let mut seen = BTreeMap::new();
    let mut last: BTreeMap<String, String> = BTreeMap::new();
    let mut count = Count::new(awaited.what, awaited.applications.len());
    let waiting = async {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), awaited.kind);
        let mut objects = pin!(watcher(api, watcher::Config::default()).default_backoff().applied_objects());
        while !left.is_empty() {
            let Some(next) = objects.next().await else { bail!("the watch ended") };
            let at = Instant::now();
            // The watch comes back by itself.
            let Ok(object) = next else { continue };
            let name = object.metadata.name.clone().unwrap_or_default();
            let Some(application) = left.get(&name).copied() else { continue };
            let object = serde_json::to_value(&object)?;
            if wanted(application, &object) {
                left.remove(&name);
                last.remove(&name);
                seen.insert(application.0, at);
                count.at(seen.len());
            } else {
                last.insert(name, shown(&object));
            }
        }
        Ok(())
    };
    if let Ok(outcome) = tokio::time::timeout(awaited.limit, waiting).await {
        return outcome.map(|()| seen);
    }
    let (number, of, what) = (seen.len(), awaited.applications.len(), awaited.what);
    let example = last.iter().next().map(|(name, seen)| format!("; {name}: {seen}")).unwrap_or_default();
    bail!("only {number} of {of} {what} within {} s{example}", awaited.limit.as_secs())
}

/// What people look at first.
fn shown(object: &Value) -> String {
    let status = object.get("status").unwrap_or(&Value::Null);
    let text = |key: &str| status.get(key).and_then(Value::as_str).unwrap_or_default();
    if text("message").is_empty() {
        status.to_string().chars().take(500).collect()
    } else {
        format!("{} - {}", text("phase"), text("message"))
    }
}
