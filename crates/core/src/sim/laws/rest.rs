//! Laws of the end: everything comes to rest, for a reason that is said, and rest costs nothing.

use super::{Law, Laws, law, short};
use crate::plan::Persist;
use crate::report::Phase;
use crate::sim::process::Passed;
use crate::sim::world::{Route, Selects, Service, Set, World};
use crate::spec::Rollout;
use crate::state::{Return, Stage};
use crate::traffic::Weight;

impl Laws {
    /// Everything has come to rest, for a reason that is said; and rest costs nothing.
    pub(in crate::sim) fn check_end(&self, last: &Passed, world: &World, rollout: &Rollout) -> Law {
        let report = &last.plan.report;
        if rollout.deleted_at.is_some() && self.let_go.is_some() {
            return law(!world.finalizer, || "I12: it is not let go".to_owned());
        }
        if rollout.deleted_at.is_some() {
            let in_force = world.status.as_ref().and_then(|state| state.targets.as_ref()).unwrap_or(&rollout.targets);
            let of_git = |(name, service): (&String, &Service)| {
                in_force.has_service(name) && !service.created_by_us && matches!(service.selects, Selects::Only(_))
            };
            law(!world.services.iter().any(of_git), || "I12: Git's Service still selects one revision".to_owned())?;
            // Our own goes with the Rollout.
            let is_over = |route: &Route| !route.exists || route.id.created_by_us || route.is_at(Weight::ZERO);
            let at_rest = world.routes.iter().all(is_over);
            // A split that somebody left at rest is theirs.
            let rested =
                world.status.as_ref().is_none_or(|state| matches!(state.stage, Stage::Resting | Stage::Deploying));
            return law(!world.finalizer && (at_rest || rested), || {
                format!("I12: it is let go: {}, routes at rest: {at_rest}", !world.finalizer)
            });
        }
        let Some(state) = last.plan.state.as_ref() else {
            return law(rollout.spec.is_err(), || "there is no state at the end".to_owned());
        };
        self.every_attempt_is_told(state, world)?;
        let waits = matches!(report.phase, Phase::Paused | Phase::Invalid | Phase::RolledBack | Phase::Healthy);
        let hopeless = report.phase == Phase::Degraded && world.never_ready.contains(&state.stable.hash);
        let never_back = match &state.stage {
            Stage::Releasing(release) => {
                release.returns == Some(Return::Commanded) && world.never_ready.contains(&release.canary.hash)
            }
            _ => false,
        };
        law(waits || hopeless || never_back, || {
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
            law(state.split.in_force == Weight::ZERO, || "I14: at rest a share is in force".to_owned())?;
            // One that served when a person rejected it serves on until another one does.
            let by_command = state.rejected.iter().any(|rejection| {
                rejection.revision.hash == state.stable.hash && rejection.reason == "RolledBackByCommand"
            });
            law(
                !self.rejected.contains_key(&state.stable.hash)
                    || by_command
                    || self.faults.people
                    || self.rejected.get(&state.stable.hash).is_some_and(|number| *number < state.stable.number),
                || format!("I14: the rejected {} is stable", state.stable.hash),
            )?;
        }
        if matches!(report.phase, Phase::Healthy | Phase::RolledBack) && !self.faults.people {
            Self::nothing_is_left_behind(world, rollout)?;
        }
        if let (Phase::Healthy, Some(before)) = (report.phase, rollout.restart_at) {
            let old = |set: &Set| set.pods.iter().any(|pod| pod.created_at < world.true_time(before));
            let stays = world.sets.get(&state.stable.hash).is_some_and(old);
            law(!stays || world.never_ready.contains(&state.stable.hash), || {
                format!("V1: pods are older than {before} at rest")
            })?;
        }
        if report.phase == Phase::Healthy {
            law(state.stable.hash == rollout.hash, || "Healthy, but another template is declared".to_owned())?;
        }
        Ok(())
    }

    /// F5: what was moved and is not declared any more was brought to rest.
    fn nothing_is_left_behind(world: &World, rollout: &Rollout) -> Law {
        let undeclared = |route: &&Route| route.exists && rollout.targets.route(&route.id).is_none();
        for route in world.routes.iter().filter(undeclared) {
            law(!route.id.created_by_us, || format!("F5: {} is not declared any more, and stays", route.id))?;
            law(route.is_at(Weight::ZERO), || format!("F5: {} gives the canary {} at rest", route.id, route.most()))?;
        }
        let left =
            world.services.iter().find(|(name, service)| service.created_by_us && !rollout.targets.has_service(name));
        law(left.is_none(), || format!("F5: Service {} is not declared any more, and stays", left.unwrap().0))?;
        let held = world.routes.iter().find(|route| route.exists && route.held);
        law(held.is_none(), || format!("F5: the rules of {} are ours at rest", held.unwrap().id))
    }
}
