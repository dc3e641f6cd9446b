//! Pods that are to be replaced although their template stays: one by one, each only after another one more than needed is
//! ready, so that capacity is kept. What is restarted is the revision that is there; a restart never brings one back.

use std::time::Duration;

use jiff::Timestamp;

use super::{Action, Fact, Pass};
use crate::names::Hash;
use crate::observed::OldPods;
use crate::state::Stage;
use crate::time::after;

/// How often the pods are looked at meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// The pods that a restart is about: older than an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    /// Of these revisions.
    pub hashes: Vec<Hash>,
    /// Created before this.
    pub before: Timestamp,
}

/// Begins, continues or ends the restart that is declared.
pub(super) fn tend(pass: &mut Pass<'_>) {
    let Some(at) = pass.view.rollout.restart_at else { return };
    if pass.state.restarted_at.is_some_and(|done| done >= at) {
        return;
    }
    if pass.view.now < at {
        pass.wake_at(at);
        return;
    }
    if !is_calm(pass) || pass.view.sets().is_none() {
        return;
    }
    let wanted = Restart { hashes: revisions(pass), before: at };
    let left = pods_of(pass, &wanted).map(|known| known.revisions.values().map(|pods| pods.old.len()).sum::<usize>());
    if left == Some(0) {
        pass.state.restarted_at = Some(at);
        pass.tell(Fact::Restarted { before: at });
    } else {
        // Until one more is ready there is nothing to look at, and the set says when that is.
        if left.is_none() || wanted.hashes.iter().any(|hash| has_one_more(pass, hash)) {
            pass.wake_at(after(pass.view.now, LOOK_AGAIN));
        }
        pass.restart = Some(wanted);
    }
}

/// True while nothing else moves: no share is being raised, taken back or promoted.
fn is_calm(pass: &Pass<'_>) -> bool {
    let still = match &pass.state.stage {
        Stage::Resting => true,
        Stage::Releasing(release) => {
            let bindings = &pass.state.bindings;
            release.shrunk.is_none() && !bindings.canary.is_moving() && pass.go_over_is_over(release)
        }
        Stage::Deploying | Stage::Promoting(_) | Stage::Leaving(_) => false,
    };
    still && pass.state.split.is_in_force(pass.state.split.decided)
}

fn revisions(pass: &Pass<'_>) -> Vec<Hash> {
    let canary = pass.release().filter(|release| release.preflight.is_none()).map(|release| &release.canary.hash);
    let there = |hash: &&Hash| pass.view.set(hash).is_some_and(|set| set.wanted > 0);
    [Some(&pass.state.stable.hash), canary].into_iter().flatten().filter(there).cloned().collect()
}

/// The old pods, where they are those of this very restart.
fn pods_of<'a>(pass: &Pass<'a>, restart: &Restart) -> Option<&'a OldPods> {
    let known = pass.view.seen.old_pods.as_ref()?;
    (known.before == restart.before && restart.hashes.iter().all(|hash| known.revisions.contains_key(hash)))
        .then_some(known)
}

/// True when a set has seen one pod more than is needed ready for long enough.
fn has_one_more(pass: &Pass<'_>, hash: &Hash) -> bool {
    pass.view.set(hash).is_some_and(|set| set.available > pass.size_of(hash))
}

/// One more pod than a revision needs, while some of its pods are to be replaced. While nobody has looked at the pods, one
/// that is there stays: an eviction that was decided on before may be on its way.
pub(super) fn surge(pass: &Pass<'_>, hash: &Hash, needed: u32) -> u32 {
    let Some(restart) = pass.restart.as_ref().filter(|restart| restart.hashes.contains(hash)) else { return 0 };
    u32::from(match pods_of(pass, restart).and_then(|known| known.revisions.get(hash)) {
        Some(pods) => !pods.old.is_empty(),
        None => pass.view.set(hash).is_some_and(|set| set.wanted > needed),
    })
}

/// Evicts the first old pod of each revision that has one pod more than it needs.
pub(super) fn evict(pass: &Pass<'_>, actions: &mut Vec<Action>) {
    let Some(restart) = pass.restart.as_ref().filter(|_| !pass.view.seen.first_pass) else { return };
    let Some(known) = pods_of(pass, restart) else { return };
    for hash in &restart.hashes {
        let Some(pods) = known.revisions.get(hash) else { continue };
        // One more than is needed, by what the pods say now and by how long the set has seen them ready.
        let may_go = pods.ready > pass.size_of(hash) && has_one_more(pass, hash);
        if let Some(pod) = pods.old.first().filter(|_| may_go) {
            actions.push(Action::Evict { hash: hash.clone(), pod: pod.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::Scene;
    use super::*;
    use crate::observed::OldPodsOf;
    use crate::traffic::Carrier;

    fn restarting(mut scene: Scene, old: &[(&str, &[&str])]) -> Scene {
        let before = scene.seen.now;
        scene.rollout.restart_at = Some(before);
        let of = |(hash, pods): &(&str, &[&str])| {
            let old = pods.iter().map(|pod| (*pod).to_owned()).collect();
            (Hash::from(*hash), OldPodsOf { old, ready: 4 })
        };
        scene.seen.old_pods = Some(OldPods { before, revisions: old.iter().map(of).collect() });
        scene
    }

    fn ready(scene: &mut Scene, ready: u32) {
        let pods = scene.seen.old_pods.as_mut().unwrap();
        pods.revisions.values_mut().for_each(|pods| pods.ready = ready);
    }

    #[test]
    fn one_pod_more_comes_first_and_then_an_old_one_goes() {
        let mut scene = restarting(Scene::resting(), &[("old", &["a", "b"])]);
        let grown = Action::ScaleSet { hash: "old".into(), from: 4, to: 5, safety: false };
        assert_eq!(scene.pass().actions, [grown]);
        scene.pods("old", 5, 4);
        assert_eq!(scene.pass().actions, [], "the one more is not ready yet");
        scene.pods("old", 5, 5);
        assert_eq!(scene.pass().actions, [], "the set's status may be older than the last eviction");
        ready(&mut scene, 5);
        assert_eq!(scene.pass().actions, [Action::Evict { hash: "old".into(), pod: "a".to_owned() }]);
    }

    #[test]
    fn when_no_pod_is_old_the_size_is_what_it_was_and_nothing_is_left_to_do() {
        let mut scene = restarting(Scene::resting(), &[("old", &[])]);
        scene.pods("old", 5, 5);
        let plan = scene.pass();
        assert_eq!(plan.told(), ["Restarted"]);
        assert_eq!(plan.actions, [Action::ScaleSet { hash: "old".into(), from: 5, to: 4, safety: false }]);
        scene.pods("old", 4, 4);
        let plan = scene.pass();
        assert_eq!((plan.actions, plan.wants_old_pods, plan.next_wake), (vec![], None, None));
    }

    #[test]
    fn one_pod_more_stays_until_the_pods_have_been_looked_at() {
        let mut scene = restarting(Scene::resting(), &[("old", &["a"])]);
        let known = scene.seen.old_pods.take();
        assert_eq!(scene.pass().actions, [], "there is none, and nobody knows whether it is needed");
        scene.pods("old", 5, 5);
        assert_eq!(scene.pass().actions, [], "there is one");
        scene.seen.old_pods = known;
        assert_eq!(scene.pass().actions, []);
    }

    #[test]
    fn one_pod_more_is_no_more_than_one_where_stable_is_too_weak_to_take_anything_back() {
        let mut scene = restarting(Scene::releasing(), &[("old", &["a"]), ("new", &["b"])]);
        scene.carried_by(Carrier::Pods);
        scene.pods("old", 4, 1);
        scene.pods("new", 2, 2);
        let is_of_new = |action: &Action| matches!(action, Action::ScaleSet { hash, .. } if *hash == "new");
        assert!(!scene.pass().actions.iter().any(is_of_new));
    }

    #[test]
    fn a_restart_in_a_release_is_of_both_revisions_and_of_none_while_a_share_moves() {
        let old: &[(&str, &[&str])] = &[("old", &["a"]), ("new", &["b"])];
        let mut scene = restarting(Scene::releasing(), old);
        let hashes = |plan: super::super::Plan| plan.wants_old_pods.map(|wanted| wanted.hashes.len());
        assert_eq!(hashes(scene.pass()), Some(2));
        scene.state().split.in_force = crate::traffic::Weight::ZERO;
        scene.state().split.seen_since = None;
        assert_eq!(hashes(scene.pass()), None);
    }

    #[test]
    fn nobody_is_evicted_in_the_first_pass_nor_before_the_instant() {
        let mut scene = restarting(Scene::resting(), &[("old", &["a"])]);
        scene.pods("old", 5, 5);
        ready(&mut scene, 5);
        scene.seen.first_pass = true;
        assert_eq!(scene.clone().pass().actions, []);
        scene.seen.first_pass = false;
        let later = after(scene.seen.now, Duration::from_mins(1));
        scene.rollout.restart_at = Some(later);
        scene.pods("old", 4, 4);
        let plan = scene.pass();
        assert_eq!((plan.actions, plan.next_wake), (vec![], Some(later)));
    }
}
