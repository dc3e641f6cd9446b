//! What every pass has at hand.

use std::sync::Arc;

use jiff::Timestamp;

use super::caches::Caches;
use super::events::Events;
use super::interest::Interest;
use super::queue::Queue;
use crate::cluster::Cluster;
use crate::metrics::Desk;
use crate::runtime::clock::Clock;
use crate::runtime::meters::Meters;

/// What every pass has at hand.
pub struct Context {
    /// The API server.
    pub cluster: Cluster,
    /// What the watches have delivered.
    pub caches: Caches,
    /// Who refers to what.
    pub interest: Interest,
    /// Who is due.
    pub queue: Arc<Queue>,
    /// Questions to metric sources that are under way.
    pub desk: Desk,
    /// What we say about ourselves.
    pub meters: Arc<Meters>,
    /// Events for people.
    pub events: Events,
    /// The operator's own namespace.
    pub operator_namespace: String,
    /// The wall clock.
    pub clock: Clock,
}

impl Context {
    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
