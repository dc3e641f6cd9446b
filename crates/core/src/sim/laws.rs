//! The invariants of the design, checked after every event.
//!
//! What is decided is checked against what was seen; what serves, against what is true: the proxies of the model follow
//! what is written later than the operator sees it, but before `settle` is over.

use std::collections::{BTreeMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::process::Passed;
use super::run::Faults;
use super::world::World;
use crate::analysis::metric::OnNoData;
use crate::analysis::{Outcome, Scope};
use crate::names::{Hash, Side};
use crate::observed::Look;
use crate::plan::report::Phase;
use crate::plan::{Action, Persist};
use crate::spec::{Rollout, Step, Verb};
use crate::split::Weight;
use crate::state::{Stage, State};

/// What the laws remember of a run.
pub(super) struct Laws {
    faults: Faults,
    /// Traffic may suffer from pods that died or from people's edits until then.
    excused_until: Timestamp,
    replicas: u32,
    steps: BTreeMap<u64, (usize, Timestamp)>,
    leaving: Option<(u64, Weight)>,
    rejected: BTreeMap<Hash, u64>,
    good: HashSet<(u64, Timestamp)>,
    deployed: bool,
}

type Law = Result<(), String>;

fn law(holds: bool, what: impl FnOnce() -> String) -> Law {
    if holds { Ok(()) } else { Err(what()) }
}

/// A state on one line.
pub(super) fn short(state: &State) -> String {
    let doing = match &state.stage {
        Stage::Deploying => "deploying".to_owned(),
        Stage::Resting => "resting".to_owned(),
        Stage::Releasing(release) => format!(
            "releasing {}#{} step {}/{} goal {}{}{}",
            release.canary.hash,
            release.canary.number,
            release.step,
            release.recipe.steps.len(),
            release.goal,
            if release.preflight.is_some() { " preflight" } else { "" },
            if release.shrunk.is_some() { " shrunk" } else { "" },
        ),
        Stage::Promoting(promotion) => format!("promoting, old {}", promotion.old.hash),
        Stage::Leaving(leaving) => format!("leaving {} {:?}", leaving.canary.hash, leaving.why),
    };
    let binding = |binding: &crate::state::Binding| {
        format!("{}{}", binding.decided, if binding.is_in_force(&binding.decided) { "" } else { "?" })
    };
    format!(
        "[{doing}; stable {}; {} decided, {} in force; bound {} / {}]",
        state.stable.hash,
        state.traffic.decided,
        state.traffic.in_force,
        binding(&state.bindings.stable),
        binding(&state.bindings.canary),
    )
}

impl Laws {
    pub(super) fn new(faults: Faults) -> Self {
        Self {
            faults,
            excused_until: Timestamp::UNIX_EPOCH,
            replicas: 0,
            steps: BTreeMap::new(),
            leaving: None,
            rejected: BTreeMap::new(),
            good: HashSet::new(),
            deployed: false,
        }
    }

    /// Something happened to the traffic that is nobody's fault; for as long as it may take to be put right.
    pub(super) fn excuse(&mut self, now: Timestamp) {
        self.excused_until = now.checked_add(SignedDuration::from_mins(3)).unwrap();
    }

    pub(super) fn check_pass(&mut self, passed: &Passed, world: &World, rollout: &Rollout) -> Law {
        for action in &passed.plan.actions {
            self.giving_is_carried(passed, action, world, rollout)?;
            if rollout.replicas > 0 {
                Self::nothing_in_use_is_taken_away(passed, action)?;
            }
        }
        Self::deletion_makes_nothing(passed, rollout)?;
        if rollout.deleted_at.is_none() {
            Self::failure_is_heeded(passed)?;
        }
        self.raising_needs_evidence(passed)?;
        self.a_share_needs_a_pod(passed)?;
        self.a_rollback_is_monotone(passed)?;
        self.steps_follow_one_another(passed, world)?;
        self.rejected_stays_rejected(passed, rollout)?;
        Self::healing_is_asymmetric(passed)?;
        self.a_lost_status_is_no_first_deployment(passed, world)?;
        Self::decided_before_done(passed, world)
    }

    /// I1: a share is given only to endpoints seen ready, of the revision that the Service is bound to.
    fn giving_is_carried(&self, passed: &Passed, action: &Action, world: &World, rollout: &Rollout) -> Law {
        let (Action::Split { route, weight, .. }, Some(state)) = (action, &passed.plan.state) else { return Ok(()) };
        let Some((_, Look::Seen(view))) = passed.observed.routes.iter().find(|(id, _)| id == route) else {
            return Ok(());
        };
        if *weight > view.least {
            let canary = &state.bindings.canary.decided;
            let ready = passed.observed.canary_endpoints.ready_of(canary).unwrap_or(0);
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
            let ready = passed.observed.stable_endpoints.ready_of(stable).unwrap_or(0);
            let needed = weight.rest().needs(rollout.replicas);
            law(ready >= needed, || {
                format!("I1: {route} gives stable the rest of {weight} with {ready} of {needed} ready")
            })?;
        }
        Ok(())
    }

    /// I2: nothing that a live route or Service still sends to is re-pointed, scaled down or deleted.
    fn nothing_in_use_is_taken_away(passed: &Passed, action: &Action) -> Law {
        let observed = &passed.observed;
        let Some(state) = &passed.plan.state else { return Ok(()) };
        let named = |hash: &Hash| {
            [Side::Stable, Side::Canary].iter().any(|side| {
                let bound =
                    observed.service_of(*side).seen().is_some_and(|service| service.bound.as_ref() == Some(hash));
                bound || state.bindings.of(*side).in_force.as_ref() == Some(hash)
            })
        };
        match action {
            Action::ScaleSet { hash, to: 0, .. } if *hash != state.stable.hash => {
                law(!named(hash), || format!("I2: {hash} is scaled to 0 while a Service is bound to it"))
            }
            Action::DeleteSet { hash } => {
                law(!named(hash), || format!("I2: {hash} is deleted while a Service is bound to it"))
            }
            Action::Bind { side: Side::Canary, hash } if *hash != state.stable.hash => {
                let most = observed.routes.iter().filter_map(|(_, route)| Some(route.seen()?.most)).max();
                let bound = observed.canary_service.seen().and_then(|service| service.bound.clone());
                let moves = bound.is_some_and(|bound| bound != *hash);
                law(!moves || most.is_none_or(|most| most == Weight::ZERO), || {
                    format!("I2: canaryService is re-pointed to {hash} under {most:?}")
                })
            }
            _ => Ok(()),
        }
    }

    /// I12: with a deletion timestamp nothing is created, scaled or bound.
    fn deletion_makes_nothing(passed: &Passed, rollout: &Rollout) -> Law {
        let makes = |action: &&Action| {
            matches!(
                action,
                Action::CreateSet { .. } | Action::ScaleSet { .. } | Action::Bind { .. } | Action::AddFinalizer
            )
        };
        let made = passed.plan.actions.iter().find(makes);
        law(rollout.deleted_at.is_none() || made.is_none(), || format!("I12: {made:?} after the deletion"))
    }

    /// I3: more failures than the limit end the release in the pass that sees them.
    fn failure_is_heeded(passed: &Passed) -> Law {
        let (Some(State { stage: Stage::Releasing(before), .. }), Some(after)) = (&passed.before, &passed.plan.state)
        else {
            return Ok(());
        };
        let (Some(background), true) = (&before.recipe.background, before.background_runs()) else { return Ok(()) };
        for metric in &background.metrics {
            let tally = before.background.get(&metric.name);
            let counted = tally.and_then(|tally| tally.last.as_ref()).map(|last| last.at);
            let bad = passed.observed.answers.iter().filter(|answer| {
                answer.token.metric.scope == Scope::Background
                    && answer.token.attempt == before.canary.number
                    && answer.token.since == before.window_start()
                    && counted.is_none_or(|counted| answer.at > counted)
                    && answer.outcome == Outcome::Samples(vec![0.2])
            });
            let failures = tally.map_or(0, |tally| tally.failures) + u32::try_from(bad.count()).unwrap();
            let still =
                matches!(&after.stage, Stage::Releasing(release) if release.canary.number == before.canary.number);
            law(failures <= metric.failure_limit || !still, || {
                format!("I3: {failures} failures, limit {}, and the release goes on", metric.failure_limit)
            })?;
        }
        Ok(())
    }

    /// I8: a share is raised only after a good answer at the present one.
    fn raising_needs_evidence(&mut self, passed: &Passed) -> Law {
        let good = |answer: &&crate::analysis::Answer| answer.outcome == Outcome::Samples(vec![0.999]);
        for answer in passed.observed.answers.iter().filter(good) {
            self.good.insert((answer.token.attempt, answer.token.since));
        }
        let (Some(State { stage: Stage::Releasing(before), .. }), Some(State { stage: Stage::Releasing(after), .. })) =
            (&passed.before, &passed.plan.state)
        else {
            return Ok(());
        };
        let (Some(background), true) = (&before.recipe.background, before.background_runs()) else { return Ok(()) };
        let same = before.canary.number == after.canary.number && before.recipe == after.recipe && !after.skip;
        let strict = background.metrics.iter().all(|metric| metric.on_no_data == OnNoData::Hold);
        law(
            !same
                || !strict
                || after.goal <= before.goal
                || self.good.contains(&(before.canary.number, before.window_start())),
            || format!("I8: raised from {} to {} without one good answer", before.goal, after.goal),
        )
    }

    /// I1: without a ready endpoint there is no share, where stable is whole.
    fn a_share_needs_a_pod(&self, passed: &Passed) -> Law {
        let Some(State { stage: Stage::Releasing(release), bindings, traffic, stable, .. }) = &passed.plan.state else {
            return Ok(());
        };
        let canary = &release.canary.hash;
        let gone = bindings.canary.is_in_force(canary) && passed.observed.canary_endpoints.ready_of(canary) == Some(0);
        let whole = passed.observed.stable_endpoints.ready_of(&stable.hash).is_some_and(|ready| ready >= self.replicas);
        law(!gone || !whole || self.replicas == 0 || traffic.decided == Weight::ZERO, || {
            format!("I1: no canary pod is ready, and {} stay decided", traffic.decided)
        })
    }

    /// I4 and I3: once a canary leaves, its share only falls, and at once where stable can take it.
    fn a_rollback_is_monotone(&mut self, passed: &Passed) -> Law {
        let Some(state) = &passed.plan.state else { return Ok(()) };
        let Stage::Leaving(leaving) = &state.stage else {
            self.leaving = None;
            return Ok(());
        };
        let decided = state.traffic.decided;
        if let Some((number, before)) = self.leaving.filter(|(number, _)| *number == leaving.canary.number) {
            law(decided <= before, || {
                format!("I4: the share of {number} rises from {before} to {decided} in a rollback")
            })?;
        }
        self.leaving =
            (passed.plan.persist != Persist::Now || !passed.crashed).then_some((leaving.canary.number, decided));
        let stable = &state.stable.hash;
        let ready = passed.observed.stable_endpoints.ready_of(stable).unwrap_or(0);
        let replicas = if state.bindings.stable.is_in_force(stable) { ready } else { 0 };
        let full = passed.observed.sets.seen().and_then(|sets| Some(sets.get(stable)?.wanted)).unwrap_or(u32::MAX);
        law(full == u32::MAX || replicas < full || full == 0 || decided == Weight::ZERO, || {
            format!("I3: stable has {replicas} of {full} ready, and the canary keeps {decided}")
        })
    }

    /// I5: no step twice, none skipped but by command or a changed list, no pause shortened.
    fn steps_follow_one_another(&mut self, passed: &Passed, world: &World) -> Law {
        let Some(State { stage: Stage::Releasing(release), .. }) = &world.status else { return Ok(()) };
        let number = release.canary.number;
        let (index, since) = self.steps.get(&number).copied().unwrap_or((0, release.step_since));
        let commanded = release.skip
            || passed.plan.state.as_ref().is_some_and(|state| {
                state.last_command.as_ref().is_some_and(|command| command.executed && command.at >= since)
            });
        let changed = passed.before.as_ref().is_some_and(|before| match &before.stage {
            Stage::Releasing(old) => old.recipe.steps != release.recipe.steps,
            _ => false,
        }) || self.faults.people
            || self.faults.clock_steps;
        if release.step != index && !commanded && !changed {
            for ended in index..release.step {
                if let Some(Step::Pause(pause)) = release.recipe.steps.get(ended) {
                    let lasted = world.now.duration_since(since);
                    let short = pause.is_none_or(|pause| lasted < SignedDuration::try_from(pause).unwrap());
                    law(!short, || format!("I5: pause {ended} of {pause:?} ended after {lasted:?}"))?;
                }
            }
            law(release.step > index, || format!("I5: step {index} is followed by {}", release.step))?;
        }
        if self.steps.get(&number).is_none_or(|(known, _)| *known != release.step) {
            self.steps.insert(number, (release.step, release.step_since));
        }
        Ok(())
    }

    /// I7 and I14: a rejected hash neither runs again by itself nor has traffic at rest.
    fn rejected_stays_rejected(&mut self, passed: &Passed, rollout: &Rollout) -> Law {
        let Some(state) = &passed.plan.state else { return Ok(()) };
        for rejection in &state.rejected {
            self.rejected.insert(rejection.revision.hash.clone(), rejection.revision.number);
        }
        let retried = |command: &crate::state::Acknowledged| command.executed && command.verb == Some(Verb::Retry);
        if state.last_command.as_ref().is_some_and(retried) {
            self.rejected.retain(|hash, _| *hash != rollout.hash);
        }
        if let Stage::Releasing(release) = &state.stage {
            let again = self.rejected.get(&release.canary.hash);
            law(again.is_none_or(|number| *number >= release.canary.number), || {
                format!(
                    "I7: {} was rejected as #{again:?} and runs again as #{}",
                    release.canary.hash, release.canary.number
                )
            })?;
        }
        let bound = state.bindings.stable.decided == state.stable.hash;
        law(bound || matches!(state.stage, Stage::Deploying), || {
            "I14: stableService is bound to something else".to_owned()
        })
    }

    /// I6: the first pass after a start raises nothing.
    fn healing_is_asymmetric(passed: &Passed) -> Law {
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

    /// I5: what is written follows from a state that had been persisted; only a rollback may run ahead of it.
    fn decided_before_done(passed: &Passed, world: &World) -> Law {
        for action in passed.wrote.iter().filter(|action| !action.is_safety()) {
            // What this process knows to be persisted; a former leader may have written in between.
            let persisted = [world.status.as_ref(), passed.before.as_ref()];
            let decided = |state: &State| match action {
                Action::Split { weight, .. } => state.traffic.decided == *weight,
                Action::Bind { side, hash } => state.bindings.of(*side).decided == *hash,
                _ => true,
            };
            law(persisted.into_iter().flatten().any(decided), || {
                let state = world.status.as_ref().map(short).unwrap_or_default();
                format!("I5: {action:?} is written, and what is persisted is {state}")
            })?;
        }
        Ok(())
    }

    /// No big bang: what has been deployed once is never taken for a first deployment.
    fn a_lost_status_is_no_first_deployment(&mut self, passed: &Passed, world: &World) -> Law {
        let Some(state) = &passed.plan.state else { return Ok(()) };
        let deploying = matches!(state.stage, Stage::Deploying);
        law(!(deploying && self.deployed), || "a lost status is taken for a first deployment".to_owned())?;
        let persisted = world.status.as_ref().map(|state| &state.stage);
        self.deployed |= persisted.is_some_and(|stage| !matches!(stage, Stage::Deploying));
        Ok(())
    }

    /// I1 and I2 where it counts: nobody is sent to pods that are not there.
    pub(super) fn check_world(&mut self, world: &World, rollout: &Rollout) -> Law {
        if rollout.replicas != self.replicas {
            self.replicas = rollout.replicas;
            self.excuse(world.now);
        }
        if self.faults.pods_fail || world.now < self.excused_until {
            return Ok(());
        }
        for (index, weight) in world.proxies.weights.iter().enumerate() {
            for (side, share) in [(Side::Canary, *weight), (Side::Stable, weight.rest())] {
                let Some((hash, known)) = world.proxies.behind.get(&side) else { continue };
                let deploying = matches!(&world.status, Some(State { stage: Stage::Deploying, .. }) | None);
                if share == Weight::ZERO || deploying {
                    continue;
                }
                let needed = share.needs(rollout.replicas);
                // Proxies may not know all of the pods yet; they must know one, and enough must be there.
                let ready = world.ready_of(hash);
                law(ready >= needed && *known > 0 || rollout.replicas == 0, || {
                    format!(
                        "I2: proxies of route {index} send {share} to {side:?} = {hash} with {ready} of {needed} pods"
                    )
                })?;
            }
        }
        Ok(())
    }

    /// Everything has come to rest, for a reason that is said; and rest costs nothing.
    pub(super) fn check_end(&self, last: &Passed, world: &World, rollout: &Rollout) -> Law {
        let report = &last.plan.report;
        if rollout.deleted_at.is_some() {
            let at_rest = world.routes.iter().all(|route| !route.exists || route.weight == Weight::ZERO);
            // A split that somebody left at rest is theirs.
            let rested =
                world.status.as_ref().is_none_or(|state| matches!(state.stage, Stage::Resting | Stage::Deploying));
            return law(!world.finalizer && (at_rest || rested), || {
                format!("I12: it is let go: {}, routes at rest: {at_rest}", !world.finalizer)
            });
        }
        let state = last.plan.state.as_ref().ok_or("there is no state at the end")?;
        let waits = matches!(report.phase, Phase::Paused | Phase::Invalid | Phase::RolledBack | Phase::Healthy);
        let hopeless = report.phase == Phase::Degraded && world.never_ready.contains(&state.stable.hash);
        law(waits || hopeless, || {
            format!("liveness: it ends {:?}: {} {}", report.phase, report.message, short(state))
        })?;
        if matches!(report.phase, Phase::Healthy | Phase::RolledBack) {
            let quiet = last.plan.actions.is_empty()
                && last.plan.questions.is_empty()
                && last.plan.next_wake.is_none()
                && last.plan.persist == Persist::Nothing;
            law(quiet, || {
                format!(
                    "I10: at rest there is {:?} {:?} {:?}",
                    last.plan.actions, last.plan.next_wake, last.plan.persist
                )
            })?;
            law(state.traffic.in_force == Weight::ZERO, || "I14: at rest a share is in force".to_owned())?;
            law(
                !self.rejected.contains_key(&state.stable.hash)
                    || self.faults.people
                    || self.rejected.get(&state.stable.hash).is_some_and(|number| *number < state.stable.number),
                || format!("I14: the rejected {} is stable", state.stable.hash),
            )?;
        }
        if report.phase == Phase::Healthy {
            law(state.stable.hash == rollout.hash, || "Healthy, but another template is declared".to_owned())?;
        }
        Ok(())
    }
}
