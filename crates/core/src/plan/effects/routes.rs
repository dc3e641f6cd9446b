//! Splits: lowered at once, raised only onto pods that are there, and never in the first pass after a start.

use std::time::Duration;

use super::{Effects, wants_finalizer};
use crate::names::Side;
use crate::observed::{Look, RouteId, RouteView};
use crate::plan::{Action, Pass, contention, steps};
use crate::state::Stage;
use crate::time::after;
use crate::traffic::Weight;

/// When a raise that the first pass must not make is looked at again.
const SECOND_PASS: Duration = Duration::from_millis(500);

pub(super) fn split(pass: &Pass<'_>, effects: &mut Effects) {
    let weight = pass.state.split.decided;
    for (id, route) in &pass.view.seen.routes {
        if let Some(safety) = due(pass, id, route, effects) {
            effects.act(Action::Split { route: id.clone(), weight, safety });
        }
    }
}

/// Whether a route is to be written, and whether that takes traffic away from where it does harm.
fn due(pass: &Pass<'_>, id: &RouteId, route: &Look<RouteView>, effects: &mut Effects) -> Option<bool> {
    let decided = pass.state.split.decided;
    let at_rest = matches!(pass.state.stage, Stage::Resting | Stage::Deploying);
    let is_sound = pass.view.rollout.spec.is_ok();
    match route {
        Look::Missing => (id.created_by_us && is_sound).then_some(false),
        Look::Stale => None,
        // What can be taken back from a route that cannot be kept is taken back all the same.
        Look::Seen(view) if view.problem.is_some() => (goes_back(pass) && view.most > decided).then_some(true),
        // At rest both Services are stable, and what Git says of the split is Git's business.
        Look::Seen(_) if at_rest && !id.created_by_us => None,
        Look::Seen(view) if view.is_at(decided) => (view.differs && id.created_by_us && is_sound).then_some(false),
        Look::Seen(view) => may_write(pass, view, decided, effects).then(|| view.least >= decided && goes_back(pass)),
    }
}

/// True for a split that takes traffic from a canary that failed or is not there.
fn goes_back(pass: &Pass<'_>) -> bool {
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

fn may_write(pass: &Pass<'_>, view: &RouteView, decided: Weight, effects: &mut Effects) -> bool {
    let lowers = view.least >= decided;
    if !(lowers && harms(pass))
        && let Some(next) = contention::next_write(&pass.state).filter(|next| pass.view.now < *next)
    {
        effects.wake_at(next);
        return false;
    }
    if lowers {
        return true;
    }
    if pass.view.seen.first_pass {
        effects.wake_at(after(pass.view.now, SECOND_PASS));
        return false;
    }
    if wants_finalizer(pass) && !pass.view.seen.finalizer {
        return false;
    }
    let canary = &pass.state.bindings.canary.decided;
    let base = pass.release().map_or(pass.view.replicas(), |release| release.base_replicas);
    let ready = pass.view.endpoints(Side::Canary, canary).unwrap_or(0);
    let may_raise = || pass.release().is_none_or(|release| steps::may_raise(release, &pass.state.stable.hash));
    pass.state.bindings.canary.is_in_force(canary) && ready >= decided.needs(base) && may_raise()
}
