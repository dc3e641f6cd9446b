//! What a pass reads: the declaration and the snapshot. Nothing in here is decided, and nothing changes during a pass.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::names::{Hash, Revision, Side};
use crate::observed::{Acceptance, Look, Observed, ParentService, RouteId, RouteView, SetView};
use crate::spec::{Problem, Reason, Rollout};
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
        }
    }

    /// The routes that were seen.
    pub fn routes(&self) -> impl Iterator<Item = (&'a RouteId, &'a RouteView)> {
        self.seen.routes.iter().filter_map(|(id, route)| Some((id, route.seen()?)))
    }

    /// True when every route is on `weight` and accepted; one that does not exist, where `missing_will_do`.
    pub fn routes_are_at(&self, weight: Weight, missing_will_do: bool) -> bool {
        self.seen.routes.iter().all(|(_, route)| match route {
            Look::Seen(view) => view.is_at(weight) && view.acceptance == Acceptance::Accepted,
            Look::Missing => missing_will_do,
            Look::Stale => false,
        })
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
        self.seen.routes.iter().find_map(|(id, route)| problem_with(id, route))
    }

    /// What keeps pods of a revision from coming up: their own words, or why none could be created.
    pub fn words(&self, hash: &Hash) -> Option<String> {
        let first = self.seen.words.iter().flatten().next();
        let words = first.map(|container| format!("{}/{}: {}", container.pod, container.container, container.words));
        words.or_else(|| self.set(hash)?.failure.clone())
    }
}

fn problem_with(id: &RouteId, route: &Look<RouteView>) -> Option<Problem> {
    match route {
        Look::Missing if !id.created_by_us => Some(Problem::missing(
            Reason::RouteNotFound,
            format!(
                "{id} does not exist in the Rollout's namespace: create it, or correct spec.strategy.canary.traffic.routes"
            ),
        )),
        Look::Seen(view) => view.problem.clone(),
        Look::Missing | Look::Stale => None,
    }
}
