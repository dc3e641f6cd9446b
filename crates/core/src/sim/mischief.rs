//! What nobody but people, GitOps tools, autoscalers, webhooks and nodes do.

use std::time::Duration;

use super::releases;
use super::run::{Happening, Run, Source};
use super::world::Kind;
use crate::names::{Hash, Side};
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
            50..60 => {
                let all = [Source::Good, Source::Bad, Source::Empty, Source::Down, Source::NotANumber];
                self.source = self.world.dice.of(&all);
                format!("the metric source is {:?}", self.source)
            }
            60..66 if faults.people => self.set_weight(),
            66..68 if faults.people => self.set_weight_again_and_again(),
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
            86..89 if faults.people => self.delete_route(),
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

    fn declare_another_template(&mut self) -> String {
        let template = self.world.dice.below(4);
        self.rollout.hash = Hash::new(format!("v{template}"));
        self.rollout.generation += 1;
        format!("{} is declared", self.rollout.hash)
    }

    /// A backup without status is restored.
    fn lose_status(&mut self) -> String {
        self.world.status = None;
        self.world.changed(Kind::Status);
        self.laws.excuse(self.world.now);
        "the status is lost".to_owned()
    }

    fn break_spec(&mut self) -> String {
        self.rollout.spec = match &self.rollout.spec {
            Ok(_) => Err(Problem::missing(Reason::InvalidAnalysis, "no such template")),
            Err(_) => Ok(releases::spec(&mut self.world.dice)),
        };
        format!("the spec is {}", if self.rollout.spec.is_ok() { "another one" } else { "broken" })
    }

    fn command(&mut self) -> String {
        let verbs = [Verb::Promote, Verb::PromoteFull, Verb::Abort, Verb::Retry, Verb::Pause, Verb::Resume];
        let verb = self.world.dice.of(&verbs);
        let id = self.world.dice.next().to_string();
        self.rollout.command = Some(Ok(Command { verb, hash: self.rollout.hash.clone(), id }));
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
    pub(super) fn arrive(&mut self, write: &super::writes::Write) {
        if write.fits(&self.world) && self.world.refusal(write.kind()).is_none() {
            self.note(|| format!("* a write arrives late: {write:?}"));
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
        if self.world.routes.get(route).is_some_and(|route| route.exists && route.weight != weight) {
            self.edit_route(route, weight);
        }
        self.schedule(Duration::from_secs(1), Happening::Rewrite(route, weight, left - 1));
    }

    pub(super) fn edit_route(&mut self, index: usize, weight: Weight) {
        let route = &mut self.world.routes[index];
        route.weight = weight;
        route.generation += 1;
        self.world.changed(Kind::Routes);
        self.laws.edited(index, weight, &self.world);
    }

    /// Somebody edits the selector of a Service and leaves its labels alone.
    fn set_selector(&mut self) -> String {
        let side = self.world.dice.of(&[Side::Stable, Side::Canary]);
        let hashes: Vec<_> = self.world.sets.keys().cloned().collect();
        let (Some(service), false) = (self.world.services.get(&side).cloned(), hashes.is_empty()) else {
            return "there is no selector to edit".to_owned();
        };
        let selector = self.world.dice.of(&hashes);
        self.world.select(side, &selector, &service.label);
        self.world.changed(Kind::Services);
        self.laws.excuse(self.world.now);
        format!("somebody has {side} select {selector}")
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
            if !std::mem::replace(&mut self.world.routes[index].exists, true) {
                self.edit_route(index, Weight::ZERO);
            }
        }
        self.note(|| "* routes come back as Git has them".to_owned());
    }

    fn delete_service(&mut self) -> String {
        let side = self.world.dice.of(&[Side::Stable, Side::Canary]);
        self.world.services.remove(&side);
        self.world.slices.remove(&side);
        self.world.changed(Kind::Services);
        self.world.changed(Kind::Slices);
        self.laws.excuse(self.world.now);
        format!("somebody deletes {side}")
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
