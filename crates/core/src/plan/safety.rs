//! What protects users' traffic, before anything else: failing verdicts, crash loops, and a share larger than the pods
//! that are ready can carry.

use std::time::Duration;

use super::questions::Asked;
use super::{Pass, after};
use crate::analysis::Scope;
use crate::analysis::tally::Call;
use crate::names::{Hash, Side};
use crate::split::Weight;
use crate::state::{Shrunk, Stage};

/// Pods that came back must stay ready for this long before their share comes back.
const READY_AGAIN_FOR: Duration = Duration::from_secs(30);
/// Restarts of one container, since the step began, that make a crash loop.
const CRASH_LOOP: u32 = 2;

impl Pass<'_> {
    pub(super) fn keep_safe(&mut self) {
        self.fold_answers();
        self.fold_comparison();
        self.heed_verdicts();
        self.heed_crashes();
        self.keep_share_within_pods();
        if matches!(self.state.stage, Stage::Leaving(_)) {
            self.leave();
        }
    }

    fn heed_verdicts(&mut self) {
        let Some(release) = self.release() else { return };
        if release.preflight.is_some() {
            return;
        }
        let since = release.window_start();
        let calls = release.asked().into_iter().filter_map(|Asked { token, metric }| {
            let tally = release.tally(token.metric.scope, &metric.name)?;
            Some((tally.call(&metric, since, 1), token.metric.scope, metric, tally.clone()))
        });
        let Some((call, scope, metric, tally)) = calls.min_by_key(|(call, ..)| *call) else { return };
        let Some(last) = tally.last else { return };
        let place = if scope == Scope::Background { "background analysis" } else { "step analysis" };
        let value =
            if last.judgement.value.is_empty() { String::new() } else { format!(" is {}", last.judgement.value) };
        let counts = format!(
            "{} of {} measurements failed, limit {}; weight {} in force since {}",
            tally.failures,
            tally.measurements,
            metric.failure_limit,
            release.goal,
            super::hold::clock(since)
        );
        let message = format!("{}{value} ({place}): {}; {counts}", metric.name, last.judgement.because);
        match call {
            Call::RollBack => {
                self.reject("AnalysisFailed", message, Some(last.query));
                self.compare_with_stable(metric, since);
            }
            Call::Ask if release.asked.is_none() => {
                self.event(true, "Inconclusive", message.clone());
                if let Some(release) = self.release_mut() {
                    release.asked = Some(message);
                }
            }
            Call::Ask | Call::Hold | Call::Measure | Call::Pass => {}
        }
    }

    /// A canary that crash-loops without a ready pod will not come up by waiting.
    fn heed_crashes(&mut self) {
        let (Some(release), Some(words)) = (self.release(), &self.observed.words) else { return };
        let sets = self.observed.sets.seen();
        let Some(set) = sets.and_then(|sets| sets.get(&release.canary.hash)) else { return };
        if set.ready > 0 && set.available >= self.target().needs(release.base_replicas) {
            return;
        }
        let step_since = release.step_since;
        let looping = words.iter().find(|container| {
            let in_this_step =
                container.created_at >= step_since || container.ended_at.is_some_and(|at| at >= step_since);
            container.restarts >= CRASH_LOOP && in_this_step
        });
        let Some(container) = looping else { return };
        let message = format!(
            "container {} of pod {} restarted {} times: {}",
            container.container, container.pod, container.restarts, container.words
        );
        self.reject("CrashLooping", message, None);
    }

    /// The pods' own words, shortest useful form.
    pub(super) fn words_of_pods(&self, hash: &Hash) -> Option<String> {
        let failure = self.observed.sets.seen().and_then(|sets| sets.get(hash)?.failure.clone());
        let words = self.observed.words.iter().flatten().next();
        words.map(|container| format!("{}/{}: {}", container.pod, container.container, container.words)).or(failure)
    }

    /// I1: a share that the ready pods cannot carry is taken back in the first pass that sees it, where stable can carry
    /// it; it comes back after they have been ready for a while.
    fn keep_share_within_pods(&mut self) {
        let Some(release) = self.release() else { return };
        let (goal, canary) = (release.goal, release.canary.hash.clone());
        if goal == Weight::ZERO || !self.state.bindings.canary.is_in_force(&canary) {
            return;
        }
        let Some(ready) = self.observed.canary_endpoints.ready_of(&canary) else { return };
        let (now, replicas) = (self.now, self.rollout.replicas);
        let mut base = release.base_replicas.min(replicas);
        if ready >= goal.needs(replicas) {
            base = replicas;
        }
        let shrunk = release.shrunk;
        if let Some(release) = self.release_mut() {
            release.base_replicas = base;
        }
        self.note_ready_pods(ready);
        if ready < goal.needs(base) {
            self.shrink(ready, base, shrunk);
        } else if let Some(shrunk) = shrunk {
            let since = shrunk.ready_since.unwrap_or(now);
            let back_at = after(since, READY_AGAIN_FOR);
            if now < back_at {
                self.wake_at(back_at);
                self.set_shrunk(Some(Shrunk { ready_since: Some(since), ..shrunk }));
            } else if self.state.traffic.decided == goal || (self.may_raise() && !self.observed.first_pass) {
                self.set_shrunk(None);
                if self.state.traffic.decided != goal {
                    self.event(false, "ShareRestored", format!("canary pods are ready again: back to {goal}"));
                    self.decide_split(goal);
                }
            }
        }
    }

    fn shrink(&mut self, ready: u32, base: u32, shrunk: Option<Shrunk>) {
        let stable = self.ready(Side::Stable, &self.state.stable.hash.clone());
        let carried = Weight::carried_by(ready, base);
        // Without one ready endpoint every request of the share fails: whatever stable has is better.
        let lowest = if ready == 0 { Weight::ZERO } else { Weight::carried_by(stable, self.rollout.replicas).rest() };
        let share = carried.max(lowest).min(self.state.traffic.decided);
        let since = shrunk.map_or(self.now, |shrunk| shrunk.since);
        self.set_shrunk(Some(Shrunk { since, ready_since: None }));
        if share < self.state.traffic.decided {
            self.event(true, "ShareReduced", format!("{ready} canary pods are ready: share reduced to {share}"));
            self.decide_split(share);
        }
    }

    fn set_shrunk(&mut self, shrunk: Option<Shrunk>) {
        if let Some(release) = self.release_mut() {
            release.shrunk = shrunk;
        }
    }
}
