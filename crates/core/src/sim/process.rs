//! The operator as it meets the modelled cluster: caches by kind, expectations, and a desk of questions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::mutants::Planner;
use super::world::{Kind, Parts, Route, Service, World, endpoints};
use super::writes::Write;
use crate::analysis::{Answer, Question};
use crate::names::Hash;
use crate::observed::{Look, Observed, OtherService, ParentService, ServiceView, SetView, Sighted};
use crate::plan::{Action, Persist, Plan, Restart};
use crate::spec::Rollout;
use crate::state::State;
use crate::traffic::{Port, Targets};

/// What the caches hold, each as of its own version.
#[derive(Clone, Default)]
pub(super) struct Caches {
    pub(super) versions: BTreeMap<Kind, u64>,
    pub(super) status: Option<State>,
    pub(super) finalizer: bool,
    pub(super) sets: BTreeMap<Hash, SetView>,
    pub(super) generations: BTreeMap<Hash, u64>,
    pub(super) services: BTreeMap<String, Service>,
    pub(super) slices: BTreeMap<String, Parts>,
    pub(super) routes: Vec<Route>,
    pub(super) ports: Vec<Port>,
    /// What the reports are known to have, where that was read or written.
    pub(super) reports: BTreeMap<u64, u64>,
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
    sighted: Sighted,
    wants_words_of: Option<Hash>,
    restart: Option<Restart>,
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
            sighted: Sighted::default(),
            wants_words_of: None,
            restart: None,
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
        let was_stale = self.is_stale(kind);
        self.caches.versions.insert(kind, world.clock);
        self.unsure.remove(&kind);
        let changed = match kind {
            Kind::Status => {
                self.caches.status.clone_from(&world.status);
                self.caches.finalizer = world.finalizer;
                old.status != self.caches.status || old.finalizer != self.caches.finalizer
            }
            Kind::Sets => {
                self.caches.sets = world.sets.iter().map(|(hash, set)| (hash.clone(), set.view(world.now))).collect();
                self.caches.generations = world.sets.iter().map(|(hash, set)| (hash.clone(), set.generation)).collect();
                old.sets != self.caches.sets
            }
            Kind::Services => {
                self.caches.services.clone_from(&world.services);
                self.caches.ports.clone_from(&world.ports);
                old.services != self.caches.services || old.ports != self.caches.ports
            }
            Kind::Slices => {
                self.caches.slices.clone_from(&world.slices);
                old.slices != self.caches.slices
            }
            Kind::Routes => {
                self.caches.routes.clone_from(&world.routes);
                old.routes != self.caches.routes
            }
            Kind::Reports => {
                self.caches.reports = world.reports.iter().map(|(number, told)| (*number, told.through())).collect();
                old.reports != self.caches.reports
            }
        };
        changed || was_stale
    }

    fn is_stale(&self, kind: Kind) -> bool {
        let seen = self.caches.versions.get(&kind).copied().unwrap_or(0);
        self.unsure.contains(&kind) || seen < self.expected.get(&kind).copied().unwrap_or(0)
    }

    /// True when no pass is possible before the API server has been asked.
    pub(super) fn needs_reading(&self) -> bool {
        self.passes == 0 || !self.unsure.is_empty() || self.is_stale(Kind::Status)
    }

    /// The names in force: those that are persisted, else those that are declared.
    pub(super) fn names(&self, rollout: &Rollout) -> Targets {
        let persisted = self.caches.status.as_ref().and_then(|state| state.targets.clone());
        persisted.unwrap_or_else(|| rollout.targets.clone())
    }

    pub(super) fn observe(&self, world: &World, rollout: &Rollout) -> Observed {
        let names = self.names(rollout);
        let service = |name: &str| match self.caches.services.get(name) {
            _ if self.is_stale(Kind::Services) => Look::Stale,
            Some(service) => Look::Seen(service.view()),
            None => Look::Missing,
        };
        let slices = |name: &str| endpoints(self.caches.slices.get(name), self.caches.services.get(name));
        let is_known = |route: &&Route| names.route(&route.id).or_else(|| rollout.targets.route(&route.id)).is_some();
        let route = |route: &Route| {
            (route.id.clone(), if self.is_stale(Kind::Routes) { Look::Stale } else { route.view(&names) })
        };
        Observed {
            now: world.clock_now(),
            first_pass: self.passes == 0,
            live: self.live,
            sets: if self.is_stale(Kind::Sets) { Look::Stale } else { Look::Seen(self.caches.sets.clone()) },
            service: ParentService::Fits,
            ports: Some(self.caches.ports.clone()),
            named_ports: Some([80].into()),
            stable_service: service(&names.stable_service),
            canary_service: service(&names.canary_service),
            other_services: self.other_services(rollout, &names, &service),
            stable_endpoints: slices(&names.stable_service),
            canary_endpoints: slices(&names.canary_service),
            routes: self.caches.routes.iter().filter(is_known).map(route).collect(),
            answers: self.answers.clone(),
            words: self.wants_words_of.as_ref().map(|hash| world.words_of(hash)),
            old_pods: self.restart.as_ref().map(|restart| world.old_pods(restart)),
            trial: None,
            reports: self.caches.reports.clone(),
            finalizer: self.caches.finalizer,
            refused: self.refused.clone(),
            sighted: self.sighted.clone(),
        }
    }

    fn other_services(
        &self,
        rollout: &Rollout,
        names: &Targets,
        service: &dyn Fn(&str) -> Look<ServiceView>,
    ) -> Vec<OtherService> {
        let retired = self.caches.status.iter().flat_map(|state| &state.retired).map(|it| &it.service);
        let declared = [&rollout.targets.stable_service, &rollout.targets.canary_service];
        let others: BTreeSet<_> = declared.into_iter().chain(retired).filter(|name| !names.has_service(name)).collect();
        let is_named = |name: &String| {
            self.caches.routes.iter().any(|route| route.exists && (route.stable == *name || route.canary == *name))
        };
        let other = |name: &String| OtherService { name: name.clone(), service: service(name), named: is_named(name) };
        others.into_iter().map(other).collect()
    }

    /// One pass: observe, plan, persist, act. `fate` says how each write ends.
    pub(super) fn pass(&mut self, world: &mut World, rollout: &Rollout, fate: &mut dyn FnMut() -> Fate) -> Passed {
        for kind in self.unsure.clone() {
            self.sync(world, kind);
        }
        if self.is_stale(Kind::Status) {
            self.sync(world, Kind::Status);
        }
        let mut observed = self.observe(world, rollout);
        let mut before = self.caches.status.clone();
        let first = self.passes == 0;
        let mut decided = (self.planner)(rollout, before.as_ref(), &observed);
        if decided.wants_live {
            for kind in Kind::ALL {
                self.sync(world, kind);
            }
            self.live = true;
            observed = self.observe(world, rollout);
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
        if may_act {
            self.sighted.clone_from(&passed.plan.sighted);
        }
        self.wants_words_of.clone_from(&passed.plan.wants_words_of);
        self.restart.clone_from(&passed.plan.wants_old_pods);
        if self.write_later {
            let due = after(self.last_written, 10);
            self.next_wake = Some(self.next_wake.map_or(due, |wake| wake.min(due)));
        }
        let has_reported = passed.wrote.iter().any(|action| matches!(action, Action::Report { .. }));
        if has_reported && !passed.crashed {
            // What a report has can be dropped.
            self.next_wake = Some(world.now);
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
                let latest = passed.observed.answers.iter().map(|answer| answer.at).max();
                self.answers.retain(|answer| latest.is_none_or(|latest| answer.at > latest));
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
        let names = passed.plan.state.as_ref().and_then(|state| state.targets.clone()).unwrap_or_default();
        for action in passed.plan.actions.clone() {
            let ahead = long_refused && action.is_safety();
            if !(may_act || ahead) {
                continue;
            }
            if matches!(&action, Action::Report { record, .. } if !self.caches.reports.contains_key(&record.canary.number))
            {
                self.sync(world, Kind::Reports);
            }
            let write = Write::of(&action, &self.caches, &names);
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
                if kind == Kind::Reports && fate == Fate::Done {
                    self.sync(world, kind);
                }
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
