//! What has been seen of our own writes. A split or a binding is in force once it has been seen everywhere and has
//! settled; both instants are persisted, so that a restart neither shortens nor repeats the wait.

use super::{Pass, after};
use crate::names::Side;
use crate::observed::{Acceptance, Look, ParentService, RouteId, RouteView};
use crate::spec::{Problem, Reason};
use crate::split::Weight;
use crate::state::Stage;

/// Foreign edits of the weights within [`CONTENTION_WINDOW`] that are put back at once. A tool that applies Git every ten
/// seconds writes six times in it, or twelve where two routes are put back one by one.
pub(super) const EDITS_BORNE: usize = 12;
const CONTENTION_WINDOW: std::time::Duration = std::time::Duration::from_mins(1);

impl Pass<'_> {
    pub(super) fn look(&mut self) {
        self.look_at_split();
        self.look_at_binding(Side::Stable);
        self.look_at_binding(Side::Canary);
    }

    /// True when every route is on `weight` and accepted. A route that does not exist passes nothing, which is what a
    /// rollback wants and a release does not.
    pub(super) fn routes_are_at(&self, weight: Weight) -> bool {
        let leaving = matches!(self.state.stage, Stage::Leaving(_));
        self.observed.routes.iter().all(|(_, route)| match route {
            Look::Seen(view) => view.is_at(weight) && view.acceptance == Acceptance::Accepted,
            Look::Missing => leaving && weight == Weight::ZERO,
            Look::Stale => false,
        })
    }

    pub(super) fn look_at_split(&mut self) {
        let at = self.routes_are_at(self.state.traffic.decided);
        let pending = self.state.traffic.decided != self.state.traffic.in_force;
        let resting = matches!(self.state.stage, Stage::Resting | Stage::Deploying);
        if at {
            let since = *self.state.traffic.seen_since.get_or_insert(self.now);
            let settled = after(since, self.state.timing.settle);
            if pending && settled <= self.now {
                self.state.traffic.in_force = self.state.traffic.decided;
            } else if pending {
                self.wake_at(settled);
            }
        } else if !resting && self.state.traffic.seen_since.is_some() && self.somebody_wrote() {
            self.state.traffic.seen_since = None;
            self.rewritten = true;
        }
        self.forget_foreign_edits();
    }

    /// Edits count for a minute. Contention lasts until nobody has written for a minute: our own writes have become rare
    /// by then, and so have the answers to them.
    fn forget_foreign_edits(&mut self) {
        let (now, contended) = (self.now, self.is_contended());
        let edits = &mut self.state.foreign_edits;
        let over = edits.last().map(|last| after(*last, CONTENTION_WINDOW));
        match over {
            Some(over) if contended && now < over => {
                edits.drain(..edits.len().saturating_sub(EDITS_BORNE + 1));
                self.wake_at(over);
            }
            _ => edits.retain(|edit| after(*edit, CONTENTION_WINDOW) > now),
        }
    }

    fn somebody_wrote(&self) -> bool {
        let decided = self.state.traffic.decided;
        self.observed.routes.iter().any(|(_, route)| route.seen().is_some_and(|route| !route.is_at(decided)))
    }

    /// Reports that somebody else wrote the weights. Asked after safety has had its say: what looks foreign may be our own
    /// way back, written while its intent could not be persisted.
    pub(super) fn note_foreign_edit(&mut self) {
        if !self.rewritten {
            return;
        }
        let decided = self.state.traffic.decided;
        let found = self
            .observed
            .routes
            .iter()
            .find_map(|(id, route)| Some((id, route.seen()?)).filter(|(_, r)| !r.is_at(decided)));
        if let Some((id, route)) = found {
            let message = format!("somebody set {id} to {} for the canary; put back to {decided}", route.most);
            if self.state.foreign_edits.len() <= EDITS_BORNE {
                self.event(true, "WeightsPutBack", message);
            }
            self.state.foreign_edits.push(self.now);
        }
    }

    /// True when somebody rewrites the weights again and again.
    pub(super) fn is_contended(&self) -> bool {
        self.state.foreign_edits.len() > EDITS_BORNE
    }

    pub(super) fn look_at_binding(&mut self, side: Side) {
        let hash = self.state.bindings.of(side).decided.clone();
        let service = self.observed.service_of(side);
        let bound = service.seen().is_some_and(|service| service.bound.as_ref() == Some(&hash));
        let elsewhere = matches!(service, Look::Missing)
            || service.seen().is_some_and(|service| service.bound.as_ref() != Some(&hash));
        let enough = self.endpoints_for_binding(side);
        let ready = self.observed.endpoints_of(side).ready_of(&hash);
        let seen = bound && (ready.is_some_and(|ready| ready >= enough) || self.rollout.replicas == 0);
        let settle = self.state.timing.settle;
        let now = self.now;
        let binding = self.state.bindings.of_mut(side);
        if binding.is_in_force(&hash) {
            if elsewhere {
                binding.in_force = None;
                binding.seen_since = None;
            }
            return;
        }
        if !seen {
            binding.seen_since = None;
            return;
        }
        let settled = after(*binding.seen_since.get_or_insert(now), settle);
        if settled <= now {
            binding.in_force = Some(hash);
        } else {
            self.wake_at(settled);
        }
    }

    /// Ready endpoints that a binding must show before it counts as seen.
    fn endpoints_for_binding(&self, side: Side) -> u32 {
        match (&self.state.stage, side) {
            (Stage::Releasing(_), Side::Canary) => self.target().needs(self.rollout.replicas).max(1),
            _ => 1,
        }
    }

    /// What is wrong with the objects around the Rollout.
    pub(super) fn problem_around(&self) -> Option<Problem> {
        if let ParentService::Wrong(problem) = &self.observed.service {
            return Some(problem.clone());
        }
        let conflict = [Side::Stable, Side::Canary]
            .into_iter()
            .find_map(|side| self.observed.service_of(side).seen()?.conflict.clone());
        if let Some(message) = conflict {
            return Some(Problem { reason: Reason::ServiceConflict, message });
        }
        self.observed.routes.iter().find_map(|(id, route)| problem_with(id, route))
    }
}

fn problem_with(id: &RouteId, route: &Look<RouteView>) -> Option<Problem> {
    match route {
        Look::Missing if !id.created_by_us => Some(Problem {
            reason: Reason::RouteNotFound,
            message: format!(
                "{id} does not exist in the Rollout's namespace: create it, or correct spec.strategy.canary.traffic.routes"
            ),
        }),
        Look::Seen(view) => view.problem.clone(),
        Look::Missing | Look::Stale => None,
    }
}
