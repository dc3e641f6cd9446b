//! What follows from the state for every object: the same state and the same observation always make the same actions.
//!
//! In order of what they protect: splits first, then bindings, then sets. An object that is `Stale` gets no action.

mod routes;
mod services;
mod sets;

use super::{Action, Pass, Plan};
use crate::names::Side;
use crate::observed::Look;
use crate::split::Weight;
use crate::state::Stage;

/// How long a deleted Rollout is kept while its routes cannot be put to rest.
const LET_GO_AFTER: std::time::Duration = std::time::Duration::from_secs(30);

impl Pass<'_> {
    pub(super) fn effects(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        let finalizer = self.wants_finalizer();
        if finalizer && !self.observed.finalizer {
            actions.push(Action::AddFinalizer);
        }
        self.splits(&mut actions);
        self.binds(&mut actions);
        self.sizes(&mut actions);
        if !finalizer && self.observed.finalizer {
            actions.push(Action::RemoveFinalizer);
        }
        actions
    }

    /// While something that Git declares differs from rest: a route away from stable, or a Service with our selector.
    pub(super) fn wants_finalizer(&self) -> bool {
        let git_routes = self.observed.routes.iter().any(|(id, _)| !id.created_by_us);
        let moving = !matches!(self.state.stage, Stage::Resting | Stage::Deploying);
        let git_services = [Side::Stable, Side::Canary].iter().any(|side| {
            self.observed
                .service_of(*side)
                .seen()
                .is_some_and(|service| !service.created_by_us && service.conflict.is_none())
        });
        (git_routes && moving) || git_services
    }

    /// Deletion: routes that Git declares go to rest, Services that Git declares lose our selector, nothing else is touched.
    pub(super) fn let_go(mut self) -> Plan {
        let mut actions = Vec::new();
        let mut waiting = false;
        let late = self.rollout.deleted_at.is_some_and(|at| self.now >= super::after(at, LET_GO_AFTER));
        if self.observed.finalizer {
            for (id, route) in self.observed.routes.iter().filter(|(id, _)| !id.created_by_us) {
                match route {
                    Look::Missing => {}
                    Look::Stale => waiting = true,
                    Look::Seen(view) if view.problem.is_some() || view.is_at(Weight::ZERO) => {}
                    Look::Seen(_) => {
                        waiting = true;
                        actions.push(Action::Split { route: id.clone(), weight: Weight::ZERO, safety: true });
                    }
                }
            }
            for side in [Side::Stable, Side::Canary] {
                match self.observed.service_of(side) {
                    Look::Stale => waiting = true,
                    Look::Seen(service) if !service.created_by_us && service.bound.is_some() => {
                        waiting = true;
                        actions.push(Action::Unbind { side });
                    }
                    Look::Seen(_) | Look::Missing => {}
                }
            }
            if late && waiting {
                let message =
                    "routes or Services could not be put to rest within 30 s; the Rollout is let go all the same";
                self.event(true, "LetGo", message);
            }
            if late || !waiting {
                actions.push(Action::RemoveFinalizer);
            } else if let Some(at) = self.rollout.deleted_at {
                self.wake_at(super::after(at, LET_GO_AFTER));
            }
        }
        let mut plan = self.finish_with(actions);
        plan.questions.clear();
        plan
    }
}
