//! The operator as it meets the modelled cluster: caches by kind, expectations, and a desk of questions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::mutants::Planner;
use super::world::{Kind, World};
use crate::analysis::{Answer, Question};
use crate::names::{Hash, Side};
use crate::observed::{Endpoints, Look, Observed, ParentService, RouteId, RouteView, ServiceView, SetView};
use crate::plan::{Action, Persist, Plan};
use crate::spec::Rollout;
use crate::state::State;

/// What the caches hold, each as of its own version.
#[derive(Clone, Default)]
pub(super) struct Caches {
    pub(super) versions: BTreeMap<Kind, u64>,
    pub(super) status: Option<State>,
    pub(super) finalizer: bool,
    pub(super) sets: BTreeMap<Hash, SetView>,
    pub(super) services: BTreeMap<Side, Hash>,
    pub(super) slices: BTreeMap<Side, Endpoints>,
    pub(super) routes: Vec<(RouteId, Option<RouteView>)>,
}

/// The running operator; everything in here is lost in a crash.
pub(super) struct Process {
    pub(super) caches: Caches,
    expected: BTreeMap<Kind, u64>,
    /// Kinds whose last write got no answer: to be read before they are believed.
    unsure: BTreeSet<Kind>,
    passes: u64,
    live: bool,
    pub(super) answers: Vec<Answer>,
    pub(super) questions: Vec<Question>,
    pub(super) next_wake: Option<Timestamp>,
    last_written: Timestamp,
    refused_since: Option<Timestamp>,
    failed: bool,
    write_later: bool,
    planner: Planner,
    wants_words_of: Option<Hash>,
}

/// How a write ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Done,
    Refused,
    AnswerLost,
    CrashBefore,
    CrashAfter,
}

/// What one pass was and did, for the laws and the timeline.
pub(super) struct Passed {
    pub(super) observed: Observed,
    pub(super) before: Option<State>,
    pub(super) plan: Plan,
    pub(super) first: bool,
    pub(super) crashed: bool,
    pub(super) wrote: Vec<Action>,
}

impl Process {
    /// A start: every cache is filled by a list.
    pub(super) fn start(world: &World, planner: Planner) -> Self {
        let mut process = Self {
            caches: Caches::default(),
            expected: BTreeMap::new(),
            unsure: BTreeSet::new(),
            passes: 0,
            live: false,
            answers: Vec::new(),
            questions: Vec::new(),
            next_wake: None,
            last_written: Timestamp::UNIX_EPOCH,
            refused_since: None,
            failed: false,
            write_later: false,
            planner,
            wants_words_of: None,
        };
        for kind in Kind::ALL {
            process.sync(world, kind);
        }
        process
    }

    /// A watch event, or a list: the cache of a kind becomes what is true. Says whether anything changed.
    pub(super) fn sync(&mut self, world: &World, kind: Kind) -> bool {
        let old = self.caches.clone();
        self.caches.versions.insert(kind, world.clock);
        self.unsure.remove(&kind);
        match kind {
            Kind::Status => {
                self.caches.status.clone_from(&world.status);
                self.caches.finalizer = world.finalizer;
                old.status != self.caches.status || old.finalizer != self.caches.finalizer
            }
            Kind::Sets => {
                self.caches.sets = world.sets.iter().map(|(hash, set)| (hash.clone(), set.view(world.now))).collect();
                old.sets != self.caches.sets
            }
            Kind::Services => {
                self.caches.services.clone_from(&world.services);
                old.services != self.caches.services
            }
            Kind::Slices => {
                self.caches.slices.clone_from(&world.slices);
                old.slices != self.caches.slices
            }
            Kind::Routes => {
                let view = |route: &super::world::Route| (route.id.clone(), route.exists.then(|| route.view()));
                self.caches.routes = world.routes.iter().map(view).collect();
                old.routes != self.caches.routes
            }
        }
    }

    fn is_stale(&self, kind: Kind) -> bool {
        let seen = self.caches.versions.get(&kind).copied().unwrap_or(0);
        self.unsure.contains(&kind) || seen < self.expected.get(&kind).copied().unwrap_or(0)
    }

    fn observe(&self, world: &World) -> Observed {
        let look = |kind, missing| if self.is_stale(kind) { Look::Stale } else { missing };
        let service = |side| match self.caches.services.get(&side) {
            Some(hash) if !self.is_stale(Kind::Services) => {
                Look::Seen(ServiceView { bound: Some(hash.clone()), created_by_us: true, ..ServiceView::default() })
            }
            _ => look(Kind::Services, Look::Missing),
        };
        let slices = |side| self.caches.slices.get(&side).cloned().unwrap_or_default();
        let route = |(id, view): &(RouteId, Option<RouteView>)| {
            let seen = view.clone().map_or(Look::Missing, Look::Seen);
            (id.clone(), if self.is_stale(Kind::Routes) { Look::Stale } else { seen })
        };
        Observed {
            now: world.clock_now(),
            first_pass: self.passes == 0,
            live: self.live,
            sets: if self.is_stale(Kind::Sets) { Look::Stale } else { Look::Seen(self.caches.sets.clone()) },
            service: ParentService::Fits,
            stable_service: service(Side::Stable),
            canary_service: service(Side::Canary),
            stable_endpoints: slices(Side::Stable),
            canary_endpoints: slices(Side::Canary),
            routes: self.caches.routes.iter().map(route).collect(),
            answers: self.answers.clone(),
            words: self.wants_words_of.as_ref().map(|hash| world.words_of(hash)),
            finalizer: self.caches.finalizer,
        }
    }

    /// One pass: observe, plan, persist, act. `fate` says how each write ends.
    pub(super) fn pass(
        &mut self,
        world: &mut World,
        rollout: &Rollout,
        fate: &mut dyn FnMut(&mut World) -> Fate,
    ) -> Passed {
        for kind in self.unsure.clone() {
            self.sync(world, kind);
        }
        if self.is_stale(Kind::Status) {
            self.sync(world, Kind::Status);
        }
        let mut observed = self.observe(world);
        let mut before = self.caches.status.clone();
        let first = self.passes == 0;
        let mut decided = (self.planner)(rollout, before.as_ref(), &observed);
        if decided.wants_live {
            for kind in Kind::ALL {
                self.sync(world, kind);
            }
            self.live = true;
            observed = self.observe(world);
            before = self.caches.status.clone();
            decided = (self.planner)(rollout, before.as_ref(), &observed);
            self.live = false;
        }
        self.passes += 1;
        let mut passed = Passed { observed, before, plan: decided, first, crashed: false, wrote: Vec::new() };
        let may_act = self.persist(world, &mut passed, fate);
        if !passed.crashed {
            self.act(world, &mut passed, may_act, fate);
        }
        self.questions = passed.plan.questions.clone();
        self.next_wake = passed.plan.next_wake.map(|wake| world.true_time(wake));
        self.wants_words_of.clone_from(&passed.plan.wants_words_of);
        if self.write_later {
            let due = after(self.last_written, 10);
            self.next_wake = Some(self.next_wake.map_or(due, |wake| wake.min(due)));
        }
        // The shell's backoff: a pass in which a write failed is followed by another.
        if (!may_act || self.failed) && !passed.crashed {
            let soon = world.later(Duration::from_millis(500));
            self.next_wake = Some(self.next_wake.map_or(soon, |wake| wake.min(soon)));
        }
        passed
    }

    /// Says whether all actions may follow; only safety may where the status could not be written for 2 s.
    fn persist(&mut self, world: &mut World, passed: &mut Passed, fate: &mut dyn FnMut(&mut World) -> Fate) -> bool {
        let later =
            passed.plan.persist == Persist::Later && world.later(Duration::ZERO) >= after(self.last_written, 10);
        if passed.plan.persist != Persist::Now && !later {
            self.write_later = passed.plan.persist == Persist::Later;
            return true;
        }
        self.write_later = false;
        let known = self.caches.versions.get(&Kind::Status).copied().unwrap_or(0);
        let conflict = known < world.versions.get(&Kind::Status).copied().unwrap_or(0);
        let fate = if conflict { Fate::Refused } else { fate(world) };
        if matches!(fate, Fate::Done | Fate::AnswerLost | Fate::CrashAfter) {
            world.status.clone_from(&passed.plan.state);
            let version = world.changed(Kind::Status);
            self.expected.insert(Kind::Status, version);
        }
        match fate {
            Fate::Done => {
                self.caches.status.clone_from(&world.status);
                self.caches.versions.insert(Kind::Status, world.clock);
                self.answers.retain(|answer| answer.at > passed.observed.now);
                self.last_written = world.now;
                self.refused_since = None;
                true
            }
            Fate::CrashBefore | Fate::CrashAfter => {
                passed.crashed = true;
                false
            }
            Fate::Refused | Fate::AnswerLost => {
                self.unsure.insert(Kind::Status);
                self.refused_since.get_or_insert(world.now);
                false
            }
        }
    }

    fn act(&mut self, world: &mut World, passed: &mut Passed, may_act: bool, fate: &mut dyn FnMut(&mut World) -> Fate) {
        self.failed = false;
        let long_refused = self.refused_since.is_some_and(|since| world.now >= after(since, 2));
        for action in passed.plan.actions.clone() {
            let ahead = long_refused && action.is_safety();
            if !(may_act || ahead) {
                continue;
            }
            let kind = kind_of(&action);
            let fate = if self.is_outdated(world, kind) { Fate::Refused } else { fate(world) };
            if matches!(fate, Fate::Done | Fate::AnswerLost | Fate::CrashAfter) {
                apply(world, &action);
                let version = world.changed(kind);
                self.expected.insert(kind, version);
                passed.wrote.push(action);
            }
            match fate {
                Fate::Done => {}
                Fate::Refused | Fate::AnswerLost => {
                    self.unsure.insert(kind);
                    self.failed = true;
                }
                Fate::CrashBefore | Fate::CrashAfter => {
                    passed.crashed = true;
                    return;
                }
            }
        }
    }

    /// Every write carries the resourceVersion that it was decided on; writes of the same pass follow one another.
    fn is_outdated(&self, world: &World, kind: Kind) -> bool {
        let known =
            self.caches.versions.get(&kind).copied().unwrap_or(0).max(self.expected.get(&kind).copied().unwrap_or(0));
        known < world.versions.get(&kind).copied().unwrap_or(0)
    }
}

fn after(at: Timestamp, seconds: i64) -> Timestamp {
    at.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap()
}

fn kind_of(action: &Action) -> Kind {
    match action {
        Action::CreateSet { .. } | Action::ScaleSet { .. } | Action::MarkSet { .. } | Action::DeleteSet { .. } => {
            Kind::Sets
        }
        Action::Bind { .. } | Action::Unbind { .. } => Kind::Services,
        Action::Split { .. } => Kind::Routes,
        Action::AddFinalizer | Action::RemoveFinalizer => Kind::Status,
    }
}

fn apply(world: &mut World, action: &Action) {
    match action {
        Action::CreateSet { hash, replicas, number } => {
            world.sets.entry(hash.clone()).or_default().wanted = *replicas;
            world.sets.get_mut(hash).unwrap().number = *number;
            world.resize(hash);
        }
        Action::ScaleSet { hash, to, .. } => {
            world.sets.get_mut(hash).unwrap().wanted = *to;
            world.resize(hash);
        }
        Action::MarkSet { hash, number, rejected } => {
            let set = world.sets.get_mut(hash).unwrap();
            set.number = *number;
            set.rejected.clone_from(rejected);
        }
        Action::DeleteSet { hash } => {
            world.sets.remove(hash);
        }
        Action::Bind { side, hash } => {
            world.services.insert(*side, hash.clone());
        }
        Action::Unbind { side } => {
            world.services.remove(side);
        }
        Action::Split { route, weight, .. } => {
            let route = world.routes.iter_mut().find(|known| known.id == *route).unwrap();
            route.weight = *weight;
            route.generation += 1;
        }
        Action::AddFinalizer => world.finalizer = true,
        Action::RemoveFinalizer => world.finalizer = false,
    }
}
