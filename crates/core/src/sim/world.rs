//! What is true in the modelled cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::names::{Hash, Side};
use crate::observed::{
    Acceptance, ContainerWords, Endpoints, Look, RouteId, RouteView, ServiceView, SetView, Slice, Trial,
};
use crate::state::State;
use crate::traffic::Weight;

use super::writes::Write;

/// Splitmix64: small, and the same everywhere.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(0x1234_5678_9ABC_DEF1))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(super) fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()].clone()
    }

    /// A duration up to `most` milliseconds.
    pub(super) fn up_to(&mut self, most: u64) -> Duration {
        Duration::from_millis(self.below(most + 1))
    }
}

/// Kinds of objects, each with a cache of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Status,
    Sets,
    Services,
    Slices,
    Routes,
}

impl Kind {
    pub(super) const ALL: [Self; 5] = [Self::Status, Self::Sets, Self::Services, Self::Slices, Self::Routes];
}

/// One of the operator's ReplicaSets, with its pods.
#[derive(Clone, Debug, Default)]
pub(super) struct Set {
    pub(super) wanted: u32,
    pub(super) number: u64,
    pub(super) rejected: Option<String>,
    pub(super) pods: Vec<Pod>,
}

/// A pod: ready from an instant on, unless it is broken.
#[derive(Clone, Debug)]
pub(super) struct Pod {
    pub(super) ready_from: Timestamp,
    pub(super) broken: bool,
}

impl Set {
    pub(super) fn ready(&self, now: Timestamp) -> u32 {
        u32::try_from(self.pods.iter().filter(|pod| !pod.broken && pod.ready_from <= now).count()).unwrap()
    }

    pub(super) fn view(&self, now: Timestamp) -> SetView {
        let ready = self.ready(now);
        SetView {
            wanted: self.wanted,
            existing: u32::try_from(self.pods.len()).unwrap(),
            ready,
            available: ready,
            number: self.number,
            rejected: self.rejected.clone(),
            failure: None,
            deleting: false,
        }
    }
}

/// One of the two Services. Selector and label differ only where somebody edited one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) selector: Hash,
    pub(super) label: Hash,
    pub(super) version: u64,
}

impl Service {
    pub(super) fn view(&self) -> ServiceView {
        // As the shell reads it: a binding is both at once.
        let bound = (self.selector == self.label).then(|| self.selector.clone());
        ServiceView { bound, created_by_us: true, ..ServiceView::default() }
    }
}

/// The slices of a Service: the label that they copied, and whose pods they list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slices {
    pub(super) label: Hash,
    pub(super) of: Hash,
    pub(super) ready: u32,
}

impl Slices {
    pub(super) fn view(&self) -> Endpoints {
        Endpoints { slices: vec![Slice { revision: Some(self.label.clone()), ready: self.ready }] }
    }
}

/// A route: what is written, and which generation its implementation has accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) id: RouteId,
    pub(super) weight: Weight,
    pub(super) generation: u64,
    pub(super) accepted: u64,
    pub(super) exists: bool,
    /// Nobody says anything about it any more.
    pub(super) ignored: bool,
}

impl Route {
    pub(super) fn view(&self) -> Look<RouteView> {
        if !self.exists {
            return Look::Missing;
        }
        let pending = || Acceptance::Pending("the mesh".to_owned());
        let acceptance = if self.accepted == self.generation { Acceptance::Accepted } else { pending() };
        let (least, most) = (self.weight, self.weight);
        Look::Seen(RouteView {
            least,
            most,
            fixed: Weight::ZERO,
            acceptance,
            problem: None,
            differs: false,
            warnings: Vec::new(),
            held: false,
        })
    }
}

/// What the proxies do at present: it follows what is written, within less than `settle`.
#[derive(Clone, Debug)]
pub(super) struct Proxies {
    pub(super) weights: Vec<Weight>,
    pub(super) behind: BTreeMap<Side, (Hash, u32)>,
}

/// The cluster.
pub(super) struct World {
    pub(super) now: Timestamp,
    pub(super) dice: Dice,
    pub(super) versions: BTreeMap<Kind, u64>,
    pub(super) clock: u64,
    pub(super) status: Option<State>,
    pub(super) finalizer: bool,
    pub(super) sets: BTreeMap<Hash, Set>,
    pub(super) services: BTreeMap<Side, Service>,
    pub(super) slices: BTreeMap<Side, Slices>,
    pub(super) routes: Vec<Route>,
    pub(super) proxies: Proxies,
    pub(super) slow_pods: bool,
    /// How far the operator's wall clock is off, in seconds.
    pub(super) skew: i64,
    /// Pods of these hashes never become ready.
    pub(super) never_ready: Vec<Hash>,
    /// Pods of these hashes crash, since then.
    pub(super) crashing: BTreeMap<Hash, Timestamp>,
    /// Templates that the API server does not take.
    pub(super) refused_templates: Vec<Hash>,
    /// Kinds that cannot be written at present, and what the API server says to that.
    pub(super) refusing: BTreeMap<Kind, &'static str>,
    /// The API server does not answer.
    pub(super) gone: bool,
    /// Writes that timed out, and how much later each arrives.
    pub(super) under_way: Vec<(Duration, Write)>,
}

impl World {
    pub(super) fn new(seed: u64, routes: usize) -> Self {
        let id = |index: usize| RouteId {
            kind: if index == 0 { "HTTPRoute" } else { "VirtualService" },
            name: format!("route-{index}"),
            created_by_us: false,
        };
        let route = |index| Route {
            id: id(index),
            weight: Weight::ZERO,
            generation: 1,
            accepted: 1,
            exists: true,
            ignored: false,
        };
        Self {
            now: Timestamp::from_second(1_700_000_000).unwrap(),
            dice: Dice::new(seed),
            versions: Kind::ALL.into_iter().map(|kind| (kind, 0)).collect(),
            clock: 0,
            status: None,
            finalizer: false,
            sets: BTreeMap::new(),
            services: BTreeMap::new(),
            slices: BTreeMap::new(),
            routes: (0..routes).map(route).collect(),
            proxies: Proxies { weights: vec![Weight::ZERO; routes], behind: BTreeMap::new() },
            slow_pods: false,
            skew: 0,
            never_ready: Vec::new(),
            crashing: BTreeMap::new(),
            refused_templates: Vec::new(),
            refusing: BTreeMap::new(),
            gone: false,
            under_way: Vec::new(),
        }
    }

    pub(super) fn later(&self, by: Duration) -> Timestamp {
        self.now.checked_add(SignedDuration::try_from(by).unwrap()).unwrap()
    }

    /// The operator's wall clock.
    pub(super) fn clock_now(&self) -> Timestamp {
        self.now.checked_add(SignedDuration::from_secs(self.skew)).unwrap()
    }

    /// When the operator's wall clock will show `at`.
    pub(super) fn true_time(&self, at: Timestamp) -> Timestamp {
        at.checked_sub(SignedDuration::from_secs(self.skew)).unwrap()
    }

    pub(super) fn changed(&mut self, kind: Kind) -> u64 {
        self.clock += 1;
        self.versions.insert(kind, self.clock);
        self.clock
    }

    pub(super) fn ready_of(&self, hash: &Hash) -> u32 {
        self.sets.get(hash).map_or(0, |set| set.ready(self.now))
    }

    /// What the API server says to a write of this kind, where it does not take any.
    pub(super) fn refusal(&self, kind: Kind) -> Option<&'static str> {
        if self.gone { Some("connection refused") } else { self.refusing.get(&kind).copied() }
    }

    /// What the API server says of a template, as a dry run.
    pub(super) fn trial(&self, hash: &Hash) -> Trial {
        if self.gone {
            Trial::Unknown("connection refused".to_owned())
        } else if self.refused_templates.contains(hash) {
            Trial::Refused("unknown field \"spec.template.spec.contianers\"".to_owned())
        } else {
            Trial::Accepted
        }
    }

    /// Changes the size of a set.
    pub(super) fn scale(&mut self, hash: &Hash, to: u32) {
        self.sets.get_mut(hash).unwrap().wanted = to;
        self.resize(hash);
    }

    /// Writes selector and label of a Service.
    pub(super) fn select(&mut self, side: Side, selector: &Hash, label: &Hash) {
        let version = self.clock + 1;
        self.services.insert(side, Service { selector: selector.clone(), label: label.clone(), version });
    }

    /// The ReplicaSet controller: pods are made, and those that are not ready go first.
    pub(super) fn resize(&mut self, hash: &Hash) {
        let slow = if self.slow_pods { 40_000 } else { 4_000 };
        let broken = self.never_ready.contains(hash) || self.crashing.contains_key(hash);
        let now = self.now;
        let Some(set) = self.sets.get_mut(hash) else { return };
        let wanted = usize::try_from(set.wanted).unwrap();
        set.pods.sort_by_key(|pod| (pod.broken, pod.ready_from));
        set.pods.truncate(wanted);
        while set.pods.len() < wanted {
            let delay = SignedDuration::from_millis(i64::try_from(self.dice.below(slow)).unwrap() + 200);
            set.pods.push(Pod { ready_from: now.checked_add(delay).unwrap(), broken });
        }
    }

    /// What the kubelet says of pods that never become ready: each restarts every ten seconds.
    pub(super) fn words_of(&self, hash: &Hash) -> Vec<ContainerWords> {
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

    /// The endpoint slice controller: label and endpoints from one look at Service and pods.
    pub(super) fn sync_slices(&mut self, side: Side) -> bool {
        let Some(service) = self.services.get(&side).cloned() else { return false };
        let ready = self.ready_of(&service.selector);
        let slices = Slices { label: service.label, of: service.selector, ready };
        let changed = self.slices.get(&side) != Some(&slices);
        if changed {
            self.slices.insert(side, slices);
            self.changed(Kind::Slices);
        }
        changed
    }
}
