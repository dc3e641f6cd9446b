//! How it begins: the first state, from nothing or from what a lost status left behind; the first deployment; rest.

use std::collections::BTreeMap;

use super::hold::Hold;
use super::report::{Condition, Phase, Report};
use super::{Pass, Persist, Plan};
use crate::names::{Hash, Revision, Side};
use crate::observed::{Look, Observed, SetView};
use crate::spec::Rollout;
use crate::split::Weight;
use crate::state::{
    Acknowledged, Binding, Bindings, Clock, Leaving, Preflight, Promotion, Rejection, Release, Stage, State, Timing,
    Traffic, Why,
};

/// The first state, once the API itself has been read: "not in the cache" is not "absent".
pub(super) fn state(rollout: &Rollout, observed: &Observed) -> Option<State> {
    let sets = observed.sets.seen().filter(|_| observed.live && rollout.deleted_at.is_none())?;
    if matches!(observed.stable_service, Look::Stale) || matches!(observed.canary_service, Look::Stale) {
        return None;
    }
    let mut state = if sets.is_empty() {
        rollout.spec.as_ref().ok()?;
        from_nothing(rollout, observed)
    } else {
        from_remains(rollout, observed, sets)?
    };
    state.last_command = rollout.command.as_ref().map(|command| Acknowledged {
        id: super::commands::id_of(command),
        verb: command.as_ref().ok().map(|command| command.verb),
        executed: false,
        message: "found while the status was empty: not executed".to_owned(),
        at: observed.now,
    });
    Some(state)
}

fn from_nothing(rollout: &Rollout, observed: &Observed) -> State {
    let stable = Revision {
        hash: rollout.hash.clone(),
        number: 1,
        commit: rollout.commit.clone(),
        images: rollout.images.clone(),
    };
    let bindings =
        Bindings { stable: Binding::decided(stable.hash.clone()), canary: Binding::decided(stable.hash.clone()) };
    let traffic = Traffic { decided: Weight::ZERO, decided_at: observed.now, seen_since: None, in_force: Weight::ZERO };
    State {
        stable,
        stage: Stage::Deploying,
        traffic,
        bindings,
        timing: Timing::default(),
        idle: BTreeMap::new(),
        rejected: Vec::new(),
        attempts: 1,
        last_command: None,
        foreign_edits: Vec::new(),
    }
}

/// Stable is what `stableService` is bound to; without it, the set with the most ready pods, then the newest.
fn from_remains(rollout: &Rollout, observed: &Observed, sets: &BTreeMap<Hash, SetView>) -> Option<State> {
    let bound = |side| observed.service_of(side).seen().and_then(|service| service.bound.clone());
    let largest =
        sets.iter().max_by_key(|(_, set)| (set.ready, set.wanted, set.number)).map(|(hash, _)| hash.clone())?;
    let stable = bound(Side::Stable).filter(|hash| sets.contains_key(hash)).unwrap_or(largest);
    let revision = |hash: &Hash| Revision {
        hash: hash.clone(),
        number: sets.get(hash).map_or(0, |set| set.number),
        commit: (rollout.hash == *hash).then(|| rollout.commit.clone()).flatten(),
        images: if rollout.hash == *hash { rollout.images.clone() } else { Vec::new() },
    };
    let had = observed.routes.iter().filter_map(|(_, route)| Some(route.seen()?.most)).max().unwrap_or(Weight::ZERO);
    let canary = bound(Side::Canary).filter(|hash| *hash != stable && sets.contains_key(hash));
    let stage = match &canary {
        Some(hash) => {
            let canary = revision(hash);
            Stage::Leaving(Leaving { canary, why: Why::Lost, since: observed.now, had, comparison: None })
        }
        // Both Services are bound to stable, as at the end of a promotion: only the split has to go back.
        None if had > Weight::ZERO => Stage::Promoting(Promotion { old: revision(&stable), since: observed.now }),
        None => Stage::Resting,
    };
    let rejected = sets.iter().filter_map(|(hash, set)| {
        let message = set.rejected.clone()?;
        Some(Rejection {
            revision: revision(hash),
            reason: "Recovered".to_owned(),
            message,
            query: None,
            at: observed.now,
        })
    });
    let bindings = Bindings {
        stable: Binding::decided(stable.clone()),
        canary: Binding::decided(canary.unwrap_or_else(|| stable.clone())),
    };
    Some(State {
        stable: revision(&stable),
        traffic: Traffic { decided: had, decided_at: observed.now, seen_since: None, in_force: had },
        stage,
        bindings,
        timing: Timing::default(),
        idle: BTreeMap::new(),
        rejected: rejected.collect(),
        attempts: sets.values().map(|set| set.number).max().unwrap_or(1),
        last_command: None,
        foreign_edits: Vec::new(),
    })
}

/// A plan while there is no state: nothing is done.
pub(super) fn nothing_yet(rollout: &Rollout, observed: &Observed) -> Plan {
    let report = match &rollout.spec {
        Err(problem) if observed.live => Report {
            phase: Phase::Invalid,
            message: problem.message.clone(),
            conditions: vec![
                condition("Ready", false, problem.reason.as_str(), &problem.message),
                condition("Stalled", true, problem.reason.as_str(), &problem.message),
            ],
            ..Report::default()
        },
        _ => Report {
            message: "reading what exists".to_owned(),
            conditions: vec![
                condition("Ready", false, "Reading", "reading what exists"),
                condition("Reconciling", true, "Reading", "reading what exists"),
            ],
            ..Report::default()
        },
    };
    let (actions, wants_live) = match (rollout.deleted_at, observed.finalizer) {
        (Some(_), true) => (vec![super::Action::RemoveFinalizer], false),
        (Some(_), false) => (Vec::new(), false),
        (None, _) => (Vec::new(), !observed.live),
    };
    Plan {
        state: None,
        persist: Persist::Nothing,
        actions,
        questions: Vec::new(),
        wants_words_of: None,
        wants_live,
        events: Vec::new(),
        report,
        next_wake: None,
    }
}

fn condition(kind: &'static str, is_true: bool, reason: &str, message: &str) -> Condition {
    Condition { kind, is_true, reason: reason.to_owned(), message: message.to_owned() }
}

impl Pass<'_> {
    /// First deployment: full size, both Services, no steps.
    pub(super) fn deploy(&mut self) -> bool {
        if let Some(problem) = self.problem() {
            return self.wait(Hold::Problem(problem));
        }
        let Look::Seen(sets) = &self.observed.sets else { return self.wait(Hold::Unseen("the ReplicaSets")) };
        let available = |hash: &Hash| sets.get(hash).map_or(0, |set| set.available);
        if self.rollout.hash != self.state.stable.hash {
            let revision = self.next_revision();
            self.state.stable = revision;
        }
        let (stable, replicas) = (self.state.stable.hash.clone(), self.rollout.replicas);
        let full = available(&stable) >= replicas;
        for side in [Side::Stable, Side::Canary] {
            if full || available(&self.state.bindings.of(side).decided) == 0 {
                self.decide_binding(side, &stable);
            }
        }
        if !full {
            self.look_into_pods_of(stable.clone());
            let words = self.words_of_pods(&stable);
            return self.wait(Hold::Pods { available: available(&stable), needed: replicas, words });
        }
        for side in [Side::Stable, Side::Canary] {
            if !self.state.bindings.of(side).is_in_force(&stable) {
                return self.wait_for_binding(side, &stable, 1);
            }
        }
        let is_there = |route: &Look<_>| matches!(route, Look::Seen(_));
        if let Some((id, _)) = self.observed.routes.iter().find(|(_, route)| !is_there(route)) {
            return self.wait(Hold::Route(format!("{id} to be created")));
        }
        self.event(false, "Deployed", format!("first revision {stable} serves with {replicas} pods"));
        self.state.stage = Stage::Resting;
        true
    }

    /// Nothing is under way, until something new is declared.
    pub(super) fn rest(&mut self) -> bool {
        self.state.foreign_edits.clear();
        let stable = self.state.stable.hash.clone();
        if self.state.bindings.canary.decided != stable && self.most_canary() == Weight::ZERO {
            self.decide_binding(Side::Canary, &stable);
        }
        if self.rollout.hash == stable {
            self.adopt_commit();
            return self.problem().is_some_and(|problem| self.wait(Hold::Problem(problem)));
        }
        if self.is_rejected(&self.rollout.hash) {
            return false;
        }
        if let Some(problem) = self.problem() {
            return self.wait(Hold::Problem(problem));
        }
        if self.rollout.paused {
            return self.wait(Hold::SpecPaused);
        }
        if self.observed.sets.seen().is_none() || self.observed.routes.iter().any(|(_, route)| *route == Look::Stale) {
            return self.wait(Hold::Unseen("ReplicaSets and routes"));
        }
        if self.rollout.replicas == 0 {
            self.state.stable = self.next_revision();
            let stable = self.state.stable.hash.clone();
            self.decide_binding(Side::Stable, &stable);
            self.decide_binding(Side::Canary, &stable);
            self.event(false, "Promoted", format!("{stable} is stable at once, as there are no pods"));
            return true;
        }
        self.begin_release();
        true
    }

    /// A commit that keeps the template makes the stable revision that commit's.
    fn adopt_commit(&mut self) {
        if self.rollout.commit.is_some() && self.state.stable.commit != self.rollout.commit {
            self.state.stable.commit.clone_from(&self.rollout.commit);
        }
    }

    fn begin_release(&mut self) {
        let Ok(recipe) = self.rollout.spec.clone() else { return };
        let canary = self.next_revision();
        let message = format!("revision {}: {}", canary.number, what_changed(&canary, &self.state.stable));
        self.event(false, "ReleaseStarted", message);
        // A split that somebody left at rest goes back first: both Services are bound to stable, so nothing is at risk.
        self.state.traffic.in_force = self.most_canary();
        self.decide_split(Weight::ZERO);
        self.state.stage = Stage::Releasing(Box::new(Release {
            canary,
            began_at: self.now,
            recipe,
            preflight: Some(Preflight::default()),
            step: 0,
            step_since: self.now,
            goal: Weight::ZERO,
            goal_since: None,
            base_replicas: self.rollout.replicas,
            shrunk: None,
            background: BTreeMap::new(),
            measured: BTreeMap::new(),
            paused: false,
            asked: None,
            skip: false,
            clock: Clock::default(),
            most_ready: 0,
        }));
    }
}

/// Images where they differ, else commits where they are known, else hashes.
fn what_changed(new: &Revision, old: &Revision) -> String {
    if new.images != old.images {
        return format!("{} replaces {}", new.images.join(", "), old.images.join(", "));
    }
    match (&new.commit, &old.commit) {
        (Some(new), Some(old)) if new != old => format!("commit {new} replaces {old}"),
        _ => format!("template {} replaces {}", new.hash, old.hash),
    }
}
