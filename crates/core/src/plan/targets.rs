//! Names of Services and lists of routes that change. What this Rollout has moved stays its concern until it is at rest.

use std::time::Duration;

use super::hold::Hold;
use super::{Fact, Pass, leave};
use crate::names::Side;
use crate::observed::Look;
use crate::spec::{Problem, Reason};
use crate::state::{Retired, Stage, Why};
use crate::time::after;
use crate::traffic::{Binding, Targets, Weight};

/// When the Services that took effect are looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Takes in what is declared and can be taken in at once: everything while nothing serves yet, new routes at any time.
pub(super) fn join(pass: &mut Pass<'_>) {
    let declared = &pass.view.rollout.targets;
    if pass.view.rollout.spec.is_err() {
        pass.state.targets.get_or_insert_with(|| declared.clone());
    } else if matches!(pass.state.stage, Stage::Deploying) {
        pass.state.targets = Some(declared.clone());
    } else {
        let targets = pass.state.targets.get_or_insert_with(|| declared.clone());
        if targets.carrier == declared.carrier {
            targets.join(declared);
        }
    }
}

/// A release whose routes name other Services by now cannot go on. Its revision is not to blame: it leaves, the other Services
/// take effect at rest, and its release begins anew.
pub(super) fn leave_where_they_moved(pass: &mut Pass<'_>) {
    let moved = |targets: &Targets| !targets.has_services_of(&pass.view.rollout.targets);
    if pass.view.rollout.spec.is_ok()
        && pass.state.targets.as_ref().is_some_and(moved)
        && pass.view.routes().any(|(_, route)| route.problem.is_some())
    {
        pass.tell(Fact::TargetsChanged);
        leave::begin(pass, Why::Moved);
    }
}

/// At rest, what is not declared any more is let go, and what is declared takes effect. Gives what that waits for.
pub(super) fn bring_to_rest(pass: &mut Pass<'_>) -> Option<Hold> {
    if pass.view.rollout.spec.is_err() {
        return None;
    }
    if let Some(targets) = &mut pass.state.targets {
        targets.strategy = pass.view.rollout.targets.strategy;
    }
    forget_routes(pass);
    forget_services(pass);
    change_services(pass)
}

/// A route that is not declared is forgotten once it gives the canary nothing, one of ours once it is gone. The rules of one
/// that is declared change when they give it nothing.
fn forget_routes(pass: &mut Pass<'_>) {
    let view = pass.view;
    let Some(targets) = &mut pass.state.targets else { return };
    let seen = |target: &crate::traffic::RouteTarget| view.seen.routes.iter().find(|(id, _)| target.is(id));
    targets.routes.retain_mut(|target| {
        let declared = view.rollout.targets.routes.iter().find(|it| it.kind == target.kind && it.name == target.name);
        let at_rest = match seen(target) {
            Some((_, Look::Seen(route))) => {
                route.is_at(Weight::ZERO) && (declared.is_some() || !target.owned && !route.held)
            }
            Some((_, Look::Missing)) => true,
            Some((_, Look::Stale)) | None => false,
        };
        if let (Some(declared), true) = (declared, at_rest) {
            target.rules.clone_from(&declared.rules);
        }
        declared.is_some() || !at_rest
    });
}

/// A Service that was given up is forgotten once it is gone, or, where Git declares it, once it names no revision.
fn forget_services(pass: &mut Pass<'_>) {
    let seen = pass.view.seen;
    pass.state.retired.retain(|retired| {
        match seen.other_services.iter().find(|other| other.name == retired.service).map(|other| &other.service) {
            Some(Look::Missing) => false,
            Some(Look::Seen(service)) => service.created_by_us || service.selection.is_some(),
            Some(Look::Stale) | None => true,
        }
    });
}

/// Other Services take effect once nothing is sent to the canary by the old ones: all of them are bound to stable then.
fn change_services(pass: &mut Pass<'_>) -> Option<Hold> {
    let declared = &pass.view.rollout.targets;
    let targets = pass.state.targets.as_ref().filter(|targets| !targets.has_services_of(declared))?;
    let conflict = pass.view.seen.other_services.iter().find_map(|other| other.service.seen()?.conflict.clone());
    if let Some(message) = conflict {
        return Some(Hold::Problem(Problem::new(Reason::ServiceConflict, message)));
    }
    if !pass.reach().is_out_of(Side::Canary) {
        return Some(pass.behind(Weight::ZERO));
    }
    let old = targets.clone();
    let stable = pass.state.stable.hash.clone();
    for side in [Side::Stable, Side::Canary] {
        let name = old.service(side);
        if name != declared.service(side) {
            *pass.state.bindings.of_mut(side) = Binding::decided(&stable);
        }
        if !name.is_empty() && !declared.has_service(name) {
            pass.state.retired.push(Retired { service: name.to_owned(), since: pass.view.now });
        }
    }
    pass.state.retired.retain(|retired| !declared.has_service(&retired.service));
    pass.state.targets = Some(Targets { routes: old.routes, ..declared.clone() });
    // What this pass has seen is still of the old ones.
    pass.wake_at(after(pass.view.now, LOOK_AGAIN));
    Some(Hold::Unseen("the Services that are declared now"))
}
