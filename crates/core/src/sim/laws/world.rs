//! Laws where it counts: nobody is sent to pods that are not there, or on a port that they do not serve.

use jiff::{SignedDuration, Timestamp};

use super::{Law, Laws, law};
use crate::sim::world::{Kind, Known, Part, Selects, World, serves};
use crate::spec::Rollout;
use crate::state::{Stage, State};
use crate::traffic::{Target, Targets, Weight};

impl Laws {
    /// I1 and I2 by what the proxies do.
    pub(in crate::sim) fn check_world(&mut self, world: &World, rollout: &Rollout) -> Law {
        let replicas = self.least_size(world, rollout);
        self.edits_are_put_back_at_once(world)?;
        self.one_of_two_ways_is_taken(world)?;
        self.a_rollback_goes_on(world)?;
        self.note_what_is_kept(world, rollout);
        let deploying = matches!(&world.status, Some(State { stage: Stage::Deploying, .. }) | None);
        if deploying || replicas == 0 {
            return Ok(());
        }
        if self.first_seen.is_none() && !world.balancer.is_empty() {
            self.first_seen = Some(world.now);
        }
        self.check_world_of_pods(world, rollout, replicas)?;
        for (index, route) in world.proxies.routes.iter().enumerate() {
            // Nothing may be lost but what lags beyond all that it was given.
            if self.faults.slow_proxies && *route != Known::of(&world.routes[index]) {
                continue;
            }
            // What somebody gives by a route that is none of this Rollout's is theirs.
            let names = |targets: &Targets| targets.routes.iter().any(|target| target.is(&world.routes[index].id));
            let in_force = world.status.as_ref().and_then(|state| state.targets.as_ref());
            if !in_force.into_iter().chain([&rollout.targets]).any(names) {
                continue;
            }
            // How many pods a rule needs that is left as it is, nobody knows; it needs one.
            if route.fixed > Weight::ZERO {
                self.somebody_answers(world, index, &route.canary, 1)?;
            }
            for weight in &route.rules {
                for (service, share) in [(&route.canary, *weight), (&route.stable, weight.rest())] {
                    if share > Weight::ZERO {
                        let needed = self.capacity(world, share.needs(replicas));
                        self.somebody_answers(world, index, service, needed)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Enough pods stand behind a Service as proxies know it, and each of them serves the port that they are sent to on.
    fn somebody_answers(&self, world: &World, route: usize, service: &str, needed: u32) -> Law {
        let Some(parts) = world.proxies.behind.get(service) else { return Ok(()) };
        // The ports of a Service that Git declares are Git's doing.
        let ours = world.service(service).is_some_and(|service| service.created_by_us);
        if self.faults.slow_proxies && world.slices.get(service) != Some(parts) {
            return Ok(());
        }
        let hopeless = |part: &Part| matches!(&part.of, Selects::Only(hash) if world.never_ready.contains(hash));
        let excused = world.now < self.excused_until || parts.iter().any(hopeless);
        let of = |part: &Part| format!("{:?} on {:?}", part.of, part.target);
        if let Some(deaf) = parts.iter().find(|part| ours && part.ready > 0 && !is_served(part)) {
            let stable = world.status.as_ref().map(|state| Selects::Only(state.stable.hash.clone()));
            // A rule that is left as it is sends to the canary as soon as canaryService is bound to it, with the ports that
            // were known by then.
            let at_once = world.routes.iter().any(|route| route.fixed > Weight::ZERO);
            let declared_wrong = (self.canary_ports_excused || at_once) && stable.as_ref() != Some(&deaf.of);
            law(excused || declared_wrong, || {
                format!("P1: proxies of route {route} send to {service} = {}, which those pods do not serve", of(deaf))
            })?;
        }
        if excused {
            return Ok(());
        }
        let mut revisions: Vec<_> = parts.iter().map(|part| &part.of).collect();
        revisions.dedup();
        // Proxies may not know all of the pods yet; they must know one, and enough must be there.
        let ready: u32 = revisions.into_iter().map(|of| world.ready_behind(of)).sum();
        let known: u32 = parts.iter().map(|part| part.ready).sum();
        law(ready >= needed && known > 0, || {
            let behind = parts.iter().map(of).collect::<Vec<_>>().join(", ");
            format!("I2: proxies of route {route} send to {service} = {behind} with {ready} of {needed} pods")
        })
    }

    /// A stable that was allowed to be smaller grows back after a rollback, which does not wait for it.
    fn note_what_is_kept(&mut self, world: &World, rollout: &Rollout) {
        let stage = world.status.as_ref().map(|state| &state.stage);
        self.rested_since =
            stage.filter(|stage| **stage == Stage::Resting).map(|_| self.rested_since.unwrap_or(world.now));
        // Not while nobody can write its size.
        if world.now < self.regrows_until && world.refusal(Kind::Sets).is_some() {
            self.regrow(world.now);
        }
        match stage {
            // So does one whose Rollout is deleted, and then all of its pods.
            Some(stage) if self.keeps_less && (matches!(stage, Stage::Leaving(_)) || rollout.deleted_at.is_some()) => {
                self.regrow(world.now);
            }
            Some(Stage::Releasing(release)) => self.keeps_less |= release.recipe.keep_stable != Weight::FULL,
            Some(Stage::Promoting(_)) => self.keeps_less = false,
            _ => {}
        }
    }

    pub(in crate::sim) fn regrow(&mut self, now: Timestamp) {
        self.regrows_until = now.checked_add(SignedDuration::from_mins(2)).unwrap();
    }

    /// What has to answer where stable serves: some pod at least, while it grows back.
    pub(in crate::sim) fn capacity(&self, world: &World, needed: u32) -> u32 {
        if world.now < self.regrows_until { needed.min(1) } else { needed }
    }

    /// The least full size asked for lately: pods follow a change of it, and so do shares.
    fn least_size(&mut self, world: &World, rollout: &Rollout) -> u32 {
        if self.sizes.last().is_none_or(|(_, size)| *size != rollout.replicas) {
            self.sizes.push((world.now, rollout.replicas));
        }
        // A size counts until three minutes after the next one was asked for.
        let next = |index: usize| self.sizes.get(index + 1).map(|(at, _)| *at);
        let is_recent =
            |index: usize| next(index).is_none_or(|at| world.now.duration_since(at) < SignedDuration::from_mins(3));
        let recent: Vec<_> =
            (0..self.sizes.len()).filter(|index| is_recent(*index)).map(|index| self.sizes[index]).collect();
        self.sizes = recent;
        self.sizes.iter().map(|(_, size)| *size).min().unwrap_or(0)
    }
}

fn is_served(part: &Part) -> bool {
    match (&part.of, &part.target) {
        (Selects::Only(hash), Some(Target::Number(target))) => serves(hash) == *target,
        _ => true,
    }
}
