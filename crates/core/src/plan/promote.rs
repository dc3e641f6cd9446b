//! Promotion moves no pod: `stableService` follows to the new revision, then the split goes back to rest.

use super::Pass;
use super::hold::Hold;
use crate::names::Side;
use crate::split::Weight;
use crate::state::Stage;

impl Pass<'_> {
    pub(super) fn promote(&mut self) -> bool {
        let stable = self.state.stable.hash.clone();
        if !self.state.bindings.stable.is_in_force(&stable) {
            return self.wait_for_binding(Side::Stable, &stable, self.rollout.replicas);
        }
        if self.state.traffic.decided != Weight::ZERO {
            // The same pods stand behind both Services: what is ready behind one is as good behind the other.
            let there = self.observed.canary_endpoints.ready_of(&stable).unwrap_or(0);
            let needed = self.rollout.replicas.min(there).max(u32::from(self.rollout.replicas > 0));
            let ready = self.observed.stable_endpoints.ready_of(&stable).unwrap_or(0);
            if ready < needed {
                return self.wait(Hold::Endpoints { side: Side::Stable, ready, needed });
            }
            self.decide_split(Weight::ZERO);
        }
        if !self.routes_are_at(Weight::ZERO) {
            return self.wait(Hold::Route(self.route_behind(Weight::ZERO)));
        }
        if self.state.traffic.in_force != Weight::ZERO {
            return self.wait_for_settled_split();
        }
        let revision = self.state.stable.number;
        self.event(false, "Promoted", format!("revision {revision} ({stable}) is stable"));
        self.state.stage = Stage::Resting;
        true
    }
}
