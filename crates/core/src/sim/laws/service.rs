//! Laws where no proxy shares the traffic: one Service's selector, or pods alone, do. Short names are the design's.

use jiff::SignedDuration;

use super::{Law, Laws, law};
use crate::names::{Hash, Selection, Side};
use crate::plan::Action;
use crate::sim::process::Passed;
use crate::sim::world::{CANARY, Parts, REGISTERS_WITHIN, STABLE, Selects, World};
use crate::spec::{Rollout, Spec};
use crate::state::{Release, Stage, State};
use crate::traffic::{Carrier, Sizes, Weight};

/// At rest, that it is there for nothing is noted and persisted, and pods are taken away.
const ENDS_WITHIN: SignedDuration = SignedDuration::from_secs(4);

impl Laws {
    /// What one pass does.
    pub(super) fn check_pass_of_pods(&mut self, passed: &Passed, world: &World, rollout: &Rollout) -> Law {
        Self::a_return_leads_to_what_was_stable(passed)?;
        Self::a_share_is_in_force_before_it_is_measured(passed)?;
        if rollout.replicas == 0 || rollout.deleted_at.is_some() {
            return Ok(());
        }
        for action in &passed.plan.actions {
            Self::only_stable_grows_on_the_way_back(passed, action)?;
            if world.carrier.shares_by_pods() {
                Self::what_is_selected_keeps_its_pods(passed, action, world, rollout)?;
                Self::pods_grow_as_far_as_is_decided(passed, action, rollout)?;
            }
        }
        if world.carrier == Carrier::Service {
            self.a_whole_revision_takes_over(passed, world, rollout)?;
            Self::the_selector_goes_back_in_the_same_pass(passed, rollout)?;
        }
        Ok(())
    }

    /// V2, V3: what comes back was stable once, and is not rejected.
    fn a_return_leads_to_what_was_stable(passed: &Passed) -> Law {
        let Some(State { stage: Stage::Releasing(release), former, rejected, .. }) = &passed.plan.state else {
            return Ok(());
        };
        let Release { canary, returns: Some(_), .. } = &**release else { return Ok(()) };
        let was_stable = former.iter().any(|former| former.hash == canary.hash);
        let is_rejected = rejected.iter().any(|rejection| rejection.revision.hash == canary.hash);
        law(was_stable && !is_rejected, || {
            format!("V3: {} comes back; it was stable: {was_stable}, is rejected: {is_rejected}", canary.hash)
        })
    }

    /// B8: what is measured of a share is measured from when it was in force.
    fn a_share_is_in_force_before_it_is_measured(passed: &Passed) -> Law {
        let of = |state: &Option<State>| match state.as_ref().map(|state| &state.stage) {
            Some(Stage::Releasing(release)) => release.goal_since.map(|since| (release.canary.number, since)),
            _ => None,
        };
        let (before, after) = (of(&passed.before), of(&passed.plan.state));
        let (Some(state), true) = (&passed.plan.state, after.is_some() && before != after) else { return Ok(()) };
        let Stage::Releasing(release) = &state.stage else { return Ok(()) };
        law(state.split.in_force == release.goal || release.shrunk.is_some(), || {
            format!("B8: the window of {} begins while {} is in force", release.goal, state.split.in_force)
        })
    }

    /// K3: in a rollback no set but stable grows.
    fn only_stable_grows_on_the_way_back(passed: &Passed, action: &Action) -> Law {
        let Some(State { stage: Stage::Leaving(_), stable, .. }) = &passed.plan.state else { return Ok(()) };
        let grows = match action {
            Action::ScaleSet { hash, from, to, .. } => to > from && *hash != stable.hash,
            Action::CreateSet { hash, replicas, .. } => *replicas > 0 && *hash != stable.hash,
            _ => false,
        };
        law(!grows, || format!("K3: {action:?} in a rollback"))
    }

    /// B4: no set to which some node still sends is scaled to nothing, and none below what the share needs.
    fn what_is_selected_keeps_its_pods(passed: &Passed, action: &Action, world: &World, rollout: &Rollout) -> Law {
        let Action::ScaleSet { hash, from, to, .. } = action else { return Ok(()) };
        let Some(state) = &passed.plan.state else { return Ok(()) };
        if to >= from || world.carrier != Carrier::Service || *hash == state.stable.hash && *to >= rollout.replicas {
            return Ok(());
        }
        let admits = |selection: &Option<Selection>| selection.as_ref().is_some_and(|it| it.admits(hash));
        let seen = passed.observed.stable_service.seen().is_some_and(|service| admits(&service.selection));
        let binding = &state.bindings.stable;
        let selected = seen || binding.decided.admits(hash) || admits(&binding.in_force);
        law(*to > 0 || !selected, || format!("B4: {hash} is scaled to 0 while the Service selects it, or may"))
    }

    /// R4: where pods make the share, the canary grows no further than its share was decided.
    fn pods_grow_as_far_as_is_decided(passed: &Passed, action: &Action, rollout: &Rollout) -> Law {
        let (Action::ScaleSet { hash, from, to, .. }, Some(state)) = (action, &passed.plan.state) else {
            return Ok(());
        };
        let Stage::Releasing(release) = &state.stage else { return Ok(()) };
        let Some(targets) = state.targets.as_ref().filter(|_| release.canary.hash == *hash && to > from) else {
            return Ok(());
        };
        let shared = release.goal.is_shared() && state.split.decided.is_shared();
        if !shared && targets.carrier != Carrier::Pods {
            return Ok(());
        }
        let sizes = Sizes {
            carrier: targets.carrier,
            replicas: rollout.replicas,
            keep_stable: release.recipe.keep_stable,
            least_canary: release.recipe.least_canary,
        };
        let most = sizes.shape(release.goal, release.goal, release.goal).canary;
        law(*to <= most + 1, || format!("R4: {hash} grows to {to} pods, where {} is {most}", release.goal))
    }

    /// B3: the selector is given to the new revision alone only once all of its pods were seen behind its own Service.
    fn a_whole_revision_takes_over(&self, passed: &Passed, world: &World, rollout: &Rollout) -> Law {
        let (Some(before), Some(after)) = (&passed.before, &passed.plan.state) else { return Ok(()) };
        let Stage::Releasing(release) = &after.stage else { return Ok(()) };
        let goes_over = after.split.decided == Weight::FULL && before.split.decided != Weight::FULL;
        if !goes_over || world.now < self.excused_until && self.faults.people {
            return Ok(());
        }
        let canary = &release.canary.hash;
        let ready = passed.observed.endpoints_of(Side::Canary).ready_of(canary).unwrap_or(0);
        law(ready >= rollout.replicas && before.split.decided.is_shared(), || {
            format!("B3: {canary} takes over from {} with {ready} of {} pods", before.split.decided, rollout.replicas)
        })
    }

    /// B5: the pass that decides to go back writes it, whatever the new pods do; where an overlap is declared, its first step.
    fn the_selector_goes_back_in_the_same_pass(passed: &Passed, rollout: &Rollout) -> Law {
        let (Some(before), Some(after)) = (&passed.before, &passed.plan.state) else { return Ok(()) };
        let turned = matches!(before.stage, Stage::Releasing(_)) && matches!(after.stage, Stage::Leaving(_));
        let Some(service) = passed.observed.stable_service.seen().filter(|_| turned) else { return Ok(()) };
        let stable = Selection::from(&after.stable.hash);
        let whole = passed.observed.sets.seen().and_then(|sets| sets.get(&after.stable.hash));
        let away = service.selection.as_ref().is_some_and(|selection| *selection != stable);
        let can = whole.is_some_and(|set| set.ready > 0 && 2 * set.ready >= rollout.replicas);
        let allowed = after.timing.overlap > after.timing.of_endpoints();
        let back = |action: &Action| match action {
            Action::Bind { side: Side::Stable, selection, safety: true, .. } => {
                *selection == stable || allowed && *selection == Selection::Any
            }
            _ => false,
        };
        // Both are selected already where the overlap has just begun.
        let overlapping = allowed && service.selection == Some(Selection::Any);
        law(!(away && can) || overlapping || passed.plan.actions.iter().any(back), || {
            format!("B5: the Service is not given back to {stable} in the pass that decides it")
        })
    }

    /// What serves, by what nodes know.
    pub(super) fn check_world_of_pods(&self, world: &World, rollout: &Rollout, replicas: u32) -> Law {
        let Some(state) = world.status.as_ref().filter(|_| world.carrier.shares_by_pods()) else { return Ok(()) };
        let hopeless = world.never_ready.contains(&state.stable.hash);
        if world.now < self.excused_until || hopeless {
            return Ok(());
        }
        let replicas = self.capacity(world, replicas);
        Self::capacity_is_kept(world, state, replicas)?;
        if world.carrier == Carrier::Pods {
            return Ok(());
        }
        for node in [&world.proxies.behind, &world.proxies.other_node] {
            let Some(parts) = node.get(STABLE) else { continue };
            if self.faults.slow_proxies && world.slices.get(STABLE) != Some(parts) {
                continue;
            }
            Self::a_node_finds_somebody(world, parts, replicas)?;
            Self::only_two_revisions_are_selected(world, parts)?;
        }
        self.a_balancer_finds_somebody(world, rollout)?;
        self.a_preview_shows_something(world, rollout, state)?;
        self.what_was_given_up_ends(world, state)
    }

    /// K1: pods of both revisions together are never fewer than full size, where they are what shares the traffic.
    fn capacity_is_kept(world: &World, state: &State, replicas: u32) -> Law {
        let trial = match &state.stage {
            Stage::Releasing(release) => Some(&release.canary.hash),
            Stage::Leaving(leaving) => Some(&leaving.canary.hash),
            _ => None,
        };
        let canary = trial.filter(|hash| **hash != state.stable.hash).map_or(0, |hash| world.ready_of(hash));
        let ready = world.ready_of(&state.stable.hash) + canary;
        law(ready >= replicas, || format!("K1: {ready} of {replicas} pods are ready"))
    }

    /// B1, R1: whatever a node believes of the Service, enough pods answer it.
    fn a_node_finds_somebody(world: &World, parts: &Parts, replicas: u32) -> Law {
        let mut selected: Vec<_> = parts.iter().map(|part| &part.of).collect();
        selected.dedup();
        let ready: u32 = selected.iter().map(|of| world.ready_behind(of)).sum();
        let known: u32 = parts.iter().map(|part| part.ready).sum();
        law(ready >= replicas && known > 0, || {
            format!("B1: a node sends to {selected:?} with {ready} of {replicas} pods, and knows {known}")
        })
    }

    /// R3: no third revision is ready while every revision is selected, or may be.
    fn only_two_revisions_are_selected(world: &World, parts: &Parts) -> Law {
        let any = parts.iter().any(|part| part.of == Selects::Any);
        let live: Vec<&Hash> = world.sets.keys().filter(|hash| world.ready_of(hash) > 0).collect();
        law(!any || live.len() <= 2, || format!("R3: a node sends to every revision, and these are ready: {live:?}"))
    }

    /// B9: with an overlap that is longer than it takes to register pods, a load balancer always knows some that answer.
    fn a_balancer_finds_somebody(&self, world: &World, rollout: &Rollout) -> Law {
        let declared = rollout.spec.as_ref().map(|spec| spec.overlap).unwrap_or_default();
        let overlap = SignedDuration::try_from(declared).unwrap_or_default();
        if overlap <= REGISTERS_WITHIN + REGISTERS_WITHIN / 2 || !self.is_swift() || world.balancer.is_empty() {
            return Ok(());
        }
        let registered = |since: &jiff::Timestamp| world.now.duration_since(*since) >= REGISTERS_WITHIN;
        let is_young = |since: &jiff::Timestamp| since.duration_since(self.began(world)) < REGISTERS_WITHIN * 3;
        let knows = world.balancer.values().any(registered);
        law(knows || world.balancer.values().any(is_young), || {
            format!("B9: a load balancer that registers pods by itself knows none: {:?}", world.balancer)
        })
    }

    /// B7: the Service of the revision on trial leads somewhere.
    fn a_preview_shows_something(&self, world: &World, rollout: &Rollout, state: &State) -> Law {
        let early = |spec: &Spec| spec.bind_early;
        let by_recipe = matches!(&state.stage, Stage::Releasing(release) if early(&release.recipe));
        let Some(parts) = world.proxies.behind.get(CANARY) else { return Ok(()) };
        let hopeless =
            parts.iter().any(|part| matches!(&part.of, Selects::Only(hash) if world.never_ready.contains(hash)));
        if self.faults.slow_proxies && world.slices.get(CANARY) != Some(parts) {
            return Ok(());
        }
        if by_recipe || rollout.spec.as_ref().is_ok_and(early) || hopeless {
            return Ok(());
        }
        let ready: u32 = parts.iter().map(|part| world.ready_behind(&part.of)).sum();
        law(ready > 0, || {
            format!("B7: {CANARY} leads to {:?}, of which nobody is ready", parts.each_ref().map(|it| &it.of))
        })
    }

    /// B6: pods of a revision that was given up end soon after the last node has forgotten them: connections stay on them.
    fn what_was_given_up_ends(&self, world: &World, state: &State) -> Law {
        let Some((Selects::Only(selected), since)) = &world.selected_since else { return Ok(()) };
        let rested = matches!(state.stage, Stage::Resting) && *selected == state.stable.hash && self.is_swift();
        let quiet = !(self.faults.pods_fail || self.faults.people || self.faults.scaling);
        let since = self.rested_since.map_or(world.now, |rested| rested.max(*since));
        if !(rested && quiet) || world.now.duration_since(since) < ENDS_WITHIN {
            return Ok(());
        }
        let lives = |hash: &Hash| world.sets.get(hash).is_some_and(|set| !set.pods.is_empty());
        let rejected = state.rejected.iter().map(|rejection| &rejection.revision.hash);
        let stays = rejected.into_iter().find(|hash| **hash != state.stable.hash && lives(hash));
        law(stays.is_none(), || format!("B6: {stays:?} was rejected, and its pods keep their connections"))
    }

    fn began(&self, world: &World) -> jiff::Timestamp {
        self.first_seen.unwrap_or(world.now)
    }
}
