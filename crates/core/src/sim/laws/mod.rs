//! The invariants of the design, checked after every event.
//!
//! What is decided is checked against what was seen; what serves, against what is true: the proxies of the model follow
//! what is written later than the operator sees it, but before `settle` is over.

mod release;
mod reports;
mod rest;
mod service;
mod traffic;
mod world;

use std::collections::{BTreeMap, HashSet, VecDeque};

use jiff::{SignedDuration, Timestamp};

use super::faults::Faults;
use super::process::Passed;
use super::world::{Kind, World};
use crate::names::Hash;
use crate::observed::RouteId;
use crate::plan::Fact;
use crate::spec::Rollout;
use crate::state::{Entry, Stage, State};
use crate::traffic::Weight;

/// What the laws remember of a run.
pub(super) struct Laws {
    faults: Faults,
    /// Traffic may suffer from pods that died or from people's edits until then.
    excused_until: Timestamp,
    /// Git has declared a port that the canary's pods do not serve.
    canary_ports_excused: bool,
    /// Full sizes, and when each was asked for: what serves may follow a change for a while.
    sizes: Vec<(Timestamp, u32)>,
    /// Weights that somebody else wrote, by route, and when.
    edits: BTreeMap<usize, (Timestamp, Weight)>,
    edited: u32,
    put_back: u32,
    /// Since when a rollback has had both ways open and has taken neither.
    stuck_since: Option<Timestamp>,
    /// When each route was written lately.
    written: BTreeMap<RouteId, VecDeque<Timestamp>>,
    steps: BTreeMap<u64, (usize, Timestamp)>,
    leaving: Option<(u64, Weight)>,
    /// The share that a rollback has come to, and since when it could have come further.
    standing: Option<(Weight, Timestamp)>,
    rejected: BTreeMap<Hash, u64>,
    good: HashSet<(u64, String, Timestamp)>,
    deployed: bool,
    /// The present release lets stable be smaller than full size.
    keeps_less: bool,
    /// Until then stable may still be on its way back to full size after a rollback.
    regrows_until: Timestamp,
    /// When the Rollout was let go although something of it could not be put to rest.
    let_go: Option<Timestamp>,
    /// Since when nothing has been under way.
    rested_since: Option<Timestamp>,
    /// When the Service that carries the traffic was first seen to have endpoints.
    first_seen: Option<Timestamp>,
    /// Entries of attempts that were persisted, by the attempt's number and the entry's index; `None` once the status was
    /// lost, and with it what had to be told.
    recorded: Option<BTreeMap<(u64, u64), Entry>>,
}

type Law = Result<(), String>;

fn law(holds: bool, what: impl FnOnce() -> String) -> Law {
    if holds { Ok(()) } else { Err(what()) }
}

/// A state on one line.
pub(super) fn short(state: &State) -> String {
    let doing = match &state.stage {
        Stage::Deploying => "deploying".to_owned(),
        Stage::Resting => "resting".to_owned(),
        Stage::Releasing(release) => format!(
            "releasing {}#{} step {}/{} goal {}{}{}",
            release.canary.hash,
            release.canary.number,
            release.step,
            release.recipe.steps.len(),
            release.goal,
            if release.preflight.is_some() { " preflight" } else { "" },
            if release.shrunk.is_some() { " shrunk" } else { "" },
        ),
        Stage::Promoting(promotion) => format!("promoting, old {}", promotion.old.hash),
        Stage::Leaving(leaving) => format!("leaving {} {:?}", leaving.canary.hash, leaving.why),
    };
    let binding = |binding: &crate::traffic::Binding| {
        format!("{}{}", binding.decided, if binding.is_moving() { "?" } else { "" })
    };
    format!(
        "[{doing}; stable {}; {} decided, {} in force; bound {} / {}]",
        state.stable.hash,
        state.split.decided,
        state.split.in_force,
        binding(&state.bindings.stable),
        binding(&state.bindings.canary),
    )
}

impl Laws {
    pub(super) fn new(faults: Faults) -> Self {
        Self {
            faults,
            excused_until: Timestamp::UNIX_EPOCH,
            canary_ports_excused: false,
            sizes: Vec::new(),
            edits: BTreeMap::new(),
            edited: 0,
            put_back: 0,
            stuck_since: None,
            written: BTreeMap::new(),
            steps: BTreeMap::new(),
            leaving: None,
            standing: None,
            rejected: BTreeMap::new(),
            good: HashSet::new(),
            deployed: false,
            keeps_less: false,
            regrows_until: Timestamp::UNIX_EPOCH,
            let_go: None,
            rested_since: None,
            first_seen: None,
            recorded: Some(BTreeMap::new()),
        }
    }

    /// Something happened to the traffic that is nobody's fault; for as long as it may take to be put right.
    pub(super) fn excuse(&mut self, now: Timestamp) {
        self.excused_until = now.checked_add(SignedDuration::from_mins(3)).unwrap();
    }

    /// What Git declares of ports is wrong of whatever is released next.
    pub(super) fn excuse_canary_ports(&mut self) {
        self.canary_ports_excused = true;
    }

    /// Numbers of attempts may be given anew, and of what was rejected the sets alone know.
    pub(super) fn status_lost(&mut self, world: &World) {
        self.steps.clear();
        self.recorded = None;
        self.rejected.retain(|hash, _| world.sets.get(hash).is_some_and(|set| set.rejected.is_some()));
    }

    /// Somebody else wrote a route's weight.
    pub(super) fn edited(&mut self, route: usize, weight: Weight, world: &World) {
        self.edits.insert(route, (world.now, weight));
        self.edited += 1;
        self.excuse(world.now);
    }

    /// True in runs in which nothing keeps the operator from seeing and writing at once.
    fn is_swift(&self) -> bool {
        let Faults { crashes, lag, refusals, lost_answers, delayed_writes, outages, .. } = self.faults;
        !(crashes || lag || refusals || lost_answers || delayed_writes || outages)
    }

    pub(super) fn check_pass(&mut self, passed: &Passed, world: &World, rollout: &Rollout) -> Law {
        self.note_recorded(passed);
        for action in &passed.plan.actions {
            self.giving_is_carried(passed, action, world, rollout)?;
            if rollout.replicas > 0 {
                Self::nothing_in_use_is_taken_away(passed, action, rollout)?;
            }
        }
        if self.keeps_less && passed.plan.state.as_ref().is_some_and(|state| matches!(state.stage, Stage::Leaving(_))) {
            self.regrow(world.now);
        }
        if passed.plan.facts.contains(&Fact::LetGo) && Kind::ALL.iter().any(|kind| world.refusal(*kind).is_some()) {
            self.let_go = Some(world.now);
        }
        self.check_pass_of_pods(passed, world, rollout)?;
        self.a_restart_keeps_capacity(passed, world, rollout)?;
        Self::pods_come_after_their_service(passed)?;
        self.edits_are_put_back_once(passed)?;
        self.a_promotion_rests_once(passed)?;
        self.nobody_is_fought(passed, world)?;
        Self::deletion_makes_nothing(passed, rollout)?;
        if rollout.deleted_at.is_none() {
            Self::failure_is_heeded(passed)?;
            Self::the_way_back_is_in_the_same_pass(passed)?;
        }
        self.no_data_is_no_success(passed)?;
        self.going_forward_needs_evidence(passed)?;
        Self::a_share_needs_a_pod(passed, rollout)?;
        self.a_rollback_is_monotone(passed, world, rollout)?;
        self.steps_follow_one_another(passed, world)?;
        self.rejected_stays_rejected(passed, world, rollout)?;
        Self::healing_is_asymmetric(passed)?;
        self.a_lost_status_is_no_first_deployment(passed, world)?;
        Self::decided_before_done(passed, world)
    }
}
