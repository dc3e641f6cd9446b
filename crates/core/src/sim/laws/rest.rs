//! Laws of the end: everything comes to rest, for a reason that is said, and rest costs nothing.

use super::{Law, Laws, law, short};
use crate::plan::Persist;
use crate::report::Phase;
use crate::sim::process::Passed;
use crate::sim::world::World;
use crate::spec::Rollout;
use crate::state::Stage;
use crate::traffic::Weight;

impl Laws {
    /// Everything has come to rest, for a reason that is said; and rest costs nothing.
    pub(in crate::sim) fn check_end(&self, last: &Passed, world: &World, rollout: &Rollout) -> Law {
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
            law(state.split.in_force == Weight::ZERO, || "I14: at rest a share is in force".to_owned())?;
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
