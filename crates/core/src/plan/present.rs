//! The status that people and tools read, derived from the pass's outcome.

use super::effects::Effects;
use super::hold::{self, Hold, how_to};
use super::{Pass, Persist, Plan, contention};
use crate::analysis::tally::Tally;
use crate::names::{Hash, Revision};
use crate::observed::Acceptance;
use crate::report::{Condition, Measured, Phase, Report, RevisionReport, Step, Weights};
use crate::spec::{ReadyWhen, Reason, Verb};
use crate::state::{Rejection, Stage, Why};
use crate::traffic::{Weight, sizes};

impl Pass<'_> {
    pub(super) fn finish(mut self, hold: Option<&Hold>, effects: Effects) -> Plan {
        let report = self.report(hold);
        self.wakes.extend(effects.wakes);
        self.wakes.retain(|wake| *wake > self.view.now);
        Plan {
            state: Some(self.state),
            persist: Persist::Nothing,
            actions: effects.actions,
            questions: self.questions,
            wants_words_of: self.wants_words_of,
            wants_live: false,
            facts: self.facts,
            report,
            next_wake: self.wakes.into_iter().min(),
        }
    }

    fn report(&self, hold: Option<&Hold>) -> Report {
        let phase = self.phase(hold);
        let mut message = self.message(phase, hold);
        if let Some(refused) = self.view.seen.refused.first() {
            message = format!("{message}; {refused}");
        }
        let split = &self.state.split;
        Report {
            phase,
            conditions: self.conditions(phase, hold, &message),
            message,
            step: self.release().map(|release| Step {
                index: release.step,
                of: release.recipe.steps.len(),
                started_at: release.step_since,
            }),
            weight: Weights {
                desired: split.decided.percent(),
                written: self.view.routes().map(|(_, route)| route.most.percent()).max(),
                in_force: split.in_force.percent(),
            },
            stable: Some(self.revision(&self.state.stable)),
            canary: self.canary().map(|canary| self.revision(canary)),
            analysis: self.measured(),
        }
    }

    fn canary(&self) -> Option<&Revision> {
        match &self.state.stage {
            Stage::Releasing(release) => Some(&release.canary),
            Stage::Leaving(leaving) => Some(&leaving.canary),
            _ => self.rejection(&self.view.rollout.hash).map(|rejection| &rejection.revision),
        }
    }

    fn rejection(&self, hash: &Hash) -> Option<&Rejection> {
        self.state.rejected.iter().find(|rejection| rejection.revision.hash == *hash)
    }

    fn revision(&self, revision: &Revision) -> RevisionReport {
        let set = self.view.set(&revision.hash);
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
        let replicas = self.view.replicas();
        let available = self.view.set(&self.state.stable.hash).map_or(0, |set| set.available);
        available >= sizes::half_of_stable(replicas) && (available > 0 || replicas == 0)
    }

    fn phase(&self, hold: Option<&Hold>) -> Phase {
        let declared = &self.view.rollout.hash;
        match (&self.state.stage, hold) {
            (Stage::Leaving(leaving), _) if leaving.why == Why::Failed => Phase::RollingBack,
            (Stage::Leaving(_) | Stage::Promoting(_), _) => Phase::Progressing,
            (_, Some(Hold::Problem(problem))) if problem.reason != Reason::RouteContended => Phase::Invalid,
            (_, Some(Hold::Person { .. } | Hold::SpecPaused)) => Phase::Paused,
            (Stage::Resting, _) if self.view.sets().is_some() && !self.is_available() => Phase::Degraded,
            (Stage::Resting, _) if self.is_rejected(declared) => Phase::RolledBack,
            (Stage::Resting, None) if *declared == self.state.stable.hash => Phase::Healthy,
            _ => Phase::Progressing,
        }
    }

    fn message(&self, phase: Phase, hold: Option<&Hold>) -> String {
        let (name, replicas) = (&self.view.rollout.name, self.view.replicas());
        if let Some(at) = self.view.rollout.deleted_at {
            let since = hold::time(at);
            return format!("being deleted since {since}: routes go to rest, then the Rollout is let go");
        }
        let waits = hold.map(|hold| hold.message(name));
        match (&self.state.stage, phase) {
            (_, Phase::Healthy) => format!("revision {} serves with {replicas} pods", self.state.stable.number),
            (_, Phase::Degraded) => format!("stable has {} of {replicas} pods ready", self.ready_stable()),
            (Stage::Resting, Phase::RolledBack) | (Stage::Leaving(_), Phase::RollingBack) => {
                let hash = match &self.state.stage {
                    Stage::Leaving(leaving) => &leaving.canary.hash,
                    _ => &self.view.rollout.hash,
                };
                let why = self.rejection(hash).map(|it| format!("{}: {}", it.reason, it.message)).unwrap_or_default();
                let retry = || how_to(Verb::Retry, name, &self.view.rollout.hash);
                waits.map_or_else(
                    || format!("{why}. To run it again: {}", retry()),
                    |waits| format!("rolling back ({why}); {waits}"),
                )
            }
            (Stage::Releasing(release), _) if release.preflight.is_none() => {
                let of = release.recipe.steps.len();
                let step = release.step.saturating_add(1).min(of);
                let waits = waits.unwrap_or_default();
                format!("step {step}/{of}: canary at {}; {waits}", self.state.split.in_force)
            }
            (Stage::Promoting(_), _) => format!("promoting: {}", waits.unwrap_or_default()),
            (Stage::Deploying, _) => format!("first deployment: {}", waits.unwrap_or_default()),
            _ => waits.unwrap_or_default(),
        }
    }

    fn conditions(&self, phase: Phase, hold: Option<&Hold>, message: &str) -> Vec<Condition> {
        let (available, declared) = (self.is_available(), &self.view.rollout.hash);
        let stable = &self.state.stable.hash;
        let recipe = self.view.rollout.spec.as_ref().ok().or_else(|| self.release().map(|release| &release.recipe));
        let serving = recipe.is_some_and(|spec| spec.ready_when == ReadyWhen::Serving);
        let accepted = !matches!(phase, Phase::Invalid | Phase::RolledBack);
        let ready = if serving { accepted && available } else { phase == Phase::Healthy };
        let stalled = match (hold, phase) {
            (Some(Hold::Problem(problem)), _) => Some(problem.reason.as_str()),
            (_, Phase::RolledBack) => Some("RolledBack"),
            _ if contention::is_contended(&self.state) => Some(Reason::RouteContended.as_str()),
            _ => None,
        };
        let refused = || (phase != Phase::Healthy && !self.view.seen.refused.is_empty()).then_some("WriteRefused");
        let reason = stalled.or_else(refused).unwrap_or(phase.as_str());
        let mut conditions = vec![Condition::new("Ready", ready, reason, message)];
        let mut add = |kind, is_true, reason: &str, message: &str| {
            conditions.push(Condition::new(kind, is_true, reason, message));
        };
        match stalled {
            Some(reason) => add("Stalled", true, reason, message),
            None if !ready || phase != Phase::Healthy => add("Reconciling", true, reason, message),
            None => {}
        }
        let size = format!("{} of {} stable pods are ready", self.ready_stable(), self.view.replicas());
        add("Available", available, if available { "StableServes" } else { "StableLacksCapacity" }, &size);
        let promoted = declared == stable && matches!(self.state.stage, Stage::Resting);
        let which = format!("stable is {stable}, declared is {declared}");
        add("Promoted", promoted, if promoted { "DeclaredIsStable" } else { "DeclaredIsNotStable" }, &which);
        match hold {
            Some(Hold::Person { .. }) => add("Paused", true, "WaitingForAPerson", message),
            Some(Hold::SpecPaused) => add("Paused", true, "SpecPaused", message),
            _ => {}
        }
        let (applied, reason, message) = self.traffic_applied();
        add("TrafficApplied", applied, reason, &message);
        conditions
    }

    fn traffic_applied(&self) -> (bool, &'static str, String) {
        let decided = self.state.split.decided;
        if self.routes_are_at(decided) {
            return (true, "Applied", format!("every route gives the canary {decided}"));
        }
        let at_rest = matches!(self.state.stage, Stage::Resting | Stage::Deploying);
        let away = self.view.routes().find(|(_, route)| !route.is_at(Weight::ZERO));
        if let Some((id, view)) = away.filter(|_| at_rest) {
            let message = format!("{id} gives canaryService {} at rest: put weights 100 / 0 into Git", view.most);
            return (false, "RestSplitNotInGit", message);
        }
        let refused = self.view.routes().any(|(_, view)| matches!(view.acceptance, Acceptance::Refused(_)));
        let reason = if refused { "RouteNotAccepted" } else { "Pending" };
        (false, reason, format!("waiting for {}", self.view.route_behind(decided)))
    }
}
