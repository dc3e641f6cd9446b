//! The first state: from nothing, or from what a lost status left behind.

use std::collections::BTreeMap;

use super::view::View;
use super::{Action, Persist, Plan, commands, missing};
use crate::names::{Hash, Revision, Selection, Side};
use crate::observed::{Look, SetView};
use crate::report::{Condition, Phase, Report};
use crate::state::{Acknowledged, Leaving, Promotion, Rejection, Stage, State, Timing, Why};
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
        targets: Some(rollout.targets.clone()),
        retired: Vec::new(),
        tried: None,
        missing_since: None,
        // Pods that are made now are younger.
        restarted_at: rollout.restart_at.filter(|at| *at <= view.now),
        commands: Vec::new(),
    }
}

/// Stable is what `stableService` is bound to; without it, the set with the most ready pods, then the newest.
fn from_remains(view: View<'_>, sets: &BTreeMap<Hash, SetView>) -> Option<State> {
    let (rollout, now) = (view.rollout, view.now);
    let bound = |side| view.seen.service_of(side).seen().and_then(|service| service.bound().cloned());
    let on_trial = bound(Side::Canary);
    // Where one Service selects every revision, the one that has a Service of its own is on trial.
    let is_stable = |hash: &Hash| rollout.targets.carrier != Carrier::Service || on_trial.as_ref() != Some(hash);
    let largest = sets.iter().max_by_key(|(hash, set)| (is_stable(hash), set.ready, set.wanted, set.number));
    let largest = largest.map(|(hash, _)| hash.clone())?;
    let stable = bound(Side::Stable).filter(|hash| sets.contains_key(hash)).unwrap_or(largest);
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
        targets: Some(rollout.targets.clone()),
        retired: Vec::new(),
        tried: None,
        missing_since: None,
        restarted_at: None,
        commands: Vec::new(),
    })
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
        report,
        next_wake,
    }
}
