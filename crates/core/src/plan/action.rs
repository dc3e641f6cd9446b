//! What a plan consists of.

use jiff::Timestamp;

use super::fact::Fact;
use super::restart::Restart;
use crate::analysis::Question;
use crate::names::{Hash, Selection, Side};
use crate::observed::{RouteId, Sighted};
use crate::report::Report;
use crate::state::{Record, State};
use crate::traffic::{Port, Weight};

/// What to do next.
///
/// The shell persists `state` first when `persist` says `Now`, and acts only once that has succeeded; actions for which
/// [`Action::is_safety`] holds are done even if the status cannot be written within 2 s.
#[derive(Clone, Debug)]
pub struct Plan {
    /// To be persisted. `None` only before anything was decided at all.
    pub state: Option<State>,
    /// How urgently `state` has to be persisted.
    pub persist: Persist,
    /// In order; each was decided on the observation alone, so that the failure of one stops none of the others.
    pub actions: Vec<Action>,
    /// Questions to metric sources that should be under way or scheduled; what is not listed may be dropped.
    pub questions: Vec<Question>,
    /// The set whose pods' own words are needed in the next pass.
    pub wants_words_of: Option<Hash>,
    /// True when sets, Services and routes have to be read from the API before anything can be decided.
    pub wants_live: bool,
    /// The pods that a restart is about, to be looked at for the next pass.
    pub wants_old_pods: Option<Restart>,
    /// True when the API server has to be asked about the declared template before anything is made of it.
    pub wants_trial: bool,
    /// For people, once the state is persisted.
    pub facts: Vec<Fact>,
    /// What was seen and is not persisted with it: for the next observation of this process.
    pub sighted: Sighted,
    /// What the status says.
    pub report: Report,
    /// When to look again although nothing changes.
    pub next_wake: Option<Timestamp>,
}

/// How urgently a state has to be persisted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Persist {
    /// Nothing changed.
    Nothing,
    /// Only counts and last values changed: at most every 10 s. Answers have to be kept until then.
    Later,
    /// A decision changed: before any action.
    Now,
}

/// One idempotent write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Create the set of the declared template.
    CreateSet {
        /// Its revision; always the hash of the template that is declared now.
        hash: Hash,
        /// Its size.
        replicas: u32,
        /// The attempt.
        number: u64,
    },
    /// Change a set's size.
    ScaleSet {
        /// Which.
        hash: Hash,
        /// The size seen.
        from: u32,
        /// The size wanted.
        to: u32,
        /// True when this takes work from pods that must not have it.
        safety: bool,
    },
    /// Write the attempt's number and the rejection onto a set, where they survive a lost status.
    MarkSet {
        /// Which.
        hash: Hash,
        /// The attempt.
        number: u64,
        /// Why it is rejected; `None` removes the mark.
        rejected: Option<String>,
    },
    /// Remove a set without pods that is beyond the history limit.
    DeleteSet {
        /// Which.
        hash: Hash,
    },
    /// Have a Service select a revision, or all: selector, labels and ports in one write. Creates the Service where it is
    /// missing.
    Bind {
        /// Which of the two it is, or is to become.
        side: Side,
        /// Its name.
        service: String,
        /// What it is to select.
        selection: Selection,
        /// The ports of a Service of ours; Git's keeps its own.
        ports: Vec<Port>,
        /// True when this takes traffic from a revision that must not have it, or from pods that are not there.
        safety: bool,
    },
    /// Bring every weighted rule of a route to this split. Creates the route where we own it and it is missing.
    Split {
        /// Which route.
        route: RouteId,
        /// The canary's share.
        weight: Weight,
        /// True when this takes traffic from a revision that must not have it, or from pods that are not there.
        safety: bool,
    },
    /// Remove a route of ours that is not declared any more.
    DeleteRoute {
        /// Which route.
        route: RouteId,
    },
    /// Give up the ownership of a route's rules, so that whoever applies them without force meets no conflict.
    ReleaseRoute {
        /// Which route.
        route: RouteId,
    },
    /// Have a Service select the Rollout's pods of every revision. One without a selector would list dead pods for ever.
    Loosen {
        /// Its name.
        service: String,
    },
    /// Remove a Service of ours that is not declared any more.
    DeleteService {
        /// Its name.
        service: String,
    },
    /// Write down the size that the Rollout has, since nobody declares it any more.
    KeepReplicas {
        /// The size.
        replicas: u32,
    },
    /// Have the API server evict a pod, as far as disruption budgets allow.
    Evict {
        /// Its revision.
        hash: Hash,
        /// Its name.
        pod: String,
    },
    /// Have the report of an attempt say what is recorded of it and not in there yet. Creates the report where it is missing.
    Report {
        /// What is recorded.
        record: Box<Record>,
        /// Reports of the Rollout that are kept once the attempt is over.
        keep: usize,
    },
    /// Put our finalizer on the Rollout.
    AddFinalizer,
    /// Let the Rollout go.
    RemoveFinalizer,
}

impl Action {
    /// True for what takes traffic away from where it does harm: it must not wait for a status write.
    pub fn is_safety(&self) -> bool {
        matches!(
            self,
            Self::Split { safety: true, .. } | Self::Bind { safety: true, .. } | Self::ScaleSet { safety: true, .. }
        )
    }
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CreateSet { hash, replicas, .. } => write!(f, "create the ReplicaSet of {hash} with {replicas} pods"),
            Self::ScaleSet { hash, from, to, .. } => {
                write!(f, "scale the ReplicaSet of {hash} from {from} to {to} pods")
            }
            Self::MarkSet { hash, .. } => write!(f, "annotate the ReplicaSet of {hash}"),
            Self::DeleteSet { hash } => write!(f, "delete the ReplicaSet of {hash}"),
            Self::Bind { service, selection, .. } => write!(f, "have Service {service} select {selection}"),
            Self::Split { route, weight, .. } => write!(f, "set {route} to {weight}"),
            Self::DeleteRoute { route } => write!(f, "delete {route}"),
            Self::ReleaseRoute { route } => write!(f, "give up the ownership of {route}"),
            Self::Loosen { service } => write!(f, "take the revision off the selector of Service {service}"),
            Self::DeleteService { service } => write!(f, "delete Service {service}"),
            Self::KeepReplicas { replicas } => write!(f, "write spec.replicas: {replicas}"),
            Self::Evict { pod, .. } => write!(f, "evict pod {pod}"),
            Self::Report { record, .. } => write!(f, "write the report of revision {}", record.canary.number),
            Self::AddFinalizer => f.write_str("add the finalizer"),
            Self::RemoveFinalizer => f.write_str("remove the finalizer"),
        }
    }
}

/// A Kubernetes event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// `Warning` or `Normal`.
    pub warning: bool,
    /// One word.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
}
