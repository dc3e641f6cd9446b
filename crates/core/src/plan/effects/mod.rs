//! What follows from the state for every object: the same state and the same observation always make the same actions.
//!
//! In order of what they protect: splits first, then bindings, then sets. An object that is `Stale` gets no action.

mod routes;
mod services;
mod sets;

use jiff::Timestamp;

use super::{Action, Pass, contention, record, restart};
use crate::names::Side;
use crate::observed::Look;
use crate::state::Stage;
use crate::traffic::Carrier;

/// Actions, and when to look again for those that are not due yet.
pub(super) struct Effects {
    pub actions: Vec<Action>,
    pub wakes: Vec<Timestamp>,
}

impl Effects {
    fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    fn wake_at(&mut self, at: Timestamp) {
        self.wakes.push(at);
    }
}

/// The effects of the pass's last state.
pub(super) fn of(pass: &mut Pass<'_>) -> Effects {
    sets::note_idle(pass);
    let mut effects = Effects { actions: Vec::new(), wakes: Vec::new() };
    let wanted = wants_finalizer(pass);
    if wanted && !pass.view.seen.finalizer {
        effects.act(Action::AddFinalizer);
    }
    if !pass.view.rollout.replicas_given {
        effects.act(Action::KeepReplicas { replicas: pass.view.replicas() });
    }
    routes::split(pass, &mut effects);
    services::bind(pass, &mut effects);
    let has_safety = effects.actions.iter().any(Action::is_safety) || pass.carrier() == Carrier::Pods;
    if !has_safety {
        // Pods that are about to go have the last word first.
        record::write(pass, &mut effects.actions);
    }
    sets::size(pass, &mut effects);
    if has_safety {
        record::write(pass, &mut effects.actions);
    }
    restart::evict(pass, &mut effects.actions);
    if !wanted && pass.view.seen.finalizer {
        effects.act(Action::RemoveFinalizer);
    }
    let carries = pass.carrier() == Carrier::Service;
    let is_of_traffic = |action: &Action| match action {
        Action::Split { .. } => true,
        Action::Bind { side, .. } => carries && *side == Side::Stable,
        _ => false,
    };
    if effects.actions.iter().any(is_of_traffic) {
        contention::note_own_write(&mut pass.state, pass.view.now);
    }
    effects
}

/// While something that Git declares differs from rest: a route away from stable, or a Service with our selector.
fn wants_finalizer(pass: &Pass<'_>) -> bool {
    let seen = pass.view.seen;
    let git_routes = seen.routes.iter().any(|(id, _)| !id.created_by_us);
    let moving = !matches!(pass.state.stage, Stage::Resting | Stage::Deploying);
    let two = [Side::Stable, Side::Canary].map(|side| seen.service_of(side));
    let services = || two.into_iter().chain(seen.other_services.iter().map(|other| &other.service));
    let git_services = services().any(|service| match service {
        Look::Seen(service) => !service.created_by_us && service.conflict.is_none(),
        // Unknown is not absent: what was wanted stays wanted.
        Look::Stale => seen.finalizer,
        Look::Missing => false,
    });
    (git_routes && moving) || git_services
}
