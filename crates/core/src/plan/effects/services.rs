//! Bindings: nothing that a live route names is re-pointed, except `canaryService` to ready stable pods.

use super::Effects;
use crate::names::Side;
use crate::observed::{Look, ServiceView};
use crate::plan::{Action, Pass};
use crate::state::Stage;

pub(super) fn bind(pass: &Pass<'_>, effects: &mut Effects) {
    if pass.view.rollout.spec.is_err() && matches!(pass.state.stage, Stage::Deploying) {
        return;
    }
    for side in [Side::Stable, Side::Canary] {
        let hash = &pass.state.bindings.of(side).decided;
        let due = match pass.view.seen.service_of(side) {
            Look::Stale => false,
            Look::Missing => true,
            Look::Seen(service) if service.conflict.is_some() => false,
            Look::Seen(service) if service.bound.as_ref() == Some(hash) => service.ports_differ,
            Look::Seen(service) => may_rebind(pass, side, service),
        };
        if due {
            effects.act(Action::Bind { side, hash: hash.clone() });
        }
    }
}

fn may_rebind(pass: &Pass<'_>, side: Side, service: &ServiceView) -> bool {
    // Nothing is behind it yet; or somebody re-pointed it, and what was decided is put back.
    if service.bound.is_none() || matches!(pass.state.stage, Stage::Deploying) || pass.reach().is_out_of(side) {
        return true;
    }
    let binding = pass.state.bindings.of(side);
    let to_stable = binding.decided == pass.state.stable.hash;
    match side {
        Side::Stable => pass.view.replicas() == 0 || to_stable && !matches!(pass.state.stage, Stage::Promoting(_)),
        Side::Canary => to_stable && (pass.ready_stable() > 0 || binding.in_force.is_none()),
    }
}
