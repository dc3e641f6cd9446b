//! Our ReplicaSets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use leadsman_api::names::ROLLOUT_LABEL;
use leadsman_core::names::Hash;
use leadsman_core::observed::{Look, SetView};
use tokio::time::Instant;

use super::reading::{PATIENCE, note_gone, read_through};
use crate::cluster::{Result, kinds};
use crate::controller::cache::{ReplicaSetEntry, Slim};
use crate::controller::context::Context;
use crate::controller::key::Key;
use crate::controller::loaded::Loaded;
use crate::controller::memory::Memory;

type Sets = BTreeMap<Hash, Arc<ReplicaSetEntry>>;

/// All sets that bear the Rollout's label and belong to it, or to nobody: those are adopted. `Seen` only when each of them
/// was seen.
pub async fn look(context: &Context, loaded: &Loaded, memory: &mut Memory, live: bool) -> Look<Sets> {
    let listed =
        if live || context.caches.sets.is_doubtful() { list(context, loaded, memory).await.ok() } else { None };
    let sets = match listed {
        None if !live => cached(context, loaded, memory).await,
        listed => listed,
    };
    let Some(sets) = sets else { return Look::Stale };
    let ours = |set: &Arc<ReplicaSetEntry>| set.controller.as_ref().is_none_or(|owner| *owner.uid == *loaded.uid);
    Look::Seen(sets.into_iter().filter(ours).map(|set| (set.hash.clone(), set)).collect())
}

async fn cached(context: &Context, loaded: &Loaded, memory: &mut Memory) -> Option<Vec<Arc<ReplicaSetEntry>>> {
    let store = &context.caches.sets;
    if !store.is_synced() {
        return None;
    }
    let mut names: BTreeSet<Box<str>> = store.of_rollout(&loaded.key).into_iter().map(|(name, _)| name).collect();
    names.extend(memory.sets.names().map(Into::into));
    let mut sets = Vec::with_capacity(names.len());
    for name in names {
        let key = Key::new(&loaded.key.namespace, &name);
        let expected = (&mut memory.sets, &**store);
        match read_through(&context.cluster, &kinds::REPLICA_SETS, expected, &key, false).await {
            Look::Seen(set) => sets.push(set),
            Look::Missing => {}
            Look::Stale => return None,
        }
    }
    Some(sets)
}

async fn list(context: &Context, loaded: &Loaded, memory: &mut Memory) -> Result<Vec<Arc<ReplicaSetEntry>>> {
    let namespace = &loaded.key.namespace;
    let selector = format!("{ROLLOUT_LABEL}={}", loaded.key.name);
    let listed = context.cluster.within(PATIENCE).objects(&kinds::REPLICA_SETS, namespace).list(&selector).await?;
    let listed: Vec<Arc<ReplicaSetEntry>> = listed.iter().map(|object| Arc::new(ReplicaSetEntry::of(object))).collect();
    let now = Instant::now();
    let store = &context.caches.sets;
    let mut known: BTreeSet<Box<str>> = store.of_rollout(&loaded.key).into_iter().map(|(name, _)| name).collect();
    known.extend(memory.sets.names().map(Into::into));
    for set in &listed {
        known.remove(&set.name);
        memory.sets.confirmed(&set.name, Arc::clone(set), now);
        let _ = memory.sets.known(&set.name, store.get(&Key::new(namespace, &set.name)), now);
    }
    for name in known {
        note_gone(&mut memory.sets, store, &Key::new(namespace, &name), now);
    }
    Ok(listed)
}

/// What the core sees of them.
pub fn views(sets: &Look<Sets>) -> Look<BTreeMap<Hash, SetView>> {
    match sets {
        Look::Seen(sets) => Look::Seen(sets.iter().map(|(hash, set)| (hash.clone(), set.view.clone())).collect()),
        Look::Missing => Look::Missing,
        Look::Stale => Look::Stale,
    }
}
