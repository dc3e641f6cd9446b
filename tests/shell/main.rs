//! The operator as a whole, through `Operator::lead`, over the API server of the testkit, in virtual time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of it is tests"
)]

#[allow(dead_code, reason = "faults to come use the rest")]
mod bed;
mod election;
mod killed;
mod release;
