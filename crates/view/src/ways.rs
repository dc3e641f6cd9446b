//! What a person can do: hints and commands, the likeliest first. Only commands that the operator would carry out.

use leadsman_api::RolloutStatus;

use crate::model::{Command, WayOn};
use crate::objects::Objects;
use crate::{causes, commands};

/// What a person can do about a release, or about what became of it.
pub fn on(objects: &Objects, status: &RolloutStatus) -> Vec<WayOn> {
    let mut ways: Vec<_> = hints(objects, status).into_iter().collect();
    let may = |verb: &str| commands::of(status).into_iter().any(|it: Command| it.verb == verb && it.refused.is_none());
    let waits_for = status.waiting.as_ref().map(|waiting| waiting.reason.as_str()).unwrap_or_default();
    let is_asked = causes::is_for_a_person(waits_for);
    let wanted: &[&str] = match status.phase {
        Some(leadsman_api::Phase::RolledBack) => &["retry"],
        _ if is_asked => &["promote", "resume", "promote-full", "abort"],
        Some(leadsman_api::Phase::Progressing | leadsman_api::Phase::RollingBack) => &["resume", "promote", "abort"],
        _ => &["resume", "promote", "retry", "abort"],
    };
    let wanted = if waits_for == "SpecPaused" { &["abort"] } else { wanted };
    // While a command pauses it, nothing else goes on.
    let wanted = wanted.iter().filter(|verb| !(may("resume") && verb.starts_with("promote")));
    let told = |verb: &&str| way(verb, waits_for, objects);
    ways.extend(wanted.filter(|verb| may(verb)).map(told));
    ways
}

/// A way that is a command of the plugin.
pub fn command(what: &str, verb: &str, objects: &Objects) -> WayOn {
    WayOn { what: what.to_owned(), command: Some(commands::typed(verb, objects.namespace(), objects.name())) }
}

fn way(verb: &str, waits_for: &str, objects: &Objects) -> WayOn {
    let what = match (verb, waits_for) {
        ("promote", "StableFails" | "StableWithoutData" | "NoAnswer") => "release it past what is measured of stable",
        ("promote", "Person") | ("resume", _) => "go on",
        ("promote", _) => "go on to the next step now",
        ("promote-full", _) => "go to all traffic, past all analysis",
        ("abort", _) => "roll it back",
        ("retry", _) => "run the same once more",
        _ => verb,
    };
    command(what, verb, objects)
}

/// What helps beside commands.
fn hints(objects: &Objects, status: &RolloutStatus) -> Option<WayOn> {
    let hint = |what: &str| WayOn { what: what.to_owned(), command: None };
    let stalled = crate::phases::reason_of(status, "Stalled");
    let of_stable = || Some(&*status.message).filter(|_| status.phase == Some(leadsman_api::Phase::Degraded));
    let words = status.waiting.as_ref().and_then(|waiting| waiting.words.as_deref()).or_else(of_stable);
    if let Some(cause) = words.and_then(causes::of_pods) {
        return Some(if cause == "look at its log" { command(cause, "logs", objects) } else { hint(cause) });
    }
    let Some(waiting) = &status.waiting else { return causes::of_reason(stalled).map(hint) };
    let is_silent = status.analysis.iter().any(|metric| metric.verdict == Some(leadsman_api::Verdict::ProviderError));
    let reason = if waiting.reason == "Data" && is_silent { "NoAnswer" } else { &*waiting.reason };
    causes::of_reason(reason).or_else(|| causes::of_reason(stalled)).map(hint)
}
