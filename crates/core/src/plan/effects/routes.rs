//! Splits: lowered at once, raised only onto pods that are there, and never in the first pass after a start.

use std::time::Duration;

use super::{Effects, wants_finalizer};
use crate::names::Side;
use crate::observed::{Look, RouteId, RouteView};
use crate::plan::{Action, Pass, contention, share};
use crate::state::Stage;
use crate::time::after;
use crate::traffic::Weight;

/// When a raise that the first pass must not make is looked at again.
const SECOND_PASS: Duration = Duration::from_millis(500);

pub(super) fn split(pass: &Pass<'_>, effects: &mut Effects) {
    let at_rest = matches!(pass.state.stage, Stage::Resting | Stage::Deploying);
    for (id, route) in &pass.view.seen.routes {
        if at_rest && !pass.view.is_declared(id) {
            let_go(id, route, effects);
        } else if let Some((weight, safety)) = due(pass, id, route, at_rest, effects) {
            effects.act(Action::Split { route: id.clone(), weight, safety });
        } else if at_rest && route.seen().is_some_and(|view| view.held && !id.created_by_us) {
            effects.act(Action::ReleaseRoute { route: id.clone() });
        }
    }
}

/// A route that is not declared any more gives the canary nothing; one of ours goes.
fn let_go(id: &RouteId, route: &Look<RouteView>, effects: &mut Effects) {
    match route {
        Look::Seen(_) if id.created_by_us => effects.act(Action::DeleteRoute { route: id.clone() }),
        Look::Seen(view) if !view.is_at(Weight::ZERO) => {
            effects.act(Action::Split { route: id.clone(), weight: Weight::ZERO, safety: false });
        }
        Look::Seen(view) if view.held => effects.act(Action::ReleaseRoute { route: id.clone() }),
        Look::Seen(_) | Look::Missing | Look::Stale => {}
    }
}

/// The share that a route is to be written with, if it is, and whether that takes traffic away from where it does harm.
fn due(
    pass: &Pass<'_>,
    id: &RouteId,
    route: &Look<RouteView>,
    at_rest: bool,
    effects: &mut Effects,
) -> Option<(Weight, bool)> {
    let decided = pass.state.split.decided;
    let is_sound = pass.view.rollout.spec.is_ok() && pass.view.is_declared(id);
    match route {
        Look::Missing => (id.created_by_us && is_sound).then(|| created(pass, decided)).flatten(),
        Look::Stale => None,
        Look::Seen(view) if view.differs && id.created_by_us && is_sound => Some(rewritten(pass, view, decided)),
        // What can be taken back from a route that cannot be kept is taken back all the same.
        Look::Seen(view) if view.problem.is_some() => {
            (goes_back(pass) && view.most > decided).then_some((decided, true))
        }
        // At rest both Services are stable, and what Git says of the split is Git's business.
        Look::Seen(_) if at_rest && !id.created_by_us => None,
        Look::Seen(view) if view.is_at(decided) => None,
        Look::Seen(view) => changed(pass, view, decided, effects),
    }
}

/// A route of ours is made once stable serves: whoever sends to its hosts meets nobody before.
fn created(pass: &Pass<'_>, decided: Weight) -> Option<(Weight, bool)> {
    let serves = pass.state.bindings.stable.is_in_force(&pass.state.stable.hash);
    let weight = if decided == Weight::ZERO || may_raise(pass, decided) { decided } else { Weight::ZERO };
    serves.then_some((weight, false))
}

/// A route of ours that is not as it is declared any more is written as a whole.
fn rewritten(pass: &Pass<'_>, view: &RouteView, decided: Weight) -> (Weight, bool) {
    let gives_nothing_new = view.least >= decided || !pass.view.seen.first_pass && may_raise(pass, decided);
    (if gives_nothing_new { decided } else { view.least }, view.most > decided && goes_back(pass))
}

/// A route that is not at the decided share. Where one of its rules has more than that and another less, and nothing may be
/// given, all of them get the least.
fn changed(pass: &Pass<'_>, view: &RouteView, decided: Weight, effects: &mut Effects) -> Option<(Weight, bool)> {
    let lowers = view.least >= decided;
    if !(view.most > decided && harms(pass))
        && let Some(next) = contention::next_write(&pass.state).filter(|next| pass.view.now < *next)
    {
        effects.wake_at(next);
        return None;
    }
    if lowers || !pass.view.seen.first_pass && may_raise(pass, decided) {
        return Some((decided, lowers && goes_back(pass)));
    }
    if pass.view.seen.first_pass {
        effects.wake_at(after(pass.view.now, SECOND_PASS));
    }
    (view.most > decided).then_some((view.least, goes_back(pass)))
}

/// True for a split that takes traffic from a canary that failed or is not there.
pub(super) fn goes_back(pass: &Pass<'_>) -> bool {
    match &pass.state.stage {
        Stage::Leaving(_) => true,
        Stage::Releasing(release) => release.shrunk.is_some(),
        _ => false,
    }
}

/// True while that canary still stands behind `canaryService`: whoever writes the weights, they are put back at once.
fn harms(pass: &Pass<'_>) -> bool {
    goes_back(pass) && !pass.state.bindings.canary.is_in_force(&pass.state.stable.hash)
}

/// A share is given only to pods that are there, behind a binding in force, with nothing failing, and only once whoever deletes
/// the Rollout is made to wait for it to be taken back.
fn may_raise(pass: &Pass<'_>, decided: Weight) -> bool {
    if wants_finalizer(pass) && !pass.view.seen.finalizer {
        return false;
    }
    let Some(canary) = pass.state.bindings.canary.decided.only() else { return false };
    let base = pass.release().map_or(pass.view.replicas(), |release| release.base_replicas);
    let ready = pass.view.endpoints(Side::Canary, canary).unwrap_or(0);
    pass.state.bindings.canary.is_in_force(canary) && ready >= pass.needs(decided, base) && share::may_be_restored(pass)
}
