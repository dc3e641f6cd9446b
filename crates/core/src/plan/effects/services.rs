//! Bindings: nothing that a live route names is re-pointed, except `canaryService` to ready stable pods.

use super::Effects;
use std::time::Duration;

use crate::names::{Selection, Side};
use crate::observed::{Look, OtherService, ServiceView};
use crate::plan::{Action, Pass, contention, share};
use crate::state::Stage;
use crate::time::after;
use crate::traffic::{Carrier, ports, sizes};

use super::{routes, wants_finalizer};

/// When a raise that the first pass must not make is looked at again.
const SECOND_PASS: Duration = Duration::from_millis(500);

pub(super) fn bind(pass: &Pass<'_>, effects: &mut Effects) {
    let targets = pass.state.targets.as_ref().unwrap_or(&pass.view.rollout.targets);
    if pass.view.rollout.spec.is_err() && matches!(pass.state.stage, Stage::Deploying) {
        return;
    }
    let sides: &[Side] = if pass.carrier() == Carrier::Pods { &[] } else { &[Side::Stable, Side::Canary] };
    for side in sides.iter().copied() {
        let selection = &pass.state.bindings.of(side).decided;
        let carries = side == Side::Stable && pass.carrier() == Carrier::Service;
        let due = match pass.view.seen.service_of(side) {
            Look::Stale => false,
            Look::Missing => true,
            Look::Seen(service) if service.conflict.is_some() => false,
            Look::Seen(service) if service.selection.as_ref() == Some(selection) => {
                needs_mending(pass, service, selection)
            }
            Look::Seen(service) if carries => may_select(pass, service, selection, effects),
            Look::Seen(service) => may_rebind(pass, side, service),
        };
        if due {
            let safety = carries && routes::goes_back(pass);
            effects.act(bound(pass, side, targets.service(side), selection, safety));
        }
    }
    for other in &pass.view.seen.other_services {
        see_to(pass, other, effects);
    }
}

fn bound(pass: &Pass<'_>, side: Side, service: &str, selection: &Selection, safety: bool) -> Action {
    let ports = ports_of(pass, selection).to_vec();
    Action::Bind { side, service: service.to_owned(), selection: selection.clone(), ports, safety }
}

/// Where every revision is selected, all of them serve stable's ports.
fn ports_of<'a>(pass: &'a Pass<'_>, selection: &Selection) -> &'a [ports::Port] {
    pass.ports_of(selection.only().unwrap_or(&pass.state.stable.hash))
}

/// How far a selection is from stable alone.
fn distance(pass: &Pass<'_>, selection: Option<&Selection>) -> u8 {
    match selection {
        None => 0,
        Some(Selection::Only(hash)) if *hash == pass.state.stable.hash => 0,
        Some(Selection::Any) => 1,
        Some(Selection::Only(_)) => 2,
    }
}

/// The Service that carries the traffic: brought nearer to stable at once, away from it only onto pods that are there, with
/// nothing failing, and never in the first pass after a start.
fn may_select(pass: &Pass<'_>, service: &ServiceView, selection: &Selection, effects: &mut Effects) -> bool {
    if service.selection.is_none() || matches!(pass.state.stage, Stage::Deploying) {
        return true;
    }
    let (is, wanted) = (distance(pass, service.selection.as_ref()), distance(pass, Some(selection)));
    if let Some(next) = contention::next_write(&pass.state).filter(|next| pass.view.now < *next)
        && !(wanted < is && routes::goes_back(pass))
    {
        effects.wake_at(next);
        return false;
    }
    if wanted <= is {
        return selection.only().is_none_or(|hash| pass.view.set(hash).is_some_and(|set| set.ready > 0))
            || pass.view.replicas() == 0;
    }
    if pass.view.seen.first_pass {
        effects.wake_at(after(pass.view.now, SECOND_PASS));
        return false;
    }
    let ready = pass.trial().and_then(|canary| pass.view.set(&canary.hash)).map_or(0, |set| set.ready);
    let enough = if *selection == Selection::Any { 1 } else { sizes::half_of_stable(pass.view.replicas()) };
    let held_by_us = !wants_finalizer(pass) || pass.view.seen.finalizer;
    held_by_us && ready >= enough && share::may_be_restored(pass) && pass.others_end().is_none()
}

/// True where a Service of ours lacks an owner, or ports that it is to have.
fn needs_mending(pass: &Pass<'_>, service: &ServiceView, selection: &Selection) -> bool {
    service.created_by_us && (service.orphaned || !ports::covers(&service.ports, ports_of(pass, selection)))
}

fn may_rebind(pass: &Pass<'_>, side: Side, service: &ServiceView) -> bool {
    // Nothing is behind it yet; or somebody re-pointed it, and what was decided is put back.
    if service.bound().is_none() || matches!(pass.state.stage, Stage::Deploying) || pass.reach().is_out_of(side) {
        return true;
    }
    let binding = pass.state.bindings.of(side);
    let to_stable = binding.decided.is_only(&pass.state.stable.hash);
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
            Look::Seen(view) => view.conflict.is_none() && !view.is_bound_to(stable),
        };
        if due && declared.has_service(&service) && pass.view.rollout.spec.is_ok() {
            effects.act(bound(pass, side, &service, &Selection::from(stable), false));
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
        if view.selection.is_some() && view.conflict.is_none() {
            effects.act(Action::Loosen { service });
        }
    }
}
