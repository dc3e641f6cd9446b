//! Before anything moves: a template that the API server takes, routes at rest and accepted, and each query sent with stable
//! in the canary's place.

use std::time::Duration;

use super::hold::{Finding, Hold};
use super::{Next, Pass, deadline, doubts, record, trial};
use crate::analysis::run::Run;
use crate::analysis::verdict::Verdict;
use crate::spec::{Problem, Reason};
use crate::state::{Preflight, Release, Return};
use crate::time::after;
use crate::traffic::Weight;

/// An answer that takes longer than this is a missing one.
const PATIENCE: Duration = Duration::from_secs(15);

pub(super) fn check(pass: &mut Pass<'_>) -> Next {
    if let Some(problem) = pass.problem_of_release() {
        return Next::Wait(Hold::Problem(problem));
    }
    if let Some(hold) = trial::hold(pass) {
        return Next::Wait(hold);
    }
    let is_commanded = pass.release().is_some_and(|release| release.returns == Some(Return::Commanded));
    if pass.view.rollout.paused && !is_commanded {
        return Next::Wait(Hold::SpecPaused);
    }
    if let Some(hold) = pass.wait_for_split(Weight::ZERO) {
        return Next::Wait(or_stuck(pass, hold));
    }
    if let Some(hold) = stable_is_fit(pass) {
        return Next::Wait(hold);
    }
    let (now, replicas) = (pass.view.now, pass.view.replicas());
    deadline::reset(pass);
    record::note_stable(pass);
    if let Some(release) = pass.release_mut() {
        let measured = release.preflight.take().map(|preflight| preflight.measured).unwrap_or_default();
        release.baselines =
            measured.into_iter().filter_map(|(name, tally)| Some((name, tally.gate?.baseline()))).collect();
        release.step_since = now;
        release.base_replicas = replicas;
    }
    doubts::of_baselines(pass);
    Next::Again
}

/// Routes that were not accepted for the whole deadline are stuck: a person has to look.
fn or_stuck(pass: &Pass<'_>, hold: Hold) -> Hold {
    let overdue = pass.release().filter(|release| release.preflight.as_ref().is_some_and(|it| it.overdue));
    match (overdue, hold) {
        (Some(release), Hold::Route(what)) => {
            let message = format!(
                "waited {} s for {what}: see the route's status, and whether its parents are served at all; where its \
                 status cannot be relied on, set acceptance beside the routes in spec.strategy",
                release.recipe.progress_deadline.as_secs()
            );
            Hold::Problem(Problem::new(Reason::RouteNotAccepted, message))
        }
        (_, hold) => hold,
    }
}

/// What is measured of stable and speaks against the release; `None` once nothing does, or a person has said so.
fn stable_is_fit(pass: &mut Pass<'_>) -> Option<Hold> {
    let release = pass.release()?;
    let preflight = release.preflight.as_ref().filter(|preflight| !preflight.waived && !release.skip)?;
    if pass.ready_stable() == 0 {
        // There is nothing to be measured of it, and the release may be what mends it.
        return None;
    }
    let patience_ends = after(release.began_at, PATIENCE);
    let hold = finding(release, preflight, &release.preflight_run(preflight, &pass.state.stable.hash), || {
        pass.view.now >= patience_ends
    });
    if matches!(hold, Some(Hold::Measuring(_))) {
        pass.wake_at(patience_ends);
    }
    hold
}

fn finding(release: &Release, preflight: &Preflight, run: &Run<'_>, is_late: impl Fn() -> bool) -> Option<Hold> {
    if let Some(words) = &preflight.wrong_query {
        let message = format!("{words}; correct the query in the AnalysisTemplate or in spec.strategy");
        return Some(Hold::Problem(Problem::new(Reason::InvalidAnalysis, message)));
    }
    let stable = |finding, what| Hold::Stable { finding, what, hash: release.canary.hash.clone() };
    run.metrics.iter().find_map(|metric| {
        let name = &metric.name;
        let Some(last) = run.tally(metric).and_then(|tally| tally.last.as_ref()) else {
            return Some(if is_late() {
                stable(Finding::IsNotKnown, format!("{name}: no answer within {} s", PATIENCE.as_secs()))
            } else {
                Hold::Measuring(format!("asking {name} about stable before anything moves"))
            });
        };
        let judgement = &last.judgement;
        match judgement.verdict {
            Verdict::Success | Verdict::Inconclusive => None,
            Verdict::Failure => {
                Some(stable(Finding::Fails, format!("{name} is {}: {}", judgement.value, judgement.because)))
            }
            Verdict::NoData => {
                let what = format!("{name}: {}; query as sent: {}", judgement.because, last.query);
                Some(stable(Finding::HasNoData, what))
            }
            Verdict::ProviderError => Some(stable(Finding::IsNotKnown, format!("{name}: {}", judgement.because))),
        }
    })
}
