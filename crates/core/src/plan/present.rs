//! The status that people and tools read, derived from the pass's outcome.

use super::hold::{Hold, clock, how_to};
use super::report::{Condition, Measured, Phase, Report, RevisionReport, Step, Weights};
use super::{Action, Pass, Persist, Plan};
use crate::analysis::tally::Tally;
use crate::names::{Revision, Side};
use crate::observed::Acceptance;
use crate::spec::{ReadyWhen, Reason, Verb};
use crate::split::Weight;
use crate::state::{Clock, Stage, State};

impl Pass<'_> {
    pub(super) fn finish_with(mut self, actions: Vec<Action>) -> Plan {
        let report = self.report();
        self.wakes.retain(|wake| *wake > self.now);
        Plan {
            state: Some(self.state),
            persist: Persist::Nothing,
            actions,
            questions: self.questions,
            wants_words_of: self.wants_words_of,
            wants_live: false,
            events: self.events,
            report,
            next_wake: self.wakes.into_iter().min(),
        }
    }

    pub(super) fn report(&self) -> Report {
        let phase = self.phase();
        let mut message = self.message(phase);
        if let Some((action, words)) = self.observed.refused.first() {
            message = format!("{message}; cannot {action}: {words}");
        }
        let written = self.observed.routes.iter().filter_map(|(_, route)| Some(route.seen()?.most.percent())).max();
        let traffic = &self.state.traffic;
        Report {
            phase,
            conditions: self.conditions(phase, &message),
            message,
            step: self.release().map(|release| Step {
                index: release.step,
                of: release.recipe.steps.len(),
                started_at: release.step_since,
            }),
            weight: Weights { desired: traffic.decided.percent(), written, in_force: traffic.in_force.percent() },
            stable: Some(self.revision(&self.state.stable)),
            canary: self.canary().map(|canary| self.revision(&canary)),
            analysis: self.measured(),
        }
    }

    fn canary(&self) -> Option<Revision> {
        match &self.state.stage {
            Stage::Releasing(release) => Some(release.canary.clone()),
            Stage::Leaving(leaving) => Some(leaving.canary.clone()),
            _ => {
                let declared = |rejection: &&crate::state::Rejection| rejection.revision.hash == self.rollout.hash;
                self.state.rejected.iter().find(declared).map(|rejection| rejection.revision.clone())
            }
        }
    }

    fn revision(&self, revision: &Revision) -> RevisionReport {
        let set = self.observed.sets.seen().and_then(|sets| sets.get(&revision.hash));
        RevisionReport {
            revision: revision.clone(),
            replicas: set.map_or(0, |set| set.wanted),
            ready: set.map_or(0, |set| set.ready),
        }
    }

    fn measured(&self) -> Vec<Measured> {
        let Some(release) = self.release() else { return Vec::new() };
        let preflight = release.preflight.iter().flat_map(|preflight| &preflight.measured);
        let one = |(name, tally): (&String, &Tally)| {
            let last = tally.last.as_ref()?;
            Some(Measured {
                metric: name.clone(),
                verdict: last.judgement.verdict,
                value: last.judgement.value.clone(),
                measurements: tally.measurements,
                failed: tally.failures,
            })
        };
        preflight.chain(&release.background).chain(&release.measured).filter_map(one).collect()
    }

    /// True when stable has ready pods for the capacity it needs: half of full size at the least.
    fn is_available(&self) -> bool {
        let stable = &self.state.stable.hash;
        let set = self.observed.sets.seen().and_then(|sets| sets.get(stable));
        let available = set.map_or(0, |set| set.available);
        available >= self.rollout.replicas.div_ceil(2) && (available > 0 || self.rollout.replicas == 0)
    }

    fn phase(&self) -> Phase {
        let settled = self.observed.sets.seen().is_some();
        match (&self.state.stage, &self.hold) {
            (Stage::Leaving(leaving), _) if leaving.why == crate::state::Why::Failed => Phase::RollingBack,
            (Stage::Leaving(_) | Stage::Promoting(_), _) => Phase::Progressing,
            (_, Some(Hold::Problem(problem))) if problem.reason != Reason::RouteContended => Phase::Invalid,
            (_, Some(Hold::Person { .. } | Hold::SpecPaused)) => Phase::Paused,
            (Stage::Resting, _) if settled && !self.is_available() => Phase::Degraded,
            (Stage::Resting, _) if self.is_rejected(&self.rollout.hash) => Phase::RolledBack,
            (Stage::Resting, None) if self.rollout.hash == self.state.stable.hash => Phase::Healthy,
            _ => Phase::Progressing,
        }
    }

    fn message(&self, phase: Phase) -> String {
        if let Some(at) = self.rollout.deleted_at {
            return format!("being deleted since {}: routes go to rest, then the Rollout is let go", clock(at));
        }
        let waits = self.hold.as_ref().map(|hold| hold.message(&self.rollout.name));
        match (&self.state.stage, phase) {
            (_, Phase::Healthy) => {
                format!("revision {} serves with {} pods", self.state.stable.number, self.rollout.replicas)
            }
            (_, Phase::Degraded) => {
                let ready = self.ready(Side::Stable, &self.state.stable.hash);
                format!("stable has {ready} of {} pods ready", self.rollout.replicas)
            }
            (Stage::Resting, Phase::RolledBack) | (Stage::Leaving(_), Phase::RollingBack) => {
                let of = |hash: &crate::names::Hash| self.state.rejected.iter().find(|it| it.revision.hash == *hash);
                let leaving = match &self.state.stage {
                    Stage::Leaving(leaving) => of(&leaving.canary.hash),
                    _ => of(&self.rollout.hash),
                };
                let why = leaving.map(|it| format!("{}: {}", it.reason, it.message)).unwrap_or_default();
                let retry = || how_to(Verb::Retry, &self.rollout.name, &self.rollout.hash);
                waits.map_or_else(
                    || format!("{why}. To run it again: {}", retry()),
                    |waits| format!("rolling back ({why}); {waits}"),
                )
            }
            (Stage::Releasing(release), _) if release.preflight.is_none() => {
                let (step, of) =
                    (release.step.saturating_add(1).min(release.recipe.steps.len()), release.recipe.steps.len());
                let waits = waits.unwrap_or_default();
                format!("step {step}/{of}: canary at {}; {waits}", self.state.traffic.in_force)
            }
            (Stage::Promoting(_), _) => format!("promoting: {}", waits.unwrap_or_default()),
            (Stage::Deploying, _) => format!("first deployment: {}", waits.unwrap_or_default()),
            _ => waits.unwrap_or_default(),
        }
    }

    fn conditions(&self, phase: Phase, message: &str) -> Vec<Condition> {
        let mut conditions = Vec::new();
        let mut add = |kind, is_true, reason: &str, message: &str| {
            conditions.push(Condition { kind, is_true, reason: reason.to_owned(), message: message.to_owned() });
        };
        let available = self.is_available();
        let promoted = self.rollout.hash == self.state.stable.hash && matches!(self.state.stage, Stage::Resting);
        let accepted = !matches!(phase, Phase::Invalid | Phase::RolledBack);
        let serving = self.recipe().is_some_and(|spec| spec.ready_when == ReadyWhen::Serving);
        let ready = if serving { accepted && available } else { phase == Phase::Healthy };
        let stalled = match (&self.hold, phase) {
            (Some(Hold::Problem(problem)), _) => Some(problem.reason.as_str()),
            (_, Phase::RolledBack) => Some("RolledBack"),
            _ if self.is_contended() => Some(Reason::RouteContended.as_str()),
            _ => None,
        };
        let refused = || self.observed.refused.first().filter(|_| phase != Phase::Healthy).map(|_| "WriteRefused");
        let reason = stalled.or_else(refused).unwrap_or(phase.as_str());
        add("Ready", ready, reason, message);
        match stalled {
            Some(reason) => add("Stalled", true, reason, message),
            None if !ready || phase != Phase::Healthy => add("Reconciling", true, reason, message),
            None => {}
        }
        let size = format!(
            "{} of {} stable pods are ready",
            self.ready(Side::Stable, &self.state.stable.hash),
            self.rollout.replicas
        );
        add("Available", available, if available { "StableServes" } else { "StableLacksCapacity" }, &size);
        let which = format!("stable is {}, declared is {}", self.state.stable.hash, self.rollout.hash);
        add("Promoted", promoted, if promoted { "DeclaredIsStable" } else { "DeclaredIsNotStable" }, &which);
        match &self.hold {
            Some(Hold::Person { .. }) => add("Paused", true, "WaitingForAPerson", message),
            Some(Hold::SpecPaused) => add("Paused", true, "SpecPaused", message),
            _ => {}
        }
        let (applied, reason, message) = self.traffic_applied();
        add("TrafficApplied", applied, reason, &message);
        conditions
    }

    fn traffic_applied(&self) -> (bool, &'static str, String) {
        let decided = self.state.traffic.decided;
        let at_rest = matches!(self.state.stage, Stage::Resting | Stage::Deploying);
        let seen = || self.observed.routes.iter().filter_map(|(id, route)| Some((id, route.seen()?)));
        if self.routes_are_at(decided) {
            return (true, "Applied", format!("every route gives the canary {decided}"));
        }
        if at_rest && let Some((id, view)) = seen().find(|(_, view)| !view.is_at(Weight::ZERO)) {
            let message = format!("{id} gives canaryService {} at rest: put weights 100 / 0 into Git", view.most);
            return (false, "RestSplitNotInGit", message);
        }
        let refused = seen().any(|(_, view)| matches!(view.acceptance, Acceptance::Refused(_)));
        let reason = if refused { "RouteNotAccepted" } else { "Pending" };
        (false, reason, format!("waiting for {}", self.route_behind(decided)))
    }
}

/// How urgently a state has to be persisted: that stable was asked in vain, counts of successes, last values and the deadline's clock can wait (a crash
/// then costs the clock no more than the 10 s of [`Persist::Later`]).
pub(super) fn urgency(before: Option<&State>, after: Option<&State>) -> Persist {
    if before == after {
        return Persist::Nothing;
    }
    if before.cloned().map(without_soft_counts) == after.cloned().map(without_soft_counts) {
        Persist::Later
    } else {
        Persist::Now
    }
}

fn without_soft_counts(mut state: State) -> State {
    if let Stage::Leaving(leaving) = &mut state.stage {
        leaving.comparison = None;
    }
    if let Stage::Releasing(release) = &mut state.stage {
        let soften = |tally: &mut Tally| {
            *tally = Tally { failures: tally.failures, inconclusive: tally.inconclusive, ..Tally::default() };
        };
        release.background.values_mut().chain(release.measured.values_mut()).for_each(soften);
        release.clock = Clock::default();
        release.most_ready = 0;
        release.background.retain(|_, tally| *tally != Tally::default());
        release.measured.retain(|_, tally| *tally != Tally::default());
    }
    state
}
