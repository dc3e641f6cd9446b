//! The rules. Each looks at what the operator wrote, against the state right before it.
//!
//! What a write rested on may have ended a moment before it: pods die, people scale. So a write is held to the best that
//! was true within the last [`GRACE`] (people: [`PEOPLE`]), never to anything older.

use super::Writers;
use super::fact::{Change, Fact, Rule};
use super::replay::{Rollout, Route, Service, World, share_in};

/// Between a change in the cluster and the write that could not know of it.
const GRACE: f64 = 1.0;
/// The same for sizes that people change.
const PEOPLE: f64 = 2.0;
/// What was not written by a request is timed by when it was heard of: instants are this exact.
const CLOCK: f64 = 0.5;

/// What the replay of a namespace gave.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Moments at which a Service with weight was looked at.
    pub moments: u64,
    /// Those in which it had fewer ready endpoints than its share needs: pods died, or come back.
    pub short: u64,
    /// What the operator must not have done.
    pub violations: Vec<String>,
}

/// Replays the changes of a namespace, in their order.
pub fn judge(changes: &[Change], writers: &Writers, operator: &str) -> Verdict {
    let mut world = World::default();
    let mut verdict = Verdict::default();
    for change in &writers.timed(changes) {
        let by_operator = writers.is_by(change, operator);
        let found = if by_operator { Rules { world: &world, change }.broken() } else { Vec::new() };
        let place = format!("{:.3}, version {}: {} {}", change.at, change.version, change.resource, change.name);
        verdict.violations.extend(found.into_iter().map(|what| format!("{place}: {what}")));
        world.take(change, by_operator);
        for service in world.services.values().filter(|it| it.rollout.is_some() && it.share.now() > Some(0.0)) {
            verdict.moments += 1;
            let (ready, share) = (service.ready.now().unwrap_or_default(), service.share.now().unwrap_or_default());
            let replicas = world.replicas(service, change.at);
            verdict.short += u64::from(ready < needs(share, replicas));
        }
    }
    verdict
}

/// The fewest ready pods that carry a share; shares come from whole percents, so that a rounding error must not cost a pod.
fn needs(share: f64, replicas: u32) -> usize {
    let carries = |pods: &u32| 100.0 * f64::from(*pods) >= share * f64::from(replicas) - 1e-6;
    (0..=replicas).find(carries).unwrap_or(replicas) as usize
}

impl World {
    /// The smallest full size that the operator may have known.
    fn replicas(&self, service: &Service, at: f64) -> u32 {
        let rollout = service.rollout.as_ref().and_then(|name| self.rollouts.get(name));
        rollout.and_then(|rollout| rollout.replicas.since(at - PEOPLE).min()).unwrap_or(0)
    }
}

/// A share of a Service that grows in a rule.
struct Raise<'a> {
    route: &'a Route,
    index: usize,
    before: &'a Rule,
    name: &'a str,
    from: f64,
    to: f64,
}

struct Rules<'a> {
    world: &'a World,
    change: &'a Change,
}

impl Rules<'_> {
    fn broken(&self) -> Vec<String> {
        match &self.change.fact {
            Some(Fact::Route(rules)) => self.weights(rules),
            Some(Fact::Service { revision, .. }) => self.binding(revision.as_deref()).into_iter().collect(),
            Some(Fact::Set { replicas, .. }) => self.size(*replicas).into_iter().collect(),
            None if self.change.resource == "replicasets" => self.size(0).into_iter().collect(),
            _ => Vec::new(),
        }
    }

    /// I1, I4: weight is given only where endpoints can carry it.
    fn weights(&self, rules: &[Rule]) -> Vec<String> {
        let none = Route::default();
        let empty = Rule::new();
        let route = self.world.routes.get(&(self.change.resource, self.change.name.clone())).unwrap_or(&none);
        let mut broken = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            let before = route.rules.get(index).unwrap_or(&empty);
            for (name, to) in rule {
                let raise = Raise { route, index, before, name, from: share_in(before, name), to: *to };
                if raise.to > raise.from
                    && let Err(why) = self.may_raise(&raise)
                {
                    broken.push(format!("{name} was given {to}% after {}%: {why}", raise.from));
                }
            }
        }
        broken
    }

    fn may_raise(&self, raise: &Raise<'_>) -> Result<(), String> {
        let (at, name) = (self.change.at, raise.name);
        let recently_ready = |service: &Service| service.ready.since(at - GRACE).max().unwrap_or_default();
        if raise.route.rules.is_empty() && self.world.services.values().all(|service| recently_ready(service) == 0) {
            // A first deployment has nobody to take from.
            return Ok(());
        }
        let service = self.world.services.get(name).ok_or("there is no such Service")?;
        let rollout = service.rollout.as_ref().and_then(|name| self.world.rollouts.get(name));
        let rollout = rollout.ok_or("it belongs to no Rollout")?;
        let ready = recently_ready(service);
        let replicas = self.world.replicas(service, at);
        let needed = needs(raise.to, replicas);
        let strays = self.world.ready_of_another_binding(name);
        let age = at - service.bound_at;
        if rollout.stable == name && self.may_go_back(raise, rollout, ready, replicas) {
            return Ok(());
        }
        if ready < needed {
            return Err(format!("{ready} of {needed} endpoints of its revision were ready"));
        }
        if strays > 0 {
            return Err(format!("{strays} endpoints of its former revision were in its slices"));
        }
        if age < rollout.settle - CLOCK {
            return Err(format!("its binding was {age:.1} s old, of {} s to settle", rollout.settle));
        }
        Ok(())
    }

    /// What stable may be given beyond what its `ready` endpoints can carry.
    fn may_go_back(&self, raise: &Raise<'_>, rollout: &Rollout, ready: usize, replicas: u32) -> bool {
        let at = self.change.at;
        // I12, and I6: what somebody else took from it comes back at once.
        if rollout.deleting || raise.route.foreign {
            return true;
        }
        let canary_had = share_in(raise.before, &rollout.canary);
        let services = &self.world.services;
        let (Some(stable), Some(canary)) = (services.get(raise.name), services.get(&rollout.canary)) else {
            return false;
        };
        if canary_had <= 0.0 {
            return false;
        }
        let canary_ready = canary.ready.since(at - GRACE).min().unwrap_or_default();
        let same_pods = canary.revision == stable.revision && ready >= canary_ready.max(1);
        let half = ready > 0 && ready >= (replicas as usize).div_ceil(2);
        let most = raise.route.had.get(&(raise.index, rollout.canary.clone())).copied().unwrap_or(canary_had);
        let has_settled = at - raise.route.at >= rollout.settle - CLOCK;
        let is_a_step = has_settled && raise.to - raise.from <= (most / 4.0).ceil() + 1e-6;
        canary_ready == 0 || same_pods || half || (ready > 0 && is_a_step)
    }

    /// I2: nothing that has traffic is re-pointed, except the canary's Service to ready pods of stable.
    fn binding(&self, revision: Option<&str>) -> Option<String> {
        let service = self.world.services.get(&self.change.name)?;
        let old = service.revision.as_deref()?;
        let rollout = self.world.rollouts.get(service.rollout.as_ref()?)?;
        if revision == Some(old) || service.foreign || rollout.deleting {
            return None;
        }
        let from = self.change.at - (rollout.settle - CLOCK).max(0.0);
        let share = service.share.since(from).fold(0.0, f64::max);
        if share <= 0.0 || rollout.replicas.since(from).all(|replicas| replicas == 0) {
            return None;
        }
        let stable = self.world.services.get(&rollout.stable);
        let is_ready = |stable: &Service| {
            stable.revision.as_deref() == revision && stable.ready.since(self.change.at - GRACE).any(|ready| ready > 0)
        };
        let onto_stable = self.change.name == rollout.canary && stable.is_some_and(is_ready);
        (!onto_stable).then(|| format!("re-pointed from {old} to {revision:?} with {share}% within its time to settle"))
    }

    /// I2: nothing is scaled below what is sent to it, or to nothing while a Service is bound to it.
    fn size(&self, replicas: u32) -> Option<String> {
        let (rollout_name, revision, before) = self.world.sets.get(&self.change.name)?;
        let rollout = self.world.rollouts.get(rollout_name)?;
        if replicas >= *before {
            return None;
        }
        let from = self.change.at - (rollout.settle - CLOCK).max(0.0);
        let full = rollout.replicas.since(self.change.at - PEOPLE).min().unwrap_or_default();
        let share = self.world.sent_since(rollout_name, revision, from);
        let needed = needs(share, full);
        if (replicas as usize) < needed {
            return Some(format!("scaled from {before} to {replicas}, where {share}% of the traffic needs {needed}"));
        }
        let bound = full > 0 && replicas == 0 && self.world.bound_since(rollout_name, revision, from);
        bound.then(|| format!("scaled from {before} to 0 while a Service is bound to it"))
    }
}
