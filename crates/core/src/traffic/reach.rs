//! Who can still be sent to, whatever a route or a proxy still believes.

use crate::names::{Hash, Side};
use crate::observed::{Look, Observed};
use crate::state::State;
use crate::traffic::Weight;

/// The answer to "may this be scaled down, re-pointed or forgotten".
///
/// It is made of everything that may be true at once: what routes say, what was decided last, what was in force before.
pub struct Reach<'a> {
    state: &'a State,
    seen: &'a Observed,
}

impl<'a> Reach<'a> {
    /// The reach of a state and a snapshot.
    pub fn of(state: &'a State, seen: &'a Observed) -> Self {
        Self { state, seen }
    }

    /// The largest share of traffic that may go to `canaryService` now.
    pub fn most_canary(&self) -> Weight {
        let routes = self.seen.routes.iter().filter_map(|(_, route)| route.seen()).map(|route| route.most);
        routes.chain(self.known()).max().unwrap_or(Weight::ZERO)
    }

    /// The least such share.
    pub fn least_canary(&self) -> Weight {
        let routes = self.seen.routes.iter().filter_map(|(_, route)| route.seen()).map(|route| route.least);
        routes.chain(self.known()).min().unwrap_or(Weight::ZERO)
    }

    fn known(&self) -> [Weight; 2] {
        [self.state.split.decided, self.state.split.in_force]
    }

    /// The largest share of any rule that sends to `canaryService` whatever the split is.
    pub fn fixed(&self) -> Weight {
        let routes = self.seen.routes.iter().filter_map(|(_, route)| route.seen()).map(|route| route.fixed);
        routes.max().unwrap_or(Weight::ZERO)
    }

    /// True when no split sends to the Service of this side, and no proxy believes that one does. Rules that are not split
    /// are told of by [`Reach::fixed`]: they get whatever the Service is bound to.
    pub fn is_out_of(&self, side: Side) -> bool {
        match side {
            Side::Stable => self.least_canary() == Weight::FULL,
            Side::Canary => self.most_canary() == Weight::ZERO,
        }
    }

    /// True while a Service may lead to pods of this revision: it is bound to it, was until just now, or is about to be.
    pub fn leads_to(&self, hash: &Hash) -> bool {
        [Side::Stable, Side::Canary].into_iter().any(|side| {
            let binding = self.state.bindings.of(side);
            let selected = match self.seen.service_of(side) {
                Look::Seen(service) => service.bound.as_ref() == Some(hash),
                Look::Stale => true,
                Look::Missing => false,
            };
            // Until a new binding has settled, proxies may still know the old one: nothing is given up meanwhile.
            binding.decided == *hash || binding.in_force.as_ref() == Some(hash) || selected || binding.is_moving()
        })
    }
}
