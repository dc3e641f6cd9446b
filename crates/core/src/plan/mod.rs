//! The one place where decisions are taken.
//!
//! A pass reads from top to bottom: what protects users' traffic first (verdicts, missing pods, deletion), then
//! commands, then the way forward, then what follows from the state for every object ([`effects`]).

pub mod action;
pub mod report;

pub use action::{Action, Event, Persist, Plan};

use crate::observed::Observed;
use crate::spec::Rollout;
use crate::state::State;

/// Decides what to do next. `state` is what was persisted, `None` where nothing was.
pub fn plan(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let _ = (rollout, observed);
    Plan {
        state: state.cloned(),
        persist: Persist::Nothing,
        actions: Vec::new(),
        questions: Vec::new(),
        wants_words_of: None,
        wants_live: false,
        events: Vec::new(),
        report: report::Report::default(),
        next_wake: None,
    }
}
