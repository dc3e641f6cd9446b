//! The way forward, one step at a time. A weight is raised only onto pods that were seen ready behind a binding in force,
//! and only past a gate that was passed at the present weight.

use super::hold::Hold;
use super::{Pass, after};
use crate::analysis::Scope;
use crate::analysis::metric::Metric;
use crate::analysis::tally::Call;
use crate::analysis::verdict::Verdict;
use crate::names::{Hash, Side};
use crate::observed::Look;
use crate::spec::{Step, Verb};
use crate::split::Weight;
use crate::state::{Clock, Promotion, Stage};

/// How often pods that do not come up are looked at: a crash loop need not change any status that is watched.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_secs(5);

impl Pass<'_> {
    /// The share that the present step brings the canary to.
    pub(super) fn target(&self) -> Weight {
        let Some(release) = self.release() else { return Weight::ZERO };
        if release.preflight.is_some() {
            return Weight::ZERO;
        }
        match release.recipe.steps.get(release.step).filter(|_| !release.skip) {
            Some(Step::SetWeight(weight)) => *weight,
            Some(_) => release.goal,
            None => Weight::FULL,
        }
    }

    pub(super) fn step(&mut self) -> bool {
        let Some(release) = self.release() else { return false };
        match release.recipe.steps.get(release.step).filter(|_| !release.skip).cloned() {
            Some(Step::SetWeight(weight)) => self.bring_to(weight) && self.end_step(),
            Some(Step::Pause(duration)) => self.pause(duration),
            Some(Step::Analysis(metrics)) => self.analyse(&metrics),
            None => self.bring_to(Weight::FULL) && self.commit(),
        }
    }

    pub(super) fn end_step(&mut self) -> bool {
        let now = self.now;
        let Some(release) = self.release_mut() else { return false };
        let ended = release.step;
        let of = release.recipe.steps.len();
        if ended < of {
            release.step += 1;
        }
        release.step_since = now;
        release.measured.clear();
        release.most_ready = 0;
        release.clock = Clock::default();
        let weight = release.goal;
        if ended < of {
            self.event(false, "StepCompleted", format!("step {}/{of} done, canary at {weight}", ended + 1));
        }
        true
    }

    /// What holds a release back whatever its step: less than the decided share, or somebody who wants it to wait.
    fn held(&self) -> Option<Hold> {
        let release = self.release()?;
        if release.shrunk.is_some() {
            let ready = self.observed.canary_endpoints.ready_of(&release.canary.hash).unwrap_or(0);
            let needed = release.goal.needs(release.base_replicas);
            let words = self.words_of_pods(&release.canary.hash);
            return Some(Hold::Pods { available: ready, needed, words });
        }
        if self.is_contended() {
            let message =
                "the weights are rewritten by somebody else again and again: find who else manages these routes"
                    .to_owned();
            return Some(Hold::Problem(crate::spec::Problem { reason: crate::spec::Reason::RouteContended, message }));
        }
        if let Some(problem) = self.problem() {
            return Some(Hold::Problem(problem));
        }
        if release.goal_since.is_some() && !self.routes_are_at(self.state.traffic.decided) {
            return Some(Hold::Route(self.route_behind(self.state.traffic.decided)));
        }
        if let Some(what) = &release.asked {
            let hash = release.canary.hash.clone();
            return Some(Hold::Person { what: what.clone(), verb: Verb::Promote, hash });
        }
        if release.paused {
            let hash = release.canary.hash.clone();
            return Some(Hold::Person { what: "paused by command".to_owned(), verb: Verb::Resume, hash });
        }
        self.rollout.paused.then_some(Hold::SpecPaused)
    }

    /// True once the canary has exactly this share, in force.
    fn bring_to(&mut self, weight: Weight) -> bool {
        let Some(release) = self.release().cloned() else { return false };
        let canary = release.canary.hash.clone();
        if let Some(hold) = self.held() {
            self.look_into_pods();
            return self.wait(hold);
        }
        let Look::Seen(sets) = &self.observed.sets else { return self.wait(Hold::Unseen("the ReplicaSets")) };
        let needed = self.pods_for(weight);
        let available = sets.get(&canary).map_or(0, |set| set.available.min(set.wanted));
        if available < needed {
            self.note_ready_pods(available);
            self.look_into_pods();
            let words = self.words_of_pods(&canary);
            return self.wait(Hold::Pods { available, needed, words });
        }
        if self.state.bindings.canary.decided != canary {
            if self.most_canary() != Weight::ZERO {
                return self.wait(Hold::Route(self.route_behind(Weight::ZERO)));
            }
            self.decide_binding(Side::Canary, &canary);
        }
        if !self.state.bindings.canary.is_in_force(&canary) {
            return self.wait_for_binding(Side::Canary, &canary, needed);
        }
        let ready = self.observed.canary_endpoints.ready_of(&canary).unwrap_or(0);
        if ready < weight.needs(self.rollout.replicas) {
            return self.wait(Hold::Endpoints { side: Side::Canary, ready, needed });
        }
        if self.state.traffic.decided != weight {
            if weight > release.goal
                && let Some(hold) = self.gate()
            {
                return self.wait(hold);
            }
            if weight < release.goal {
                let stable = self.ready(Side::Stable, &self.state.stable.hash.clone());
                let needed = weight.rest().needs(self.rollout.replicas);
                if stable < needed {
                    return self.wait(Hold::Endpoints { side: Side::Stable, ready: stable, needed });
                }
            }
            self.event(false, "WeightDecided", format!("canary goes from {} to {weight}", release.goal));
            self.decide_split(weight);
        }
        let replicas = self.rollout.replicas;
        if let Some(release) = self.release_mut()
            && release.goal != weight
        {
            release.goal = weight;
            release.goal_since = None;
            release.base_replicas = replicas;
        }
        if !self.routes_are_at(weight) {
            return self.wait(Hold::Route(self.route_behind(weight)));
        }
        if self.state.traffic.in_force != weight {
            return self.wait_for_settled_split();
        }
        let now = self.now;
        if let Some(release) = self.release_mut() {
            release.goal_since.get_or_insert(now);
        }
        self.reset_clock();
        true
    }

    /// Pods for a share: at least one, so that a step without traffic has something to test.
    pub(super) fn pods_for(&self, weight: Weight) -> u32 {
        weight.needs(self.rollout.replicas).max(u32::from(self.rollout.replicas > 0))
    }

    /// More canary pods than ever in this step is progress: the deadline's clock starts anew.
    pub(super) fn note_ready_pods(&mut self, available: u32) {
        if let Some(release) = self.release_mut()
            && available > release.most_ready
        {
            release.most_ready = available;
            release.clock = Clock::default();
        }
    }

    /// Asks for the canary pods' own words.
    fn look_into_pods(&mut self) {
        if let Some(canary) = self.release().map(|release| release.canary.hash.clone()) {
            self.look_into_pods_of(canary);
        }
    }

    pub(super) fn look_into_pods_of(&mut self, hash: Hash) {
        self.wants_words_of = Some(hash);
        self.wake_at(after(self.now, LOOK_AGAIN));
    }

    /// What keeps a weight from being raised, as far as background analysis goes.
    pub(super) fn gate(&self) -> Option<Hold> {
        let release = self.release()?;
        let background = release.recipe.background.as_ref()?;
        if !release.background_runs() {
            return None;
        }
        let since = release.window_start();
        background.metrics.iter().find_map(|metric| {
            let tally = release.tally(Scope::Background, &metric.name).cloned().unwrap_or_default();
            if release.skip {
                let failing = tally.last.as_ref().is_some_and(|last| last.judgement.verdict == Verdict::Failure);
                return failing.then(|| Hold::Measuring(format!("{} fails at present", metric.name)));
            }
            if metric.count.is_some_and(|count| tally.measurements >= count) {
                return None;
            }
            not_passed(metric, &tally, tally.call(metric, since, 0))
        })
    }

    /// True when nothing speaks against giving the canary back what was decided for it: less traffic may have left a
    /// metric without data, so that only a failure counts here.
    pub(super) fn may_raise(&self) -> bool {
        let Some(release) = self.release() else { return true };
        !release.asked().iter().any(|asked| {
            let tally = release.tally(asked.token.metric.scope, &asked.metric.name);
            tally.and_then(|tally| tally.last.as_ref()).is_some_and(|last| last.judgement.verdict == Verdict::Failure)
        })
    }

    fn pause(&mut self, duration: Option<std::time::Duration>) -> bool {
        if let Some(hold) = self.held() {
            self.look_into_lost_pods();
            return self.wait(hold);
        }
        let Some(release) = self.release() else { return false };
        let Some(duration) = duration else {
            let (what, hash) = ("a pause without duration".to_owned(), release.canary.hash.clone());
            return self.wait(Hold::Person { what, verb: Verb::Promote, hash });
        };
        let until = after(release.step_since, duration);
        if self.now < until {
            return self.wait(Hold::Until { what: "pausing".to_owned(), until });
        }
        self.end_step()
    }

    fn analyse(&mut self, metrics: &[Metric]) -> bool {
        if let Some(hold) = self.held() {
            self.look_into_lost_pods();
            return self.wait(hold);
        }
        let Some(release) = self.release() else { return false };
        let since = release.window_start();
        let hold = metrics.iter().find_map(|metric| {
            let tally = release.tally(Scope::Step, &metric.name).cloned().unwrap_or_default();
            not_passed(metric, &tally, tally.call(metric, since, metric.count.unwrap_or(1)))
        });
        match hold {
            Some(hold) => self.wait(hold),
            None => self.end_step(),
        }
    }

    fn look_into_lost_pods(&mut self) {
        if self.release().is_some_and(|release| release.shrunk.is_some()) {
            self.look_into_pods();
        }
    }

    /// The point of no return: from here the new revision is stable, and everything else follows.
    fn commit(&mut self) -> bool {
        let Some(release) = self.release().cloned() else { return false };
        if self.least_canary() != Weight::FULL {
            return self.wait(Hold::Route(self.route_behind(Weight::FULL)));
        }
        let old = std::mem::replace(&mut self.state.stable, release.canary);
        let stable = self.state.stable.hash.clone();
        self.event(false, "Promoting", format!("{stable} has all traffic and is now stable; {} goes", old.hash));
        self.state.stage = Stage::Promoting(Promotion { old, since: self.now });
        self.decide_binding(Side::Stable, &stable);
        true
    }
}

fn not_passed(metric: &Metric, tally: &crate::analysis::tally::Tally, call: Call) -> Option<Hold> {
    let last = tally.last.as_ref().map(|last| &last.judgement);
    let value = last.map_or_else(String::new, |last| format!("; last {} ({})", last.value, last.because));
    match call {
        Call::Pass => None,
        Call::Hold => Some(Hold::Data(format!("{} has nothing to judge{value}", metric.name))),
        Call::Ask => Some(Hold::Measuring(format!("{} is inconclusive{value}", metric.name))),
        Call::Measure | Call::RollBack => Some(Hold::Measuring(format!("measuring {}{value}", metric.name))),
    }
}
