//! What follows from a persisted stage by what is seen alone: it is no decision, and is persisted with the next one.
//!
//! A release that may begin has `canaryService` bound to its revision as soon as its pods are there; what is promoted takes
//! the split back to rest once `stableService` has followed. A process that finds one of these written takes it for its own:
//! it was done by an earlier one, or by an earlier pass.

use jiff::Timestamp;

use super::Pass;
use crate::names::Hash;
use crate::state::{Stage, State};
use crate::traffic::{Binding, Carrier, Split, Weight};

/// Takes what was written already for decided.
pub(super) fn join(pass: &mut Pass<'_>) {
    join_canary(pass);
    join_rest(pass);
}

/// The binding of the canary, while its pods are there.
fn join_canary(pass: &mut Pass<'_>) {
    let Some(canary) = bound_by_itself(&pass.state).cloned() else { return };
    let is_bound = pass.view.seen.canary_service.seen().is_some_and(|service| service.is_bound_to(&canary));
    if pass.carrier() != Carrier::Pods && is_bound && pass.view.available(&canary) > 0 {
        pass.state.bindings.canary.decide(canary);
    }
}

/// The way back to rest, once `stableService` has followed.
fn join_rest(pass: &mut Pass<'_>) {
    let (decided, stable) = (pass.state.split.decided, &pass.state.stable.hash);
    let follows = pass.view.seen.stable_service.seen().is_some_and(|service| service.is_bound_to(stable));
    if !matches!(pass.state.stage, Stage::Promoting(_)) || decided == Weight::ZERO || !follows {
        return;
    }
    let routes = || pass.view.routes().map(|(_, route)| route);
    let is_between = routes().all(|route| route.is_at(Weight::ZERO) || route.is_at(decided));
    if is_between && routes().any(|route| route.is_at(Weight::ZERO)) {
        decide_rest(pass);
    }
}

/// Decides that the split goes back to rest; where this process has seen it there already, as of then.
pub(super) fn decide_rest(pass: &mut Pass<'_>) {
    let known = pass.view.seen.sighted.split.filter(|(share, ..)| *share == Weight::ZERO);
    let at = known.map_or(pass.view.now, |(_, decided_at, _)| decided_at);
    pass.decide_split_at(Weight::ZERO, at);
}

/// The revision that `canaryService` is bound to without another decision: that of a release which has been sent nothing yet.
fn bound_by_itself(state: &State) -> Option<&Hash> {
    let Stage::Releasing(release) = &state.stage else { return None };
    let begins = release.preflight.is_none() && release.goal == Weight::ZERO && release.shrunk.is_none();
    begins.then_some(&release.canary.hash)
}

/// The state without what follows from its stage, and without what has come into force on the way: a process that does not
/// know that waits for it once more.
pub(super) fn without(mut state: State) -> State {
    if matches!(state.stage, Stage::Promoting(_)) {
        state.split = Split::at_rest(Weight::ZERO, Timestamp::UNIX_EPOCH);
        state.bindings.stable.in_force = None;
        // A set that is given up is drained from when that is persisted.
        state.idle.clear();
    }
    if let Some(canary) = bound_by_itself(&state).cloned() {
        let decided = &state.bindings.canary.decided;
        if decided.is_only(&canary) || decided.is_only(&state.stable.hash) {
            state.bindings.canary = Binding::decided(canary);
        }
    }
    state
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::scene::Scene;
    use super::super::{Action, Persist};
    use super::*;
    use crate::names::Side;
    use crate::spec::Step;
    use crate::state::Promotion;

    fn binds(actions: &[Action]) -> bool {
        actions.iter().any(|action| matches!(action, Action::Bind { .. }))
    }

    /// A release that may begin, and whose pods are there.
    fn about_to_begin() -> Scene {
        let mut scene = Scene::preflight();
        scene.release().preflight = None;
        scene.rollout.spec.as_mut().unwrap().steps = vec![Step::SetWeight(Weight::clamped(25))];
        scene.release().recipe = scene.rollout.spec.clone().unwrap();
        scene.pods("new", 1, 1).number = 2;
        scene
    }

    /// Both Services are the new revision's, which has all traffic.
    fn promoting() -> Scene {
        let mut scene = Scene::releasing();
        let now = scene.seen.now;
        let old = scene.state().stable.clone();
        scene.state().stable = scene.release().canary.clone();
        scene.state().stage = Stage::Promoting(Promotion { old, since: now });
        scene.state().split = Split { seen_since: Some(now), ..Split::at_rest(Weight::FULL, now) };
        scene.state().bindings.stable.decide(Hash::from("new"));
        (scene.route().least, scene.route().most) = (Weight::FULL, Weight::FULL);
        scene.pods("new", 4, 4);
        scene.service(Side::Stable).selection = Some(Hash::from("new").into());
        for side in [Side::Stable, Side::Canary] {
            scene.endpoints(side, "new", 4);
        }
        scene
    }

    #[test]
    fn what_a_release_binds_is_written_at_once_and_persisted_with_its_first_weight() {
        let mut scene = about_to_begin();
        let persisted = scene.state.clone();
        let bound = scene.pass();
        assert_eq!((bound.persist, binds(&bound.actions)), (Persist::Later, true));
        // It was written, and the process was killed before it was persisted.
        scene.state = persisted;
        scene.service(Side::Canary).selection = Some(Hash::from("new").into());
        scene.endpoints(Side::Canary, "new", 1);
        scene.release().paused = true;
        assert!(!binds(&scene.pass().actions), "a release that is held keeps what it has");
        scene.release().paused = false;
        scene.later(Duration::from_mins(1));
        assert_eq!(scene.pass().state.unwrap().split.decided, Weight::clamped(25));
    }

    #[test]
    fn a_promotion_that_was_persisted_goes_back_to_rest_by_itself() {
        let mut scene = promoting();
        scene.pass();
        let persisted = scene.state.clone();
        scene.later(Duration::from_secs(3));
        let rest = scene.pass();
        assert_eq!((rest.persist, rest.told()), (Persist::Later, vec![]));
        assert!(matches!(rest.actions[..], [Action::Split { weight: Weight::ZERO, .. }]), "{:?}", rest.actions);
        // It was written, and the process was killed: the next one neither takes it back nor takes it for somebody else's.
        scene.state = persisted;
        (scene.route().least, scene.route().most) = (Weight::ZERO, Weight::ZERO);
        scene.seen.first_pass = true;
        let anew = scene.pass();
        assert_eq!((anew.told(), &anew.actions[..]), (vec![], &[][..]));
        scene.later(Duration::from_secs(3));
        assert_eq!(scene.pass().told(), ["Promoted"]);
    }

    #[test]
    fn before_stable_has_followed_a_split_at_rest_is_somebody_else_s() {
        let mut scene = promoting();
        scene.service(Side::Stable).selection = Some(Hash::from("old").into());
        scene.endpoints(Side::Stable, "old", 4);
        scene.pass();
        (scene.route().least, scene.route().most) = (Weight::ZERO, Weight::ZERO);
        assert_eq!(scene.pass().told(), ["WeightsPutBack"]);
        assert_eq!(scene.state().split.decided, Weight::FULL);
    }
}
