//! The pods that a restart is about, as the API server has them. Read only while a plan asks for it.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use leadsman_core::names::Hash;
use leadsman_core::observed::{OldPods, OldPodsOf};
use leadsman_core::plan::Restart;
use serde_json::Value;

use super::reading::Reader;
use super::words::is_ready;
use crate::cluster::{Result, kinds};
use crate::controller::cache::text;
use crate::controller::loaded::Loaded;

/// The pods of each revision. `None` when nothing is being restarted, or when they cannot be read.
pub async fn list_old(reader: &Reader, loaded: &Loaded, restart: Option<&Restart>) -> Option<OldPods> {
    let restart = restart.filter(|_| reader.resolves(true))?;
    let lists = restart.hashes.iter().map(async |hash| Ok((hash.clone(), list(reader, loaded, restart, hash).await?)));
    let revisions: Result<BTreeMap<Hash, OldPodsOf>> =
        try_join_all(lists).await.map(|revisions| revisions.into_iter().collect());
    match revisions {
        Ok(revisions) => Some(OldPods { before: restart.before, revisions }),
        Err(error) => {
            tracing::debug!(rollout = %loaded.key, %error, "the pods to be replaced cannot be listed");
            None
        }
    }
}

async fn list(reader: &Reader, loaded: &Loaded, restart: &Restart, hash: &Hash) -> Result<OldPodsOf> {
    let pods =
        reader.cluster().objects(&kinds::PODS, &loaded.key.namespace).list(&loaded.selector(&hash.into())).await?;
    let staying: Vec<_> = pods.iter().filter(|pod| is_there(pod)).collect();
    let name = |pod: &Value| text(pod, "/metadata/name").unwrap_or_default().to_owned();
    let mut old: Vec<_> = staying
        .iter()
        .filter_map(|pod| Some((text(pod, "/metadata/creationTimestamp")?.parse().ok()?, name(pod))))
        .filter(|(created_at, _): &(jiff::Timestamp, String)| *created_at < restart.before)
        .collect();
    old.sort();
    let ready = staying.iter().filter(|pod| is_ready(pod)).count();
    Ok(OldPodsOf {
        old: old.into_iter().map(|(_, name)| name).collect(),
        ready: u32::try_from(ready).unwrap_or(u32::MAX),
    })
}

/// Neither on its way out nor at its end.
fn is_there(pod: &Value) -> bool {
    pod.pointer("/metadata/deletionTimestamp").is_none()
        && !matches!(text(pod, "/status/phase"), Some("Succeeded" | "Failed"))
}
