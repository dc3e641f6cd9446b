//! The status as it is written, rendered from the plan's report and state.
//!
//! Rendering the same plan twice gives the same status: a settled Rollout is never written again.

mod conditions;

use jiff::Timestamp;
use leadsman_api::{
    CommandOutcome, CommandStatus, LastCommand, MetricStatus, NextStatus, RecentMeasurement, RejectedRevision,
    RevisionStatus, RolloutStatus, StepStatus, WaitingStatus, WeightStatus,
};
use leadsman_core::analysis::tally::Recent;
use leadsman_core::plan::Plan;
use leadsman_core::report::{Measured, Offer, RevisionReport, Waiting};
use leadsman_core::state::{Acknowledged, Rejection};
use leadsman_core::text::one_line;

use super::loaded::Loaded;

/// Longest message of one thing, in characters: much of what is in it is somebody else's.
const LONGEST_MESSAGE: usize = 4_000;

/// How soon a status has to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// It says what is written already.
    None,
    /// Only values, counts and messages differ.
    Values,
    /// What people and tools wait for differs.
    Essence,
    /// The generation differs: nobody may take the old conditions for the new generation's.
    Generation,
}

/// The status that a plan asks for.
pub fn render(loaded: &Loaded, plan: &Plan, now: Timestamp) -> RolloutStatus {
    let before = loaded.rollout.status.clone().unwrap_or_default();
    let (report, core) = (&plan.report, &loaded.declared.core);
    let state = plan.state.as_ref();
    let written = before.weight.as_ref().map_or(0, |weight| weight.written);
    RolloutStatus {
        observed_generation: Some(core.generation),
        phase: Some(report.phase),
        message: one_line(&report.message, LONGEST_MESSAGE),
        waiting: report.waiting.as_ref().map(waiting),
        next: report.next.as_ref().map(|next| NextStatus { at: next.at, what: one_line(&next.what, LONGEST_MESSAGE) }),
        commands: report.commands.iter().map(offer).collect(),
        stable: report.stable.as_ref().map(revision),
        canary: report.canary.as_ref().map(revision),
        step: report.step.map(|step| StepStatus::new(signed(step.index), signed(step.of), Some(step.started_at))),
        weight: state.is_some().then(|| WeightStatus {
            desired: signed(report.weight.desired),
            written: report.weight.written.map_or(written, signed),
            seen: report.weight.seen.clone(),
            in_force: signed(report.weight.in_force),
        }),
        analysis: report.analysis.iter().map(metric).collect(),
        rejected: state.map(|state| state.rejected.iter().map(rejected).collect()).unwrap_or_default(),
        last_command: state.and_then(|state| state.last_command.as_ref()).map(command),
        progress: state.and_then(|state| serde_json::to_value(state).ok()),
        replicas: signed(core.replicas),
        selector: loaded.selector(&report.scaled),
        conditions: conditions::merge(&before.conditions, &report.conditions, core.generation, now),
    }
}

/// How much a rendered status differs from the one that is written.
pub fn difference(before: Option<&RolloutStatus>, after: &RolloutStatus) -> Difference {
    let Some(before) = before else { return Difference::Generation };
    if before.observed_generation != after.observed_generation {
        Difference::Generation
    } else if before.phase != after.phase || conditions::differ(&before.conditions, &after.conditions) {
        Difference::Essence
    } else if before != after {
        Difference::Values
    } else {
        Difference::None
    }
}

fn revision(report: &RevisionReport) -> RevisionStatus {
    let RevisionReport { revision, replicas, ready } = report;
    RevisionStatus {
        hash: revision.hash.to_string(),
        revision: long(revision.number),
        commit: revision.commit.clone(),
        images: revision.images.clone(),
        replicas: signed(*replicas),
        ready_replicas: signed(*ready),
    }
}

fn waiting(waiting: &Waiting) -> WaitingStatus {
    WaitingStatus {
        reason: waiting.reason.to_owned(),
        what: one_line(&waiting.what, LONGEST_MESSAGE),
        since: waiting.since,
        deadline: waiting.deadline,
        words: waiting.words.as_ref().map(|words| one_line(words, LONGEST_MESSAGE)),
    }
}

fn offer(offer: &Offer) -> CommandStatus {
    let refused = offer.refused.as_ref().map(|refused| one_line(refused, LONGEST_MESSAGE));
    CommandStatus { verb: offer.verb.as_str().to_owned(), hash: offer.hash.to_string(), refused }
}

fn metric(measured: &Measured) -> MetricStatus {
    MetricStatus {
        metric: measured.metric.clone(),
        verdict: Some(measured.verdict),
        value: Some(measured.value.clone()).filter(|value| !value.is_empty()),
        measurements: signed(measured.measurements),
        failed: signed(measured.failed),
        message: one_line(&measured.because, LONGEST_MESSAGE),
        limit: one_line(&measured.limit, LONGEST_MESSAGE),
        samples: measured.samples.map(long),
        stable: measured.stable.clone(),
        confidence: measured.confidence.clone(),
        since: Some(measured.since),
        dry_run: measured.dry_run,
        recent: measured.recent.iter().map(recent).collect(),
    }
}

/// One of the last measurements, as it is written.
pub fn recent(Recent { at, value, verdict }: &Recent) -> RecentMeasurement {
    RecentMeasurement { at: *at, value: value.clone(), verdict: Some(*verdict) }
}

fn rejected(rejection: &Rejection) -> RejectedRevision {
    RejectedRevision {
        hash: rejection.revision.hash.to_string(),
        revision: long(rejection.revision.number),
        commit: rejection.revision.commit.clone(),
        reason: rejection.reason.clone(),
        message: one_line(&rejection.message, LONGEST_MESSAGE),
        at: rejection.at,
        query: rejection.query.clone(),
    }
}

fn command(command: &Acknowledged) -> LastCommand {
    LastCommand {
        id: command.id.clone(),
        verb: command.verb.map(|verb| verb.as_str().to_owned()),
        by: command.by.as_ref().map(|by| by.name.clone()),
        verified: command.by.as_ref().map(|by| by.verified),
        outcome: if command.executed { CommandOutcome::Executed } else { CommandOutcome::Refused },
        message: one_line(&command.message, LONGEST_MESSAGE),
        at: command.at,
    }
}

/// A count as it is written.
pub fn signed<T: TryInto<i32>>(number: T) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}

/// A number that may be large, as it is written.
pub fn long(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use leadsman_core::report::Phase;

    use super::*;

    fn status() -> RolloutStatus {
        RolloutStatus { observed_generation: Some(3), phase: Some(Phase::Healthy), ..RolloutStatus::default() }
    }

    #[test]
    fn a_new_generation_is_the_gravest_difference_and_values_the_least() {
        let before = status();
        let new = RolloutStatus { observed_generation: Some(4), ..status() };
        let phase = RolloutStatus { phase: Some(Phase::Degraded), ..status() };
        let values = RolloutStatus { message: "revision 3 serves".to_owned(), ..status() };
        assert_eq!(difference(Some(&before), &new), Difference::Generation);
        assert_eq!(difference(Some(&before), &phase), Difference::Essence);
        assert_eq!(difference(Some(&before), &values), Difference::Values);
        assert_eq!(difference(Some(&before), &status()), Difference::None);
        assert_eq!(difference(None, &status()), Difference::Generation);
        assert!(Difference::Generation > Difference::Essence && Difference::Essence > Difference::Values);
    }

    #[test]
    fn a_status_survives_the_wire_unchanged() {
        let wire = serde_json::to_value(status()).unwrap();
        assert_eq!(difference(Some(&serde_json::from_value(wire).unwrap()), &status()), Difference::None);
    }
}
