//! The operator: the shell around `leadsman-core`.
//!
//! It watches, takes a snapshot, asks the core what to do and does it. Nothing in this crate decides how much traffic a
//! revision gets; see [`controller::reconcile`] for the one sentence that everything else serves.

pub mod args;
#[cfg(test)]
mod chart;
pub mod check;
pub mod cluster;
pub mod controller;
pub mod declare;
pub mod measure;
pub mod routers;
mod run;
pub mod runtime;
#[cfg(test)]
mod shapes;

pub use run::{Error, Operator, run};
