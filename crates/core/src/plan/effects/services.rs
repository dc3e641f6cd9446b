//! Bindings: nothing that a live route names is re-pointed, except `canaryService` to ready stable pods.

use crate::names::Side;
use crate::observed::{Look, ServiceView};
use crate::plan::{Action, Pass};
use crate::split::Weight;
use crate::state::Stage;

impl Pass<'_> {
    pub(super) fn binds(&mut self, actions: &mut Vec<Action>) {
        if self.rollout.spec.is_err() && matches!(self.state.stage, Stage::Deploying) {
            return;
        }
        for side in [Side::Stable, Side::Canary] {
            let hash = self.state.bindings.of(side).decided.clone();
            let due = match self.observed.service_of(side) {
                Look::Stale => false,
                Look::Missing => true,
                Look::Seen(service) if service.conflict.is_some() => false,
                Look::Seen(service) if service.bound.as_ref() == Some(&hash) => service.ports_differ,
                Look::Seen(service) => self.may_rebind(side, service),
            };
            if due {
                actions.push(Action::Bind { side, hash });
            }
        }
    }

    fn may_rebind(&self, side: Side, service: &ServiceView) -> bool {
        let binding = self.state.bindings.of(side);
        // Nothing is behind it yet; or somebody re-pointed it, and what was decided is put back.
        if service.bound.is_none() || matches!(self.state.stage, Stage::Deploying) {
            return true;
        }
        let stable = &self.state.stable.hash;
        match side {
            Side::Stable => {
                self.least_canary() == Weight::FULL
                    || self.rollout.replicas == 0
                    || binding.decided == *stable && !matches!(self.state.stage, Stage::Promoting(_))
            }
            Side::Canary => {
                self.most_canary() == Weight::ZERO
                    || binding.decided == *stable && self.ready(Side::Stable, stable) > 0
                    || binding.in_force.is_none() && binding.decided == *stable
            }
        }
    }
}
