//! What a pass reads: the declaration and the snapshot. Nothing in here is decided, and nothing changes during a pass.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::hold::Hold;
use crate::names::{Hash, Revision, Side};
use crate::observed::{Acceptance, ContainerWords, Look, Observed, ParentService, RouteId, RouteView, SetView};
use crate::spec::{Problem, Reason, Rollout, Spec};
use crate::traffic::Weight;

/// What a pass reads.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    /// What is declared.
    pub rollout: &'a Rollout,
    /// What was seen.
    pub seen: &'a Observed,
    /// The moment.
    pub now: Timestamp,
}

impl<'a> View<'a> {
    pub fn new(rollout: &'a Rollout, seen: &'a Observed) -> Self {
        Self { rollout, seen, now: seen.now }
    }

    /// Pods at full size.
    pub fn replicas(&self) -> u32 {
        self.rollout.replicas
    }

    /// The sets, where they are known.
    pub fn sets(&self) -> Option<&'a BTreeMap<Hash, SetView>> {
        self.seen.sets.seen()
    }

    /// The set of a revision.
    pub fn set(&self, hash: &Hash) -> Option<&'a SetView> {
        self.sets()?.get(hash)
    }

    /// Pods of a revision that have been ready for `minReadySeconds`; those on their way out do not count.
    pub fn available(&self, hash: &Hash) -> u32 {
        self.set(hash).map_or(0, |set| set.available.min(set.wanted))
    }

    /// Ready endpoints behind a side's Service, where all of its slices are of the binding to `hash`.
    pub fn endpoints(&self, side: Side, hash: &Hash) -> Option<u32> {
        self.seen.endpoints_of(side).ready_of(hash)
    }

    /// Ready pods of a revision behind a side's Service, by its slices; else by the set's own status.
    pub fn ready(&self, side: Side, hash: &Hash) -> u32 {
        self.endpoints(side, hash).or_else(|| Some(self.set(hash)?.ready)).unwrap_or(0)
    }

    /// The declared template as a revision.
    pub fn declared_revision(&self, number: u64) -> Revision {
        Revision {
            hash: self.rollout.hash.clone(),
            number,
            commit: self.rollout.commit.clone(),
            images: self.rollout.images.clone(),
            ports: self.seen.ports.clone().unwrap_or_default(),
        }
    }

    /// The routes that were seen.
    pub fn routes(&self) -> impl Iterator<Item = (&'a RouteId, &'a RouteView)> {
        self.seen.routes.iter().filter_map(|(id, route)| Some((id, route.seen()?)))
    }

    /// True when every route is on `weight` and accepted; also one that does not exist, where `missing_will_do` or it is not
    /// declared any more, and one with a parent that lags, where `lag_is_borne`.
    pub fn routes_are_at(&self, weight: Weight, missing_will_do: bool, lag_is_borne: bool) -> bool {
        self.seen.routes.iter().all(|(id, route)| match route {
            Look::Seen(view) => {
                let accepted = match &view.acceptance {
                    Acceptance::Accepted => true,
                    Acceptance::Behind(_) => lag_is_borne,
                    Acceptance::Pending(_) | Acceptance::Refused(_) => false,
                };
                view.is_at(weight) && accepted
            }
            Look::Missing => missing_will_do || !self.is_declared(id),
            Look::Stale => false,
        })
    }

    /// True for a route that is declared now; others were moved by this Rollout and have yet to be brought to rest.
    pub fn is_declared(&self, id: &RouteId) -> bool {
        self.rollout.targets.route(id).is_some()
    }

    /// Waits for endpoints, and says what those that are ready lack.
    pub fn lacks_endpoints(&self, side: Side, hash: &Hash, needed: u32) -> Hold {
        let ready = self.endpoints(side, hash).unwrap_or(0);
        Hold::Endpoints { side, ready, needed, lacking: self.seen.endpoints_of(side).lacking.clone() }
    }

    /// The first route that is not on `weight`, with what is wrong with it.
    pub fn route_behind(&self, weight: Weight) -> String {
        let behind = self.seen.routes.iter().find_map(|(id, route)| match route {
            Look::Missing => Some(format!("{id}, which does not exist")),
            Look::Stale => Some(format!("{id} to be seen after it was written")),
            Look::Seen(view) => match &view.acceptance {
                Acceptance::Refused(words) => Some(format!("{id}, which is refused: {words}")),
                _ if !view.is_at(weight) => Some(format!("{id} to be set to {weight}")),
                Acceptance::Pending(who) | Acceptance::Behind(who) => Some(format!("{id} to be accepted by {who}")),
                Acceptance::Accepted => None,
            },
        });
        behind.unwrap_or_else(|| "the routes".to_owned())
    }

    /// What is wrong with the objects around the Rollout.
    pub fn problem(&self) -> Option<Problem> {
        if let ParentService::Wrong(problem) = &self.seen.service {
            return Some(problem.clone());
        }
        let conflict = [Side::Stable, Side::Canary]
            .into_iter()
            .find_map(|side| self.seen.service_of(side).seen()?.conflict.clone());
        if let Some(message) = conflict {
            return Some(Problem::new(Reason::ServiceConflict, message));
        }
        let declared = self.seen.routes.iter().filter(|(id, _)| self.is_declared(id));
        declared.into_iter().find_map(|(id, route)| problem_with(id, route))
    }

    /// A rule that is not split would send to a canary before its pods are ready.
    pub fn problem_with_early_binding(&self, spec: &Spec) -> Option<Problem> {
        let (id, _) = self.routes().find(|(_, route)| spec.bind_early && route.fixed > Weight::ZERO)?;
        let message = format!(
            "{id} has a rule that sends to {} whatever the split is, and that Service is bound before pods are ready \
             (readinessGates in the template, or bindCanary: Created): take one of them out",
            self.rollout.targets.canary_service
        );
        Some(Problem::new(Reason::InvalidRoute, message))
    }

    /// What keeps pods of a revision from coming up: their own words, or why none could be created.
    pub fn what_keeps(&self, hash: &Hash) -> Option<String> {
        let first = self.words(hash).next().map(|ContainerWords { pod, container, words, .. }| {
            if container.is_empty() { format!("{pod}: {words}") } else { format!("{pod}/{container}: {words}") }
        });
        first.or_else(|| self.set(hash)?.failure.clone())
    }

    /// What the pods of a revision say of themselves, the most telling first; nothing unless the last pass asked for it.
    pub fn words<'s>(&'s self, hash: &'s Hash) -> impl Iterator<Item = &'s ContainerWords> {
        self.seen.words.iter().flatten().filter(move |words| words.revision == *hash)
    }
}

fn problem_with(id: &RouteId, route: &Look<RouteView>) -> Option<Problem> {
    match route {
        Look::Missing if !id.created_by_us => Some(Problem::missing(
            Reason::RouteNotFound,
            format!("{id} does not exist in the Rollout's namespace: create it, or correct routes in spec.strategy"),
        )),
        // One of ours that is not as declared is written anew.
        Look::Seen(view) if view.differs && id.created_by_us => None,
        Look::Seen(view) => view.problem.clone(),
        Look::Missing | Look::Stale => None,
    }
}
