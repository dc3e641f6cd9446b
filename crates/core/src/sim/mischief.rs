//! What nobody but people, GitOps tools and nodes do.

use std::time::Duration;

use super::releases;
use super::run::{Happening, Run, Source};
use super::world::Kind;
use crate::names::{Hash, Side};
use crate::spec::{Command, Problem, Reason, Verb};
use crate::split::Weight;

impl Run {
    /// One thing, drawn at random.
    pub(super) fn mischief(&mut self) {
        if self.rollout.deleted_at.is_some() {
            return;
        }
        let roll = self.world.dice.below(100);
        let (people, pods) = (self.faults.people, self.faults.pods_fail);
        match roll {
            35..48 if pods => self.break_pods(),
            48..50 if pods => self.world.never_ready.push(self.rollout.hash.clone()),
            50..60 => {
                self.source =
                    self.world.dice.of(&[Source::Good, Source::Bad, Source::Empty, Source::Down, Source::NotANumber]);
            }
            60..68 if people => {
                let weight = Weight::clamped(u32::try_from(self.world.dice.below(101)).unwrap());
                let index = usize::try_from(self.world.dice.below(self.world.routes.len() as u64)).unwrap();
                self.world.routes[index].weight = weight;
                self.world.routes[index].generation += 1;
                self.world.changed(Kind::Routes);
                self.laws.excuse(self.world.now);
            }
            68..76 if people => self.rollout.replicas = u32::try_from(self.world.dice.below(9)).unwrap(),
            76..80 if people => self.rollout.paused = !self.rollout.paused,
            80..84 if people => self.break_spec(),
            84..88 if people => self.lose_status(),
            88..91 if people => self.delete_route(),
            91..93 if people => self.delete_service(),
            93..95 if people => self.rollout.deleted_at = Some(self.world.clock_now()),
            20..28 if self.faults.clock_steps => self.step_clock(),
            84..96 => self.command(),
            _ => self.declare_another_template(),
        }
        let (hash, replicas, source) = (self.rollout.hash.clone(), self.rollout.replicas, self.source);
        let command = self.rollout.command.clone();
        self.note(|| format!("MISCHIEF {roll}: declared {hash} x{replicas}, source {source:?}, command {command:?}"));
        self.schedule(Duration::from_millis(5), Happening::Wake);
        self.process.next_wake = Some(self.world.now);
    }

    fn declare_another_template(&mut self) {
        let template = self.world.dice.below(4);
        self.rollout.hash = Hash::new(format!("v{template}"));
        self.rollout.generation += 1;
    }

    /// A backup without status is restored.
    fn lose_status(&mut self) {
        self.world.status = None;
        self.world.changed(Kind::Status);
        self.laws.excuse(self.world.now);
    }

    fn break_spec(&mut self) {
        self.rollout.spec = match &self.rollout.spec {
            Ok(_) => Err(Problem { reason: Reason::InvalidAnalysis, message: "no such template".to_owned() }),
            Err(_) => Ok(releases::spec(&mut self.world.dice)),
        };
    }

    fn command(&mut self) {
        let verbs = [Verb::Promote, Verb::PromoteFull, Verb::Abort, Verb::Retry, Verb::Pause, Verb::Resume];
        let verb = self.world.dice.of(&verbs);
        let id = self.world.dice.next().to_string();
        self.rollout.command = Some(Ok(Command { verb, hash: self.rollout.hash.clone(), id }));
    }

    fn break_pods(&mut self) {
        let hashes: Vec<_> = self.world.sets.keys().cloned().collect();
        if hashes.is_empty() {
            return;
        }
        let hash = self.world.dice.of(&hashes);
        let now = self.world.now;
        let back = self.world.dice.of(&[5_000, 20_000, 60_000]);
        let most = 1 + self.world.dice.below(8);
        let set = self.world.sets.get_mut(&hash).unwrap();
        for pod in set.pods.iter_mut().take(usize::try_from(most).unwrap()) {
            pod.ready_from = now.checked_add(jiff::SignedDuration::from_millis(back)).unwrap();
        }
        self.laws.excuse(self.world.now);
        self.world.changed(Kind::Sets);
    }

    fn delete_route(&mut self) {
        let index = usize::try_from(self.world.dice.below(self.world.routes.len() as u64)).unwrap();
        self.world.routes[index].exists = false;
        self.world.changed(Kind::Routes);
        self.laws.excuse(self.world.now);
        let delay = self.world.dice.up_to(90_000);
        self.schedule(delay, Happening::Restore);
    }

    /// Routes come back as Git has them: at rest.
    pub(super) fn restore(&mut self) {
        for route in self.world.routes.iter_mut().filter(|route| !route.exists) {
            route.exists = true;
            route.weight = Weight::ZERO;
            route.generation += 1;
        }
        self.world.changed(Kind::Routes);
        self.laws.excuse(self.world.now);
    }

    fn delete_service(&mut self) {
        let side = self.world.dice.of(&[Side::Stable, Side::Canary]);
        self.world.services.remove(&side);
        self.world.slices.remove(&side);
        self.world.changed(Kind::Services);
        self.world.changed(Kind::Slices);
        self.laws.excuse(self.world.now);
    }

    /// Waits are counted on the wall clock, the only one that outlives a restart: one that is set forward cuts short what
    /// is settling or draining just then, and traffic may feel it.
    fn step_clock(&mut self) {
        let before = self.world.skew;
        self.world.skew = self.world.dice.of(&[-600, -30, 0, 30, 600]);
        if self.world.skew > before {
            self.laws.excuse(self.world.now);
        }
    }
}
