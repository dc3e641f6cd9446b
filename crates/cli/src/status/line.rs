//! One line of `status`: how things stand, in the words of a log.

use jiff::Timestamp;
use leadsman_api::{MetricStatus, Phase, Rollout, RolloutStatus};
use leadsman_core::text::one_line;
use leadsman_view::without_commands;
use serde::Serialize;
use serde_json::Value;

/// Longest line, in characters: logs of CI systems are read, too.
const LONGEST: usize = 400;

/// How things stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// In words.
    pub words: String,
    /// What makes a line of its own; the rest is only worth a heartbeat.
    essence: (Option<Phase>, Option<i32>, Option<[i32; 3]>, String),
}

impl Standing {
    /// How a Rollout stands.
    pub fn of(rollout: &Rollout) -> Self {
        let default = RolloutStatus::default();
        let status = rollout.status.as_ref().unwrap_or(&default);
        let weights = status.weight.as_ref().map(|weight| [weight.desired, weight.written, weight.in_force]);
        let reason = status.waiting.as_ref().map_or_else(String::new, |waiting| waiting.reason.clone());
        let step = status.step.as_ref().map(|step| step.index);
        Self {
            words: one_line(&without_commands(&words(status)), LONGEST),
            essence: (status.phase, step, weights, reason),
        }
    }

    /// Of a Rollout that is not there.
    pub fn absent() -> Self {
        Self { words: String::new(), essence: (None, None, None, String::new()) }
    }

    /// Whether something happened since.
    pub fn differs(&self, before: &Self) -> bool {
        self.essence != before.essence
    }
}

fn words(status: &RolloutStatus) -> String {
    let Some(phase) = status.phase else { return "the operator has not said anything yet".to_owned() };
    let share = status.weight.as_ref().map(|weight| {
        if weight.in_force == weight.desired {
            format!("{}% in force", weight.in_force)
        } else {
            format!("{}% in force, {}% decided", weight.in_force, weight.desired)
        }
    });
    let what = status.waiting.as_ref().map_or(status.message.as_str(), |waiting| waiting.what.as_str());
    match (phase, &status.step, share) {
        (Phase::Progressing | Phase::Paused, Some(step), Some(share)) => {
            let paused = if phase == Phase::Paused { "paused; " } else { "" };
            format!("step {}: {share}; {paused}{what}", step.display)
        }
        (Phase::RollingBack, _, Some(share)) => format!("rolling back: {share}; {}", status.message),
        _ => format!("{phase}; {}", status.message, phase = phase.as_str()),
    }
}

/// The last measurements, as in "success-rate 99.81% of 518 (value >= 0.99)".
pub fn measured(rollout: &Rollout) -> String {
    let metrics = rollout.status.iter().flat_map(|status| &status.analysis);
    metrics.filter_map(metric).collect::<Vec<_>>().join("; ")
}

fn metric(metric: &MetricStatus) -> Option<String> {
    let value = metric.value.as_ref()?;
    let samples = metric.samples.map(|samples| format!(" of {samples}")).unwrap_or_default();
    let limit = if metric.limit.is_empty() { String::new() } else { format!(" ({})", metric.limit) };
    Some(one_line(&format!("{} {value}{samples}{limit}", metric.metric), LONGEST))
}

/// A line for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry<'a> {
    /// When.
    pub at: Timestamp,
    /// waiting, following or ended.
    pub stage: &'a str,
    /// The same line for people.
    pub words: &'a str,
    /// Number of the attempt, once it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// The Rollout's phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<&'a str>,
    /// The present step, as people count it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<i32>,
    /// Percent of the traffic in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<i32>,
    /// What the process ends with, in the last line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<u8>,
}

impl<'a> Entry<'a> {
    /// A line about a Rollout.
    pub fn new(at: Timestamp, stage: &'a str, words: &'a str, rollout: Option<&Rollout>) -> Self {
        let status = rollout.and_then(|rollout| rollout.status.as_ref());
        Self {
            at,
            stage,
            words,
            revision: None,
            phase: status.and_then(|status| status.phase).map(Phase::as_str),
            step: status.and_then(|status| status.step.as_ref()).map(|step| step.index.saturating_add(1).min(step.of)),
            weight: status.and_then(|status| status.weight.as_ref()).map(|weight| weight.in_force),
            exit: None,
        }
    }

    /// As a value, for a line of JSON.
    pub fn value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn standing(status: &Value) -> Standing {
        let rollout = json!({
            "apiVersion": "leadsman.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "cart"},
            "spec": {"selector": {"matchLabels": {"app": "cart"}}, "template": {}, "strategy": {}}, "status": status,
        });
        Standing::of(&serde_json::from_value(rollout).unwrap())
    }

    fn step(desired: i32, in_force: i32, what: &str) -> Value {
        json!({"phase": "Progressing", "message": "step 4/7: ...",
            "step": {"index": 3, "of": 7, "display": "4/7"}, "waiting": {"reason": "Pause", "for": what},
            "weight": {"desired": desired, "written": desired, "inForce": in_force}})
    }

    #[test]
    fn a_line_says_step_share_and_what_is_waited_for() {
        assert_eq!(
            standing(&step(20, 5, "waiting for the routes")).words,
            "step 4/7: 5% in force, 20% decided; waiting for the routes"
        );
        assert_eq!(
            standing(&step(20, 20, "pause until 12:03:47Z")).words,
            "step 4/7: 20% in force; pause until 12:03:47Z"
        );
        let healthy = json!({"phase": "Healthy", "message": "revision 5 serves with 4 pods"});
        assert_eq!(standing(&healthy).words, "Healthy; revision 5 serves with 4 pods");
        assert_eq!(standing(&json!({})).words, "the operator has not said anything yet");
    }

    #[test]
    fn values_and_words_alone_are_no_new_line() {
        let (before, after) = (standing(&step(20, 20, "1 of 5")), standing(&step(20, 20, "2 of 5")));
        assert!(!after.differs(&before));
        assert!(standing(&step(20, 5, "1 of 5")).differs(&before));
    }
}
