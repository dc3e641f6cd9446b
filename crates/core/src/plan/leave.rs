//! Taking a canary out of service: split, then binding, then (as clean-up) pods.
//!
//! Needs nothing but stable pods. Where a route cannot be written or is not accepted in time, `canaryService` is bound to
//! stable instead: another object and another write.

use std::time::Duration;

use super::hold::Hold;
use super::{Pass, after};
use crate::names::{Hash, Side};
use crate::observed::{Acceptance, Look};
use crate::split::Weight;
use crate::state::{Binding, Leaving, Rejection, Stage, Why};

/// How long a route may take to show the way back before `canaryService` is re-bound.
const SECOND_WAY_AFTER: Duration = Duration::from_secs(5);
/// Rejections kept in the status.
const REJECTIONS_KEPT: usize = 10;

impl Pass<'_> {
    /// The canary failed: it is rejected and leaves.
    pub(super) fn reject(&mut self, reason: &str, message: String, query: Option<String>) {
        if self.release().is_none() {
            return;
        }
        self.event(true, "RollingBack", format!("{reason}: {message}"));
        let Some(release) = self.release() else { return };
        let revision = release.canary.clone();
        self.state.rejected.retain(|rejection| rejection.revision.hash != revision.hash);
        let rejection = Rejection { revision, reason: reason.to_owned(), message, query, at: self.now };
        self.state.rejected.insert(0, rejection);
        let declared = self.rollout.hash.clone();
        let mut kept = 0;
        self.state.rejected.retain(|rejection| {
            kept += 1;
            kept <= REJECTIONS_KEPT || rejection.revision.hash == declared
        });
        self.begin_leaving(Why::Failed);
    }

    /// The canary leaves, for whatever reason.
    pub(super) fn begin_leaving(&mut self, why: Why) {
        let Some(release) = self.release() else { return };
        let (canary, had) = (release.canary.clone(), self.most_canary());
        self.state.stage = Stage::Leaving(Leaving { canary, why, since: self.now, had, comparison: None });
        self.hold = None;
    }

    pub(super) fn leave(&mut self) -> bool {
        let Stage::Leaving(leaving) = &self.state.stage else { return false };
        let leaving = leaving.clone();
        self.lower(&leaving);
        self.take_second_way();
        let stable = self.state.stable.hash.clone();
        if self.state.traffic.decided != Weight::ZERO {
            let hold = if self.ready(Side::Stable, &stable) == 0 {
                Hold::NoStablePods
            } else {
                Hold::Route(format!("stable to take more than {}", self.state.traffic.decided.rest()))
            };
            return self.wait(hold);
        }
        if !self.routes_are_at(Weight::ZERO) {
            return self.wait(Hold::Route(self.route_behind(Weight::ZERO)));
        }
        if self.state.traffic.in_force != Weight::ZERO {
            return self.wait_for_settled_split();
        }
        self.decide_binding(Side::Canary, &stable);
        if !self.state.bindings.canary.is_in_force(&stable) {
            return self.wait_for_binding(Side::Canary, &stable, 1);
        }
        let (reason, message) = match leaving.why {
            Why::Failed => ("RolledBack", "all traffic is on stable again"),
            Why::Superseded => ("Superseded", "a newer template is declared; its predecessor has left"),
            Why::Reverted => ("Reverted", "stable's template is declared again"),
            Why::Lost => ("Recovered", "the status was lost; traffic is on stable, as a start"),
        };
        self.event(leaving.why == Why::Failed, reason, format!("revision {}: {message}", leaving.canary.number));
        self.state.stage = Stage::Resting;
        true
    }

    /// I4: at once where half of stable is ready, or canary has nothing; else step by step, monotone, never zero progress.
    fn lower(&mut self, leaving: &Leaving) {
        let decided = self.state.traffic.decided;
        let floor = self.lowest_now(leaving, decided);
        if floor < decided {
            self.decide_split(floor);
        }
    }

    fn lowest_now(&self, leaving: &Leaving, decided: Weight) -> Weight {
        let replicas = self.rollout.replicas;
        let stable = self.ready(Side::Stable, &self.state.stable.hash);
        let canary_is_gone = self.observed.canary_endpoints.ready_of(&leaving.canary.hash) == Some(0);
        if canary_is_gone || stable >= replicas.div_ceil(2) && (stable > 0 || replicas == 0) {
            return Weight::ZERO;
        }
        if stable == 0 {
            return decided;
        }
        let settled = self.state.traffic.in_force == decided && self.routes_are_at(decided);
        let first = self.state.traffic.decided_at < leaving.since;
        if !(settled || first) {
            return decided;
        }
        let quarter = Weight::clamped(leaving.had.percent().div_ceil(4));
        Weight::carried_by(stable, replicas).rest().min(decided.less(quarter))
    }

    fn take_second_way(&mut self) {
        let decided = self.state.traffic.decided;
        let stable = self.state.stable.hash.clone();
        if self.routes_are_at(decided) || self.most_canary() == Weight::ZERO || self.ready(Side::Stable, &stable) == 0 {
            return;
        }
        let broken =
            self.observed.routes.iter().any(|(_, route)| route.seen().is_some_and(|route| route.problem.is_some()));
        let due = after(self.state.traffic.decided_at, SECOND_WAY_AFTER);
        if !broken && self.now < due {
            self.wake_at(due);
        } else if self.state.bindings.canary.decided != stable {
            let route = self.route_behind(decided);
            self.event(
                true,
                "SecondWay",
                format!("{route} is not on the way back; canaryService is bound to stable instead"),
            );
            self.state.bindings.canary = Binding::decided(stable);
        }
    }

    /// Decides a new split.
    pub(super) fn decide_split(&mut self, weight: Weight) {
        let traffic = &mut self.state.traffic;
        traffic.decided = weight;
        traffic.decided_at = self.now;
        traffic.seen_since = None;
        self.look_at_split();
    }

    /// Decides what a side is bound to; `in_force` stays until the new binding has settled.
    pub(super) fn decide_binding(&mut self, side: Side, hash: &Hash) {
        let binding = self.state.bindings.of_mut(side);
        if binding.decided != *hash {
            binding.decided = hash.clone();
            binding.seen_since = None;
            self.look_at_binding(side);
        }
    }

    pub(super) fn wait_for_settled_split(&mut self) -> bool {
        let since = self.state.traffic.seen_since.unwrap_or(self.now);
        let until = after(since, self.state.timing.settle);
        self.wait(Hold::Until { what: format!("{} is settling", self.state.traffic.decided), until })
    }

    pub(super) fn wait_for_binding(&mut self, side: Side, hash: &Hash, needed: u32) -> bool {
        if let Some(since) = self.state.bindings.of(side).seen_since {
            let until = after(since, self.state.timing.settle);
            return self.wait(Hold::Until { what: format!("the binding to {hash} is settling"), until });
        }
        let ready = self.observed.endpoints_of(side).ready_of(hash).unwrap_or(0);
        self.wait(Hold::Endpoints { side, ready, needed })
    }

    /// The first route that is not on `weight`, with what is wrong with it.
    pub(super) fn route_behind(&self, weight: Weight) -> String {
        let behind = self.observed.routes.iter().find_map(|(id, route)| match route {
            Look::Missing => Some(format!("{id}, which does not exist")),
            Look::Stale => Some(format!("{id} to be seen after it was written")),
            Look::Seen(view) => match &view.acceptance {
                Acceptance::Refused(words) => Some(format!("{id}, which is refused: {words}")),
                _ if !view.is_at(weight) => Some(format!("{id} to be set to {weight}")),
                Acceptance::Pending => Some(format!("{id} to be accepted")),
                Acceptance::Behind(parent) => Some(format!("{id} to be accepted by {parent}")),
                Acceptance::Accepted => None,
            },
        });
        behind.unwrap_or_else(|| "the routes".to_owned())
    }
}
