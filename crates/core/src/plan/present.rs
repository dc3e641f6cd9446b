//! The status that people and tools read, derived from the pass's outcome.

use super::effects::Effects;
use super::hold::{self, Hold, Timed, how_to};
use super::{Pass, Persist, Plan, commands, contention, missing, next};
use crate::analysis::metric::Metric;
use crate::analysis::proportion::words::percent;
use crate::analysis::proportion::{Counts, Gate};
use crate::analysis::run::Run;
use crate::analysis::tally::{Last, Tally};
use crate::names::{Hash, Revision, Selection, Side};
use crate::observed::{Acceptance, Sighted};
use crate::report::{Condition, Measured, Phase, Report, RevisionReport, Step, Waiting, Weights};
use crate::spec::{ReadyWhen, Reason, Verb};
use crate::state::{Rejection, Return, Stage, Why};
use crate::traffic::{Carrier, Strategy, Weight, sizes};

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
            wants_old_pods: self.restart,
            wants_trial: self.wants_trial,
            facts: self.facts,
            sighted: Sighted::default(),
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
        Report {
            phase,
            conditions: self.conditions(phase, hold, &message),
            waiting: hold.map(|hold| self.waiting(hold)),
            next: hold.and_then(|hold| next::of(self, hold)),
            commands: commands::offered(self),
            message,
            step: self.release().map(|release| Step {
                index: release.step,
                of: release.recipe.steps.len(),
                started_at: release.step_since,
            }),
            weight: self.weights(),
            scaled: self.scaled(),
            stable: Some(self.revision(&self.state.stable)),
            canary: self.canary().map(|canary| self.revision(canary)),
            analysis: self.measured(),
        }
    }

    /// What an autoscaler averages: every pod, or, where a preview stands idle beside them, those that serve.
    fn scaled(&self) -> Selection {
        match (self.strategy(), self.carrier()) {
            (Strategy::Canary, _) => Selection::Any,
            (Strategy::BlueGreen, Carrier::Service) => self.state.bindings.stable.decided.clone(),
            (Strategy::BlueGreen, _) => match self.trial() {
                Some(canary) if self.state.split.in_force == Weight::FULL => Selection::from(&canary.hash),
                _ => Selection::from(&self.state.stable.hash),
            },
        }
    }

    fn waiting(&self, hold: &Hold) -> Waiting {
        let running = self.release().filter(|_| hold.runs_clock());
        let since = match hold {
            Hold::Until { what: Timed::Pause, .. } | Hold::Person { .. } | Hold::Measuring(_) => {
                self.release().map(|release| release.step_since)
            }
            _ => running.and_then(|release| release.clock.running_since),
        };
        Waiting {
            reason: hold.reason(),
            what: hold.message(self.view.rollout),
            since,
            deadline: hold.until().or_else(|| running?.overdue_at()),
            words: hold.words().map(str::to_owned),
        }
    }

    fn canary(&self) -> Option<&Revision> {
        let rejected = || self.rejection(&self.view.rollout.hash).map(|rejection| &rejection.revision);
        self.trial().or_else(rejected)
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
        let all = release.tallies();
        all.filter_map(|(scope, name, tally)| measured(name, tally, release.metric(scope, name).as_deref())).collect()
    }

    /// Half of full size, or, where the canary has taken over a part, half of what is left to stable.
    fn enough_of_stable(&self) -> u32 {
        sizes::half_of_stable(self.shape().stable.min(self.view.replicas()))
    }

    /// True when stable has ready pods for the capacity it needs: half of full size at the least.
    fn is_available(&self) -> bool {
        let replicas = self.view.replicas();
        let available = self.view.set(&self.state.stable.hash).map_or(0, |set| set.available);
        available >= self.enough_of_stable() && (available > 0 || replicas == 0)
    }

    /// True at rest when stable has lost the capacity that it needs.
    pub(super) fn is_short_of_stable(&self) -> bool {
        matches!(self.state.stage, Stage::Resting) && self.view.sets().is_some() && !self.is_available()
    }

    fn phase(&self, hold: Option<&Hold>) -> Phase {
        let declared = &self.view.rollout.hash;
        match (&self.state.stage, hold) {
            (Stage::Leaving(leaving), _) if leaving.why == Why::Failed => Phase::RollingBack,
            (Stage::Leaving(_) | Stage::Promoting(_), _) => Phase::Progressing,
            (Stage::Releasing(release), _) if release.returns == Some(Return::Commanded) => Phase::RollingBack,
            (_, Some(Hold::Problem(_))) if missing::is_on_its_way(self) => Phase::Progressing,
            (_, Some(Hold::Problem(problem))) if problem.reason != Reason::RouteContended => Phase::Invalid,
            (_, Some(Hold::Person { .. } | Hold::Stable { .. } | Hold::SpecPaused)) => Phase::Paused,
            (Stage::Resting, _) if self.is_short_of_stable() => Phase::Degraded,
            (Stage::Resting, _) if self.is_rejected(declared) => Phase::RolledBack,
            (Stage::Resting, None) if *declared == self.state.stable.hash => Phase::Healthy,
            _ => Phase::Progressing,
        }
    }

    fn message(&self, phase: Phase, hold: Option<&Hold>) -> String {
        let (rollout, replicas) = (self.view.rollout, self.view.replicas());
        if let Some(at) = rollout.deleted_at {
            let since = hold::time(at);
            return format!("being deleted since {since}: routes go to rest, then the Rollout is let go");
        }
        let waits = hold.map(|hold| hold.message(rollout));
        match (&self.state.stage, phase) {
            (_, Phase::Healthy) => {
                let restarts = self.restart.as_ref().map_or_else(String::new, |restart| {
                    format!("; pods older than {} are being replaced", hold::time(restart.before))
                });
                format!("revision {} serves with {replicas} pods{restarts}", self.state.stable.number)
            }
            (_, Phase::Degraded) => {
                let why = hold::added(self.view.what_keeps(&self.state.stable.hash).as_ref());
                format!("stable has {} of {replicas} pods ready{why}", self.ready_stable())
            }
            (Stage::Resting, Phase::RolledBack) | (Stage::Leaving(_), Phase::RollingBack) => {
                let hash = match &self.state.stage {
                    Stage::Leaving(leaving) => &leaving.canary.hash,
                    _ => &rollout.hash,
                };
                let why = self.rejection(hash).map(|it| format!("{}: {}", it.reason, it.message)).unwrap_or_default();
                let retry = || how_to(Verb::Retry, rollout, &rollout.hash);
                waits.map_or_else(
                    || format!("{why}. To run it again: {}", retry()),
                    |waits| format!("rolling back ({why}); {waits}"),
                )
            }
            (Stage::Releasing(_), Phase::RollingBack) => {
                format!(
                    "rolling back by command to {}; {}",
                    self.trial().map_or("", |it| it.hash.as_str()),
                    waits.unwrap_or_default()
                )
            }
            (Stage::Releasing(release), _) if release.preflight.is_none() => {
                let of = release.recipe.steps.len();
                let step = release.step.saturating_add(1).min(of);
                let waits = waits.unwrap_or_default();
                let (trial, share) = (self.strategy().trial(), self.state.split.in_force);
                format!("step {step}/{of}: {trial} at {share}; {waits}")
            }
            (Stage::Promoting(_), _) => format!("promoting: {}", waits.unwrap_or_default()),
            (Stage::Deploying, _) => format!("first deployment: {}", waits.unwrap_or_default()),
            _ => waits.unwrap_or_default(),
        }
    }

    fn conditions(&self, phase: Phase, hold: Option<&Hold>, message: &str) -> Vec<Condition> {
        let stalled = self.stalled(phase, hold);
        let ready =
            stalled.is_none() && if self.is_serving_enough() { self.is_available() } else { phase == Phase::Healthy };
        let refused = || (phase != Phase::Healthy && !self.view.seen.refused.is_empty()).then_some("WriteRefused");
        let reason = stalled.or_else(refused).unwrap_or(phase.as_str());
        let mut conditions = vec![Condition::new("Ready", ready, reason, message)];
        // kstatus looks at these two before it looks at Ready, so that neither stands beside a Ready that is true.
        match stalled {
            Some(reason) => conditions.push(Condition::new("Stalled", true, reason, message)),
            None if !ready => conditions.push(Condition::new("Reconciling", true, reason, message)),
            None => {}
        }
        conditions.extend([self.available(), self.promoted()]);
        conditions.extend(paused(hold, message));
        conditions.push(self.traffic_applied());
        conditions
    }

    /// Why it will not get any further without a change.
    fn stalled(&self, phase: Phase, hold: Option<&Hold>) -> Option<&'static str> {
        match (hold, phase) {
            (Some(Hold::Problem(problem)), _) if !missing::is_on_its_way(self) => Some(problem.reason.as_str()),
            (_, Phase::RolledBack) => Some("RolledBack"),
            _ if contention::is_contended(&self.state) => Some(Reason::RouteContended.as_str()),
            _ => None,
        }
    }

    /// `readyWhen: Serving`: whoever waits for the Rollout waits for stable only.
    fn is_serving_enough(&self) -> bool {
        let declared = self.view.rollout.spec.as_ref().ok();
        let recipe = declared.or_else(|| self.release().map(|release| &release.recipe));
        recipe.is_some_and(|spec| spec.ready_when == ReadyWhen::Serving)
    }

    fn available(&self) -> Condition {
        let replicas = self.view.replicas();
        let available = self.view.set(&self.state.stable.hash).map_or(0, |set| set.available);
        let size =
            format!("{available} of {replicas} stable pods are available, {} are enough", self.enough_of_stable());
        let is_true = self.is_available();
        Condition::new("Available", is_true, if is_true { "StableServes" } else { "StableLacksCapacity" }, &size)
    }

    fn promoted(&self) -> Condition {
        let (stable, declared) = (&self.state.stable.hash, &self.view.rollout.hash);
        match &self.state.stage {
            _ if stable != declared => {
                let which = format!("stable is {stable}, declared is {declared}");
                Condition::new("Promoted", false, "DeclaredIsNotStable", &which)
            }
            Stage::Deploying => {
                let which = format!("{stable} is being deployed for the first time");
                Condition::new("Promoted", false, "FirstDeployment", &which)
            }
            Stage::Promoting(_) => {
                let which = format!("{stable} is stable; Services and routes are still following");
                Condition::new("Promoted", false, "Following", &which)
            }
            Stage::Resting => {
                Condition::new("Promoted", true, "DeclaredIsStable", &format!("{stable} is declared and stable"))
            }
            Stage::Releasing(_) | Stage::Leaving(_) => {
                let which = format!("{stable} is declared and stable; another revision is on its way out");
                Condition::new("Promoted", false, "OtherLeaves", &which)
            }
        }
    }

    /// What the traffic is shared by, and how.
    fn applied(&self) -> String {
        let decided = self.state.split.decided;
        match self.carrier() {
            Carrier::Routes => format!("every route gives the {} {decided}", self.strategy().trial()),
            Carrier::Service => {
                let name = self.state.targets.as_ref().map_or("", |targets| &targets.stable_service);
                format!("Service {name} selects {}", self.selection_at(decided))
            }
            Carrier::Pods => {
                format!("pods share the work; the {} has {}%", self.strategy().trial(), self.weights().in_force)
            }
        }
    }

    fn side_name(&self, side: Side) -> &'static str {
        self.strategy().field(side)
    }

    /// The share in its three tenses. Where pods are what makes it, it is theirs.
    fn weights(&self) -> Weights {
        let (split, desired) = (&self.state.split, self.state.split.decided.percent());
        if self.carrier() == Carrier::Routes {
            let written = self.view.routes().map(|(_, route)| route.most.percent()).max();
            return Weights { desired, written, in_force: split.in_force.percent(), seen: self.share_seen() };
        }
        let ready = |hash: &Hash| self.view.set(hash).map_or(0, |set| set.ready);
        let pods = || {
            self.trial().map_or(0, |canary| sizes::share(ready(&self.state.stable.hash), ready(&canary.hash)).percent())
        };
        let shown = |weight: Weight| if weight.is_shared() { pods() } else { weight.percent() };
        let asked = self.release().map_or(split.decided, |release| release.goal);
        let desired = if asked.is_shared() && split.decided.is_shared() { asked.percent() } else { desired };
        let (written, in_force) = (Some(shown(split.decided)), shown(split.in_force));
        Weights { desired, written, in_force, seen: self.share_seen() }
    }

    /// The canary's part of the requests that were counted at the present share.
    fn share_seen(&self) -> Option<String> {
        let runs = self.release()?.runs(&self.state.stable.hash);
        runs.iter().find_map(Run::share_seen).map(percent)
    }

    fn traffic_applied(&self) -> Condition {
        let condition = |is_true, reason, message: String| Condition::new("TrafficApplied", is_true, reason, &message);
        let decided = self.state.split.decided;
        if self.traffic_is_at(decided) {
            return condition(true, "Applied", self.applied());
        }
        if self.carrier() != Carrier::Routes {
            return condition(false, "Pending", self.behind(decided).message(self.view.rollout));
        }
        let at_rest = matches!(self.state.stage, Stage::Resting | Stage::Deploying);
        let away = self.view.routes().find(|(_, route)| !route.is_at(Weight::ZERO));
        if let Some((id, view)) = away.filter(|_| at_rest) {
            let message = format!(
                "{id} gives {} {} at rest: put weights 100 / 0 into Git",
                self.side_name(Side::Canary),
                view.most
            );
            return condition(false, "RestSplitNotInGit", message);
        }
        let refused = self.view.routes().any(|(_, view)| matches!(view.acceptance, Acceptance::Refused(_)));
        let reason = if refused { "RouteNotAccepted" } else { "Pending" };
        condition(false, reason, format!("waiting for {}", self.view.route_behind(decided)))
    }
}

/// Who or what has to go on, where it is not the operator.
fn paused(hold: Option<&Hold>, message: &str) -> Option<Condition> {
    let reason = match hold? {
        Hold::Person { .. } => "WaitingForAPerson",
        Hold::Stable { finding, .. } => finding.reason(),
        Hold::SpecPaused => "SpecPaused",
        _ => return None,
    };
    Some(Condition::new("Paused", true, reason, message))
}

pub(super) fn measured(name: &str, tally: &Tally, metric: Option<&Metric>) -> Option<Measured> {
    let Last { judgement, since, .. } = tally.last.as_ref()?;
    let gate = tally.gate.as_deref();
    let proportion = metric.and_then(|metric| metric.proportion.as_ref());
    Some(Measured {
        metric: name.to_owned(),
        verdict: judgement.verdict,
        value: judgement.value.clone(),
        because: judgement.because.clone(),
        limit: metric.map(Metric::limit).unwrap_or_default(),
        confidence: proportion.map(|proportion| proportion.confidence.to_string()),
        samples: gate.map(|gate| gate.shown().map_or(0, Counts::requests)),
        stable: gate.and_then(Gate::shown_of_stable).map(|counts| percent(counts.share())),
        since: *since,
        dry_run: metric.is_some_and(|metric| metric.dry_run),
        recent: tally.recent.clone(),
        measurements: tally.measurements,
        failed: tally.failures,
    })
}

#[cfg(test)]
mod tests {
    use super::super::scene::Scene;
    use super::*;
    use crate::observed::Look;
    use crate::spec::Problem;
    use crate::time::after;

    /// What kstatus makes of a status: it looks at Reconciling and Stalled before Ready.
    fn kstatus(plan: &Plan) -> &'static str {
        let is = |kind| plan.condition(kind).map(|condition| condition.is_true);
        match (is("Reconciling"), is("Stalled"), is("Ready")) {
            (Some(true), ..) => "InProgress",
            (_, Some(true), _) => "Failed",
            (.., Some(true)) => "Current",
            _ => "InProgress",
        }
    }

    fn serving(mut scene: Scene) -> Scene {
        scene.rollout.spec.as_mut().unwrap().ready_when = ReadyWhen::Serving;
        if let Stage::Releasing(release) = &mut scene.state().stage {
            release.recipe.ready_when = ReadyWhen::Serving;
        }
        scene
    }

    #[test]
    fn whoever_waits_for_stable_waits_for_no_release() {
        let weak = |mut scene: Scene| {
            scene.pods("old", 4, 1);
            scene
        };
        let broken = |mut scene: Scene| {
            scene.rollout.spec = Err(Problem::new(Reason::InvalidAnalysis, "no condition"));
            scene
        };
        for (what, scene, promoted, serving_is) in [
            ("at rest", Scene::resting(), "Current", "Current"),
            ("before anything moves", Scene::preflight(), "InProgress", "Current"),
            ("in a pause", Scene::releasing(), "InProgress", "Current"),
            ("with a weak stable", weak(Scene::resting()), "InProgress", "InProgress"),
            ("with a weak stable in a release", weak(Scene::releasing()), "InProgress", "InProgress"),
            ("with a broken declaration", broken(Scene::releasing()), "Failed", "Failed"),
        ] {
            assert_eq!(kstatus(&scene.clone().pass()), promoted, "{what}");
            if scene.rollout.spec.is_ok() {
                assert_eq!(kstatus(&serving(scene).pass()), serving_is, "{what}, readyWhen: Serving");
            }
        }
    }

    #[test]
    fn a_condition_says_what_its_message_says() {
        let message = |plan: &Plan, kind| plan.condition(kind).map(|it| (it.is_true, it.message.clone())).unwrap();
        let mut scene = Scene::resting();
        scene.state().stage = Stage::Deploying;
        scene.pods("old", 4, 2);
        let plan = scene.pass();
        assert_eq!(message(&plan, "Promoted"), (false, "old is being deployed for the first time".to_owned()));
        let available = "2 of 4 stable pods are available, 2 are enough".to_owned();
        assert_eq!(message(&plan, "Available"), (true, available));
        let plan = Scene::releasing().pass();
        assert_eq!(message(&plan, "Promoted"), (false, "stable is old, declared is new".to_owned()));
        let plan = Scene::resting().pass();
        assert_eq!(message(&plan, "Promoted"), (true, "old is declared and stable".to_owned()));
    }

    #[test]
    fn what_is_waited_for_is_told_to_programs_as_well() {
        let mut scene = Scene::releasing();
        scene.seen.routes[0].1 = Look::Stale;
        let waiting = scene.pass().report.waiting.unwrap();
        assert_eq!(
            (waiting.reason, waiting.what.as_str()),
            ("Route", "waiting for HTTPRoute shop to be seen after it was written")
        );
        assert_eq!(
            (waiting.since, waiting.deadline),
            (Some(scene.seen.now), Some(after(scene.seen.now, std::time::Duration::from_mins(10))))
        );
        assert_eq!(Scene::resting().pass().report.waiting, None);
    }
}
