//! The first state: from nothing, or from what a lost status left behind.

use std::collections::BTreeMap;

use super::view::View;
use super::{Action, Persist, Plan, commands, missing};
use crate::names::{Hash, Revision, Selection, Side};
use crate::observed::{Look, SetView, Sighted};
use crate::report::{Condition, Phase, Report};
use crate::spec::Commander;
use crate::state::{Acknowledged, Leaving, Promotion, Record, Rejection, Stage, State, Timing, Why};
use crate::time::after;
use crate::traffic::{Binding, Bindings, Carrier, Split, Weight};

/// The first state, once the API itself has been read: "not in the cache" is not "absent".
pub(super) fn read(view: View<'_>) -> Option<State> {
    let (rollout, seen) = (view.rollout, view.seen);
    let sets = view.sets().filter(|_| seen.live && rollout.deleted_at.is_none())?;
    if matches!(seen.stable_service, Look::Stale) || matches!(seen.canary_service, Look::Stale) {
        return None;
    }
    let mut state = if sets.is_empty() {
        rollout.spec.as_ref().ok()?;
        from_nothing(view)
    } else {
        from_remains(view, sets)?
    };
    state.last_command = rollout.command.as_ref().map(|command| Acknowledged {
        id: commands::id_of(command),
        verb: command.as_ref().ok().map(|command| command.verb),
        // It may be older than whoever puts names down.
        by: rollout.commander.clone().map(|by| Commander { verified: false, ..by }),
        executed: false,
        message: "found while the status was empty: not executed".to_owned(),
        at: view.now,
    });
    Some(state)
}

fn from_nothing(view: View<'_>) -> State {
    let rollout = view.rollout;
    let stable = view.declared_revision(1);
    let bound = || Binding::decided(&stable.hash);
    let record = Record::new(stable.clone(), None, rollout.targets.strategy, view.now);
    State {
        bindings: Bindings { stable: bound(), canary: bound() },
        stable,
        stage: Stage::Deploying,
        split: Split::at_rest(Weight::ZERO, view.now),
        timing: Timing::default(),
        idle: BTreeMap::new(),
        former: Vec::new(),
        rejected: Vec::new(),
        attempts: 1,
        last_command: None,
        foreign_edits: Vec::new(),
        spilling: false,
        targets: Some(rollout.targets.clone()),
        retired: Vec::new(),
        tried: None,
        missing_since: None,
        // Pods that are made now are younger.
        restarted_at: rollout.restart_at.filter(|at| *at <= view.now),
        commands: Vec::new(),
        records: vec![record],
    }
}

/// Stable is what the Service of stable is bound to; without it, the most likely one.
fn from_remains(view: View<'_>, sets: &BTreeMap<Hash, SetView>) -> Option<State> {
    let (rollout, now) = (view.rollout, view.now);
    let bound = |side| view.seen.service_of(side).seen().and_then(|service| service.bound().cloned());
    let on_trial = bound(Side::Canary);
    let likely = most_likely_stable(rollout.targets.carrier, sets, on_trial.as_ref())?;
    let stable = bound(Side::Stable).filter(|hash| sets.contains_key(hash)).unwrap_or(likely);
    let revision = |hash: &Hash| {
        let number = sets.get(hash).map_or(0, |set| set.number);
        if rollout.hash == *hash {
            // Its ports are those of the Service that is bound to it.
            Revision { ports: Vec::new(), ..view.declared_revision(number) }
        } else {
            Revision { hash: hash.clone(), number, commit: None, images: Vec::new(), ports: Vec::new() }
        }
    };
    let is_shared = view.seen.stable_service.seen().is_some_and(|it| it.selection == Some(Selection::Any));
    let selected = if rollout.targets.carrier == Carrier::Service && is_shared { Weight::HALF } else { Weight::ZERO };
    let had = view.routes().map(|(_, route)| route.most).max().unwrap_or(selected);
    let canary = on_trial.filter(|hash| *hash != stable && sets.contains_key(hash));
    let stage = match &canary {
        Some(hash) => {
            let canary = revision(hash);
            Stage::Leaving(Leaving { canary, why: Why::Lost, since: now, had, comparison: None })
        }
        // Both Services are bound to stable, as at the end of a promotion: only the split has to go back.
        None if had > Weight::ZERO => Stage::Promoting(Promotion { old: revision(&stable), since: now }),
        None => Stage::Resting,
    };
    let strategy = rollout.targets.strategy;
    let left = canary.as_ref().map(|hash| Record::after_loss(revision(hash), revision(&stable), strategy, now));
    let rejected = sets.iter().filter_map(|(hash, set)| {
        let message = set.rejected.clone()?;
        Some(Rejection { revision: revision(hash), reason: "Recovered".to_owned(), message, query: None, at: now })
    });
    Some(State {
        stable: revision(&stable),
        stage,
        split: Split::at_rest(had, now),
        bindings: Bindings {
            stable: Binding::decided(if had == Weight::HALF && is_shared {
                Selection::Any
            } else {
                stable.clone().into()
            }),
            canary: Binding::decided(canary.unwrap_or(stable)),
        },
        timing: Timing::default(),
        idle: BTreeMap::new(),
        former: Vec::new(),
        rejected: rejected.collect(),
        attempts: sets.values().map(|set| set.number).max().unwrap_or(1),
        last_command: None,
        foreign_edits: Vec::new(),
        spilling: false,
        targets: Some(rollout.targets.clone()),
        retired: Vec::new(),
        tried: None,
        missing_since: None,
        restarted_at: None,
        commands: Vec::new(),
        records: left.into_iter().collect(),
    })
}

/// The stable revision where no Service is bound to it. What was rejected is it only where nothing else has pods.
fn most_likely_stable(carrier: Carrier, sets: &BTreeMap<Hash, SetView>, on_trial: Option<&Hash>) -> Option<Hash> {
    let running = sets.iter().filter(|(_, set)| set.wanted > 0 && set.rejected.is_none());
    let running = match carrier {
        Carrier::Routes => None,
        // What has a Service of its own beside one that selects every revision is on trial; at rest it is stable, and no
        // other one has pods.
        Carrier::Service => running
            .filter(|(hash, _)| on_trial != Some(*hash))
            .max_by_key(|(_, set)| (set.ready, set.wanted, set.number)),
        // Whatever the sizes of both, the one that was there first has been promoted once.
        Carrier::Pods => running.min_by_key(|(_, set)| (set.ready == 0, set.number)),
    };
    let largest = || sets.iter().max_by_key(|(_, set)| (set.ready, set.wanted, set.rejected.is_none(), set.number));
    running.or_else(largest).map(|(hash, _)| hash.clone())
}

/// A plan while there is no state: nothing is done.
pub(super) fn nothing_yet(view: View<'_>) -> Plan {
    let (rollout, seen) = (view.rollout, view.seen);
    let patience_ends = rollout.created_at.map(|at| after(at, missing::PATIENCE)).filter(|at| view.now < *at);
    let mut next_wake = None;
    let report = match &rollout.spec {
        Err(problem) if seen.live => {
            next_wake = patience_ends.filter(|_| problem.missing);
            let stalled = next_wake.is_none();
            let kind = if stalled { "Stalled" } else { "Reconciling" };
            Report {
                phase: if stalled { Phase::Invalid } else { Phase::Progressing },
                message: problem.message.clone(),
                conditions: vec![
                    Condition::new("Ready", false, problem.reason.as_str(), &problem.message),
                    Condition::new(kind, true, problem.reason.as_str(), &problem.message),
                ],
                ..Report::default()
            }
        }
        _ => Report {
            message: "reading what exists".to_owned(),
            conditions: vec![
                Condition::new("Ready", false, "Reading", "reading what exists"),
                Condition::new("Reconciling", true, "Reading", "reading what exists"),
            ],
            ..Report::default()
        },
    };
    let (actions, wants_live) = match (rollout.deleted_at, seen.finalizer) {
        (Some(_), true) => (vec![Action::RemoveFinalizer], false),
        (Some(_), false) => (Vec::new(), false),
        (None, _) => (Vec::new(), !seen.live),
    };
    Plan {
        state: None,
        persist: Persist::Nothing,
        actions,
        questions: Vec::new(),
        wants_words_of: None,
        wants_live,
        wants_old_pods: None,
        wants_trial: false,
        facts: Vec::new(),
        sighted: Sighted::default(),
        report,
        next_wake,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::scene::Scene;

    /// The status is lost, and one Service that selects nothing of ours, or none at all, carries the traffic.
    fn remains(carrier: Carrier, of: impl FnOnce(&mut Scene)) -> Hash {
        let mut scene = Scene::resting();
        scene.rollout.targets.carrier = carrier;
        scene.rollout.targets.routes.clear();
        scene.seen.routes.clear();
        match carrier {
            Carrier::Pods => (scene.seen.stable_service, scene.seen.canary_service) = (Look::Missing, Look::Missing),
            Carrier::Routes | Carrier::Service => scene.service(Side::Stable).selection = None,
        }
        scene.rollout.hash = "new".into();
        of(&mut scene);
        (scene.state, scene.seen.live) = (None, true);
        scene.pass();
        scene.state().stable.hash.clone()
    }

    #[test]
    fn a_rejected_revision_without_pods_is_not_taken_for_stable() {
        for carrier in [Carrier::Routes, Carrier::Service, Carrier::Pods] {
            for size in [4, 0] {
                let stable = remains(carrier, |scene| {
                    scene.pods("old", size, size).number = 1;
                    let rejected = scene.pods("new", 0, 0);
                    (rejected.number, rejected.rejected) = (2, Some("AnalysisFailed".to_owned()));
                });
                assert_eq!(stable, "old", "{carrier:?} with {size} pods");
            }
        }
    }

    #[test]
    fn what_has_a_service_of_its_own_beside_another_one_is_on_trial() {
        for ready in [1, 4] {
            let stable = remains(Carrier::Service, |scene| {
                scene.service(Side::Canary).selection = Some(Hash::from("new").into());
                scene.pods("new", ready, ready).number = 2;
            });
            assert_eq!(stable, "old");
        }
    }

    #[test]
    fn of_workers_the_one_that_was_there_first_is_stable_however_many_the_canary_has() {
        for (old, new) in [(4, 1), (4, 4), (2, 3)] {
            let stable = remains(Carrier::Pods, |scene| {
                scene.pods("old", old, old);
                scene.pods("new", new, new).number = 2;
            });
            assert_eq!(stable, "old", "{old} and {new}");
        }
        let stable = remains(Carrier::Pods, |scene| {
            scene.pods("old", 4, 0);
            scene.pods("new", 4, 4).number = 2;
        });
        assert_eq!(stable, "new", "nothing of the old one works");
    }
}
