//! ReplicaSets: create, scale, mark, delete, tend.

use std::collections::BTreeMap;
use std::sync::Arc;

use leadsman_api::names::REJECTED_ANNOTATION;
use leadsman_core::names::Hash;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::{Applying, Effect, remember, unseen};
use crate::cluster::{Error, Result, kinds};
use crate::controller::cache::{REVISION_NUMBER_ANNOTATION, ReplicaSetEntry, Slim, Uid};
use crate::controller::loaded::Loaded;
use crate::controller::manifest::{manifest, set_name};

/// Creates the set of the declared template.
pub async fn create(applying: &mut Applying<'_>, hash: &Hash, replicas: u32, number: u64) -> Result<()> {
    let name = set_name(applying.loaded, hash);
    if *hash != applying.loaded.declared.core.hash {
        return Err(Error::Outdated(format!("the declared template is not {hash} any more")));
    }
    let set = manifest(applying.loaded, hash, replicas, number);
    let sets = applying.context.cluster.objects(&kinds::REPLICA_SETS, &applying.loaded.key.namespace);
    let answer = sets.create(&set).await;
    if !answer.as_ref().is_err_and(Error::is_already_exists) {
        return remember(&applying.memory.sets, &name, answer).map(drop);
    }
    // Created by an earlier try whose answer was lost, or somebody else's.
    let Some(existing) = sets.get(&name).await? else { return Err(unseen(&name)) };
    let existing = ReplicaSetEntry::of(&existing);
    match &existing.controller {
        Some(owner) if owner.uid != applying.loaded.uid => {
            Err(Error::Unsendable(format!("ReplicaSet {name} exists and belongs to {}: remove it", owner.words)))
        }
        _ => {
            applying.memory.sets.confirmed(&name, Arc::new(existing), Instant::now());
            Ok(())
        }
    }
}

/// Changes the size of a set, if nobody has changed its spec since it was seen.
pub async fn scale(applying: &mut Applying<'_>, hash: &Hash, to: u32) -> Result<()> {
    let set = applying.objects.sets.get(hash).ok_or_else(|| unseen(&format!("the set of {hash}")))?;
    let (name, uid) = (set.name.clone(), set.identity().uid.clone());
    // Not the resourceVersion: the status of a set changes with every pod, and none of that makes the decision wrong. Not the
    // size either: a write that comes late may meet the same size in another release.
    let operations = json!([
        {"op": "test", "path": "/metadata/uid", "value": uid},
        {"op": "test", "path": "/metadata/generation", "value": set.generation},
        {"op": "replace", "path": "/spec/replicas", "value": to},
    ]);
    let sets = applying.context.cluster.objects(&kinds::REPLICA_SETS, &applying.loaded.key.namespace);
    let answer = sets.patch(&name, operations).await;
    remember(&applying.memory.sets, &name, answer).map(drop)
}

/// Writes the number of the attempt, and why the template is rejected, onto a set.
pub async fn mark(applying: &mut Applying<'_>, hash: &Hash, number: u64, rejected: Option<&str>) -> Result<()> {
    let (name, uid) = named(applying, hash)?;
    let annotations = json!({REVISION_NUMBER_ANNOTATION: number.to_string(), REJECTED_ANNOTATION: rejected});
    let patch = json!({"metadata": {"uid": uid, "annotations": annotations}});
    let sets = applying.context.cluster.objects(&kinds::REPLICA_SETS, &applying.loaded.key.namespace);
    let answer = sets.merge(&name, &patch).await;
    remember(&applying.memory.sets, &name, answer).map(drop)
}

/// Deletes a set, if it still is as it was seen.
pub async fn delete(applying: &mut Applying<'_>, hash: &Hash) -> Result<()> {
    let set = applying.objects.sets.get(hash).cloned().ok_or_else(|| unseen(&format!("the set of {hash}")))?;
    let sets = applying.context.cluster.objects(&kinds::REPLICA_SETS, &applying.loaded.key.namespace);
    let answer = sets.delete(&set.name, &set.identity().uid.to_string(), &set.identity().version_text()).await;
    let now = Instant::now();
    match answer {
        Ok(_) => {
            applying.memory.sets.deleted(&set.name, &set.identity().uid, now);
            Ok(())
        }
        Err(error) if error.is_not_found() => {
            applying.memory.sets.deleted(&set.name, &set.identity().uid, now);
            Ok(())
        }
        Err(error) => remember(&applying.memory.sets, &set.name, Err(error)).map(drop),
    }
}

/// What the shell sees to by itself: who owns our sets, and that those in use have the declared `minReadySeconds`. Neither
/// decides anything about traffic.
pub struct Tending {
    /// The set.
    pub set: Arc<ReplicaSetEntry>,
    patch: Value,
}

/// Sets that need to be seen to: those that an earlier Rollout of this name left behind without an owner, and those in use
/// with another `minReadySeconds`.
pub fn untended(loaded: &Loaded, sets: &BTreeMap<Hash, Arc<ReplicaSetEntry>>) -> Vec<Tending> {
    let seconds = loaded.declared.min_ready_seconds;
    let tending = |set: &Arc<ReplicaSetEntry>| {
        let is_orphan = set.controller.is_none();
        let is_off = set.view.wanted > 0 && i64::from(set.min_ready_seconds) != i64::from(seconds);
        let mut metadata = Map::from_iter([("uid".to_owned(), json!(set.identity().uid))]);
        if is_orphan {
            // The list is written as a whole: only onto the version in which it was seen.
            metadata.insert("resourceVersion".to_owned(), json!(set.identity().version_text()));
            metadata.insert("ownerReferences".to_owned(), loaded.owners(&set.owners));
        }
        let spec = if is_off { json!({"minReadySeconds": seconds}) } else { json!({}) };
        let patch = json!({"metadata": metadata, "spec": spec});
        (is_orphan || is_off).then(|| Tending { set: Arc::clone(set), patch })
    };
    sets.values().filter(|set| !set.view.deleting).filter_map(tending).collect()
}

impl Tending {
    /// The version in which the set was seen.
    pub fn version(&self) -> u64 {
        self.set.identity().version
    }
}

/// Sees to a set.
pub async fn tend(applying: &mut Applying<'_>, Tending { set, patch }: &Tending) -> Result<Effect> {
    let sets = applying.context.cluster.objects(&kinds::REPLICA_SETS, &applying.loaded.key.namespace);
    let answer = sets.merge(&set.name, patch).await;
    let answer = remember(&applying.memory.sets, &set.name, answer)?;
    let version = ReplicaSetEntry::of(&answer).identity().version;
    Ok(if version == set.identity().version { Effect::None(version) } else { Effect::Changed })
}

fn named(applying: &Applying<'_>, hash: &Hash) -> Result<(Box<str>, Uid)> {
    let set = applying.objects.sets.get(hash).ok_or_else(|| unseen(&format!("the set of {hash}")))?;
    Ok((set.name.clone(), set.identity().uid.clone()))
}
