//! What every pass has at hand.

use std::sync::Arc;

use jiff::Timestamp;

use super::cache::Caches;
use super::events::Events;
use super::queue::Queue;
use super::references::ReferenceIndex;
use super::report::Reporter;
use crate::cluster::Cluster;
use crate::measure::Measurer;
use crate::runtime::clock::Clock;
use crate::runtime::metrics::Metrics;

/// What every pass has at hand.
pub struct Context {
    /// The API server.
    pub cluster: Cluster,
    /// What the watches have delivered.
    pub caches: Caches,
    /// Who refers to what.
    pub references: ReferenceIndex,
    /// Who is due.
    pub queue: Arc<Queue>,
    /// Questions to metric sources that are under way.
    pub measurer: Measurer,
    /// What we say about ourselves.
    pub metrics: Arc<Metrics>,
    /// Who writes reports.
    pub reporter: Arc<Reporter>,
    /// Events for people.
    pub events: Events,
    /// The operator's own namespace.
    pub operator_namespace: String,
    /// Whether Rollouts may declare routes of their own.
    pub owned_routes: bool,
    /// Whether the API server puts down who gives a command.
    pub commanders_recorded: bool,
    /// The wall clock.
    pub clock: Clock,
}

impl Context {
    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
