//! One run: a Rollout, a cluster, an operator and what happens to them, drawn from a seed.

mod desk;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;

use super::faults::{Disturbances, Faults};
use super::laws::Laws;
use super::mutants::Planner;
use super::process::{Fate, Process};
use super::releases;
use super::source::Source;
use super::timeline::Timeline;
use super::world::{Kind, Known, Service, World};
use super::writes::Write;
use crate::analysis::{Question, Token};
use crate::plan::Action;
use crate::spec::{Rollout, Spec};
use crate::traffic::{Carrier, Weight};

/// How a run ended.
pub(super) struct End {
    pub(super) events: u64,
    pub(super) phase: &'static str,
}

/// A law was broken.
pub(super) struct Broken {
    /// Which, and how.
    pub(super) law: String,
    /// The disturbances until then.
    pub(super) struck: BTreeSet<u64>,
    /// Events until then.
    pub(super) events: u64,
    /// What led to it.
    pub(super) timeline: Timeline,
}

/// Something that happens at an instant.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    Sync(Kind),
    Slices(String, usize),
    PodsChange,
    Accept(usize),
    ProxyWeight(usize),
    ProxyEndpoints(String),
    OtherProxyEndpoints(String),
    Answer(Box<Question>, u64),
    Wake,
    Mischief,
    /// Git puts back what somebody deleted.
    Restore,
    /// The operator that lost its lease writes once more.
    Ghost,
    /// A write that timed out arrives.
    Arrive(Box<Write>),
    /// Writes of a kind are taken again; of all kinds after the API server was gone.
    Recover(Option<Kind>),
    /// The Service that clients call has this port of the pods from now on.
    Ports(u16),
    /// Routes name the Services that Git declares.
    Rename,
    /// A selector that somebody gave a Service is taken out again.
    GiveBack(String),
    /// Whatever is wrong with a route is mended.
    Mend(usize),
    /// Somebody sets a route's weight, and will so many times more.
    Rewrite(usize, Weight, u32),
}

/// A run has a few hundred events, one in which everything goes wrong a few thousand.
const MOST_EVENTS: u64 = 30_000;
/// Virtual time after which nothing goes wrong any more.
const CALM_AFTER: Duration = Duration::from_mins(12);
/// Virtual time within which everything must have come to rest after that.
const REST_WITHIN: Duration = Duration::from_mins(90);

/// A run under way.
pub(super) struct Run {
    pub(super) faults: Faults,
    planner: Planner,
    pub(super) world: World,
    pub(super) rollout: Rollout,
    pub(super) process: Process,
    ghost: Option<Process>,
    queue: BTreeMap<(Timestamp, u64), Happening>,
    counter: u64,
    seen: BTreeMap<Kind, u64>,
    waking_pods: BTreeSet<Timestamp>,
    asked: HashSet<Token>,
    epoch: u64,
    pub(super) source: Source,
    /// What it says of one metric only.
    pub(super) odd: Option<(String, Source)>,
    /// What the source says of the canary it says of stable as well.
    pub(super) stable_fails: bool,
    calm_at: Timestamp,
    pub(super) laws: Laws,
    events: u64,
    pub(super) disturbances: Disturbances,
    timeline: Option<Timeline>,
}

impl Run {
    pub(super) fn new(seed: u64, faults: Faults) -> Self {
        Self::with(crate::plan::plan, seed, faults)
    }

    /// A run with another planner than the real one.
    pub(super) fn with(planner: Planner, seed: u64, faults: Faults) -> Self {
        Self::of(planner, seed, faults, None)
    }

    /// A run in which only the disturbances of these numbers happen, if any are given.
    pub(super) fn of(planner: Planner, seed: u64, faults: Faults, kept: Option<Rc<BTreeSet<u64>>>) -> Self {
        let mut world = World::new(seed, faults.carrier);
        world.slow_pods = faults.pods_fail && world.dice.chance(30);
        world.min_ready = jiff::SignedDuration::from_secs(world.dice.of(&[0, 0, 0, 5]));
        if world.dice.chance(25) && faults.carrier != Carrier::Pods {
            for name in [super::world::STABLE, super::world::CANARY] {
                world.services.insert(name.to_owned(), Service::of_git());
            }
        }
        world.routes.iter_mut().for_each(|route| route.spills = faults.spilling);
        let rollout = Rollout { targets: world.targets(), ..releases::rollout(&mut world.dice, faults.carrier) };
        let mut rollout = rollout;
        if let Ok(spec) = &mut rollout.spec {
            settle_for(spec, faults);
        }
        let process = Process::start(&world, planner);
        let calm_at = world.later(CALM_AFTER);
        let source = world.dice.of(&[Source::Good, Source::Good, Source::Good, Source::Bad, Source::Empty]);
        let stable_fails = world.dice.chance(20);
        let laws = Laws::new(faults);
        let mut run = Self {
            faults,
            planner,
            world,
            rollout,
            process,
            ghost: None,
            queue: BTreeMap::new(),
            counter: 0,
            seen: BTreeMap::new(),
            waking_pods: BTreeSet::new(),
            asked: HashSet::new(),
            epoch: 0,
            source,
            odd: None,
            stable_fails,
            calm_at,
            laws,
            events: 0,
            disturbances: Disturbances::new(seed, faults, kept),
            timeline: None,
        };
        run.schedule(Duration::ZERO, Happening::Wake);
        run.process.next_wake = Some(run.world.now);
        // A second template, and then whatever else happens.
        let mischief =
            1 + run.world.dice.below(if faults.people || faults.pods_fail || faults.outages { 8 } else { 3 });
        for index in 0..mischief {
            let at = Duration::from_secs(20 + 80 * index) + run.world.dice.up_to(60_000);
            run.schedule(at, Happening::Mischief);
        }
        run
    }

    /// A run in which only what the story tells happens.
    pub(super) fn quiet(rollout: Rollout, carrier: Carrier) -> Self {
        let mut run = Self::new(1, Faults { carrier, ..Faults::default() });
        run.queue.retain(|_, happening| !matches!(happening, Happening::Mischief));
        run.source = Source::Good;
        run.odd = None;
        run.stable_fails = false;
        run.world.min_ready = jiff::SignedDuration::ZERO;
        run.world.services.clear();
        run.world.declare_routes_in_git();
        run.rollout = Rollout { targets: run.world.targets(), ..rollout };
        run
    }

    /// Lets time go on until `done`, or until nothing more happens within the given time.
    pub(super) fn until(&mut self, within: Duration, done: impl Fn(&World) -> bool) -> bool {
        let over = self.world.later(within);
        self.follow_up();
        self.pass().unwrap();
        self.follow_up();
        while !done(&self.world) {
            match self.queue.first_key_value() {
                Some(((at, _), _)) if *at <= over => {}
                _ => {
                    self.world.now = over;
                    return false;
                }
            }
            let Some(((at, _), happening)) = self.queue.pop_first() else { return false };
            self.world.now = self.world.now.max(at);
            self.events += 1;
            self.happen(happening).unwrap();
            self.follow_up();
            self.laws.check_world(&self.world, &self.rollout).unwrap();
        }
        true
    }

    /// Events so far.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// Plays until an instant.
    pub(super) fn until_then(&mut self, then: Timestamp) {
        while self.queue.first_key_value().is_some_and(|((at, _), _)| *at <= then) {
            let Some(((at, _), happening)) = self.queue.pop_first() else { return };
            self.world.now = self.world.now.max(at);
            self.happen(happening).unwrap();
            self.follow_up();
        }
    }

    /// What the metric source says from now on.
    pub(super) fn source_says(&mut self, source: Source) {
        self.source = source;
    }

    /// The status that would be written now.
    pub(super) fn report(&mut self) -> crate::report::Report {
        self.process.pass(&mut self.world, &self.rollout.clone(), &mut || Fate::Done).plan.report
    }

    /// Keeps what happens from here on.
    pub(super) fn told(mut self) -> Self {
        self.timeline = Some(Timeline::from(self.world.now));
        self
    }

    /// Runs until all is at rest, or a law is broken.
    pub(super) fn play(mut self) -> Result<End, Box<Broken>> {
        self.play_on().map_err(|law| {
            let struck = self.disturbances.struck().clone();
            Box::new(Broken { law, struck, events: self.events, timeline: self.timeline.unwrap_or_default() })
        })
    }

    fn play_on(&mut self) -> Result<End, String> {
        let over = self.calm_at.checked_add(jiff::SignedDuration::try_from(REST_WITHIN).unwrap()).unwrap();
        while let Some(((at, _), happening)) = self.queue.pop_first() {
            if at > over {
                break;
            }
            self.world.now = self.world.now.max(at);
            self.events += 1;
            if self.events > MOST_EVENTS {
                return Err(format!("storm: {MOST_EVENTS} events and no end"));
            }
            self.happen(happening)?;
            self.follow_up();
            self.laws.check_world(&self.world, &self.rollout)?;
        }
        let last = self.process.pass(&mut self.world, &self.rollout.clone(), &mut || Fate::Done);
        self.note(|| format!("at the end: {:?} {}", last.plan.report.phase, last.plan.report.message));
        self.laws.check_end(&last, &self.world, &self.rollout)?;
        Ok(End { events: self.events, phase: last.plan.report.phase.as_str() })
    }

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        let now = self.world.now;
        if let Some(timeline) = &mut self.timeline {
            timeline.note(now, line());
        }
    }

    pub(super) fn schedule(&mut self, after: Duration, happening: Happening) {
        self.counter += 1;
        self.queue.insert((self.world.later(after), self.counter), happening);
    }

    pub(super) fn is_calm(&self) -> bool {
        self.world.now >= self.calm_at
    }

    fn happen(&mut self, happening: Happening) -> Result<(), String> {
        match happening {
            // Nothing is delivered while nobody is there to deliver it; the end of it delivers everything.
            Happening::Sync(_) if self.world.gone => {}
            Happening::Sync(kind) => {
                if self.process.sync(&self.world, kind) {
                    self.pass()?;
                }
            }
            Happening::Slices(name, index) => self.world.sync_slice(&name, index),
            Happening::Ports(target) => {
                self.world.ports = vec![super::world::port(target)];
                self.world.changed(Kind::Services);
            }
            Happening::Rename => self.rename_backends(),
            Happening::GiveBack(name) => self.give_back(&name),
            Happening::Mend(index) => {
                let route = &mut self.world.routes[index];
                (route.broken, route.refused, route.ignored) = (false, None, false);
                route.generation += 1;
                self.world.changed(Kind::Routes);
            }
            Happening::PodsChange => {
                self.world.changed(Kind::Sets);
            }
            Happening::Accept(index) => {
                let route = &mut self.world.routes[index];
                if !route.ignored {
                    route.accepted = route.generation;
                    self.world.changed(Kind::Routes);
                }
            }
            Happening::ProxyWeight(index) => self.world.proxies.routes[index] = Known::of(&self.world.routes[index]),
            Happening::ProxyEndpoints(name) => {
                if let Some(parts) = self.world.slices.get(&name).cloned() {
                    self.world.proxies.behind.insert(name, parts);
                }
            }
            Happening::OtherProxyEndpoints(name) => {
                if let Some(parts) = self.world.slices.get(&name).cloned() {
                    self.world.proxies.other_node.insert(name, parts);
                }
            }
            Happening::Answer(question, epoch) => {
                if epoch == self.epoch {
                    self.asked.remove(&question.token);
                    self.answer(&question);
                    self.pass()?;
                }
            }
            Happening::Wake => {
                if self.process.next_wake.is_some_and(|wake| wake <= self.world.now) {
                    self.process.next_wake = None;
                    self.pass()?;
                }
            }
            Happening::Mischief => self.mischief(),
            Happening::Restore => self.restore(),
            Happening::Ghost => self.ghost(),
            Happening::Arrive(write) => self.arrive(&write),
            Happening::Recover(kind) => self.recover(kind)?,
            Happening::Rewrite(route, weight, left) => self.rewrite(route, weight, left),
        }
        Ok(())
    }

    pub(super) fn pass(&mut self) -> Result<(), String> {
        if self.world.gone && self.process.needs_reading() {
            return Ok(());
        }
        let calm = self.is_calm();
        let disturbances = &mut self.disturbances;
        let mut fate = || if calm { Fate::Done } else { disturbances.fate() };
        let rollout = self.rollout.clone();
        let passed = self.process.pass(&mut self.world, &rollout, &mut fate);
        if let Some(timeline) = &mut self.timeline {
            timeline.pass(self.world.now, &passed);
        }
        self.laws.check_pass(&passed, &self.world, &rollout)?;
        if passed.wrote.iter().any(|action| matches!(action, Action::KeepReplicas { .. })) {
            self.rollout.replicas_given = true;
        }
        if passed.crashed {
            self.epoch += 1;
            self.asked.clear();
            let successor = Process::start(&self.world, self.planner);
            let former = std::mem::replace(&mut self.process, successor);
            if self.faults.two_at_once && self.disturbances.strikes() {
                self.ghost = Some(former);
                let delay = self.disturbances.up_to(4_000);
                self.schedule(delay, Happening::Ghost);
            }
            self.process.next_wake = Some(self.world.later(Duration::from_secs(1)));
        }
        if let Some(wake) = self.process.next_wake {
            self.counter += 1;
            self.queue.insert((wake.max(self.world.now), self.counter), Happening::Wake);
        }
        for question in self.process.questions.clone() {
            self.send(question);
        }
        Ok(())
    }

    /// The former leader's last pass, on what it knew: every write carries a version, so that it can do no more than a
    /// pass of the present one could.
    fn ghost(&mut self) {
        if let Some(mut ghost) = self.ghost.take() {
            let passed = ghost.pass(&mut self.world, &self.rollout.clone(), &mut || Fate::Done);
            if let Some(timeline) = &mut self.timeline {
                timeline.ghost(self.world.now, &passed);
            }
        }
    }

    /// What follows in the cluster from what changed.
    fn follow_up(&mut self) {
        self.world.register();
        for (delay, write) in std::mem::take(&mut self.world.under_way) {
            self.schedule(delay, Happening::Arrive(Box::new(write)));
        }
        for kind in Kind::ALL {
            let version = self.world.versions[&kind];
            if self.seen.insert(kind, version) == Some(version) {
                continue;
            }
            let delay = self.disturbances.lag(1_800);
            self.schedule(delay, Happening::Sync(kind));
            match kind {
                Kind::Sets | Kind::Services => {
                    for (name, index) in self.slice_names() {
                        // Now and then longer than anything settles.
                        let most = if self.world.dice.chance(10) { 9_000 } else { 1_200 };
                        let delay = self.disturbances.lag(most);
                        self.schedule(delay, Happening::Slices(name, index));
                    }
                    self.wake_pods();
                }
                Kind::Slices => {
                    for name in self.world.slices.keys().cloned().collect::<Vec<_>>() {
                        if !self.world.carrier.shares_by_pods() {
                            let delay = self.world.dice.up_to(self.proxy_lag());
                            self.schedule(delay, Happening::ProxyEndpoints(name));
                            continue;
                        }
                        // Each node at its own time.
                        let delays = [self.world.dice.up_to(self.proxy_lag()), self.world.dice.up_to(self.proxy_lag())];
                        self.schedule(delays[0], Happening::ProxyEndpoints(name.clone()));
                        self.schedule(delays[1], Happening::OtherProxyEndpoints(name));
                    }
                }
                Kind::Routes => {
                    for index in 0..self.world.routes.len() {
                        if self.world.routes[index].accepted != self.world.routes[index].generation {
                            let delay = self.disturbances.lag(900);
                            self.schedule(delay, Happening::Accept(index));
                        }
                        let delay = self.world.dice.up_to(self.proxy_lag());
                        self.schedule(delay, Happening::ProxyWeight(index));
                    }
                }
                Kind::Status | Kind::Reports => {}
            }
        }
    }

    /// Every slice that there is, or is to be.
    fn slice_names(&self) -> Vec<(String, usize)> {
        let names: BTreeSet<_> = self.world.services.keys().chain(self.world.slices.keys()).cloned().collect();
        names.into_iter().flat_map(|name| [(name.clone(), 0), (name, 1)]).collect()
    }

    /// Proxies follow before anything settles, or, where they are slow, after it now and then.
    fn proxy_lag(&self) -> u64 {
        if self.faults.slow_proxies { 6_000 } else { 2_000 }
    }

    fn wake_pods(&mut self) {
        let now = self.world.now;
        let ready = |set: &super::world::Set| {
            let min_ready = set.min_ready;
            set.pods.iter().flat_map(move |pod| [pod.ready_from, pod.ready_from + min_ready]).collect::<Vec<_>>()
        };
        let coming: BTreeSet<_> = self.world.sets.values().flat_map(ready).filter(|at| *at > now).collect();
        for at in coming {
            if self.waking_pods.insert(at) {
                self.counter += 1;
                self.queue.insert((at, self.counter), Happening::PodsChange);
            }
        }
    }
}

/// A route that Git does not list yet may name stableService and need all of it, which nobody can know: whoever moves routes
/// keeps stable whole.
pub(super) fn settle_for(spec: &mut Spec, faults: Faults) {
    if faults.moves {
        spec.keep_stable = Weight::FULL;
    }
}
