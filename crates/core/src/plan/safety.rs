//! What protects users' traffic, before anything else: failing verdicts, crash loops, a share larger than the pods that are
//! ready can carry, and the way back.

use super::{Fact, Pass, compare, hold, leave, questions, share};
use crate::analysis::Scope;
use crate::analysis::metric::Metric;
use crate::analysis::run::Run;
use crate::analysis::tally::{Call, Tally};
use crate::state::Release;

/// Restarts of one container, since the step began, that make a crash loop.
const CRASH_LOOP: u32 = 2;

pub(super) fn keep(pass: &mut Pass<'_>) {
    questions::fold(pass);
    compare::fold(pass);
    heed_verdicts(pass);
    heed_crashes(pass);
    share::keep_within_pods(pass);
    leave::take_traffic_away(pass);
}

fn heed_verdicts(pass: &mut Pass<'_>) {
    let Some(release) = pass.release().filter(|release| release.preflight.is_none()) else { return };
    let runs = release.runs(&pass.state.stable.hash);
    let gravest = runs.iter().filter_map(|run| Some((run, run.gravest()?))).min_by_key(|(_, (call, ..))| *call);
    let Some((run, (call, metric, tally))) = gravest else { return };
    let Some(last) = &tally.last else { return };
    let message = what_was_measured(release, run, metric, tally);
    match call {
        Call::RollBack => {
            let (query, metric, since) = (last.query.clone(), metric.clone(), run.since);
            leave::reject(pass, "AnalysisFailed", message, Some(query));
            compare::with_stable(pass, metric, since);
        }
        Call::Ask if release.asked.is_none() => {
            pass.tell(Fact::Inconclusive { what: message.clone() });
            if let Some(release) = pass.release_mut() {
                release.asked = Some(message);
            }
        }
        Call::Ask | Call::Hold | Call::Measure | Call::Pass => {}
    }
}

/// Value, limit, counts, and since when, on one line.
fn what_was_measured(release: &Release, run: &Run<'_>, metric: &Metric, tally: &Tally) -> String {
    let judgement = tally.last.as_ref().map(|last| &last.judgement);
    let value = judgement.filter(|it| !it.value.is_empty()).map_or_else(String::new, |it| format!(" is {}", it.value));
    let because = judgement.map_or("", |it| it.because.as_str());
    let place = if run.scope == Scope::Background { "background analysis" } else { "step analysis" };
    format!(
        "{}{value} ({place}): {because}; {} of {} measurements failed, limit {}; weight {} in force since {}",
        metric.name,
        tally.failures,
        tally.measurements,
        metric.failure_limit,
        release.goal,
        hold::time(run.since)
    )
}

/// A canary that crash-loops without a ready pod will not come up by waiting.
fn heed_crashes(pass: &mut Pass<'_>) {
    let (Some(release), Some(words)) = (pass.release(), &pass.view.seen.words) else { return };
    let Some(set) = pass.view.set(&release.canary.hash) else { return };
    if set.ready > 0 && set.available >= release.target().needs(release.base_replicas) {
        return;
    }
    let step_since = release.step_since;
    let looping = words.iter().find(|container| {
        let in_this_step = container.created_at >= step_since || container.ended_at.is_some_and(|at| at >= step_since);
        container.restarts >= CRASH_LOOP && in_this_step
    });
    let Some(container) = looping else { return };
    let message = format!(
        "container {} of pod {} restarted {} times: {}",
        container.container, container.pod, container.restarts, container.words
    );
    leave::reject(pass, "CrashLooping", message, None);
}
