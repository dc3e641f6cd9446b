//! What a Rollout waits for, in words, and whether the progress deadline runs meanwhile.

use jiff::Timestamp;

use crate::names::{Hash, Side};
use crate::spec::{Problem, Reason, Rollout, Verb};

/// A reason not to go on in this pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// Our own write, or a cache, has not been seen yet.
    Unseen(&'static str),
    /// Pods are missing.
    Pods { available: u32, needed: u32, words: Option<String> },
    /// A Service's slices do not show enough ready endpoints of the right revision.
    Endpoints { side: Side, ready: u32, needed: u32, lacking: Option<String> },
    /// A route is not on the decided split.
    Route(String),
    /// The Service that carries the traffic does not select what was decided, or its slices do not say so yet.
    Service(String),
    /// Pods of other revisions have to be gone first.
    Ending { hashes: Vec<Hash> },
    /// Something written is being given time to reach the proxies, or a pause is running.
    Until { what: Timed, until: Timestamp },
    /// A metric has nothing to judge.
    Data(String),
    /// A metric gets answers, and needs more.
    Measuring(String),
    /// Stable fails as well: nothing is held against the canary, and nothing is raised.
    Shared(String),
    /// The traffic does not follow the weights.
    Traffic(String),
    /// A person has to decide.
    Person { what: String, verb: Verb, hash: Hash },
    /// What is measured of stable speaks against a release: it fails the gate, or nobody knows whether it does.
    Stable { finding: Finding, what: String, hash: Hash },
    /// The API server could not be asked about the template.
    Trial(String),
    /// `spec.paused`.
    SpecPaused,
    /// A person has to change something.
    Problem(Problem),
    /// A rollback has no stable pod to send traffic to.
    NoStablePods { words: Option<String> },
}

impl Hold {
    /// True while the progress deadline's clock runs.
    pub(super) fn runs_clock(&self) -> bool {
        match self {
            Self::Pods { .. }
            | Self::Endpoints { .. }
            | Self::Route(_)
            | Self::Service(_)
            | Self::Ending { .. }
            | Self::Data(_)
            | Self::Shared(_)
            | Self::Traffic(_) => true,
            Self::Problem(problem) => problem.reason == Reason::RouteNotFound,
            Self::Unseen(_)
            | Self::Until { .. }
            | Self::Measuring(_)
            | Self::Person { .. }
            | Self::SpecPaused
            | Self::Stable { .. }
            | Self::Trial(_)
            | Self::NoStablePods { .. } => false,
        }
    }

    /// In one word.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Unseen(_) => "Observation",
            Self::Pods { .. } => "Pods",
            Self::Endpoints { .. } => "Endpoints",
            Self::Route(_) => "Route",
            Self::Service(_) => "Service",
            Self::Ending { .. } => "Ending",
            Self::Until { what: Timed::Pause, .. } => "Pause",
            Self::Until { what: Timed::Settling(_), .. } => "Settling",
            Self::Until { what: Timed::Overlapping, .. } => "Overlapping",
            Self::Data(_) => "Data",
            Self::Measuring(_) => "Measurements",
            Self::Shared(_) => "SharedFailure",
            Self::Traffic(_) => "TrafficShare",
            Self::Person { .. } => "Person",
            Self::Stable { finding, .. } => finding.reason(),
            Self::Trial(_) => "ApiServer",
            Self::SpecPaused => "SpecPaused",
            Self::Problem(problem) => problem.reason.as_str(),
            Self::NoStablePods { .. } => "StablePods",
        }
    }

    /// What the pods say, where it waits for pods.
    pub(super) fn words(&self) -> Option<&str> {
        match self {
            Self::Pods { words, .. } | Self::Endpoints { lacking: words, .. } | Self::NoStablePods { words } => {
                words.as_deref()
            }
            _ => None,
        }
    }

    /// When the wait ends by itself.
    pub(super) fn until(&self) -> Option<Timestamp> {
        if let Self::Until { until, .. } = self { Some(*until) } else { None }
    }

    /// What the message says.
    pub(super) fn message(&self, rollout: &Rollout) -> String {
        let command = |verb, hash| how_to(verb, rollout, hash);
        match self {
            Self::Unseen(what) => format!("waiting to see {what}"),
            Self::Pods { available, needed, words } => {
                format!("waiting for pods, {available} of {needed} available{}", added(words.as_ref()))
            }
            Self::Endpoints { side, ready, needed, lacking } => {
                let service = rollout.targets.strategy.field(*side);
                format!("waiting for ready endpoints of {service}, {ready} of {needed}{}", added(lacking.as_ref()))
            }
            Self::Route(what) | Self::Service(what) => format!("waiting for {what}"),
            Self::Ending { hashes } => {
                let all: Vec<_> = hashes.iter().map(Hash::as_str).collect();
                format!("waiting for the pods of {} to end", all.join(", "))
            }
            Self::Until { what: Timed::Pause, until } => format!("pausing, until {}", time(*until)),
            Self::Until { what: Timed::Settling(what), until } => format!("{what} is settling, until {}", time(*until)),
            Self::Until { what: Timed::Overlapping, until } => {
                format!("both revisions are selected, until {}", time(*until))
            }
            Self::Data(what) | Self::Shared(what) => format!("holding: {what}"),
            Self::Traffic(what) => format!("holding: the traffic does not follow the weights: {what}"),
            Self::Measuring(what) => what.clone(),
            Self::Person { what, verb, hash } => {
                format!("waiting for a person: {what}; to go on: {}", command(*verb, hash))
            }
            Self::Stable { finding, what, hash } => format!(
                "not started: {} ({what}). To release it all the same, past what is measured of stable: {}; past all \
                 analysis, to full weight at once: {}",
                finding.words(),
                command(Verb::Promote, hash),
                command(Verb::PromoteFull, hash),
            ),
            Self::Trial(words) => format!("waiting for the API server to say whether it takes spec.template: {words}"),
            Self::SpecPaused => "spec.paused is true: set it to false to go on".to_owned(),
            Self::Problem(problem) => problem.message.clone(),
            Self::NoStablePods { words } => {
                format!("rolling back, but stable has no ready pod to send traffic to{}", added(words.as_ref()))
            }
        }
    }
}

/// Others' words, where there are any, behind our own.
pub(super) fn added(words: Option<&String>) -> String {
    words.map_or_else(String::new, |words| format!(": {words}"))
}

/// What ends by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Timed {
    /// A pause with a duration.
    Pause,
    /// A split or a binding, on its way to the proxies.
    Settling(String),
    /// One Service selects both revisions.
    Overlapping,
}

/// What speaks against a release before anything moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// Stable fails the gate that the canary would have to pass.
    Fails,
    /// A query finds nothing about stable.
    HasNoData,
    /// A metric source gives no usable answer.
    IsNotKnown,
}

impl Finding {
    /// The reason of the `Paused` condition.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Fails => "StableFails",
            Self::HasNoData => "StableWithoutData",
            Self::IsNotKnown => "NoAnswer",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Fails => "stable itself fails the analysis",
            Self::HasNoData => {
                "a query finds nothing about stable, so that it would find nothing about the new revision; a window of two \
                 scrapes or more, or onNoData: Succeed, may help"
            }
            Self::IsNotKnown => "a metric source does not answer",
        }
    }
}

/// The command that gives `verb`, ready to be pasted. Flux strips what a manager whose name begins with kubectl wrote.
pub(super) fn how_to(verb: Verb, rollout: &Rollout, hash: &Hash) -> String {
    let (namespace, name, verb) = (&rollout.namespace, &rollout.name, verb.as_str());
    format!(
        "kubectl annotate --overwrite --field-manager=leadsman-cli -n {namespace} rollouts.leadsman.dev/{name} \
         leadsman.dev/command={verb}/{hash}/$(date +%s)"
    )
}

/// An instant as people read it, to the second.
pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%H:%M:%SZ").to_string()
}
