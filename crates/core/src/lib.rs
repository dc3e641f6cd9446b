//! Leadsman's decisions, and nothing else: no client, no clock, no randomness.
//!
//! [`plan::plan`] takes what is declared ([`spec::Rollout`]), what was decided before ([`state::State`], persisted
//! as `.status.progress`) and an honest snapshot of the cluster ([`observed::Observed`]), and says what to do next.
//! It is total and deterministic: the same three values give the same plan, and no input makes it panic.

pub mod analysis;
pub mod dice;
pub mod difference;
pub mod names;
pub mod observed;
pub mod plan;
pub mod report;
pub mod spec;
pub mod state;
pub mod text;
mod time;
pub mod traffic;

#[cfg(test)]
mod sim;
