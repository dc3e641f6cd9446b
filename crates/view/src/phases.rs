//! Phases in words, and which of them needs a person first.

use leadsman_api::{Phase, Rollout, RolloutStatus};

/// What a Rollout's phase is called where it is known, and what it is called where not.
pub fn word(phase: Option<Phase>, is_seen: bool) -> &'static str {
    match phase {
        Some(phase) => phase.as_str(),
        None if is_seen => "Unknown",
        None => "NotSeen",
    }
}

/// The glyph before the word.
pub fn glyph(phase: Option<Phase>) -> &'static str {
    match phase {
        Some(Phase::Healthy) => "✓",
        Some(Phase::Progressing | Phase::RollingBack) => "●",
        Some(Phase::Paused) => "‖",
        Some(Phase::RolledBack) => "✗",
        Some(Phase::Degraded | Phase::Invalid) => "!",
        None => "·",
    }
}

/// What needs a person comes first.
pub fn urgency(phase: Option<Phase>) -> u8 {
    match phase {
        Some(Phase::Degraded) => 0,
        Some(Phase::Invalid) => 1,
        Some(Phase::RolledBack) => 2,
        Some(Phase::Paused) => 3,
        Some(Phase::RollingBack) => 4,
        Some(Phase::Progressing) => 5,
        None => 6,
        Some(Phase::Healthy) => 7,
    }
}

/// True while a release is under way, whichever way it goes.
pub fn is_moving(phase: Option<Phase>) -> bool {
    matches!(phase, Some(Phase::Progressing | Phase::Paused | Phase::RollingBack))
}

/// True while the status is about an earlier declaration.
pub fn is_behind(rollout: &Rollout, status: &RolloutStatus) -> bool {
    let (Some(declared), Some(seen)) = (rollout.metadata.generation, status.observed_generation) else { return false };
    seen < declared
}

/// The reason of a condition that is true; empty without one.
pub fn reason_of<'a>(status: &'a RolloutStatus, kind: &str) -> &'a str {
    let found = status.conditions.iter().find(|it| it.type_ == kind && it.status == "True");
    found.map(|condition| condition.reason.as_str()).unwrap_or_default()
}
