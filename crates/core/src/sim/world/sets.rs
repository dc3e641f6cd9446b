//! ReplicaSets and their pods.

use jiff::{SignedDuration, Timestamp};

use crate::names::Hash;
use crate::observed::{ContainerWords, OldPods, OldPodsOf, SetView};
use crate::plan::Restart;

use super::World;

/// One of the operator's ReplicaSets, with its pods.
#[derive(Clone, Debug, Default)]
pub(in crate::sim) struct Set {
    /// The version of the cluster in which its size changed last.
    pub(in crate::sim) generation: u64,
    pub(in crate::sim) wanted: u32,
    pub(in crate::sim) number: u64,
    pub(in crate::sim) rejected: Option<String>,
    pub(in crate::sim) pods: Vec<Pod>,
    /// `minReadySeconds`.
    pub(in crate::sim) min_ready: SignedDuration,
}

/// A pod: ready from an instant on, unless it is broken.
#[derive(Clone, Debug)]
pub(in crate::sim) struct Pod {
    pub(in crate::sim) name: String,
    pub(in crate::sim) created_at: Timestamp,
    pub(in crate::sim) ready_from: Timestamp,
    pub(in crate::sim) broken: bool,
}

impl Set {
    pub(in crate::sim) fn ready(&self, now: Timestamp) -> u32 {
        u32::try_from(self.pods.iter().filter(|pod| !pod.broken && pod.ready_from <= now).count()).unwrap()
    }

    fn available(&self, now: Timestamp) -> u32 {
        self.ready(now.checked_sub(self.min_ready).unwrap())
    }

    pub(in crate::sim) fn view(&self, now: Timestamp) -> SetView {
        SetView {
            wanted: self.wanted,
            existing: u32::try_from(self.pods.len()).unwrap(),
            ready: self.ready(now),
            available: self.available(now),
            number: self.number,
            rejected: self.rejected.clone(),
            failure: None,
            deleting: false,
            ports: Vec::new(),
        }
    }
}

impl World {
    pub(in crate::sim) fn ready_of(&self, hash: &Hash) -> u32 {
        self.sets.get(hash).map_or(0, |set| set.ready(self.now))
    }

    /// Changes the size of a set.
    pub(in crate::sim) fn scale(&mut self, hash: &Hash, to: u32) {
        let set = self.sets.get_mut(hash).unwrap();
        set.wanted = to;
        set.generation = self.clock;
        self.resize(hash);
    }

    /// The ReplicaSet controller: pods are made, and those that are not ready go first.
    pub(in crate::sim) fn resize(&mut self, hash: &Hash) {
        let slow = if self.slow_pods { 40_000 } else { 4_000 };
        let broken = self.never_ready.contains(hash) || self.crashing.contains_key(hash);
        let (now, min_ready) = (self.now, self.min_ready);
        let Some(set) = self.sets.get_mut(hash) else { return };
        let wanted = usize::try_from(set.wanted).unwrap();
        set.min_ready = min_ready;
        set.pods.sort_by_key(|pod| (pod.broken, pod.ready_from));
        set.pods.truncate(wanted);
        while set.pods.len() < wanted {
            let delay = SignedDuration::from_millis(i64::try_from(self.dice.below(slow)).unwrap() + 200);
            self.pods_made += 1;
            let name = format!("shop-{hash}-{}", self.pods_made);
            set.pods.push(Pod { name, created_at: now, ready_from: now.checked_add(delay).unwrap(), broken });
        }
    }

    /// Pods that were created before a restart.
    pub(in crate::sim) fn old_pods(&self, restart: &Restart) -> OldPods {
        let of = |hash: &Hash| {
            let pods = self.sets.get(hash).into_iter().flat_map(|set| &set.pods);
            let old = pods.filter(|pod| pod.created_at < self.true_time(restart.before)).map(|pod| pod.name.clone());
            OldPodsOf { old: old.collect(), ready: self.ready_of(hash) }
        };
        let revisions = restart.hashes.iter().map(|hash| (hash.clone(), of(hash))).collect();
        OldPods { before: restart.before, revisions }
    }

    /// A pod is evicted, and another one made for it.
    pub(in crate::sim) fn evict(&mut self, hash: &Hash, name: &str) {
        if let Some(set) = self.sets.get_mut(hash) {
            set.pods.retain(|pod| pod.name != name);
        }
        self.resize(hash);
    }

    /// What the kubelet says of pods that never become ready: each restarts every ten seconds.
    pub(in crate::sim) fn words_of(&self, hash: &Hash) -> Vec<ContainerWords> {
        let Some(since) = self.crashing.get(hash) else { return Vec::new() };
        let lasts = self.now.duration_since(*since).as_secs();
        let word = ContainerWords {
            revision: hash.clone(),
            pod: format!("shop-{hash}-1"),
            container: "app".to_owned(),
            created_at: *since,
            restarts: u32::try_from(lasts / 10).unwrap(),
            looping: true,
            ended_at: Some(self.now),
            words: "CrashLoopBackOff (exit code 42)".to_owned(),
        };
        vec![word]
    }
}
