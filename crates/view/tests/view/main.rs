//! Every screen of every situation that is known, and what holds for all of them.
//!
//! A fixture is a list of objects and an instant. Snapshots are written with `INSTA_UPDATE=always`; they are the product, so
//! each is read as a user would before it is kept.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what the tests share may fail like the tests"
)]

mod fixtures;
mod laws;
mod odd;
mod schema;
mod screens;
