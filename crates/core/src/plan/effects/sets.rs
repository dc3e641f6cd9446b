//! Sizes: stable at full size until promotion, canary at its share, and nothing below what may still be sent to it. A set
//! that nothing names is kept for `drain` and then scaled down; the oldest go beyond the history limit.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use super::Effects;
use crate::names::{Hash, Revision};
use crate::observed::SetView;
use crate::plan::{Action, Pass, restart, settle, trial};
use crate::state::Stage;
use crate::time::after;
use crate::traffic::{Carrier, sizes};

/// When a set that was only found idle in this pass is looked at again. Not at once: where the status cannot be written it is
/// found idle in every pass.
const ONCE_PERSISTED: Duration = Duration::from_millis(500);

type Sets = BTreeMap<Hash, SetView>;

/// Notes since when nothing has sent to a set.
pub(super) fn note_idle(pass: &mut Pass<'_>) {
    let Some(sets) = pass.view.sets() else { return };
    let is_idle = |(hash, set): &(&Hash, &SetView)| set.wanted > 0 && !is_in_use(pass, hash);
    let since = |hash| pass.state.idle.get(hash).copied().unwrap_or(pass.view.now);
    pass.state.idle = sets.iter().filter(is_idle).map(|(hash, _)| (hash.clone(), since(hash))).collect();
}

pub(super) fn size(pass: &Pass<'_>, effects: &mut Effects) {
    let Some(sets) = pass.view.sets() else { return };
    grow(pass, sets, effects);
    mark(pass, sets, effects);
    retire(pass, sets, effects);
    forget(pass, sets, effects);
}

/// Stable at full size, canary at the larger of what it has and what the step asks for.
fn grow(pass: &Pass<'_>, sets: &Sets, effects: &mut Effects) {
    if pass.view.rollout.spec.is_err() && matches!(pass.state.stage, Stage::Deploying) {
        return;
    }
    let stable = &pass.state.stable;
    let begun = pass.release().filter(|release| release.preflight.is_none()).map(|release| &release.canary);
    // Where pods are what shares the traffic, taking them away is a part of the way back.
    let leaving = pass.trial().filter(|_| begun.is_none() && takes_pods_away(pass));
    let canary = begun.or(leaving);
    for revision in [Some(stable), canary].into_iter().flatten() {
        let (hash, number) = (revision.hash.clone(), revision.number);
        let needed = pass.size_of(&hash);
        let replicas = needed.saturating_add(restart::surge(pass, &hash, needed));
        match sets.get(&hash) {
            None if hash == pass.view.rollout.hash
                && may_be_made(pass)
                && is_selected(pass, &hash)
                && is_asked_for(pass, replicas) =>
            {
                effects.act(Action::CreateSet { hash, replicas, number });
            }
            Some(set) if set.wanted == 0 && !is_selected(pass, &hash) => {}
            Some(set) if !set.deleting && set.wanted != replicas => {
                let grows = set.wanted < replicas;
                let safety = !grows && leaving.is_some_and(|leaving| leaving.hash == hash);
                if grows || safety || hash == stable.hash || split_has_settled(pass, effects) {
                    effects.act(Action::ScaleSet { hash, from: set.wanted, to: replicas, safety });
                }
            }
            _ => {}
        }
    }
}

/// A worker without a share has no set yet.
fn is_asked_for(pass: &Pass<'_>, replicas: u32) -> bool {
    replicas > 0 || pass.view.replicas() == 0 || pass.carrier() != Carrier::Pods
}

/// True where the share of what leaves is made smaller by its own size: workers at once, pods behind one Service that selects
/// every revision bit by bit.
fn takes_pods_away(pass: &Pass<'_>) -> bool {
    if pass.release().is_some() {
        // Workers of a release that has not begun yet work already: they are what is left of an earlier one.
        let has_pods = |canary: &Revision| pass.view.set(&canary.hash).is_some_and(|set| set.wanted > 0);
        return pass.carrier() == Carrier::Pods && pass.trial().is_some_and(has_pods);
    }
    match pass.carrier() {
        Carrier::Routes => false,
        Carrier::Service => {
            let is_seen = !pass.state.bindings.stable.is_moving();
            let is_weak = pass.ready_stable() < sizes::half_of_stable(pass.view.replicas());
            pass.state.split.decided.is_shared() && is_seen && is_weak
        }
        Carrier::Pods => true,
    }
}

/// Where `canaryService` is bound before the canary's pods exist, it has to be seen to be.
fn is_selected(pass: &Pass<'_>, hash: &Hash) -> bool {
    let early = pass.release().is_some_and(|release| release.recipe.bind_early && release.canary.hash == *hash);
    !early || pass.view.seen.canary_service.seen().is_some_and(|service| service.is_bound_to(hash))
}

/// A first deployment waits for the API server's word on its template, as the preflight does for a release.
fn may_be_made(pass: &Pass<'_>) -> bool {
    !matches!(pass.state.stage, Stage::Deploying) || trial::is_known(pass)
}

/// True once proxies have had time to know the decided split: until then they may send what somebody else wrote.
fn split_has_settled(pass: &Pass<'_>, effects: &mut Effects) -> bool {
    let Some(settled) = settle::split_settles_at(pass) else { return false };
    effects.wake_at(settled);
    settled <= pass.view.now
}

/// Numbers and rejections stand on the sets as well, where they survive a lost status.
fn mark(pass: &Pass<'_>, sets: &Sets, effects: &mut Effects) {
    for (hash, set) in sets.iter().filter(|(_, set)| !set.deleting) {
        let rejection = pass.state.rejected.iter().find(|rejection| rejection.revision.hash == *hash);
        let attempt = pass.release().filter(|release| release.canary.hash == *hash).map(|it| it.canary.number);
        let rejected = rejection.map(|rejection| rejection.revision.number);
        let number = attempt.or(rejected).unwrap_or(set.number).max(set.number);
        if number != set.number || rejection.is_some() != set.rejected.is_some() {
            let rejected = rejection.map(|rejection| format!("{}: {}", rejection.reason, rejection.message));
            effects.act(Action::MarkSet { hash: hash.clone(), number, rejected });
        }
    }
}

/// Sets that nothing names any more: drained, then scaled to nothing.
fn retire(pass: &Pass<'_>, sets: &Sets, effects: &mut Effects) {
    let now = pass.view.now;
    for (hash, since) in &pass.state.idle {
        let Some(set) = sets.get(hash) else { continue };
        let drained = after(*since, kept_for(pass, hash));
        // An instant that was only noted in this pass is not persisted yet.
        if drained <= now && *since < now {
            effects.act(Action::ScaleSet { hash: hash.clone(), from: set.wanted, to: 0, safety: false });
        } else {
            effects.wake_at(drained.max(after(now, ONCE_PERSISTED)));
        }
    }
}

/// How long a set is kept once nothing sends to it. What was stable until now stays warm, unless a release needs every other
/// revision gone. Connections stay on pods that a Service does not select any more, and workers go on working: what was
/// rejected there ends at once.
fn kept_for(pass: &Pass<'_>, hash: &Hash) -> Duration {
    let timing = pass.state.timing;
    let is_rejected = pass.state.rejected.iter().any(|rejection| rejection.revision.hash == *hash);
    let was_stable = !is_rejected && pass.state.former.first().is_some_and(|former| former.hash == *hash);
    let is_in_the_way = pass.carrier() == Carrier::Service && pass.release().is_some_and(|it| it.preflight.is_none());
    match pass.carrier() {
        Carrier::Pods => Duration::ZERO,
        Carrier::Service if !was_stable => Duration::ZERO,
        _ if was_stable && !is_in_the_way => timing.drain.max(timing.keep_warm),
        Carrier::Routes | Carrier::Service => timing.drain,
    }
}

/// True while anything may still send to this revision, or is about to.
fn is_in_use(pass: &Pass<'_>, hash: &Hash) -> bool {
    let canary = match &pass.state.stage {
        Stage::Releasing(release) => Some(&release.canary.hash),
        Stage::Leaving(leaving) => Some(&leaving.canary.hash),
        _ => None,
    };
    *hash == pass.state.stable.hash || canary == Some(hash) || pass.reach().leads_to(hash)
}

fn forget(pass: &Pass<'_>, sets: &Sets, effects: &mut Effects) {
    let keep = pass.view.rollout.spec.as_ref().map_or(usize::MAX, |spec| spec.revision_history);
    let is_empty = |set: &SetView| set.wanted == 0 && set.existing == 0 && !set.deleting;
    let is_old =
        |(hash, set): &(&Hash, &SetView)| is_empty(set) && !is_in_use(pass, hash) && **hash != pass.view.rollout.hash;
    let mut old: Vec<_> = sets.iter().filter(is_old).collect();
    old.sort_by_key(|(_, set)| Reverse(set.number));
    for (hash, _) in old.into_iter().skip(keep) {
        effects.act(Action::DeleteSet { hash: hash.clone() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::scene::Scene;
    use crate::state::Rejection;

    #[test]
    fn workers_that_an_earlier_release_left_behind_end_before_the_next_one_begins() {
        let mut scene = Scene::preflight();
        scene.carried_by(Carrier::Pods);
        scene.pods("new", 2, 2).number = 2;
        let end = Action::ScaleSet { hash: "new".into(), from: 2, to: 0, safety: true };
        assert_eq!(scene.pass().actions, [end]);
        scene.pods("new", 0, 0).existing = 1;
        assert_eq!(scene.pass().actions, [], "it still works until it has ended");
        scene.pods("new", 0, 0);
        scene.pass();
        assert!(scene.release().preflight.is_none());
    }

    #[test]
    fn behind_one_service_what_was_stable_is_drained_and_what_was_rejected_ends_at_once() {
        let mut scene = Scene::resting();
        scene.carried_by(Carrier::Service);
        scene.pods("former", 4, 4);
        let former = Revision { hash: "former".into(), ..scene.state().stable.clone() };
        scene.state().former.push(former.clone());
        let ends = Action::ScaleSet { hash: "former".into(), from: 4, to: 0, safety: false };
        scene.pass();
        scene.later(Duration::from_millis(1));
        assert_eq!(scene.clone().pass().actions, []);
        let (message, at) = (String::new(), scene.seen.now);
        let rejection = Rejection { revision: former, reason: "AnalysisFailed".to_owned(), message, query: None, at };
        scene.state().rejected.push(rejection);
        assert!(scene.pass().actions.contains(&ends));
    }
}
