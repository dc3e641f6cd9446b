//! Bindings: nothing that a live route names is re-pointed, except `canaryService` to ready stable pods.

use super::Effects;
use crate::names::{Hash, Side};
use crate::observed::{Look, OtherService, ServiceView};
use crate::plan::{Action, Pass};
use crate::state::Stage;
use crate::time::after;
use crate::traffic::ports;

pub(super) fn bind(pass: &Pass<'_>, effects: &mut Effects) {
    let targets = pass.state.targets.as_ref().unwrap_or(&pass.view.rollout.targets);
    if pass.view.rollout.spec.is_err() && matches!(pass.state.stage, Stage::Deploying) {
        return;
    }
    for side in [Side::Stable, Side::Canary] {
        let hash = &pass.state.bindings.of(side).decided;
        let due = match pass.view.seen.service_of(side) {
            Look::Stale => false,
            Look::Missing => true,
            Look::Seen(service) if service.conflict.is_some() => false,
            Look::Seen(service) if service.bound.as_ref() == Some(hash) => needs_mending(pass, service, hash),
            Look::Seen(service) => may_rebind(pass, side, service),
        };
        if due {
            effects.act(bound(pass, side, targets.service(side), hash));
        }
    }
    for other in &pass.view.seen.other_services {
        see_to(pass, other, effects);
    }
}

fn bound(pass: &Pass<'_>, side: Side, service: &str, hash: &Hash) -> Action {
    let ports = pass.ports_of(hash).to_vec();
    Action::Bind { side, service: service.to_owned(), hash: hash.clone(), ports }
}

/// True where a Service of ours lacks an owner, or ports that it is to have.
fn needs_mending(pass: &Pass<'_>, service: &ServiceView, hash: &Hash) -> bool {
    service.created_by_us && (service.orphaned || !ports::covers(&service.ports, pass.ports_of(hash)))
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

/// A Service that is declared and not in force is bound to stable, so that whoever names it already meets somebody. One that
/// was given up selects every revision, and is removed when it is ours and nobody names it any more.
fn see_to(pass: &Pass<'_>, other: &OtherService, effects: &mut Effects) {
    let service = other.name.clone();
    let Some(retired) = pass.state.retired.iter().find(|retired| retired.service == service) else {
        let (stable, declared) = (&pass.state.stable.hash, &pass.view.rollout.targets);
        let side = if service == declared.canary_service { Side::Canary } else { Side::Stable };
        let due = match &other.service {
            Look::Stale => false,
            Look::Missing => true,
            Look::Seen(view) => view.conflict.is_none() && view.bound.as_ref() != Some(stable),
        };
        if due && declared.has_service(&service) && pass.view.rollout.spec.is_ok() {
            effects.act(bound(pass, side, &service, stable));
        }
        return;
    };
    let Look::Seen(view) = &other.service else { return };
    let gone_at = after(after(retired.since, pass.state.timing.of_endpoints()), pass.state.timing.drain);
    if view.created_by_us && !other.named && gone_at <= pass.view.now {
        effects.act(Action::DeleteService { service });
    } else {
        if view.created_by_us && !other.named {
            effects.wake_at(gone_at);
        }
        if view.bound.is_some() && view.conflict.is_none() {
            effects.act(Action::Loosen { service });
        }
    }
}
