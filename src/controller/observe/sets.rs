//! Our ReplicaSets.

use std::cmp::Reverse;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::join_all;
use leadsman_api::names::ROLLOUT_LABEL;
use leadsman_core::names::Hash;
use leadsman_core::observed::{Look, SetView};
use tokio::time::Instant;

use super::reading::{Reader, note_gone, read_through};
use crate::cluster::{Result, kinds};
use crate::controller::cache::{ReplicaSetEntry, Slim};
use crate::controller::context::Context;
use crate::controller::expectations::Expectations;
use crate::controller::key::Key;
use crate::controller::loaded::Loaded;

type Sets = BTreeMap<Hash, Arc<ReplicaSetEntry>>;

/// All sets that bear the Rollout's label and belong to it, or to nobody: those are adopted. `Seen` only when each of them
/// was seen.
pub async fn look(
    reader: &Reader,
    context: &Context,
    loaded: &Loaded,
    expectations: &Expectations<ReplicaSetEntry>,
) -> Look<Sets> {
    let listed = if reader.reads(&context.caches.sets, &loaded.key.namespace) {
        list(reader, context, loaded, expectations).await.ok()
    } else {
        None
    };
    let sets = match listed {
        None if reader.may_fall_back() => cached(reader, context, loaded, expectations).await,
        listed => listed,
    };
    sets.map_or(Look::Stale, |sets| Look::Seen(by_revision(loaded, sets)))
}

/// One set for each revision. Where somebody gave a second one the label of a revision, ours is the one that the Rollout
/// owns, then the one with the most ready pods, then the oldest; the other is left alone.
fn by_revision(loaded: &Loaded, sets: Vec<Arc<ReplicaSetEntry>>) -> Sets {
    let mut chosen = Sets::new();
    let ours = |set: &ReplicaSetEntry| set.controller.as_ref().is_none_or(|owner| owner.uid == loaded.uid);
    for set in sets.into_iter().filter(|set| ours(set)) {
        match chosen.entry(set.hash.clone()) {
            Entry::Vacant(free) => drop(free.insert(set)),
            Entry::Occupied(mut taken) => {
                let other = taken.get();
                tracing::warn!(rollout = %loaded.key, revision = %set.hash, one = &*set.name, other = &*other.name,
                    "two ReplicaSets bear the label of one revision: remove one of them");
                if rank(&set) > rank(other) {
                    taken.insert(set);
                }
            }
        }
    }
    chosen
}

fn rank(set: &ReplicaSetEntry) -> impl Ord {
    (set.controller.is_some(), set.view.ready, Reverse(set.created_at), Reverse(set.name.clone()))
}

async fn cached(
    reader: &Reader,
    context: &Context,
    loaded: &Loaded,
    expectations: &Expectations<ReplicaSetEntry>,
) -> Option<Vec<Arc<ReplicaSetEntry>>> {
    let store = &context.caches.sets;
    if !store.is_synced(&loaded.key.namespace) {
        return None;
    }
    let mut names: BTreeSet<Arc<str>> = store.of_rollout(&loaded.key).into_iter().map(|(name, _)| name).collect();
    names.extend(expectations.names());
    let looks = names.iter().map(async |name| {
        let key = loaded.key.beside(name);
        read_through(reader, &kinds::REPLICA_SETS, (expectations, &**store), &key).await
    });
    let mut sets = Vec::with_capacity(names.len());
    for look in join_all(looks).await {
        match look {
            Look::Seen(set) => sets.push(set),
            Look::Missing => {}
            Look::Stale => return None,
        }
    }
    Some(sets)
}

async fn list(
    reader: &Reader,
    context: &Context,
    loaded: &Loaded,
    expectations: &Expectations<ReplicaSetEntry>,
) -> Result<Vec<Arc<ReplicaSetEntry>>> {
    let namespace = &loaded.key.namespace;
    let selector = format!("{ROLLOUT_LABEL}={}", loaded.key.name);
    let listed = reader.cluster().objects(&kinds::REPLICA_SETS, namespace).list(&selector).await?;
    let listed: Vec<Arc<ReplicaSetEntry>> = listed.iter().map(|object| Arc::new(ReplicaSetEntry::of(object))).collect();
    let now = Instant::now();
    let store = &context.caches.sets;
    let mut known: BTreeSet<Arc<str>> = store.of_rollout(&loaded.key).into_iter().map(|(name, _)| name).collect();
    known.extend(expectations.names());
    for set in &listed {
        known.remove(&*set.name);
        expectations.confirmed(&set.name, Arc::clone(set), now);
        let _ = expectations.known(&set.name, store.get(&loaded.key.beside(&set.name)), now);
    }
    for name in known {
        note_gone(expectations, store, &Key::new(namespace, &name), now);
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
