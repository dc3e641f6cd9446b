//! An honest snapshot of the cluster: what was not seen is not taken for absent.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::analysis::Answer;
use crate::names::{Hash, Selection, Side};
use crate::spec::Problem;
use crate::state::State;
use crate::traffic::{ContainerPort, Port, Split, Weight};

/// How an object stands in the snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look<T> {
    /// As it is, at least as new as our own last write to it.
    Seen(T),
    /// Known not to exist.
    Missing,
    /// Not known: the cache has not synced, or is older than our own last write.
    Stale,
}

impl<T> Look<T> {
    /// What was seen, if anything was.
    pub fn seen(&self) -> Option<&T> {
        match self {
            Self::Seen(object) => Some(object),
            Self::Missing | Self::Stale => None,
        }
    }
}

/// Everything that a decision may look at, at one moment.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The moment.
    pub now: Timestamp,
    /// True in the first pass over this Rollout after a start or a take-over.
    pub first_pass: bool,
    /// True when sets, Services and routes were read from the API for this pass, not from a cache.
    pub live: bool,
    /// Our ReplicaSets by revision hash.
    pub sets: Look<BTreeMap<Hash, SetView>>,
    /// The Service that clients call, where one is named.
    pub service: ParentService,
    /// The ports that the declaration gives to both Services now; `None` while they are not known.
    pub ports: Option<Vec<Port>>,
    /// Ports of the two Services that a route names; `None`: any may be.
    pub named_ports: Option<BTreeSet<u16>>,
    /// `stableService`, of the targets in force.
    pub stable_service: Look<ServiceView>,
    /// `canaryService`, of the targets in force.
    pub canary_service: Look<ServiceView>,
    /// Services that are declared and not in force yet, or that were given up and not let go yet.
    pub other_services: Vec<OtherService>,
    /// The slices of `stableService`.
    pub stable_endpoints: Endpoints,
    /// The slices of `canaryService`.
    pub canary_endpoints: Endpoints,
    /// Every route: those of the targets in force, then those that are only declared.
    pub routes: Vec<(RouteId, Look<RouteView>)>,
    /// What metric sources answered since the last persisted state.
    pub answers: Vec<Answer>,
    /// The canary's containers that have something to say; only when asked for.
    pub words: Option<Vec<ContainerWords>>,
    /// Pods that a restart is about; only when asked for.
    pub old_pods: Option<OldPods>,
    /// What the API server says of the declared template; only when asked for.
    pub trial: Option<Trial>,
    /// What the reports of attempts are known to have: by number, the index before which nothing is missing.
    pub reports: BTreeMap<u64, u64>,
    /// Whether our finalizer is on the Rollout.
    pub finalizer: bool,
    /// Writes of earlier passes that failed and are still wanted, a sentence each, with the API server's own words. They are
    /// told, and decide nothing.
    pub refused: Vec<String>,
    /// What this process has seen to have taken effect since the last persisted state: what its last plan gave.
    pub sighted: Sighted,
}

/// Since when what was decided has been seen, where that is not persisted yet. It is kept by the process that has seen it;
/// another one sees for itself, and waits anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sighted {
    /// The split of this share that was decided then, and since when it has been seen.
    pub split: Option<(Weight, Timestamp, Timestamp)>,
    /// What `stableService` is to select, and since when its slices have shown that.
    pub stable: Option<(Selection, Timestamp)>,
    /// The same of `canaryService`.
    pub canary: Option<(Selection, Timestamp)>,
}

impl Sighted {
    /// What the state that follows has of this beyond the one that is persisted.
    pub fn between(persisted: Option<&State>, after: Option<&State>) -> Self {
        let Some(after) = after else { return Self::default() };
        let binding = |side| {
            let (binding, before) = (after.bindings.of(side), persisted.map(|it| it.bindings.of(side)));
            let since = binding.seen_since.filter(|_| before != Some(binding))?;
            Some((binding.decided.clone(), since))
        };
        let split = after.split.seen_since.filter(|_| persisted.map(|it| it.split) != Some(after.split));
        Self {
            split: split.map(|since| (after.split.decided, after.split.decided_at, since)),
            stable: binding(Side::Stable),
            canary: binding(Side::Canary),
        }
    }

    /// Since when this split has been seen.
    pub fn split_since(&self, split: &Split) -> Option<Timestamp> {
        self.split
            .filter(|(share, decided_at, _)| (*share, *decided_at) == (split.decided, split.decided_at))
            .map(|(_, _, since)| since)
    }

    /// Since when the slices of a side's Service have shown this.
    pub fn binding_since(&self, side: Side, selection: &Selection) -> Option<Timestamp> {
        let sighted = match side {
            Side::Stable => &self.stable,
            Side::Canary => &self.canary,
        };
        sighted.as_ref().filter(|(seen, _)| seen == selection).map(|(_, since)| *since)
    }
}

impl Observed {
    /// The Service of a side.
    pub fn service_of(&self, side: Side) -> &Look<ServiceView> {
        match side {
            Side::Stable => &self.stable_service,
            Side::Canary => &self.canary_service,
        }
    }

    /// The slices of a side's Service.
    pub fn endpoints_of(&self, side: Side) -> &Endpoints {
        match side {
            Side::Stable => &self.stable_endpoints,
            Side::Canary => &self.canary_endpoints,
        }
    }
}

/// The pods of the revisions that a restart is about, as the API server has them: a set's own status may lag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldPods {
    /// The instant before which a pod was created that is old.
    pub before: Timestamp,
    /// One entry for each revision that was asked about.
    pub revisions: BTreeMap<Hash, OldPodsOf>,
}

/// The pods of one revision; those on their way out do not count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OldPodsOf {
    /// Names of those that are old, the oldest first.
    pub old: Vec<String>,
    /// How many are ready, old or not.
    pub ready: u32,
}

/// What the API server says of the declared template, asked as a dry run with strict validation of its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trial {
    /// It would take it as it is.
    Accepted,
    /// It refuses it, or drops a part of it: its own words, on one line and bounded.
    Refused(String),
    /// It could not be asked: why.
    Unknown(String),
}

/// One of our ReplicaSets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetView {
    /// `spec.replicas`.
    pub wanted: u32,
    /// `status.replicas`: pods that exist.
    pub existing: u32,
    /// `status.readyReplicas`.
    pub ready: u32,
    /// `status.availableReplicas`: ready for `minReadySeconds`.
    pub available: u32,
    /// The revision number of the attempt that last used it.
    pub number: u64,
    /// Why its template was rejected, if it was (an annotation that survives a lost status).
    pub rejected: Option<String>,
    /// What the API server said when a pod could not be created (`ReplicaFailure`).
    pub failure: Option<String>,
    /// Being deleted.
    pub deleting: bool,
    /// The ports that its containers declare.
    pub ports: Vec<ContainerPort>,
}

/// The Service that routes have as parent or host, from which ports are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParentService {
    /// None is named: the ports are given in the spec.
    NotNamed,
    /// Exists and fits.
    Fits,
    /// Does not exist, or does not fit.
    Wrong(Problem),
    /// Not known.
    Stale,
}

/// `stableService` or `canaryService`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceView {
    /// What it selects, when the selector is ours.
    pub selection: Option<Selection>,
    /// True when we created it; else it is declared in Git without a selector.
    pub created_by_us: bool,
    /// Why we must not touch it: somebody else's selector or label, a type that cannot be used.
    pub conflict: Option<String>,
    /// True when we created it for a Rollout that is no more, so that it needs its owner again.
    pub orphaned: bool,
    /// The ports that it has.
    pub ports: Vec<Port>,
    /// What is worth saying before a release, and stops none: clients that stay with a pod, connections that last.
    pub warnings: Vec<String>,
}

impl ServiceView {
    /// True when it selects this revision alone.
    pub fn is_bound_to(&self, hash: &Hash) -> bool {
        self.bound() == Some(hash)
    }

    /// The one revision that it selects.
    pub fn bound(&self) -> Option<&Hash> {
        self.selection.as_ref()?.only()
    }
}

/// A Service beside the two in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherService {
    /// Its name.
    pub name: String,
    /// As it is.
    pub service: Look<ServiceView>,
    /// Whether a route names it, or may.
    pub named: bool,
}

/// The EndpointSlices of one Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// One entry a slice: what the Service selected when it was written, and its ready endpoints.
    pub slices: Vec<Slice>,
    /// Ready pods that do not serve a port which a route names: which port, and what its pods lack.
    pub lacking: Option<String>,
}

/// One EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The revision label at the time the endpoints were computed.
    pub selection: Option<Selection>,
    /// Endpoints that are ready and serve every port that a route names.
    pub ready: u32,
}

impl Endpoints {
    /// Ready endpoints of `hash`, or `None` while any slice still belongs to another binding.
    pub fn ready_of(&self, hash: &Hash) -> Option<u32> {
        self.ready_as(&Selection::from(hash))
    }

    /// Ready endpoints of a selection, or `None` while any slice still belongs to another one.
    pub fn ready_as(&self, selection: &Selection) -> Option<u32> {
        self.slices
            .iter()
            .map(|slice| (slice.selection.as_ref() == Some(selection)).then_some(slice.ready))
            .try_fold(0_u32, |sum, ready| Some(sum.saturating_add(ready?)))
            .filter(|_| !self.slices.is_empty())
    }
}

/// Which route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId {
    /// `HTTPRoute`, `GRPCRoute` or `VirtualService`.
    pub kind: &'static str,
    /// Its name in the Rollout's namespace.
    pub name: String,
    /// True when the Rollout declares its spec and we create it.
    pub created_by_us: bool,
}

impl std::fmt::Display for RouteId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// A route as it stands in the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteView {
    /// The least share that any of its split rules gives to `canaryService`, of what the rule gives to both Services: what a
    /// third backend has does not count.
    pub least: Weight,
    /// The largest such share.
    pub most: Weight,
    /// The largest share that a rule gives to `canaryService` which is left as it is: one that names it alone, or one that
    /// the Rollout does not list. It gets stable at rest, and the canary for as long as `canaryService` is bound to it.
    pub fixed: Weight,
    /// Whether those that implement it took it over, as far as the Rollout wants to know (`traffic.acceptance`).
    pub acceptance: Acceptance,
    /// Why its weights cannot be kept, or would not be heeded, and what to do.
    pub problem: Option<Problem>,
    /// True when a route that we create differs from the declared spec in more than weights.
    pub differs: bool,
    /// What is worth saying before a release, and stops none: a mirror to `canaryService`, a gateway known to be slow.
    pub warnings: Vec<String>,
    /// True while the API server counts the rules of a route that Git declares as ours (`metadata.managedFields`): whoever
    /// applies them without force meets a conflict.
    pub held: bool,
    /// True where whoever carries it out gives the share of a Service without a ready endpoint to the other one.
    pub spills: bool,
}

impl RouteView {
    /// True when every weighted rule gives exactly this share.
    pub fn is_at(&self, weight: Weight) -> bool {
        self.least == weight && self.most == weight
    }
}

/// What a route's status says of its present generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// The implementation says that it took this generation, or it never says anything (VirtualService).
    Accepted,
    /// Nobody has accepted this generation yet: who is waited for, in words that follow "accepted by".
    Pending(String),
    /// Accepted by one parent, while another that reports generation by generation has not come to this one: which, in words
    /// that follow "accepted by".
    Behind(String),
    /// Refused, with the implementation's words.
    Refused(String),
}

/// A container that waits, crashed or restarted, or a pod that is not ready, in its own words or in those of its events. Pods
/// that are ready have none. In a list the most telling come first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerWords {
    /// The revision whose pod it is.
    pub revision: Hash,
    /// The pod, or the set where there is no pod.
    pub pod: String,
    /// The container; empty where it is about the pod as a whole.
    pub container: String,
    /// When the pod was created.
    pub created_at: Timestamp,
    /// Restarts of the container so far, since the pod was created.
    pub restarts: u32,
    /// True while it waits in `CrashLoopBackOff` after it ended with another exit code than 0. Never true of a container that
    /// has come through: an init container that ended well, or one that is started or ready again.
    pub looping: bool,
    /// When it last ended.
    pub ended_at: Option<Timestamp>,
    /// What it says: waiting reason, exit code, message.
    pub words: String,
}
