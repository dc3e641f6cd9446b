//! Splits: lowered at once, raised only onto pods that are there, and never in the first pass after a start.

use std::time::Duration;

use crate::names::Side;
use crate::observed::{Look, RouteView};
use crate::plan::{Action, Pass, after};
use crate::split::Weight;
use crate::state::Stage;

/// Between two writes to a route that somebody else rewrites again and again.
const CONTENDED_PAUSE: Duration = Duration::from_secs(10);
/// When a raise that the first pass must not make is looked at again.
const SECOND_PASS: Duration = Duration::from_millis(500);

impl Pass<'_> {
    pub(super) fn splits(&mut self, actions: &mut Vec<Action>) {
        let decided = self.state.traffic.decided;
        let at_rest = matches!(self.state.stage, Stage::Resting | Stage::Deploying);
        let observed = self.observed;
        for (id, route) in &observed.routes {
            match route {
                Look::Missing if id.created_by_us && self.rollout.spec.is_ok() => {
                    actions.push(Action::Split { route: id.clone(), weight: decided, safety: false });
                }
                Look::Missing | Look::Stale => {}
                // What can be taken back from a route that cannot be kept is taken back all the same.
                Look::Seen(view) if view.problem.is_some() => {
                    if self.goes_back() && view.most > decided {
                        actions.push(Action::Split { route: id.clone(), weight: decided, safety: true });
                    }
                }
                // At rest both Services are stable, and what Git says of the split is Git's business.
                Look::Seen(_) if at_rest && !id.created_by_us => {}
                Look::Seen(view) if view.is_at(decided) => {
                    if view.differs && id.created_by_us && self.rollout.spec.is_ok() {
                        actions.push(Action::Split { route: id.clone(), weight: decided, safety: false });
                    }
                }
                Look::Seen(view) => {
                    if self.may_write(view, decided) {
                        let safety = view.least >= decided && self.goes_back();
                        actions.push(Action::Split { route: id.clone(), weight: decided, safety });
                    }
                }
            }
        }
        // Whoever is faster than the watch is never seen to change what we wrote: the pause runs from our own write.
        if self.is_contended()
            && actions.iter().any(|action| matches!(action, Action::Split { .. }))
            && let Some(last) = self.state.foreign_edits.last_mut()
        {
            *last = self.now;
        }
    }

    /// True for a split that takes traffic from a canary that failed or is not there.
    fn goes_back(&self) -> bool {
        match &self.state.stage {
            Stage::Leaving(_) => true,
            Stage::Releasing(release) => release.shrunk.is_some(),
            _ => false,
        }
    }

    /// True while that canary still stands behind `canaryService`: whoever writes the weights, they are put back at once.
    fn harms(&self) -> bool {
        self.goes_back() && !self.state.bindings.canary.is_in_force(&self.state.stable.hash)
    }

    fn may_write(&mut self, view: &RouteView, decided: Weight) -> bool {
        let lowers = view.least >= decided;
        let edits = &self.state.foreign_edits;
        if self.is_contended()
            && !(lowers && self.harms())
            && let Some(next) = edits.last().map(|edit| after(*edit, CONTENDED_PAUSE))
            && self.now < next
        {
            self.wake_at(next);
            return false;
        }
        if lowers {
            return true;
        }
        if self.observed.first_pass {
            self.wake_at(after(self.now, SECOND_PASS));
            return false;
        }
        if self.wants_finalizer() && !self.observed.finalizer {
            return false;
        }
        let canary = self.state.bindings.canary.decided.clone();
        let base = self.release().map_or(self.rollout.replicas, |release| release.base_replicas);
        let ready = self.observed.canary_endpoints.ready_of(&canary).unwrap_or(0);
        self.state.bindings.of(Side::Canary).is_in_force(&canary) && ready >= decided.needs(base) && self.may_raise()
    }
}
