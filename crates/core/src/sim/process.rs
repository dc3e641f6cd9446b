//! The operator as it meets the modelled cluster: caches by kind, expectations, and a desk of questions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::mutants::Planner;
use super::world::{Kind, Route, Service, Slices, World};
use super::writes::Write;
use crate::analysis::{Answer, Question};
use crate::names::{Hash, Side};
use crate::observed::{Look, Observed, ParentService, SetView};
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
    pub(super) services: BTreeMap<Side, Service>,
    pub(super) slices: BTreeMap<Side, Slices>,
    pub(super) routes: Vec<Route>,
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
    /// Writes that cannot be done at present, with the API server's words.
    refused: Vec<String>,
}

/// How a write ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Done,
    Refused,
    AnswerLost,
    /// No answer comes, and the write arrives so much later.
    Delayed(Duration),
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
            refused: Vec::new(),
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
                self.caches.routes.clone_from(&world.routes);
                old.routes != self.caches.routes
            }
        }
    }

    fn is_stale(&self, kind: Kind) -> bool {
        let seen = self.caches.versions.get(&kind).copied().unwrap_or(0);
        self.unsure.contains(&kind) || seen < self.expected.get(&kind).copied().unwrap_or(0)
    }

    /// True when no pass is possible before the API server has been asked.
    pub(super) fn needs_reading(&self) -> bool {
        self.passes == 0 || !self.unsure.is_empty() || self.is_stale(Kind::Status)
    }

    pub(super) fn observe(&self, world: &World) -> Observed {
        let look = |kind, missing| if self.is_stale(kind) { Look::Stale } else { missing };
        let service = |side| match self.caches.services.get(&side) {
            Some(service) if !self.is_stale(Kind::Services) => Look::Seen(service.view()),
            _ => look(Kind::Services, Look::Missing),
        };
        let slices = |side| self.caches.slices.get(&side).map(Slices::view).unwrap_or_default();
        let route =
            |route: &Route| (route.id.clone(), if self.is_stale(Kind::Routes) { Look::Stale } else { route.view() });
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
            trial: None,
            finalizer: self.caches.finalizer,
            refused: self.refused.clone(),
        }
    }

    /// One pass: observe, plan, persist, act. `fate` says how each write ends.
    pub(super) fn pass(&mut self, world: &mut World, rollout: &Rollout, fate: &mut dyn FnMut() -> Fate) -> Passed {
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
        if decided.wants_trial {
            observed.trial = Some(world.trial(&rollout.hash));
            decided = (self.planner)(rollout, before.as_ref(), &observed);
        }
        self.passes += 1;
        let mut passed = Passed { observed, before, plan: decided, first, crashed: false, wrote: Vec::new() };
        let may_act = self.persist(world, &mut passed, fate);
        if !passed.crashed {
            self.act(world, &mut passed, may_act, fate);
        }
        let persisted = passed.before.as_ref();
        self.questions = if may_act { passed.plan.questions.clone() } else { passed.plan.questions_of(persisted) };
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
    fn persist(&mut self, world: &mut World, passed: &mut Passed, fate: &mut dyn FnMut() -> Fate) -> bool {
        let later =
            passed.plan.persist == Persist::Later && world.later(Duration::ZERO) >= after(self.last_written, 10);
        if passed.plan.persist != Persist::Now && !later {
            self.write_later = passed.plan.persist == Persist::Later;
            return true;
        }
        self.write_later = false;
        let known = self.caches.versions.get(&Kind::Status).copied().unwrap_or(0);
        let write = Write::Status(passed.plan.state.clone().map(Box::new), known);
        let fate = self.send(world, write, fate);
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
            Fate::Refused | Fate::AnswerLost | Fate::Delayed(_) => {
                self.refused_since.get_or_insert(world.now);
                false
            }
        }
    }

    fn act(&mut self, world: &mut World, passed: &mut Passed, may_act: bool, fate: &mut dyn FnMut() -> Fate) {
        self.failed = false;
        self.refused.clear();
        let long_refused = self.refused_since.is_some_and(|since| world.now >= after(since, 2));
        for action in passed.plan.actions.clone() {
            let ahead = long_refused && action.is_safety();
            if !(may_act || ahead) {
                continue;
            }
            let write = Write::of(&action, &self.caches);
            let refusal = world.refusal(write.kind());
            self.refused.extend(refusal.map(|words| format!("cannot {action}: {words}")));
            match self.send(world, write, fate) {
                Fate::Done => passed.wrote.push(action),
                Fate::AnswerLost => {
                    passed.wrote.push(action);
                    self.failed = true;
                }
                Fate::Refused | Fate::Delayed(_) => self.failed = true,
                crash @ (Fate::CrashBefore | Fate::CrashAfter) => {
                    passed.wrote.extend((crash == Fate::CrashAfter).then_some(action));
                    passed.crashed = true;
                    return;
                }
            }
        }
    }

    /// Sends a write; says how it ended.
    fn send(&mut self, world: &mut World, write: Write, fate: &mut dyn FnMut() -> Fate) -> Fate {
        let kind = write.kind();
        let taken = world.refusal(kind).is_none() && write.fits(world);
        let fate = if taken { fate() } else { Fate::Refused };
        match fate {
            Fate::Done | Fate::AnswerLost | Fate::CrashAfter => {
                let version = write.land(world);
                self.expected.insert(kind, version);
            }
            Fate::Delayed(by) => world.under_way.push((by, write)),
            Fate::Refused | Fate::CrashBefore => {}
        }
        if matches!(fate, Fate::Refused | Fate::AnswerLost | Fate::Delayed(_)) {
            self.unsure.insert(kind);
        }
        fate
    }
}

fn after(at: Timestamp, seconds: i64) -> Timestamp {
    at.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap()
}
