//! Traffic: how much of it the canary gets, what each Service is bound to, and who can still be sent to.
//!
//! Whoever wants to scale a set down, re-point a Service or forget a route asks [`Reach`] first.

mod bindings;
mod carrier;
pub mod ports;
mod reach;
pub mod sizes;
mod targets;
mod weight;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use bindings::{Binding, Bindings};
pub use carrier::{Carrier, Strategy};
pub use ports::{ContainerPort, Port, Target};
pub use reach::Reach;
pub use sizes::{Amount, Shape, Sizes};
pub use targets::{RouteTarget, Targets};
pub use weight::Weight;

/// The split that every route is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Split {
    /// The canary's share.
    pub decided: Weight,
    /// Since when it was decided.
    pub decided_at: Timestamp,
    /// Since when every route has been seen with it, and accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_since: Option<Timestamp>,
    /// The last share that was seen and settled.
    pub in_force: Weight,
}

impl Split {
    /// A share that has been in force for as long as anybody knows.
    pub fn at_rest(weight: Weight, now: Timestamp) -> Self {
        Self { decided: weight, decided_at: now, seen_since: None, in_force: weight }
    }

    /// Decides a share; it has yet to be seen in the routes.
    pub fn decide(&mut self, weight: Weight, now: Timestamp) {
        *self = Self { decided: weight, decided_at: now, seen_since: None, in_force: self.in_force };
    }

    /// True when exactly this share was decided, seen and has settled.
    pub fn is_in_force(&self, weight: Weight) -> bool {
        self.decided == weight && self.in_force == weight
    }
}
