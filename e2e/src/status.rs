//! What people and tools read of a Rollout's status.

use leadsman_api::{Phase, Rollout};

/// Whether the status is about the spec as it is now.
pub fn is_current(rollout: &Rollout) -> bool {
    rollout.status.as_ref().is_some_and(|status| status.observed_generation == rollout.metadata.generation)
}

/// `status.phase`.
pub fn phase(rollout: &Rollout) -> Option<Phase> {
    rollout.status.as_ref()?.phase
}

/// `status.message`, or nothing.
pub fn message(rollout: &Rollout) -> &str {
    rollout.status.as_ref().map_or("", |status| &status.message)
}

/// `status.stable.hash`.
pub fn stable_hash(rollout: &Rollout) -> Option<&String> {
    Some(&rollout.status.as_ref()?.stable.as_ref()?.hash)
}

/// `status.canary.hash`.
pub fn canary_hash(rollout: &Rollout) -> Option<&String> {
    Some(&rollout.status.as_ref()?.canary.as_ref()?.hash)
}

/// `status.weight.inForce`, 0 where there is none.
pub fn weight_in_force(rollout: &Rollout) -> i32 {
    rollout.status.as_ref().and_then(|status| status.weight.as_ref()).map_or(0, |weight| weight.in_force)
}

/// Status, reason and message of a condition.
pub fn condition<'a>(rollout: &'a Rollout, kind: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let found = rollout.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == kind)?;
    Some((&found.status, &found.reason, &found.message))
}
