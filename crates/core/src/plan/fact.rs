//! What happened, as values: rendered once into events, log lines and whatever tells people later.

use jiff::Timestamp;

use crate::names::{Hash, Revision, Selection};
use crate::observed::RouteId;
use crate::spec::{Commander, Verb};
use crate::state::Why;
use crate::traffic::{Shape, Weight};

use super::action::Event;

/// Something that happened in a pass, or was decided in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A command was done, or refused.
    Command {
        /// What was asked for; `None` where it could not be read.
        verb: Option<Verb>,
        /// Who gave it, where that is told.
        by: Option<Commander>,
        /// Why, in that one's own words.
        reason: Option<String>,
        /// What was done, or why nothing was.
        outcome: Result<String, String>,
    },
    /// The first revision serves.
    Deployed {
        /// Which.
        hash: Hash,
        /// With so many pods.
        replicas: u32,
    },
    /// A release began.
    ReleaseStarted {
        /// What is new.
        canary: Revision,
        /// What serves.
        stable: Revision,
    },
    /// Something is sound, and most likely not what somebody meant.
    Doubtful {
        /// Of what kind.
        kind: Doubt,
        /// What, and what to do.
        what: String,
    },
    /// The steps were edited in mid-release.
    StepsChanged {
        /// Index of the step at which it goes on.
        step: usize,
        /// How many there are now.
        of: usize,
    },
    /// A share was decided.
    WeightDecided {
        /// The canary's share before.
        from: Weight,
        /// The canary's share now.
        to: Weight,
    },
    /// The share is in every route, or in the selector of the Service that carries the traffic.
    WeightWritten {
        /// The canary's share.
        weight: Weight,
    },
    /// The share has reached whoever sends.
    WeightInForce {
        /// The canary's share.
        weight: Weight,
    },
    /// Whole pods make the share larger than asked.
    CoarseShare {
        /// What was asked.
        asked: Weight,
        /// What the pods make of it.
        given: Weight,
        /// The pods.
        shape: Shape,
    },
    /// A person has what is declared taken back.
    RollbackCommanded {
        /// What is rejected.
        from: Hash,
        /// What comes back.
        to: Revision,
    },
    /// A step ended.
    StepCompleted {
        /// Its index.
        step: usize,
        /// How many there are.
        of: usize,
        /// The canary's share.
        weight: Weight,
    },
    /// A metric is inconclusive, or cannot be asked: a person has to look.
    Inconclusive {
        /// What was measured.
        what: String,
    },
    /// Canary pods are missing, and with them a part of the share.
    ShareReduced {
        /// Ready pods that are left.
        ready: u32,
        /// The share that they can carry.
        share: Weight,
    },
    /// Canary pods are back.
    ShareRestored {
        /// The share that the step asks for.
        goal: Weight,
    },
    /// Stable has no ready pod, and the mesh gives its share to the new revision too.
    MeshSpills {
        /// What has no ready pod.
        stable: Hash,
        /// The share that the new revision was to have.
        share: Weight,
    },
    /// Somebody else wrote the weights.
    WeightsPutBack {
        /// In which route.
        route: RouteId,
        /// The canary's share that was found.
        found: Weight,
        /// The share that is put back.
        decided: Weight,
    },
    /// Somebody else wrote the selector of the Service that carries the traffic.
    SelectorPutBack {
        /// What was found, where it is ours.
        found: Option<Selection>,
        /// What is put back.
        decided: Selection,
    },
    /// The point of no return.
    Promoting {
        /// What is stable from now on.
        hash: Hash,
        /// What goes.
        old: Hash,
    },
    /// Services and split have followed.
    Promoted {
        /// What is stable.
        hash: Hash,
        /// Its number; `None` where there are no pods and nothing was moved.
        number: Option<u64>,
    },
    /// A canary failed.
    RollingBack {
        /// One word.
        reason: String,
        /// What was measured, against what, and since when.
        message: String,
    },
    /// What a pod of a canary that failed says of itself.
    Said {
        /// The pod, or the set where there is no pod.
        pod: String,
        /// The container; empty where it is about the pod as a whole.
        container: String,
        /// What it says.
        words: String,
    },
    /// Stable fails the same limit.
    SharedFailure {
        /// What stable has.
        what: String,
    },
    /// A route cannot be put back: `canaryService` is bound to stable instead.
    SecondWay {
        /// The route, and what is wrong with it.
        route: String,
    },
    /// Another template is declared.
    Outdated {
        /// The release that ends.
        number: u64,
        /// What is declared; `None` where it is stable's template.
        declared: Option<Hash>,
    },
    /// Every pod that was older than an instant has been replaced.
    Restarted {
        /// The instant.
        before: Timestamp,
    },
    /// Other Services are declared, and the routes name those by now.
    TargetsChanged,
    /// A canary is out of service.
    Left {
        /// Its number.
        number: u64,
        /// Why it went.
        why: Why,
    },
    /// A deleted Rollout is let go although something could not be put to rest.
    LetGo,
}

/// What is doubtful before anything moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Something declared is most likely not what was meant.
    Declaration,
    /// A proportion will not be decided in time.
    LowTraffic,
    /// Stable comes near the limit of a proportion.
    LimitNearStable,
    /// A proportion is looked at less often than asked.
    IntervalRaised,
    /// The limit of a latency is no boundary of its histogram.
    Interpolated,
}

impl Doubt {
    fn reason(self) -> &'static str {
        match self {
            Self::Declaration => "Doubtful",
            Self::LowTraffic => "LowTraffic",
            Self::LimitNearStable => "LimitNearStable",
            Self::IntervalRaised => "IntervalRaised",
            Self::Interpolated => "Interpolated",
        }
    }
}

impl Fact {
    /// One word, the reason of the event.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Command { outcome: Ok(_), .. } => "CommandExecuted",
            Self::Command { outcome: Err(_), .. } => "CommandRefused",
            Self::Deployed { .. } => "Deployed",
            Self::ReleaseStarted { .. } => "ReleaseStarted",
            Self::Doubtful { kind, .. } => kind.reason(),
            Self::StepsChanged { .. } => "StepsChanged",
            Self::WeightDecided { .. } => "WeightDecided",
            Self::WeightWritten { .. } => "WeightWritten",
            Self::WeightInForce { .. } => "WeightInForce",
            Self::CoarseShare { .. } => "CoarseShare",
            Self::RollbackCommanded { .. } => "RollbackCommanded",
            Self::StepCompleted { .. } => "StepCompleted",
            Self::Inconclusive { .. } => "Inconclusive",
            Self::ShareReduced { .. } => "ShareReduced",
            Self::ShareRestored { .. } => "ShareRestored",
            Self::MeshSpills { .. } => "MeshSpills",
            Self::WeightsPutBack { .. } => "WeightsPutBack",
            Self::SelectorPutBack { .. } => "SelectorPutBack",
            Self::Promoting { .. } => "Promoting",
            Self::Promoted { .. } => "Promoted",
            Self::RollingBack { .. } => "RollingBack",
            Self::Said { .. } => "PodSaid",
            Self::SharedFailure { .. } => "SharedFailure",
            Self::SecondWay { .. } => "SecondWay",
            Self::Outdated { declared: None, .. } | Self::Left { why: Why::Reverted, .. } => "Reverted",
            Self::Outdated { .. } | Self::Left { why: Why::Superseded, .. } => "Superseded",
            Self::Left { why: Why::Failed, .. } => "RolledBack",
            Self::Left { why: Why::Lost, .. } => "Recovered",
            Self::Left { why: Why::GivenUp, .. } => "GivenUp",
            Self::TargetsChanged | Self::Left { why: Why::Moved, .. } => "TargetsChanged",
            Self::Restarted { .. } => "Restarted",
            Self::LetGo => "LetGo",
        }
    }

    /// True for what people should hear of although they did not ask.
    pub fn is_warning(&self) -> bool {
        match self {
            Self::Command { outcome, .. } => outcome.is_err(),
            Self::Left { why, .. } => *why == Why::Failed,
            Self::Doubtful { kind, .. } => !matches!(kind, Doubt::IntervalRaised | Doubt::Interpolated),
            Self::Inconclusive { .. }
            | Self::ShareReduced { .. }
            | Self::MeshSpills { .. }
            | Self::WeightsPutBack { .. }
            | Self::SelectorPutBack { .. }
            | Self::RollingBack { .. }
            | Self::SharedFailure { .. }
            | Self::SecondWay { .. }
            | Self::LetGo => true,
            Self::Deployed { .. }
            | Self::ReleaseStarted { .. }
            | Self::StepsChanged { .. }
            | Self::WeightDecided { .. }
            | Self::WeightWritten { .. }
            | Self::WeightInForce { .. }
            | Self::Said { .. }
            | Self::CoarseShare { .. }
            | Self::RollbackCommanded { .. }
            | Self::StepCompleted { .. }
            | Self::ShareRestored { .. }
            | Self::Promoting { .. }
            | Self::Promoted { .. }
            | Self::Outdated { .. }
            | Self::Restarted { .. }
            | Self::TargetsChanged => false,
        }
    }

    /// The event that tells it; `None` for what only a report keeps. The way of a weight is told once, by the end of its step.
    pub fn event(&self) -> Option<Event> {
        let is_kept_only = matches!(
            self,
            Self::WeightDecided { .. } | Self::WeightWritten { .. } | Self::WeightInForce { .. } | Self::Said { .. }
        );
        let event = || Event { warning: self.is_warning(), reason: self.reason(), message: self.to_string() };
        (!is_kept_only).then(event)
    }

    /// The share that it is about.
    pub fn weight(&self) -> Option<Weight> {
        match self {
            Self::WeightDecided { to: weight, .. }
            | Self::WeightWritten { weight }
            | Self::WeightInForce { weight }
            | Self::StepCompleted { weight, .. }
            | Self::ShareReduced { share: weight, .. }
            | Self::ShareRestored { goal: weight } => Some(*weight),
            _ => None,
        }
    }
}

impl std::fmt::Display for Fact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Command { verb, by, reason, outcome } => {
                f.write_str(verb.map_or("command", Verb::as_str))?;
                if let Some(by) = by {
                    write!(f, " by {by}")?;
                }
                if let Some(reason) = reason {
                    write!(f, " ({reason})")?;
                }
                match outcome {
                    Ok(done) => write!(f, " executed: {done}"),
                    Err(refusal) => write!(f, " refused: {refusal}"),
                }
            }
            Self::Deployed { hash, replicas } => write!(f, "first revision {hash} serves with {replicas} pods"),
            Self::ReleaseStarted { canary, stable } => {
                write!(f, "revision {}: {}", canary.number, what_changed(canary, stable))
            }
            Self::StepsChanged { step, of } => write!(f, "the steps changed: going on at step {} of {of}", step + 1),
            Self::CoarseShare { asked, given, shape: Shape { stable, canary } } => write!(
                f,
                "{asked} was asked; with {stable} stable pods, {canary} canary {} {given}",
                if *canary == 1 { "pod gets" } else { "pods get" }
            ),
            Self::RollbackCommanded { from, to } => {
                write!(f, "{from} is rejected by command: going back to revision {} ({})", to.number, to.hash)
            }
            Self::WeightDecided { from, to } => write!(f, "the new revision goes from {from} to {to}"),
            Self::WeightWritten { weight } => write!(f, "{weight} is written, and accepted"),
            Self::WeightInForce { weight } => write!(f, "{weight} is in force"),
            Self::StepCompleted { step, of, weight } => write!(f, "step {}/{of} done, the new revision at {weight}", step + 1),
            Self::Doubtful { what, .. } | Self::Inconclusive { what } => f.write_str(what),
            Self::ShareReduced { ready, share } => {
                write!(f, "{ready} pods of the new revision are ready: share reduced to {share}")
            }
            Self::ShareRestored { goal } => write!(f, "pods of the new revision are ready again: back to {goal}"),
            Self::MeshSpills { stable, share } => write!(
                f,
                "no pod of stable ({stable}) is ready, and the mesh gives its share to the new revision, which has all \
                 requests instead of {share}: no weight changes that; it ends when pods of stable are ready"
            ),
            Self::WeightsPutBack { route, found, decided } => {
                write!(f, "somebody set {route} to {found}; put back to {decided}")
            }
            Self::SelectorPutBack { found, decided } => {
                let found = found.as_ref().map_or_else(|| "something else".to_owned(), ToString::to_string);
                write!(f, "somebody had the Service that carries the traffic select {found}; put back to {decided}")
            }
            Self::Promoting { hash, old } => write!(f, "{hash} has all traffic and is now stable; {old} goes"),
            Self::Promoted { hash, number: Some(number) } => write!(f, "revision {number} ({hash}) is stable"),
            Self::Promoted { hash, number: None } => write!(f, "{hash} is stable at once, as there are no pods"),
            Self::RollingBack { reason, message } => write!(f, "{reason}: {message}"),
            Self::Said { pod, container, words } if container.is_empty() => write!(f, "{pod}: {words}"),
            Self::Said { pod, container, words } => write!(f, "{pod}, container {container}: {words}"),
            Self::SharedFailure { what } => write!(f, "{what}: look beyond this release as well"),
            Self::SecondWay { route } => {
                write!(f, "{route} is not on the way back; the Service of the new revision is bound to stable instead")
            }
            Self::Outdated { declared: None, .. } => {
                f.write_str("stable's template is declared again: the new revision leaves")
            }
            Self::Outdated { number, declared: Some(hash) } => {
                write!(f, "a newer template ({hash}) is declared: revision {number} leaves")
            }
            Self::Left { number, why } => {
                let what = match why {
                    Why::Failed => "all traffic is on stable again",
                    Why::Superseded => "a newer template is declared; its predecessor has left",
                    Why::Reverted => "stable's template is declared again",
                    Why::GivenUp => "it does not come back: the rollback was given up by command",
                    Why::Lost => "the status was lost; traffic is on stable, as a start",
                    Why::Moved => "it has left, so that the Services that are declared now can take effect",
                };
                write!(f, "revision {number}: {what}")
            }
            Self::Restarted { before } => {
                write!(f, "no pod is older than {}", super::hold::time(*before))
            }
            Self::TargetsChanged => f.write_str(
                "the routes name the Services that are declared now: the new revision leaves, and its release begins anew",
            ),
            Self::LetGo => f.write_str(
                "routes or Services could not be put to rest within 30 s; the Rollout is let go all the same",
            ),
        }
    }
}

/// Images where they differ, else commits where they are known, else hashes.
fn what_changed(new: &Revision, old: &Revision) -> String {
    if new.images != old.images {
        return format!("{} replaces {}", new.images.join(", "), old.images.join(", "));
    }
    match (&new.commit, &old.commit) {
        (Some(new), Some(old)) if new != old => format!("commit {new} replaces {old}"),
        _ => format!("template {} replaces {}", new.hash, old.hash),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(hash: &str, commit: Option<&str>, image: &str) -> Revision {
        Revision {
            hash: hash.into(),
            number: 2,
            commit: commit.map(str::to_owned),
            images: vec![image.to_owned()],
            ports: Vec::new(),
        }
    }

    #[test]
    fn a_release_tells_the_first_thing_that_differs() {
        let old = revision("a", Some("1"), "app=shop:1");
        for (new, told) in [
            (revision("b", Some("2"), "app=shop:2"), "revision 2: app=shop:2 replaces app=shop:1"),
            (revision("b", Some("2"), "app=shop:1"), "revision 2: commit 2 replaces 1"),
            (revision("b", None, "app=shop:1"), "revision 2: template b replaces a"),
        ] {
            assert_eq!(Fact::ReleaseStarted { canary: new, stable: old.clone() }.to_string(), told);
        }
    }

    #[test]
    fn a_refused_command_is_a_warning_and_one_that_was_done_is_not() {
        let refused = Fact::Command {
            verb: Some(Verb::Abort),
            by: None,
            reason: None,
            outcome: Err("no release is under way".to_owned()),
        };
        assert_eq!((refused.reason(), refused.is_warning()), ("CommandRefused", true));
        assert_eq!(refused.to_string(), "abort refused: no release is under way");
        let by = Some(Commander { name: "alice".to_owned(), verified: false });
        let done = Fact::Command { verb: None, by, reason: None, outcome: Ok("rolled back".to_owned()) };
        assert_eq!((done.reason(), done.is_warning()), ("CommandExecuted", false));
        assert_eq!(done.to_string(), "command by alice (not verified) executed: rolled back");
    }
}
