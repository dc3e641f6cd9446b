//! The one place where decisions are taken.
//!
//! A pass reads from top to bottom: what was seen of our own writes ([`look`]), what protects users' traffic
//! ([`safety`]), commands, what is declared, the way forward ([`steps`], [`promote`], [`leave`]), the progress deadline, and
//! last what follows from the state for every object ([`effects`]). Stages only change the state; only `effects` makes
//! actions, so that a pass after a crash makes the same ones again.

pub mod action;
mod begin;
mod clock;
mod commands;
mod compare;
mod declared;
mod effects;
mod hold;
mod leave;
mod look;
mod preflight;
mod present;
mod promote;
mod questions;
pub mod report;
mod safety;
mod steps;

use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

pub use action::{Action, Event, Persist, Plan};
use hold::Hold;

use crate::analysis::Question;
use crate::names::{Hash, Revision};
use crate::observed::Observed;
use crate::spec::{Problem, Rollout, Spec};
use crate::split::Weight;
use crate::state::{Release, Stage, State};

/// A bound on stage changes in one pass: each changes the stage or ends a step, and a list of steps has at most 64.
const MOST_CHANGES: usize = 200;

/// Decides what to do next. `state` is what was persisted, `None` where nothing was.
pub fn plan(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut plan = decide(rollout, state, observed);
    plan.persist = present::urgency(state, plan.state.as_ref());
    plan
}

fn decide(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let Some(state) = state.cloned().or_else(|| begin::state(rollout, observed)) else {
        return begin::nothing_yet(rollout, observed);
    };
    let mut pass = Pass::new(rollout, observed, state);
    if rollout.deleted_at.is_some() {
        return pass.let_go();
    }
    pass.look();
    pass.keep_safe();
    pass.note_foreign_edit();
    pass.obey();
    pass.follow_declaration();
    for _ in 0..MOST_CHANGES {
        if !pass.go_on() {
            break;
        }
    }
    if pass.deadline_is_over() {
        while pass.go_on() {}
    }
    pass.finish()
}

/// One pass over one Rollout.
struct Pass<'a> {
    rollout: &'a Rollout,
    observed: &'a Observed,
    now: Timestamp,
    state: State,
    hold: Option<Hold>,
    events: Vec<Event>,
    questions: Vec<Question>,
    wakes: Vec<Timestamp>,
    wants_words_of: Option<Hash>,
    /// A route that had been seen as decided is not any more.
    rewritten: bool,
}

impl<'a> Pass<'a> {
    fn new(rollout: &'a Rollout, observed: &'a Observed, mut state: State) -> Self {
        state.clamp(observed.now);
        if let Ok(spec) = &rollout.spec {
            state.timing = crate::state::Timing { settle: spec.settle, drain: spec.drain };
        }
        Self {
            rollout,
            observed,
            now: observed.now,
            state,
            hold: None,
            events: Vec::new(),
            questions: Vec::new(),
            wakes: Vec::new(),
            wants_words_of: None,
            rewritten: false,
        }
    }

    /// One change of the state machine; false when it has to wait.
    fn go_on(&mut self) -> bool {
        self.hold = None;
        match &self.state.stage {
            Stage::Deploying => self.deploy(),
            Stage::Resting => self.rest(),
            Stage::Releasing(release) if release.preflight.is_some() => self.preflight(),
            Stage::Releasing(_) => self.step(),
            Stage::Promoting(_) => self.promote(),
            Stage::Leaving(_) => self.leave(),
        }
    }

    fn finish(mut self) -> Plan {
        self.ask();
        let actions = self.effects();
        self.finish_with(actions)
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

    /// Waits for `hold`: the stage does not change in this pass.
    fn wait(&mut self, hold: Hold) -> bool {
        if let Hold::Until { until, .. } = &hold {
            self.wakes.push(*until);
        }
        self.hold = Some(hold);
        false
    }

    fn wake_at(&mut self, at: Timestamp) {
        self.wakes.push(at);
    }

    fn event(&mut self, warning: bool, reason: &'static str, message: impl Into<String>) {
        self.events.push(Event { warning, reason, message: message.into() });
    }

    fn next_revision(&mut self) -> Revision {
        self.state.attempts = self.state.attempts.saturating_add(1);
        Revision {
            hash: self.rollout.hash.clone(),
            number: self.state.attempts,
            commit: self.rollout.commit.clone(),
            images: self.rollout.images.clone(),
        }
    }

    /// The declared strategy, or the last valid one of the release under way.
    fn recipe(&self) -> Option<&Spec> {
        self.rollout.spec.as_ref().ok().or_else(|| self.release().map(|release| &release.recipe))
    }

    /// Ready pods that count for `side` as bound now, by its slices; else by the set's own status.
    fn ready(&self, side: crate::names::Side, hash: &Hash) -> u32 {
        self.observed
            .endpoints_of(side)
            .ready_of(hash)
            .or_else(|| Some(self.observed.sets.seen()?.get(hash)?.ready))
            .unwrap_or(0)
    }

    /// The largest share of traffic that may reach `canaryService` now, whatever a route or a proxy still believes.
    fn most_canary(&self) -> Weight {
        let routes = self.observed.routes.iter().filter_map(|(_, route)| route.seen()).map(|route| route.most);
        routes.chain([self.state.traffic.decided, self.state.traffic.in_force]).max().unwrap_or(Weight::ZERO)
    }

    /// The least such share.
    fn least_canary(&self) -> Weight {
        let routes = self.observed.routes.iter().filter_map(|(_, route)| route.seen()).map(|route| route.least);
        routes.chain([self.state.traffic.decided, self.state.traffic.in_force]).min().unwrap_or(Weight::ZERO)
    }

    /// The first thing that a person has to change before anything new can begin.
    fn problem(&self) -> Option<Problem> {
        if let Err(problem) = &self.rollout.spec {
            return Some(problem.clone());
        }
        self.problem_around()
    }

    fn is_rejected(&self, hash: &Hash) -> bool {
        self.state.rejected.iter().any(|rejection| rejection.revision.hash == *hash)
    }
}

/// `at` plus a duration; saturates far beyond any deadline.
fn after(at: Timestamp, duration: Duration) -> Timestamp {
    SignedDuration::try_from(duration).ok().and_then(|duration| at.checked_add(duration).ok()).unwrap_or(Timestamp::MAX)
}

/// Time from `earlier` to `later`, zero when the clock went back.
fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or(Duration::ZERO)
}
