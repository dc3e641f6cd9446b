//! The operator as a whole, through `Operator::lead`, over the API server of the testkit, in virtual time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of it is tests"
)]

mod bed;
mod carrier_services;
mod carriers;
mod election;
mod faults;
mod hurry;
mod killed;
mod malformed;
mod moves;
mod ownership;
mod panics;
mod release;
mod removed;
mod rights;
mod routes;
mod silence;
mod trial;
mod watches;
mod words;
