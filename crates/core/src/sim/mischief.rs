//! What nobody but people, GitOps tools, autoscalers, webhooks and nodes do.

use std::time::Duration;

use super::releases;
use super::run::{Happening, Run, settle_for};
use super::source::Source;
use super::world::{CANARY, Kind, STABLE, Selects, Service, serves};
use super::writes::Write;
use crate::names::Hash;
use crate::plan::Action;
use crate::spec::{Command, Problem, Reason, Verb};
use crate::traffic::Weight;

impl Run {
    /// One thing, drawn at random.
    pub(super) fn mischief(&mut self) {
        if self.rollout.deleted_at.is_some() {
            return;
        }
        let Some(dice) = self.disturbances.mischief() else { return };
        // A die of its own: leaving this out changes nothing about what comes later.
        let everyday = std::mem::replace(&mut self.world.dice, dice);
        let what = self.something_happens();
        self.world.dice = everyday;
        self.note(|| format!("* {what}"));
        self.schedule(Duration::from_millis(5), Happening::Wake);
        self.process.next_wake = Some(self.world.now);
    }

    fn something_happens(&mut self) -> String {
        let faults = self.faults;
        match self.world.dice.below(100) {
            0..7 | 28..35 if faults.outages => self.go_away(),
            7..14 if faults.scaling => self.autoscale(),
            14..20 if faults.pods_fail => self.weaken_stable(),
            35..48 if faults.pods_fail => self.break_pods(),
            20..28 if faults.clock_steps => self.step_clock(),
            28..31 if faults.people => {
                self.world.refused_templates.push(self.rollout.hash.clone());
                format!("the API server does not take the template of {}", self.rollout.hash)
            }
            48..50 if faults.pods_fail => {
                self.world.never_ready.push(self.rollout.hash.clone());
                format!("pods of {} will not become ready", self.rollout.hash)
            }
            31..48 if faults.moves => self.move_something(),
            50..60 => self.change_source(),
            60..68 if faults.people && self.world.routes.is_empty() => self.set_selector(),
            60..66 if faults.people => self.set_weight(),
            66..68 if faults.people => self.set_weight_again_and_again(),
            20..24 if faults.people || faults.scaling => {
                self.rollout.restart_at = Some(self.world.clock_now());
                "somebody restarts the pods".to_owned()
            }
            24..26 if faults.people || faults.scaling => {
                self.rollout.replicas_given = false;
                "Git does not declare the size any more".to_owned()
            }
            68..74 if faults.people => {
                self.rollout.replicas = u32::try_from(self.world.dice.below(9)).unwrap();
                format!("somebody scales to {}", self.rollout.replicas)
            }
            74..76 if faults.people => self.set_selector(),
            76..79 if faults.people => {
                self.rollout.paused = !self.rollout.paused;
                format!("spec.paused is {}", self.rollout.paused)
            }
            79..83 if faults.people => self.break_spec(),
            83..86 if faults.people => self.lose_status(),
            86..89 if faults.people && !self.world.routes.is_empty() => self.delete_route(),
            89..91 if faults.people => self.delete_service(),
            91..93 if faults.people => self.scale_a_set(),
            93..95 if faults.people => {
                self.rollout.deleted_at = Some(self.world.clock_now());
                "the Rollout is deleted".to_owned()
            }
            84..96 => self.command(),
            _ => self.declare_another_template(),
        }
    }

    fn change_source(&mut self) -> String {
        let all = [Source::Good, Source::Bad, Source::Unclear, Source::Empty, Source::Down, Source::NotANumber];
        let source = self.world.dice.of(&all);
        if self.world.dice.chance(25) {
            let metric = self.world.dice.of(&["background", "latency"]).to_owned();
            self.odd = Some((metric.clone(), source));
            return format!("the metric source is {source:?} of {metric}");
        }
        (self.source, self.odd) = (source, None);
        format!("the metric source is {source:?}")
    }

    /// Another template may serve another port; the Service that clients call is edited just before or after it.
    fn declare_another_template(&mut self) -> String {
        let template = self.world.dice.below(4);
        self.rollout.hash = Hash::new(format!("v{template}"));
        self.rollout.generation += 1;
        let port = serves(&self.rollout.hash);
        if self.faults.moves && self.world.dice.chance(50) {
            let delay = self.world.dice.up_to(2_000);
            self.schedule(delay, Happening::Ports(port));
        } else {
            self.world.ports = vec![super::world::port_of(self.world.carrier, &self.rollout.hash)];
            self.world.changed(Kind::Services);
        }
        format!("{} is declared", self.rollout.hash)
    }

    /// What Git declares of Services and routes changes, and the routes themselves.
    fn move_something(&mut self) -> String {
        self.rollout.generation += 1;
        match self.world.dice.below(10) {
            0..4 => {
                let targets = &mut self.rollout.targets;
                targets.canary_service = self.world.dice.of(&[CANARY, "shop-c2", "shop-c3"]).to_owned();
                if self.world.dice.chance(30) {
                    targets.stable_service = self.world.dice.of(&[STABLE, "shop-s2"]).to_owned();
                }
                let names = format!("{} and {}", targets.stable_service, targets.canary_service);
                let delay = self.world.dice.up_to(5_000);
                self.schedule(delay, Happening::Rename);
                self.laws.excuse(self.world.now);
                format!("Git declares the Services {names}")
            }
            4..7 if self.world.routes.len() > 1 => {
                let all = self.world.targets().routes;
                let listed = self.rollout.targets.routes.len();
                self.rollout.targets.routes = if listed > 1 { all[..1].to_vec() } else { all };
                format!("Git lists {} routes", self.rollout.targets.routes.len())
            }
            7 => {
                let target = self.world.dice.of(&[8080, 9090]);
                self.world.ports = vec![super::world::port(target)];
                self.world.changed(Kind::Services);
                self.laws.excuse_canary_ports();
                format!("the Service that clients call leads to port {target}")
            }
            8 => self.conflict(),
            _ => self.spoil_route(),
        }
    }

    /// Somebody gives one of the Services a selector of their own, for a while.
    fn conflict(&mut self) -> String {
        let name = self.world.dice.of(&[STABLE, CANARY]);
        let lasts = Duration::from_secs(5) + self.world.dice.up_to(60_000);
        let Some(service) = self.world.service(name).cloned() else { return "there is no Service to take".to_owned() };
        self.world.write_service(name, Service { selects: Selects::Others, label: None, ..service });
        self.world.changed(Kind::Services);
        self.schedule(lasts, Happening::GiveBack(name.to_owned()));
        self.laws.excuse(self.world.now);
        format!("somebody has {name} select pods of their own for {} s", lasts.as_secs())
    }

    /// The selector is taken out again, as the message says.
    pub(super) fn give_back(&mut self, name: &str) {
        if let Some(service) = self.world.service(name).cloned().filter(|it| it.selects == Selects::Others) {
            self.world.write_service(name, Service { selects: Selects::Nothing, ..service });
            self.world.changed(Kind::Services);
            self.laws.excuse(self.world.now);
            self.note(|| format!("* {name} has no selector any more"));
        }
    }

    /// An implementation refuses a route, or somebody makes something of it that cannot be split, for a while.
    fn spoil_route(&mut self) -> String {
        let index = usize::try_from(self.world.dice.below(self.world.routes.len() as u64)).unwrap();
        let lasts = Duration::from_secs(5) + self.world.dice.up_to(120_000);
        let refused = self.world.dice.chance(50);
        let route = &mut self.world.routes[index];
        if refused {
            route.refused = Some("BackendNotFound".to_owned());
        } else {
            route.broken = true;
        }
        self.world.changed(Kind::Routes);
        self.schedule(lasts, Happening::Mend(index));
        let what = if refused { "is refused" } else { "cannot be split" };
        format!("route {index} {what} for {} s", lasts.as_secs())
    }

    /// Git's routes name the Services that are declared now, at rest.
    pub(super) fn rename_backends(&mut self) {
        let names = self.rollout.targets.clone();
        for route in self.world.routes.iter_mut().filter(|route| !route.id.created_by_us) {
            route.stable.clone_from(&names.stable_service);
            route.canary.clone_from(&names.canary_service);
            route.set(Weight::ZERO);
            route.held = false;
        }
        self.laws.excuse(self.world.now);
        self.world.changed(Kind::Routes);
        self.note(|| format!("* routes name {} and {}", names.stable_service, names.canary_service));
    }

    /// A backup without status is restored.
    fn lose_status(&mut self) -> String {
        self.world.status = None;
        self.world.changed(Kind::Status);
        self.laws.status_lost(&self.world);
        self.laws.excuse(self.world.now);
        "the status is lost".to_owned()
    }

    fn break_spec(&mut self) -> String {
        self.rollout.spec = if self.rollout.spec.is_ok() {
            Err(Problem::missing(Reason::InvalidAnalysis, "no such template"))
        } else {
            let mut spec = releases::spec(&mut self.world.dice, self.world.carrier);
            settle_for(&mut spec, self.faults);
            Ok(spec)
        };
        format!("the spec is {}", if self.rollout.spec.is_ok() { "another one" } else { "broken" })
    }

    fn command(&mut self) -> String {
        let verb = self.world.dice.of(&Verb::ALL);
        let id = self.world.dice.bits().to_string();
        self.rollout.command = Some(Ok(Command { verb, hash: self.rollout.hash.clone(), id, reason: None }));
        format!("somebody says {} {}", verb.as_str(), self.rollout.hash)
    }

    fn break_pods(&mut self) -> String {
        let hashes: Vec<_> = self.world.sets.keys().cloned().collect();
        if hashes.is_empty() {
            return "no pod fails".to_owned();
        }
        let hash = self.world.dice.of(&hashes);
        self.break_pods_of(&hash)
    }

    /// The worst moment for stable to lose pods is the one in which the canary fails.
    fn weaken_stable(&mut self) -> String {
        let Some(stable) = self.world.status.as_ref().map(|state| state.stable.hash.clone()) else {
            return "there is no stable to weaken".to_owned();
        };
        self.source = Source::Bad;
        format!("the metric source is Bad, and {}", self.break_pods_of(&stable))
    }

    fn break_pods_of(&mut self, hash: &Hash) -> String {
        let back = self.world.dice.of(&[5_000, 20_000, 60_000]);
        let most = 1 + self.world.dice.below(8);
        let from = self.world.now.checked_add(jiff::SignedDuration::from_millis(back)).unwrap();
        let pods = self.world.sets.get_mut(hash).into_iter().flat_map(|set| &mut set.pods);
        pods.take(usize::try_from(most).unwrap()).for_each(|pod| pod.ready_from = from);
        self.laws.excuse(self.world.now);
        self.world.changed(Kind::Sets);
        format!("up to {most} pods of {hash} fail for {} s", back / 1000)
    }

    /// The autoscaler has no hand in what the laws of traffic ask for: it is never excused.
    fn autoscale(&mut self) -> String {
        self.rollout.replicas = u32::try_from(1 + self.world.dice.below(12)).unwrap();
        format!("the autoscaler wants {} pods", self.rollout.replicas)
    }

    /// Writes of one kind are refused for a while, or the API server is gone.
    fn go_away(&mut self) -> String {
        // The worst moment for that is the one in which the canary fails.
        if self.world.dice.chance(50) {
            self.source = Source::Bad;
        }
        let lasts = Duration::from_secs(5) + self.world.dice.up_to(120_000);
        let seconds = lasts.as_secs();
        let all = [None, Some(Kind::Status), Some(Kind::Sets), Some(Kind::Services), Some(Kind::Routes)];
        match self.world.dice.of(&all) {
            None => {
                self.world.gone = true;
                self.schedule(lasts.min(Duration::from_mins(1)), Happening::Recover(None));
                format!("the API server is gone for {} s, the metric source is {:?}", seconds.min(60), self.source)
            }
            Some(kind) => {
                self.world.refusing.insert(kind, "admission webhook \"policy\" denied the request");
                self.schedule(lasts, Happening::Recover(Some(kind)));
                format!("{kind:?} cannot be written for {seconds} s, the metric source is {:?}", self.source)
            }
        }
    }

    /// The end of it. Watches deliver what they missed; an operator that started meanwhile starts now.
    pub(super) fn recover(&mut self, kind: Option<Kind>) -> Result<(), String> {
        let Some(kind) = kind else {
            self.world.gone = false;
            self.note(|| "* the API server is back".to_owned());
            for kind in Kind::ALL {
                self.process.sync(&self.world, kind);
            }
            return self.pass();
        };
        self.world.refusing.remove(&kind);
        self.note(|| format!("* {kind:?} can be written again"));
        Ok(())
    }

    /// A write that timed out reaches the API server, which takes it if what it was decided on still holds.
    pub(super) fn arrive(&mut self, write: &Write) {
        if write.fits(&self.world) && self.world.refusal(write.kind()).is_none() {
            self.note(|| format!("* a write arrives late: {write:?}"));
            // Nobody can know of it before it is seen: pods are missing until then.
            if let Write::Act(Action::ScaleSet { from, to, .. }, ..) = write
                && to < from
            {
                self.laws.excuse(self.world.now);
            }
            write.land(&mut self.world);
        }
    }

    fn set_weight(&mut self) -> String {
        let weight = Weight::clamped(u32::try_from(self.world.dice.below(101)).unwrap());
        let index = usize::try_from(self.world.dice.below(self.world.routes.len() as u64)).unwrap();
        self.edit_route(index, weight);
        format!("somebody sets route {index} to {weight}")
    }

    fn set_weight_again_and_again(&mut self) -> String {
        let weight = Weight::clamped(u32::try_from(self.world.dice.below(101)).unwrap());
        let times = 10 + u32::try_from(self.world.dice.below(110)).unwrap();
        self.schedule(Duration::ZERO, Happening::Rewrite(0, weight, times));
        format!("somebody sets route 0 to {weight} each second for {times} s")
    }

    pub(super) fn rewrite(&mut self, route: usize, weight: Weight, left: u32) {
        if left == 0 || self.is_calm() {
            return;
        }
        if self.world.routes.get(route).is_some_and(|route| route.exists && !route.rules.contains(&weight)) {
            self.edit_route(route, weight);
        }
        self.schedule(Duration::from_secs(1), Happening::Rewrite(route, weight, left - 1));
    }

    /// Somebody writes the weights of a route, or of one of its rules. One of a Rollout that was let go is theirs.
    pub(super) fn edit_route(&mut self, index: usize, weight: Weight) {
        if self.rollout.deleted_at.is_some() && !self.world.finalizer {
            return;
        }
        let one = self.world.dice.chance(50);
        let route = &mut self.world.routes[index];
        match route.rules.last_mut() {
            Some(rule) if one => *rule = weight,
            _ => route.rules.iter_mut().for_each(|rule| *rule = weight),
        }
        route.generation += 1;
        route.held = false;
        self.world.changed(Kind::Routes);
        self.laws.edited(index, weight, &self.world);
    }

    /// Somebody edits the selector of a Service and leaves its labels alone.
    fn set_selector(&mut self) -> String {
        let name = self.world.dice.of(&[STABLE, CANARY]);
        let hashes: Vec<_> = self.world.sets.keys().cloned().collect();
        let (Some(service), false) = (self.world.service(name).cloned(), hashes.is_empty()) else {
            return "there is no selector to edit".to_owned();
        };
        let selector = self.world.dice.of(&hashes);
        self.world.write_service(name, Service { selects: Selects::Only(selector.clone()), ..service });
        self.world.changed(Kind::Services);
        self.laws.excuse(self.world.now);
        format!("somebody has {name} select {selector}")
    }

    fn scale_a_set(&mut self) -> String {
        let hashes: Vec<_> = self.world.sets.keys().cloned().collect();
        if hashes.is_empty() {
            return "there is no set to scale".to_owned();
        }
        let hash = self.world.dice.of(&hashes);
        let to = u32::try_from(self.world.dice.below(9)).unwrap();
        self.world.scale(&hash, to);
        self.world.changed(Kind::Sets);
        self.laws.excuse(self.world.now);
        format!("somebody scales the set of {hash} to {to}")
    }

    fn delete_route(&mut self) -> String {
        let index = usize::try_from(self.world.dice.below(self.world.routes.len() as u64)).unwrap();
        self.world.routes[index].exists = false;
        self.world.changed(Kind::Routes);
        self.laws.excuse(self.world.now);
        let delay = self.world.dice.up_to(90_000);
        self.schedule(delay, Happening::Restore);
        format!("somebody deletes route {index}")
    }

    /// Routes come back as Git has them: at rest.
    pub(super) fn restore(&mut self) {
        for index in 0..self.world.routes.len() {
            let route = &mut self.world.routes[index];
            if !route.exists && !route.id.created_by_us {
                route.exists = true;
                self.edit_route(index, Weight::ZERO);
                self.world.routes[index].set(Weight::ZERO);
            }
        }
        self.note(|| "* routes come back as Git has them".to_owned());
    }

    fn delete_service(&mut self) -> String {
        let name = self.world.dice.of(&[STABLE, CANARY]);
        self.world.services.remove(name);
        self.world.slices.remove(name);
        self.world.changed(Kind::Services);
        self.world.changed(Kind::Slices);
        self.laws.excuse(self.world.now);
        format!("somebody deletes {name}")
    }

    /// Waits are counted on the wall clock, the only one that outlives a restart: one that is set forward cuts short what
    /// is settling or draining just then, and traffic may feel it.
    fn step_clock(&mut self) -> String {
        let before = self.world.skew;
        self.world.skew = self.world.dice.of(&[-600, -30, 0, 30, 600]);
        if self.world.skew > before {
            self.laws.excuse(self.world.now);
        }
        format!("the clock is set from {before} s to {} s", self.world.skew)
    }
}
