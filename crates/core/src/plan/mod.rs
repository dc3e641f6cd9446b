//! The one place where decisions are taken.
//!
//! A pass reads from top to bottom: what was seen of our own writes ([`settle`]), what protects users' traffic
//! ([`safety`]), commands, what is declared, the way forward ([`steps`], [`promote`], [`leave`]), the progress deadline, and
//! last what follows from the state for every object ([`effects`]). Stages only change the state; only `effects` makes
//! actions, so that a pass after a crash makes the same ones again.

pub mod action;
mod begin;
mod carry;
mod commands;
mod compare;
mod contention;
mod deadline;
mod doubts;
mod effects;
mod fact;
mod first_state;
mod follows;
mod hold;
mod leave;
mod let_go;
mod missing;
mod next;
mod pods;
mod ports;
mod preflight;
mod present;
mod promote;
mod questions;
mod record;
mod redeclared;
mod restart;
mod safety;
#[cfg(test)]
mod scene;
mod selected;
mod settle;
mod share;
mod spill;
mod steps;
mod targets;
mod trial;
mod urgency;
mod view;

use std::time::Duration;

use jiff::Timestamp;

pub use action::{Action, Event, Persist, Plan};
pub use fact::{Doubt, Fact};
use hold::{Hold, Timed};
pub use restart::Restart;
use view::View;

use crate::analysis::Question;
use crate::names::{Hash, Revision, Side};
use crate::observed::{Observed, Sighted};
use crate::spec::{Problem, Rollout};
use crate::state::{Release, Return, Stage, State, Timing};
use crate::time::after;
use crate::traffic::{Port, Reach, Weight};

/// How long a parent that has not come to the present generation of a route is waited for, where another one has.
const LAG_BORNE_AFTER: Duration = Duration::from_secs(15);

/// A bound on stage changes in one pass: each changes the stage or ends a step, and a list of steps has at most 64.
const MOST_CHANGES: usize = 200;

/// Decides what to do next. `state` is what was persisted, `None` where nothing was.
pub fn plan(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut plan = decide(View::new(rollout, observed), state);
    plan.persist = urgency::of(state, &plan);
    plan.sighted = Sighted::between(state, plan.state.as_ref());
    plan
}

fn decide(view: View<'_>, state: Option<&State>) -> Plan {
    let Some(state) = state.cloned().or_else(|| first_state::read(view)) else {
        return first_state::nothing_yet(view);
    };
    let mut pass = Pass::new(view, state);
    if view.rollout.deleted_at.is_some() {
        return let_go::plan(pass);
    }
    targets::join(&mut pass);
    ports::note(&mut pass);
    record::note_written(&mut pass);
    follows::join(&mut pass);
    settle::note(&mut pass);
    safety::keep(&mut pass);
    contention::note(&mut pass);
    commands::obey(&mut pass);
    redeclared::follow(&mut pass);
    let mut hold = pass.go_on();
    if deadline::is_over(&mut pass, hold.as_ref()) {
        hold = pass.go_on();
    }
    missing::note(&mut pass, hold.as_ref());
    restart::tend(&mut pass);
    questions::ask(&mut pass);
    let effects = effects::of(&mut pass);
    pass.finish(hold.as_ref(), effects)
}

/// What a stage came to.
enum Next {
    /// Something changed: the stage that there is now has its turn.
    Again,
    /// It waits: nothing changes any more in this pass.
    Wait(Hold),
    /// There is nothing to do.
    Rest,
}

/// One pass over one Rollout: what was read, and what is decided.
struct Pass<'a> {
    view: View<'a>,
    state: State,
    facts: Vec<Fact>,
    questions: Vec<Question>,
    wakes: Vec<Timestamp>,
    wants_words_of: Option<Hash>,
    wants_trial: bool,
    /// Pods that are being replaced.
    restart: Option<Restart>,
    /// A route that had been seen as decided is not any more.
    rewritten: bool,
}

impl<'a> Pass<'a> {
    fn new(view: View<'a>, mut state: State) -> Self {
        state.clamp(view.now);
        if let Ok(spec) = &view.rollout.spec {
            state.timing = Timing {
                settle: spec.settle,
                settle_endpoints: spec.settle_endpoints,
                drain: spec.drain,
                keep_warm: spec.keep_warm,
                overlap: spec.overlap,
            };
        }
        Self {
            view,
            state,
            facts: Vec::new(),
            questions: Vec::new(),
            wakes: Vec::new(),
            wants_words_of: None,
            wants_trial: false,
            restart: None,
            rewritten: false,
        }
    }

    /// Goes through the stages until one waits, and says for what.
    fn go_on(&mut self) -> Option<Hold> {
        for _ in 0..MOST_CHANGES {
            match self.stage() {
                Next::Again => {}
                Next::Wait(hold) => {
                    self.wakes.extend(hold.until());
                    return Some(hold);
                }
                Next::Rest => return None,
            }
        }
        None
    }

    fn stage(&mut self) -> Next {
        match &self.state.stage {
            Stage::Deploying => begin::deploy(self),
            Stage::Resting => begin::rest(self),
            Stage::Releasing(release) if release.preflight.is_some() => preflight::check(self),
            Stage::Releasing(_) => steps::step(self),
            Stage::Promoting(_) => promote::follow(self),
            Stage::Leaving(_) => leave::leave(self),
        }
    }

    fn release(&self) -> Option<&Release> {
        match &self.state.stage {
            Stage::Releasing(release) => Some(release),
            _ => None,
        }
    }

    fn release_mut(&mut self) -> Option<&mut Release> {
        match &mut self.state.stage {
            Stage::Releasing(release) => Some(release),
            _ => None,
        }
    }

    fn wake_at(&mut self, at: Timestamp) {
        self.wakes.push(at);
    }

    fn tell(&mut self, fact: Fact) {
        record::note(self, &fact, self.view.now);
        self.facts.push(fact);
    }

    fn reach(&self) -> Reach<'_> {
        Reach::of(&self.state, self.view.seen)
    }

    fn next_revision(&mut self) -> Revision {
        self.state.attempts = self.state.attempts.saturating_add(1);
        self.view.declared_revision(self.state.attempts)
    }

    /// Ready pods of stable.
    fn ready_stable(&self) -> u32 {
        self.view.ready(Side::Stable, &self.state.stable.hash)
    }

    fn is_rejected(&self, hash: &Hash) -> bool {
        self.state.rejected.iter().any(|rejection| rejection.revision.hash == *hash)
    }

    /// The first thing that a person has to change before anything new can begin.
    fn problem(&self) -> Option<Problem> {
        self.view.rollout.spec.as_ref().err().cloned().or_else(|| self.view.problem())
    }

    /// The same of a release.
    fn problem_of_release(&self) -> Option<Problem> {
        if self.release().is_some_and(|release| release.returns == Some(Return::Commanded)) {
            return self.view.problem();
        }
        let early = || self.view.problem_with_early_binding(self.view.rollout.spec.as_ref().ok()?);
        self.problem().or_else(early).or_else(|| ports::problem_with_both(self))
    }

    /// True when every route is on `weight` and accepted.
    ///
    /// A route that does not exist passes nothing, which will do where both Services are about to be stable, and not in a
    /// release. A parent that lags behind another one that has accepted is waited for, but not for ever.
    fn routes_are_at(&self, weight: Weight) -> bool {
        let ends = matches!(self.state.stage, Stage::Leaving(_) | Stage::Promoting(_));
        let missing_will_do = weight == Weight::ZERO && ends;
        let lag_is_borne = self.view.now >= after(self.state.split.decided_at, LAG_BORNE_AFTER);
        self.view.routes_are_at(weight, missing_will_do, lag_is_borne)
    }

    /// Decides what a side is bound to.
    fn decide_binding(&mut self, side: Side, hash: &Hash) {
        let binding = self.state.bindings.of_mut(side);
        if !binding.decided.is_only(hash) {
            binding.decide(hash);
            settle::note_binding(self, side);
        }
    }

    /// Waits for a binding to be in force; `None` once it is.
    fn wait_for_binding(&self, side: Side, hash: &Hash, needed: u32) -> Option<Hold> {
        let binding = self.state.bindings.of(side);
        if binding.is_in_force(hash) {
            return None;
        }
        if let Some(since) = binding.seen_since {
            let until = after(since, self.state.timing.of_endpoints());
            return Some(Hold::Until { what: Timed::Settling(format!("the binding to {hash}")), until });
        }
        Some(self.view.lacks_endpoints(side, hash, needed))
    }

    /// The ports that a Service has while it is bound to this revision; empty while they are not known.
    fn ports_of(&self, hash: &Hash) -> &[Port] {
        let known =
            [Some(&self.state.stable), self.trial()].into_iter().flatten().find(|revision| revision.hash == *hash);
        known.map_or(&[], |revision| &revision.ports)
    }
}
