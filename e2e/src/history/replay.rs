//! The state of a namespace between two changes, and what it was in the last few seconds.

use std::collections::{BTreeMap, BTreeSet};

use super::fact::{Change, Fact, Rule};

/// A value over time.
#[derive(Clone, Debug, Default)]
pub struct Track<T>(Vec<(f64, T)>);

impl<T: PartialEq + Copy> Track<T> {
    /// The value is this from now on.
    pub fn put(&mut self, at: f64, value: T) {
        if self.0.last().is_none_or(|(_, last)| *last != value) {
            self.0.push((at, value));
        }
    }

    /// The value now.
    pub fn now(&self) -> Option<T> {
        self.0.last().map(|(_, value)| *value)
    }

    /// Every value that was in place at some time since then, the present one with them.
    pub fn since(&self, from: f64) -> impl Iterator<Item = T> + '_ {
        let first = self.0.partition_point(|(at, _)| *at <= from).saturating_sub(1);
        self.0.iter().skip(first).map(|(_, value)| *value)
    }
}

/// A Service of a Rollout.
#[derive(Clone, Debug, Default)]
pub struct Service {
    /// The Rollout.
    pub rollout: Option<String>,
    /// The revision in its selector.
    pub revision: Option<String>,
    /// When that came.
    pub bound_at: f64,
    /// True when somebody else than the operator bound it.
    pub foreign: bool,
    /// Endpoints ready under the present binding.
    pub ready: Track<usize>,
    /// The largest share of any rule, in percent.
    pub share: Track<f64>,
}

/// A Rollout.
#[derive(Clone, Debug, Default)]
pub struct Rollout {
    /// `spec.replicas`.
    pub replicas: Track<u32>,
    /// Seconds.
    pub settle: f64,
    /// `stableService`.
    pub stable: String,
    /// `canaryService`.
    pub canary: String,
    /// On its way out, or gone.
    pub deleting: bool,
}

/// A route.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// Its rules.
    pub rules: Vec<Rule>,
    /// True when somebody else than the operator set its weights last.
    pub foreign: bool,
    /// When its weights came.
    pub at: f64,
    /// For each rule and Service, the share it had when it was last raised.
    pub had: BTreeMap<(usize, String), f64>,
}

#[derive(Clone, Debug)]
struct Slice {
    service: String,
    revision: Option<String>,
    ready: BTreeSet<String>,
}

/// Everything in a namespace that traffic depends on.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// By name.
    pub rollouts: BTreeMap<String, Rollout>,
    /// By resource and name.
    pub routes: BTreeMap<(&'static str, String), Route>,
    /// By name.
    pub services: BTreeMap<String, Service>,
    /// By name: Rollout, revision, size.
    pub sets: BTreeMap<String, (String, String, u32)>,
    slices: BTreeMap<String, Slice>,
    /// By Rollout and revision: what was sent to it, in percent.
    sent: BTreeMap<(String, String), Track<f64>>,
    /// By Rollout and revision: whether a Service was bound to it.
    bound: BTreeMap<(String, String), Track<bool>>,
}

impl World {
    /// Takes a change in.
    pub fn take(&mut self, change: &Change, by_operator: bool) {
        let name = change.name.clone();
        match (change.resource, &change.fact) {
            ("rollouts", None) => {
                self.rollouts.entry(name).or_default().deleting = true;
            }
            ("services", None) => drop(self.services.remove(&name)),
            ("endpointslices", None) => drop(self.slices.remove(&name)),
            ("replicasets", None) => drop(self.sets.remove(&name)),
            (route, None) => drop(self.routes.remove(&(route, name))),
            (_, Some(Fact::Rollout { replicas, settle, stable, canary, deleting })) => {
                let rollout = self.rollouts.entry(name).or_default();
                rollout.replicas.put(change.at, *replicas);
                (rollout.settle, rollout.deleting) = (*settle, *deleting);
                (rollout.stable, rollout.canary) = (stable.clone(), canary.clone());
            }
            (_, Some(Fact::Service { rollout, revision })) => {
                let service = self.services.entry(name).or_default();
                if service.revision != *revision {
                    service.bound_at = change.at;
                    service.ready = Track::default();
                    service.foreign = !by_operator;
                }
                (service.rollout, service.revision) = (rollout.clone(), revision.clone());
            }
            (_, Some(Fact::Slice { service, revision, ready })) => {
                let slice = Slice { service: service.clone(), revision: revision.clone(), ready: ready.clone() };
                self.slices.insert(name, slice);
            }
            (_, Some(Fact::Set { rollout, revision, replicas })) => {
                self.sets.insert(name, (rollout.clone(), revision.clone(), *replicas));
            }
            (route, Some(Fact::Route(rules))) => {
                let route = self.routes.entry((route, name)).or_default();
                note_raises(route, rules);
                if route.rules != *rules {
                    (route.foreign, route.at) = (!by_operator, change.at);
                }
                route.rules.clone_from(rules);
            }
        }
        self.derive(change.at);
    }

    fn derive(&mut self, at: f64) {
        for (name, service) in &mut self.services {
            let slices = self.slices.values().filter(|slice| slice.service == *name);
            let ready: BTreeSet<_> =
                slices.filter(|slice| slice.revision == service.revision).flat_map(|slice| &slice.ready).collect();
            service.ready.put(at, ready.len());
            let rules = self.routes.values().flat_map(|route| &route.rules);
            service.share.put(at, rules.map(|rule| share_in(rule, name)).fold(0.0, f64::max));
        }
        let mut sent: BTreeMap<_, f64> = self.sent.keys().map(|key| (key.clone(), 0.0)).collect();
        let mut bound: BTreeMap<_, bool> = self.bound.keys().map(|key| (key.clone(), false)).collect();
        for service in self.services.values() {
            if let (Some(rollout), Some(revision)) = (&service.rollout, &service.revision) {
                let key = (rollout.clone(), revision.clone());
                *sent.entry(key.clone()).or_default() += service.share.now().unwrap_or_default();
                bound.insert(key, true);
            }
        }
        for (key, share) in sent {
            self.sent.entry(key).or_default().put(at, share.min(100.0));
        }
        for (key, is_bound) in bound {
            self.bound.entry(key).or_default().put(at, is_bound);
        }
    }

    /// Endpoints that are ready in slices of another binding of a Service: proxies may still know them.
    pub fn ready_of_another_binding(&self, service: &str) -> usize {
        let Some(revision) = self.services.get(service).map(|service| &service.revision) else { return 0 };
        let slices = self.slices.values().filter(|slice| slice.service == service && slice.revision != *revision);
        slices.map(|slice| slice.ready.len()).sum()
    }

    /// The most that was sent to a revision since then, in percent.
    pub fn sent_since(&self, rollout: &str, revision: &str, from: f64) -> f64 {
        let track = self.sent.get(&(rollout.to_owned(), revision.to_owned()));
        track.map_or(0.0, |track| track.since(from).fold(0.0, f64::max))
    }

    /// Whether a Service was bound to a revision at some time since then.
    pub fn bound_since(&self, rollout: &str, revision: &str, from: f64) -> bool {
        let track = self.bound.get(&(rollout.to_owned(), revision.to_owned()));
        track.is_some_and(|track| track.since(from).any(|bound| bound))
    }
}

/// A share that grows is what a later way back is measured by.
fn note_raises(route: &mut Route, rules: &[Rule]) {
    for (index, rule) in rules.iter().enumerate() {
        for (service, share) in rule {
            let before = route.rules.get(index).map_or(0.0, |rule| share_in(rule, service));
            if *share > before {
                route.had.insert((index, service.clone()), *share);
            }
        }
    }
}

/// What a rule gives to a Service, in percent.
pub fn share_in(rule: &Rule, service: &str) -> f64 {
    rule.iter().filter(|(name, _)| name == service).map(|(_, share)| share).sum()
}
