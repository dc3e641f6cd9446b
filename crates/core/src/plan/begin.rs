//! The first deployment, rest, and the beginning of a release.

use std::collections::BTreeMap;

use super::hold::Hold;
use super::{Fact, Next, Pass, doubts, pods, record, steps, targets, trial};
use crate::analysis::tally::Patience;
use crate::names::{Hash, Revision, Side};
use crate::observed::Look;
use crate::spec::{Spec, Step};
use crate::state::{Clock, Outcome, Preflight, Release, Return, Stage};
use crate::traffic::Weight;

/// First deployment: full size, both Services, no steps.
pub(super) fn deploy(pass: &mut Pass<'_>) -> Next {
    let view = pass.view;
    if let Some(problem) = pass.problem() {
        return Next::Wait(Hold::Problem(problem));
    }
    if view.sets().is_none() {
        return Next::Wait(Hold::Unseen("the ReplicaSets"));
    }
    if view.rollout.hash != pass.state.stable.hash {
        let (number, declared) = (pass.state.stable.number, Some(view.rollout.hash.clone()));
        pass.tell(Fact::Outdated { number, declared });
        record::end(pass, Outcome::Superseded);
        let revision = pass.next_revision();
        record::open(pass, &revision, None);
        pass.state.stable = revision;
    }
    if let Some(hold) = trial::hold(pass) {
        return Next::Wait(hold);
    }
    let (stable, replicas) = (pass.state.stable.hash.clone(), view.replicas());
    let full = view.available(&stable) >= replicas;
    for side in [Side::Stable, Side::Canary] {
        let bound = pass.state.bindings.of(side).decided.only().map_or(0, |hash| view.available(hash));
        if full || bound == 0 {
            pass.decide_binding(side, &stable);
        }
    }
    if !full {
        return Next::Wait(pods::wait(pass, &stable, view.available(&stable), replicas));
    }
    for side in [Side::Stable, Side::Canary] {
        if let Some(hold) = pass.wait_for_binding(side, &stable, 1) {
            return Next::Wait(hold);
        }
    }
    if let Some((id, _)) = view.seen.routes.iter().find(|(_, route)| route.seen().is_none()) {
        return Next::Wait(Hold::Route(format!("{id} to be created")));
    }
    pass.tell(Fact::Deployed { hash: stable, replicas });
    pass.state.stage = Stage::Resting;
    Next::Again
}

/// Nothing is under way, until something new is declared.
pub(super) fn rest(pass: &mut Pass<'_>) -> Next {
    let (view, stable) = (pass.view, pass.state.stable.hash.clone());
    pass.state.foreign_edits.clear();
    if !pass.state.bindings.canary.decided.is_only(&stable) && pass.reach().is_out_of(Side::Canary) {
        pass.decide_binding(Side::Canary, &stable);
    }
    if let Some(hold) = targets::bring_to_rest(pass) {
        return Next::Wait(hold);
    }
    if pass.is_short_of_stable() {
        pods::ask_at_rest(pass, &stable);
    }
    if view.rollout.hash == stable {
        adopt_commit(pass);
        return pass.problem().map_or(Next::Rest, |problem| Next::Wait(Hold::Problem(problem)));
    }
    if pass.is_rejected(&view.rollout.hash) {
        return Next::Rest;
    }
    if let Some(problem) = pass.problem() {
        return Next::Wait(Hold::Problem(problem));
    }
    let Ok(recipe) = view.rollout.spec.clone() else { return Next::Rest };
    if view.rollout.paused {
        return Next::Wait(Hold::SpecPaused);
    }
    if view.sets().is_none() || view.seen.routes.iter().any(|(_, route)| *route == Look::Stale) {
        return Next::Wait(Hold::Unseen("ReplicaSets and routes"));
    }
    if view.replicas() == 0 {
        take_over_at_once(pass);
    } else {
        begin_release(pass, recipe);
    }
    Next::Again
}

fn adopt_commit(pass: &mut Pass<'_>) {
    let declared = &pass.view.rollout.commit;
    if declared.is_some() && pass.state.stable.commit != *declared {
        pass.state.stable.commit.clone_from(declared);
    }
}

/// Without pods there is nothing to test.
fn take_over_at_once(pass: &mut Pass<'_>) {
    let next = pass.next_revision();
    let stable = pass.state.stable.clone();
    record::open(pass, &next, Some(&stable));
    let old = std::mem::replace(&mut pass.state.stable, next);
    steps::remember(pass, &old, None);
    let hash = pass.state.stable.hash.clone();
    pass.decide_binding(Side::Stable, &hash);
    pass.decide_binding(Side::Canary, &hash);
    pass.tell(Fact::Promoted { hash, number: None });
}

fn begin_release(pass: &mut Pass<'_>, recipe: Spec) {
    let (canary, stable) = (pass.next_revision(), pass.state.stable.clone());
    record::open(pass, &canary, Some(&stable));
    pass.tell(Fact::ReleaseStarted { canary: canary.clone(), stable });
    if was_stable_lately(pass, &recipe, &canary.hash) {
        return start(pass, canary, only_readiness(&recipe), Some(Return::Declared));
    }
    start(pass, canary, recipe, None);
    doubts::of_declaration(pass);
}

/// True for a revision that was stable within the declared number of promotions, or that is kept warm and whole.
fn was_stable_lately(pass: &Pass<'_>, recipe: &Spec, hash: &Hash) -> bool {
    let Some(ago) = pass.state.former.iter().position(|former| former.hash == *hash) else { return false };
    let is_whole = pass.view.set(hash).is_some_and(|set| set.ready >= pass.view.replicas());
    let is_warm = ago == 0 && !recipe.keep_warm.is_zero() && is_whole;
    is_warm || u32::try_from(ago).is_ok_and(|ago| ago < recipe.rollback_window)
}

/// All at once, as soon as the pods are there.
fn only_readiness(recipe: &Spec) -> Spec {
    Spec { steps: vec![Step::SetWeight(Weight::FULL)], background: None, ..recipe.clone() }
}

/// What was stable before comes back, as an attempt of its own.
pub(super) fn come_back(pass: &mut Pass<'_>, former: Revision, recipe: &Spec, why: Return) {
    pass.state.attempts = pass.state.attempts.saturating_add(1);
    let canary = Revision { number: pass.state.attempts, ..former };
    let stable = pass.state.stable.clone();
    record::open(pass, &canary, Some(&stable));
    start(pass, canary, only_readiness(recipe), Some(why));
}

fn start(pass: &mut Pass<'_>, canary: Revision, recipe: Spec, returns: Option<Return>) {
    let (now, replicas) = (pass.view.now, pass.view.replicas());
    // A split that somebody left at rest goes back first: both Services are bound to stable, so nothing is at risk.
    let (had, since) = (pass.reach().most_canary(), pass.state.split.decided_at);
    pass.state.split.in_force = had;
    pass.state.stage = Stage::Releasing(Box::new(Release {
        canary,
        began_at: now,
        recipe,
        preflight: Some(Preflight::default()),
        step: 0,
        step_since: now,
        returns,
        scale: None,
        goal: Weight::ZERO,
        goal_since: None,
        pending_since: None,
        base_replicas: replicas,
        shrunk: None,
        was_shrunk: false,
        background: BTreeMap::new(),
        measured: BTreeMap::new(),
        paused: false,
        asked: None,
        patience: Patience::Lasts,
        undecided_since: None,
        grown: None,
        baselines: BTreeMap::new(),
        skip: false,
        clock: Clock::default(),
        most_ready: 0,
        enough_since: None,
        restarts: BTreeMap::new(),
    }));
    pass.decide_split(Weight::ZERO);
    if had == Weight::ZERO {
        // At rest nobody notes since when: it has been so for long.
        pass.state.split.seen_since = Some(since);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::condition::Condition;
    use crate::analysis::tally::tests::metric;
    use crate::plan::scene::Scene;
    use crate::spec::Background;

    #[test]
    fn doubts_about_routes_and_metrics_are_told_once_as_a_release_begins() {
        let mut scene = Scene::resting();
        scene.rollout.hash = "new".into();
        scene.route().warnings.push("rules[0] mirrors to shop-canary".to_owned());
        scene.service(Side::Stable).warnings.push("clients stay with their pods".to_owned());
        let success = Condition::new("len(result) == 0", &std::collections::BTreeMap::new()).ok();
        let metrics = vec![crate::analysis::metric::Metric { success, ..metric("errors") }];
        scene.rollout.spec.as_mut().unwrap().background = Some(Background { starting_step: 0, metrics });
        let doubts = |scene: &mut Scene| -> Vec<String> {
            let facts = scene.pass().facts;
            facts.iter().filter(|it| matches!(it, Fact::Doubtful { .. })).map(ToString::to_string).collect()
        };
        let told = doubts(&mut scene);
        assert_eq!(told.len(), 3, "{told:?}");
        assert_eq!(told[0], "HTTPRoute shop: rules[0] mirrors to shop-canary");
        assert_eq!(told[1], "clients stay with their pods");
        assert!(told[2].contains("onNoData"), "{told:?}");
        assert!(doubts(&mut scene).is_empty());
    }

    #[test]
    fn what_has_been_at_rest_need_not_settle_before_a_release() {
        let mut scene = Scene::resting();
        scene.state().split.seen_since = None;
        scene.rollout.hash = "new".into();
        scene.seen.finalizer = true;
        scene.state().tried = Some("new".into());
        let plan = scene.pass();
        assert_ne!(plan.report.waiting.map(|it| it.reason), Some("Settling"), "{}", plan.report.message);
    }
}
