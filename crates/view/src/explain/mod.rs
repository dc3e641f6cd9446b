//! Why a Rollout stands where it stands, or why an attempt ended as it did.
//!
//! Of what is over, a report alone says everything that is told here: events, metrics and pods may be gone. Of what moves,
//! the status says it.

mod ended;
mod moving;
mod parts;

use jiff::Timestamp;
use leadsman_api::{Phase, RolloutStatus};

use crate::model::{About, Explanation};
use crate::objects::Objects;
use crate::release;

/// Why the Rollout stands where it stands; or, where an attempt is named, why that ended as it did.
pub fn explain(objects: &Objects, attempt: Option<i64>, now: Timestamp) -> Explanation {
    let nothing = RolloutStatus::default();
    let status = objects.status().unwrap_or(&nothing);
    let base = parts::base(objects, now);
    match attempt {
        Some(revision) if !is_present(objects, status, revision) => ended::explain(objects, status, revision, base),
        _ => present(objects, status, base),
    }
}

/// True for the attempt under way.
fn is_present(objects: &Objects, status: &RolloutStatus, revision: i64) -> bool {
    let is_moving = status.phase != Some(Phase::RolledBack) && status.canary.is_some();
    let is_over = objects.report(revision).is_some_and(|report| report.spec.outcome != "Progressing");
    is_moving && !is_over && release::attempt_of(status) == Some(revision)
}

fn present(objects: &Objects, status: &RolloutStatus, base: Explanation) -> Explanation {
    match status.phase {
        Some(Phase::RolledBack) => {
            let rejected = status
                .canary
                .as_ref()
                .map(|canary| canary.revision)
                .or_else(|| status.rejected.first().map(|it| it.revision));
            match rejected {
                Some(revision) => ended::explain(objects, status, revision, base),
                None => moving::explain(objects, status, About::Unknown, base),
            }
        }
        Some(Phase::Healthy) => at_rest(objects, status, base),
        Some(Phase::RollingBack) => moving::explain(objects, status, About::RollingBack, base),
        Some(Phase::Paused) => moving::explain(objects, status, About::Paused, base),
        Some(Phase::Degraded) => moving::explain(objects, status, About::Degraded, base),
        Some(Phase::Invalid) => moving::explain(objects, status, About::Invalid, base),
        Some(Phase::Progressing) => {
            let is_held = base.waiting.as_ref().is_some_and(|waiting| waiting.is_held);
            moving::explain(objects, status, if is_held { About::Held } else { About::Moving }, base)
        }
        None => moving::explain(objects, status, About::Unknown, base),
    }
}

/// What serves got there by an attempt, which is explained; unless the last attempt was another one.
fn at_rest(objects: &Objects, status: &RolloutStatus, base: Explanation) -> Explanation {
    let last = objects.newest_first().into_iter().next();
    let serves = status.stable.as_ref().map(|stable| stable.hash.as_str());
    match last.filter(|report| Some(report.spec.canary.hash.as_str()) == serves) {
        Some(report) => ended::explain(objects, status, report.spec.revision, base),
        None => moving::explain(objects, status, About::Serving, base),
    }
}
