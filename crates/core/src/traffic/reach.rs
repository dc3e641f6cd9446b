//! Who can still be sent to, whatever a route, a Service or a proxy still says.

use crate::names::{Hash, Selection, Side};
use crate::observed::{Look, Observed, ServiceView};
use crate::state::State;
use crate::traffic::{Carrier, Weight};

/// The answer to "may this be scaled down, re-pointed or forgotten".
///
/// It is made of everything that may be true at once: what routes and Services say, what was decided last, what was in force
/// before.
pub struct Reach<'a> {
    state: &'a State,
    seen: &'a Observed,
}

impl<'a> Reach<'a> {
    /// The reach of a state and a snapshot.
    pub fn of(state: &'a State, seen: &'a Observed) -> Self {
        Self { state, seen }
    }

    /// The largest share of traffic that may go to the canary now.
    pub fn most_canary(&self) -> Weight {
        self.written().chain(self.known()).max().unwrap_or(Weight::ZERO)
    }

    /// The least such share.
    pub fn least_canary(&self) -> Weight {
        self.written().chain(self.known()).min().unwrap_or(Weight::ZERO)
    }

    fn known(&self) -> [Weight; 2] {
        [self.state.split.decided, self.state.split.in_force]
    }

    /// Shares as they stand in the API, the least and the largest of each route, or that of the one Service.
    fn written(&self) -> impl Iterator<Item = Weight> {
        let routes = self.seen.routes.iter().filter_map(|(_, route)| route.seen());
        routes.flat_map(|route| [route.least, route.most]).chain(self.selected())
    }

    /// What the Service that carries the traffic gives to others than stable.
    fn selected(&self) -> Option<Weight> {
        if self.state.carrier() != Carrier::Service {
            return None;
        }
        match self.seen.stable_service.seen()?.selection.as_ref()? {
            Selection::Only(hash) if *hash == self.state.stable.hash => Some(Weight::ZERO),
            Selection::Only(_) => Some(Weight::FULL),
            Selection::Any => Some(Weight::HALF),
        }
    }

    /// The largest share of any rule that sends to `canaryService` whatever the split is.
    pub fn fixed(&self) -> Weight {
        let routes = self.seen.routes.iter().filter_map(|(_, route)| route.seen()).map(|route| route.fixed);
        routes.max().unwrap_or(Weight::ZERO)
    }

    /// True when no split sends to the revision of this side, and no proxy believes that one does. Rules that are not split
    /// are told of by [`Reach::fixed`]: they get whatever the Service is bound to.
    pub fn is_out_of(&self, side: Side) -> bool {
        let settled = self.state.carrier() != Carrier::Service || !self.state.bindings.stable.is_moving();
        settled
            && match side {
                Side::Stable => self.least_canary() == Weight::FULL,
                Side::Canary => self.most_canary() == Weight::ZERO,
            }
    }

    /// True while a Service may lead to pods of this revision: it selects it, did until just now, or is about to.
    pub fn leads_to(&self, hash: &Hash) -> bool {
        let admits = |selection: &Selection| selection.admits(hash);
        let selects = |service: &ServiceView| service.selection.as_ref().is_some_and(admits);
        self.state.carrier() != Carrier::Pods
            && [Side::Stable, Side::Canary].into_iter().any(|side| {
                let binding = self.state.bindings.of(side);
                let selected = match self.seen.service_of(side) {
                    Look::Seen(service) => selects(service),
                    Look::Stale => true,
                    Look::Missing => false,
                };
                // Until a new binding has settled, proxies may still know the old one: nothing is given up meanwhile.
                admits(&binding.decided)
                    || binding.in_force.as_ref().is_some_and(admits)
                    || selected
                    || binding.is_moving()
            })
    }
}
