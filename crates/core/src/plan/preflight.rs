//! Before anything moves: routes at rest and accepted, and each query sent once with stable in the canary's place.

use std::time::Duration;

use super::hold::Hold;
use super::{Pass, after};
use crate::analysis::metric::Metric;
use crate::analysis::verdict::Verdict;
use crate::spec::{Problem, Reason, Step};
use crate::split::Weight;
use crate::state::Release;

/// An answer that takes longer than this is a missing one: the release starts with a warning, and the gate decides.
const PATIENCE: Duration = Duration::from_secs(15);

/// Every metric of a release, each once: the background's, then those of the steps. One that shares its name with another
/// metric, but not its definition, is told apart by its step.
pub(super) fn metrics(release: &Release) -> Vec<Metric> {
    let background = release.recipe.background.iter().flat_map(|background| &background.metrics);
    let mut metrics: Vec<Metric> = background.cloned().collect();
    for (index, step) in release.recipe.steps.iter().enumerate() {
        let Step::Analysis(measured) = step else { continue };
        for metric in measured {
            match metrics.iter().find(|known| known.name == metric.name) {
                Some(known) if known == metric => {}
                Some(_) => {
                    metrics.push(Metric { name: format!("{} (step {})", metric.name, index + 1), ..metric.clone() });
                }
                None => metrics.push(metric.clone()),
            }
        }
    }
    metrics
}

impl Pass<'_> {
    pub(super) fn preflight(&mut self) -> bool {
        if let Some(problem) = self.problem() {
            return self.wait(Hold::Problem(problem));
        }
        if self.rollout.paused {
            return self.wait(Hold::SpecPaused);
        }
        if !self.routes_are_at(Weight::ZERO) {
            return self.wait(Hold::Route(self.route_behind(Weight::ZERO)));
        }
        if self.state.traffic.in_force != Weight::ZERO {
            return self.wait_for_settled_split();
        }
        let Some(release) = self.release().cloned() else { return false };
        let Some(preflight) = &release.preflight else { return false };
        if let Some(words) = &preflight.wrong_query {
            let message = format!("{words}; correct the query in the AnalysisTemplate or in spec.strategy.canary");
            return self.wait(Hold::Problem(Problem { reason: Reason::InvalidAnalysis, message }));
        }
        let patience_ends = after(release.began_at, PATIENCE);
        let mut warnings = Vec::new();
        for metric in metrics(&release) {
            let last = preflight.measured.get(&metric.name).and_then(|tally| tally.last.as_ref());
            let Some(judgement) = last.map(|last| &last.judgement) else {
                if self.now < patience_ends {
                    self.wake_at(patience_ends);
                    return self
                        .wait(Hold::Measuring(format!("asking {} about stable before anything moves", metric.name)));
                }
                warnings.push(format!("{}: no answer within {} s", metric.name, PATIENCE.as_secs()));
                continue;
            };
            match judgement.verdict {
                Verdict::Failure => {
                    let what = format!("{} is {}: {}", metric.name, judgement.value, judgement.because);
                    return self.wait(Hold::StableFails(what));
                }
                Verdict::NoData | Verdict::ProviderError => {
                    warnings.push(format!("{}: {}", metric.name, judgement.because));
                }
                Verdict::Success | Verdict::Inconclusive => {}
            }
        }
        if !warnings.is_empty() {
            self.event(true, "PreflightWithoutData", warnings.join("; "));
        }
        let (now, replicas) = (self.now, self.rollout.replicas);
        if let Some(release) = self.release_mut() {
            release.preflight = None;
            release.step_since = now;
            release.base_replicas = replicas;
        }
        true
    }
}
