//! Laws of traffic: what is given is carried, what is in use stays, what others write is put back.

use jiff::SignedDuration;

use super::{Law, Laws, law};
use crate::names::{Hash, Selection, Side};
use crate::observed::Look;
use crate::plan::{Action, Fact};
use crate::sim::process::Passed;
use crate::sim::world::{CANARY, Kind, STABLE, World};
use crate::spec::Rollout;
use crate::state::{Stage, State};
use crate::traffic::{Carrier, Weight};

/// Writes of one route within a minute: twelve that put it back, one every ten seconds after that, and what the release
/// itself goes through meanwhile.
const MOST_WRITES: usize = 27;
/// The same where an edit may come before our own write was ever seen, and then counts as none.
const MOST_WRITES_UNSEEN: usize = 45;

/// Five seconds until the second way is taken, and time for crashes and refusals on it.
const SECOND_WAY_WITHIN: SignedDuration = SignedDuration::from_secs(30);

/// The name of `canaryService` that is in force.
fn canary_service(world: &World) -> String {
    let targets = world.status.as_ref().and_then(|state| state.targets.as_ref());
    targets.map_or_else(|| CANARY.to_owned(), |targets| targets.canary_service.clone())
}

fn stable_service(world: &World) -> String {
    let targets = world.status.as_ref().and_then(|state| state.targets.as_ref());
    targets.map_or_else(|| STABLE.to_owned(), |targets| targets.stable_service.clone())
}

/// Until a share is written, seen, accepted and settled, with caches that lag.
const NEXT_STEP_BACK_WITHIN: SignedDuration = SignedDuration::from_secs(20);

impl Laws {
    /// I1: a share is given only to endpoints seen ready, of the revision that the Service is bound to.
    pub(super) fn giving_is_carried(&self, passed: &Passed, action: &Action, world: &World, rollout: &Rollout) -> Law {
        let (Action::Split { route, weight, .. }, Some(state)) = (action, &passed.plan.state) else { return Ok(()) };
        let Some((_, Look::Seen(view))) = passed.observed.routes.iter().find(|(id, _)| id == route) else {
            let stable = passed.observed.stable_endpoints.ready_of(&state.stable.hash).unwrap_or(0);
            return law(stable > 0 || self.deployed || rollout.replicas == 0, || {
                format!("I1: {route} is made before stable has a ready endpoint")
            });
        };
        if *weight > view.least {
            let canary = &state.bindings.canary.decided;
            let ready = passed.observed.canary_endpoints.ready_as(canary).unwrap_or(0);
            let replicas = match &state.stage {
                Stage::Releasing(release) => release.base_replicas.min(rollout.replicas),
                _ => rollout.replicas,
            };
            law(ready >= weight.needs(replicas), || {
                format!("I1: {route} is given {weight} of {replicas} for {canary} with {ready} ready endpoints")
            })?;
        }
        let excused = self.faults.pods_fail || self.faults.people || world.now < self.excused_until;
        let leaving = matches!(state.stage, Stage::Leaving(_)) || excused;
        if *weight < view.most && !leaving {
            let stable = &state.bindings.stable.decided;
            let ready = passed.observed.stable_endpoints.ready_as(stable).unwrap_or(0);
            // Pods follow a new size, and the same pods stand behind both Services when stable is given all of it back.
            let size = self.sizes.iter().map(|(_, size)| *size).chain([rollout.replicas]).min().unwrap_or(0);
            let needed = weight.rest().needs(size);
            law(ready >= needed, || {
                format!("I1: {route} gives stable the rest of {weight} with {ready} of {needed} ready")
            })?;
        }
        Ok(())
    }

    /// I2: nothing that a live route or Service still sends to is re-pointed, scaled down or deleted.
    pub(super) fn nothing_in_use_is_taken_away(passed: &Passed, action: &Action, rollout: &Rollout) -> Law {
        let observed = &passed.observed;
        let Some(state) = &passed.plan.state else { return Ok(()) };
        let named = |hash: &Hash| {
            if state.carrier() == Carrier::Pods {
                return false;
            }
            [Side::Stable, Side::Canary].iter().any(|side| {
                let admits = |selection: &Option<Selection>| selection.as_ref().is_some_and(|it| it.admits(hash));
                let selected = observed.service_of(*side).seen().is_some_and(|service| admits(&service.selection));
                selected || admits(&state.bindings.of(*side).in_force)
            })
        };
        let most = observed.routes.iter().filter_map(|(_, route)| Some(route.seen()?.most)).max();
        match action {
            Action::ScaleSet { hash, from, to, .. }
                if *to > 0 && to < from && state.bindings.canary.decided.is_only(hash) =>
            {
                let stable = *hash == state.stable.hash;
                let needed = most.map_or(0, |most| most.needs(rollout.replicas));
                law(stable || *to >= needed, || {
                    format!("I2: {hash} is scaled to {to} while {most:?} of {} is sent to it", rollout.replicas)
                })
            }
            Action::ScaleSet { hash, to: 0, .. } if *hash != state.stable.hash => {
                law(!named(hash), || format!("I2: {hash} is scaled to 0 while a Service is bound to it"))
            }
            Action::DeleteSet { hash } => {
                law(!named(hash), || format!("I2: {hash} is deleted while a Service is bound to it"))
            }
            Action::Bind { side: Side::Canary, selection, .. } if !selection.is_only(&state.stable.hash) => {
                let bound = observed.canary_service.seen().and_then(|service| service.selection.clone());
                let moves = bound.is_some_and(|bound| bound != *selection);
                law(!moves || most.is_none_or(|most| most == Weight::ZERO), || {
                    format!("I2: canaryService is re-pointed to {selection} under {most:?}")
                })
            }
            // The second way: everything onto stable, which has to be able to carry it, or the canary carries nothing.
            Action::Bind { side: Side::Canary, .. } if matches!(state.stage, Stage::Leaving(_)) => {
                let Stage::Leaving(leaving) = &state.stage else { return Ok(()) };
                let stable = observed.stable_endpoints.ready_of(&state.stable.hash);
                let canary = observed.canary_endpoints.ready_of(&leaving.canary.hash);
                let weak = stable.is_some_and(|ready| 2 * ready < rollout.replicas);
                let sent = most.is_some_and(|most| most > Weight::ZERO) && canary.is_some_and(|ready| ready > 0);
                law(!(weak && sent), || format!("I4: the second way leads onto {stable:?} of {}", rollout.replicas))
            }
            Action::RemoveFinalizer if rollout.deleted_at.is_none() => {
                let unknown =
                    [Side::Stable, Side::Canary].iter().any(|side| *observed.service_of(*side) == Look::Stale);
                law(!unknown, || "I12: the finalizer comes off while a Service is not known".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// V1: a pod is evicted only where there is one more than the revision needs, and never in the first pass.
    pub(super) fn a_restart_keeps_capacity(&self, passed: &Passed, world: &World, rollout: &Rollout) -> Law {
        for action in &passed.wrote {
            let (Action::Evict { hash, pod }, Some(state)) = (action, &passed.plan.state) else { continue };
            let left = world.ready_of(hash);
            let share = if *hash == state.stable.hash { Weight::FULL } else { state.split.decided };
            let asked = share.needs(rollout.replicas);
            let wanted = world.sets.get(hash).map_or(0, |set| set.wanted);
            // One that may be smaller has the size that its share needs, and one pod more.
            let needed = if self.keeps_less { asked.min(wanted.saturating_sub(1)) } else { asked };
            let excused = world.now < self.excused_until;
            law((left >= needed || excused) && !passed.first, || {
                format!("V1: {pod} is evicted and leaves {left} pods ready, {needed} are needed")
            })?;
        }
        Ok(())
    }

    /// Where canaryService is bound early, it is bound before the first pod of the canary is made.
    pub(super) fn pods_come_after_their_service(passed: &Passed) -> Law {
        let Some(State { stage: Stage::Releasing(release), .. }) = &passed.plan.state else { return Ok(()) };
        let canary = &release.canary.hash;
        let bound = passed.observed.canary_service.seen().is_some_and(|service| service.is_bound_to(canary));
        let made = |action: &Action| match action {
            Action::CreateSet { hash, .. } | Action::ScaleSet { hash, from: 0, .. } => hash == canary,
            _ => false,
        };
        law(!release.recipe.bind_early || bound || !passed.plan.actions.iter().any(made), || {
            format!("G1: pods of {canary} are made before canaryService selects them")
        })
    }

    /// I1: without a ready endpoint there is no share, where stable is whole.
    pub(super) fn a_share_needs_a_pod(passed: &Passed, rollout: &Rollout) -> Law {
        let Some(State { stage: Stage::Releasing(release), bindings, split, stable, .. }) = &passed.plan.state else {
            return Ok(());
        };
        let canary = &release.canary.hash;
        let gone = bindings.canary.is_in_force(canary) && passed.observed.canary_endpoints.ready_of(canary) == Some(0);
        let whole =
            passed.observed.stable_endpoints.ready_of(&stable.hash).is_some_and(|ready| ready >= rollout.replicas);
        law(!gone || !whole || rollout.replicas == 0 || split.decided == Weight::ZERO, || {
            format!("I1: no canary pod is ready, and {} stay decided", split.decided)
        })
    }

    /// I4: once a canary leaves, its share only falls; at once where half of stable is ready, and never onto nothing.
    pub(super) fn a_rollback_is_monotone(&mut self, passed: &Passed, world: &World, rollout: &Rollout) -> Law {
        let Some(state) = &passed.plan.state else { return Ok(()) };
        let Stage::Leaving(leaving) = &state.stage else {
            self.leaving = None;
            return Ok(());
        };
        let decided = state.split.decided;
        let before = self.leaving.filter(|(number, _)| *number == leaving.canary.number).map(|(_, before)| before);
        // What was not persisted may be decided otherwise once more.
        let persisted = world.status.as_ref().filter(|state| matches!(state.stage, Stage::Leaving(_)));
        self.leaving = persisted.map(|state| (leaving.canary.number, state.split.decided));
        let stable = passed.observed.stable_endpoints.ready_of(&state.stable.hash);
        let canary = passed.observed.canary_endpoints.ready_of(&leaving.canary.hash);
        if let Some(before) = before {
            law(decided <= before, || format!("I4: a rollback's share rises from {before} to {decided}"))?;
        }
        if let Some(before) = passed.before.as_ref().map(|before| before.split.decided) {
            law(decided >= before || stable != Some(0) || canary == Some(0) || rollout.replicas == 0, || {
                format!("I4: the share falls from {before} to {decided} with no stable pod ready")
            })?;
        }
        let half = stable.is_some_and(|ready| ready > 0 && 2 * ready >= rollout.replicas);
        law(!half || decided == Weight::ZERO || rollout.deleted_at.is_some(), || {
            format!("I4: stable has {stable:?} of {} ready, and the canary keeps {decided}", rollout.replicas)
        })
    }

    /// I4: with one stable pod ready, each settle brings it further.
    pub(super) fn a_rollback_goes_on(&mut self, world: &World) -> Law {
        let Some(State { stage: Stage::Leaving(_), stable, split, .. }) = &world.status else {
            self.standing = None;
            return Ok(());
        };
        let seen = world.slices.get(&stable_service(world)).is_some_and(|parts| {
            parts.iter().all(|part| part.label.as_ref().is_some_and(|it| it.is_only(&stable.hash)))
                && parts.iter().any(|part| part.ready > 0)
        });
        if split.decided == Weight::ZERO || !seen || !self.is_swift() && !self.faults.lag {
            self.standing = None;
            return Ok(());
        }
        let (_, since) = *match &mut self.standing {
            Some(standing) if standing.0 == split.decided => standing,
            other => other.insert((split.decided, world.now)),
        };
        law(world.now.duration_since(since) < NEXT_STEP_BACK_WITHIN, || {
            format!("I4: a rollback stands still at {} since {since}", split.decided)
        })
    }

    /// I4: where a route cannot be set back, canaryService is bound to stable instead.
    pub(super) fn one_of_two_ways_is_taken(&mut self, world: &World) -> Law {
        let Some(State { stage: Stage::Leaving(_), stable, split, .. }) = &world.status else {
            self.stuck_since = None;
            return Ok(());
        };
        let sends = world.routes.iter().any(|route| route.exists && route.most() > Weight::ZERO);
        let bound = world.selected(&canary_service(world)) == Some(&stable.hash);
        let open = world.refusal(Kind::Status).is_none() && world.refusal(Kind::Services).is_none();
        if !sends
            || bound
            || !open
            || split.decided > Weight::ZERO
            || 2 * world.ready_of(&stable.hash) < self.sizes.iter().map(|(_, size)| *size).max().unwrap_or(0)
        {
            // I4: with fewer than half of stable it goes in steps, for as long as they can be written.
            self.stuck_since = None;
            return Ok(());
        }
        let since = *self.stuck_since.get_or_insert(world.now);
        law(world.now.duration_since(since) < SECOND_WAY_WITHIN, || {
            format!("I4: since {since} a rollback sends to the canary and takes neither way")
        })
    }

    /// I9: what somebody else wrote is put back within a second, where it gives the canary more than was decided.
    pub(super) fn edits_are_put_back_at_once(&mut self, world: &World) -> Law {
        let Some(state) = &world.status else {
            self.edits.clear();
            return Ok(());
        };
        let at_rest = matches!(state.stage, Stage::Resting | Stage::Deploying);
        let over: Vec<_> = self
            .edits
            .extract_if(.., |_, (at, _)| world.now.duration_since(*at) > SignedDuration::from_secs(1))
            .collect();
        for (index, (at, weight)) in over {
            let stays = world.routes.get(index).is_some_and(|route| route.exists && route.rules.contains(&weight));
            let contended = state.foreign_edits.len() > 12;
            law(!stays || at_rest || contended || weight <= state.split.decided || !self.is_swift(), || {
                format!("I9: {weight} was written at {at} instead of {}, and stays", state.split.decided)
            })?;
        }
        Ok(())
    }

    /// I9: and is told once.
    pub(super) fn edits_are_put_back_once(&mut self, passed: &Passed) -> Law {
        let told = passed.plan.facts.iter().filter(|fact| matches!(fact, Fact::WeightsPutBack { .. })).count();
        self.put_back += u32::try_from(told).unwrap();
        law(self.put_back <= self.edited || !self.is_swift(), || {
            format!("I9: {} edits are told {} times", self.edited, self.put_back)
        })
    }

    /// I5: a promotion that has gone back to rest stays there, whoever goes on with it.
    pub(super) fn a_promotion_rests_once(&self, passed: &Passed) -> Law {
        let Some(state) = passed.plan.state.as_ref().filter(|state| matches!(state.stage, Stage::Promoting(_))) else {
            return Ok(());
        };
        let follows = passed.observed.stable_service.seen().is_some_and(|it| it.is_bound_to(&state.stable.hash));
        let raised = passed.plan.actions.iter().find_map(|action| match action {
            Action::Split { route, weight, .. } if *weight > Weight::ZERO => Some((route, weight)),
            _ => None,
        });
        law(!follows || raised.is_none() || self.edited > 0, || format!("I5: a promotion gives {raised:?} again"))
    }

    /// I9: somebody who rewrites the weights for ever is not fought: writes become rare.
    pub(super) fn nobody_is_fought(&mut self, passed: &Passed, world: &World) -> Law {
        let swift = self.is_swift();
        for action in &passed.wrote {
            // What takes traffic from where it does harm is written as often as it takes.
            let Action::Split { route, safety: false, .. } = action else { continue };
            let written = self.written.entry(route.clone()).or_default();
            written.push_back(world.now);
            while written.front().is_some_and(|at| world.now.duration_since(*at) > SignedDuration::from_mins(1)) {
                written.pop_front();
            }
            let most = if swift { MOST_WRITES } else { MOST_WRITES_UNSEEN };
            law(written.len() <= most, || format!("I9: {route} is written {} times in a minute", written.len()))?;
        }
        Ok(())
    }

    /// I6: the first pass after a start raises nothing.
    pub(super) fn healing_is_asymmetric(passed: &Passed) -> Law {
        let raises = passed.wrote.iter().any(|action| match action {
            Action::Split { route, weight, .. } => passed
                .observed
                .routes
                .iter()
                .any(|(id, view)| id == route && view.seen().is_some_and(|view| view.least < *weight)),
            _ => false,
        });
        law(!(passed.first && raises), || "I6: the first pass after a start raises a share".to_owned())
    }
}
