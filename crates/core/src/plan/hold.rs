//! What a Rollout waits for, in words, and whether the progress deadline runs meanwhile.

use jiff::Timestamp;

use crate::names::{Hash, Side};
use crate::spec::{Problem, Reason, Verb};

/// A reason not to go on in this pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// Our own write, or a cache, has not been seen yet.
    Unseen(&'static str),
    /// Pods are missing.
    Pods { available: u32, needed: u32, words: Option<String> },
    /// A Service's slices do not show enough ready endpoints of the right revision.
    Endpoints { side: Side, ready: u32, needed: u32 },
    /// A route is not on the decided split.
    Route(String),
    /// Something written is being given time to reach the proxies, or a pause is running.
    Until { what: String, until: Timestamp },
    /// A metric has nothing to judge.
    Data(String),
    /// A metric gets answers, and needs more.
    Measuring(String),
    /// A person has to decide.
    Person { what: String, verb: Verb, hash: Hash },
    /// `spec.paused`.
    SpecPaused,
    /// A person has to change something.
    Problem(Problem),
    /// Stable itself fails the gate: the release does not start.
    StableFails(String),
    /// A rollback has no stable pod to send traffic to.
    NoStablePods,
}

impl Hold {
    /// True while the progress deadline's clock runs.
    pub(super) fn runs_clock(&self) -> bool {
        match self {
            Self::Pods { .. } | Self::Endpoints { .. } | Self::Route(_) | Self::Data(_) => true,
            Self::Problem(problem) => problem.reason == Reason::RouteNotFound,
            Self::Unseen(_)
            | Self::Until { .. }
            | Self::Measuring(_)
            | Self::Person { .. }
            | Self::SpecPaused
            | Self::StableFails(_)
            | Self::NoStablePods => false,
        }
    }

    /// When the wait ends by itself.
    pub(super) fn until(&self) -> Option<Timestamp> {
        if let Self::Until { until, .. } = self { Some(*until) } else { None }
    }

    /// What the message says.
    pub(super) fn message(&self, rollout: &str) -> String {
        match self {
            Self::Unseen(what) => format!("waiting to see {what}"),
            Self::Pods { available, needed, words } => {
                let words = words.as_ref().map_or_else(String::new, |words| format!(": {words}"));
                format!("waiting for pods, {available} of {needed} available{words}")
            }
            Self::Endpoints { side, ready, needed } => {
                format!("waiting for ready endpoints of {side}, {ready} of {needed}")
            }
            Self::Route(what) => format!("waiting for {what}"),
            Self::Until { what, until } => format!("{what}, until {}", time(*until)),
            Self::Data(what) => format!("holding: {what}"),
            Self::Measuring(what) => what.clone(),
            Self::Person { what, verb, hash } => {
                format!("waiting for a person: {what}; to go on: {}", how_to(*verb, rollout, hash))
            }
            Self::SpecPaused => "spec.paused is true: set it to false to go on".to_owned(),
            Self::Problem(problem) => problem.message.clone(),
            Self::StableFails(what) => format!("not started: stable itself fails the analysis ({what})"),
            Self::NoStablePods => "rolling back, but stable has no ready pod to send traffic to".to_owned(),
        }
    }
}

/// The command that gives `verb`, ready to be pasted.
pub(super) fn how_to(verb: Verb, rollout: &str, hash: &Hash) -> String {
    let command = format!("leadsman.dev/command={}/{hash}/$(date +%s)", verb.as_str());
    format!("kubectl annotate --overwrite rollouts.leadsman.dev/{rollout} {command}")
}

/// An instant as people read it, to the second.
pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%H:%M:%SZ").to_string()
}
