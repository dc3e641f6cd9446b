//! Before anything moves: routes at rest and accepted, and each query sent once with stable in the canary's place.

use std::time::Duration;

use super::hold::Hold;
use super::{Fact, Next, Pass};
use crate::analysis::run::Run;
use crate::analysis::verdict::Verdict;
use crate::spec::{Problem, Reason};
use crate::state::{Preflight, Release};
use crate::time::after;
use crate::traffic::Weight;

/// An answer that takes longer than this is a missing one: the release starts with a warning, and the gate decides.
const PATIENCE: Duration = Duration::from_secs(15);

pub(super) fn check(pass: &mut Pass<'_>) -> Next {
    if let Some(problem) = pass.problem() {
        return Next::Wait(Hold::Problem(problem));
    }
    if pass.view.rollout.paused {
        return Next::Wait(Hold::SpecPaused);
    }
    if let Some(hold) = pass.wait_for_split(Weight::ZERO) {
        return Next::Wait(hold);
    }
    let Some(release) = pass.release() else { return Next::Rest };
    let Some(preflight) = &release.preflight else { return Next::Again };
    let findings = match findings(pass, release, preflight) {
        Ok(findings) => findings,
        Err(hold) => {
            let patience_ends = after(release.began_at, PATIENCE);
            if matches!(hold, Hold::Measuring(_)) {
                pass.wake_at(patience_ends);
            }
            return Next::Wait(hold);
        }
    };
    if !findings.is_empty() {
        pass.tell(Fact::PreflightWithoutData { findings });
    }
    let (now, replicas) = (pass.view.now, pass.view.replicas());
    if let Some(release) = pass.release_mut() {
        release.preflight = None;
        release.step_since = now;
        release.base_replicas = replicas;
    }
    Next::Again
}

/// What is worth telling of stable's answers, or what keeps the release from starting.
fn findings(pass: &Pass<'_>, release: &Release, preflight: &Preflight) -> Result<Vec<String>, Hold> {
    if let Some(words) = &preflight.wrong_query {
        let message = format!("{words}; correct the query in the AnalysisTemplate or in spec.strategy.canary");
        return Err(Hold::Problem(Problem { reason: Reason::InvalidAnalysis, message }));
    }
    let run = release.preflight_run(preflight, &pass.state.stable.hash);
    let is_late = pass.view.now >= after(release.began_at, PATIENCE);
    about_stable(&run, is_late)
}

/// One finding a metric at most.
fn about_stable(run: &Run<'_>, is_late: bool) -> Result<Vec<String>, Hold> {
    let mut findings = Vec::new();
    for metric in run.metrics.iter() {
        let last = run.tally(metric).and_then(|tally| tally.last.as_ref());
        let Some(judgement) = last.map(|last| &last.judgement) else {
            if !is_late {
                return Err(Hold::Measuring(format!("asking {} about stable before anything moves", metric.name)));
            }
            findings.push(format!("{}: no answer within {} s", metric.name, PATIENCE.as_secs()));
            continue;
        };
        match judgement.verdict {
            Verdict::Failure => {
                let what = format!("{} is {}: {}", metric.name, judgement.value, judgement.because);
                return Err(Hold::StableFails(what));
            }
            Verdict::NoData | Verdict::ProviderError => {
                findings.push(format!("{}: {}", metric.name, judgement.because));
            }
            Verdict::Success | Verdict::Inconclusive => {}
        }
    }
    Ok(findings)
}
