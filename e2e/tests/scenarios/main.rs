//! Leadsman on a real cluster, under load: `cargo test -p leadsman-e2e --test scenarios [-- <filter>[,<filter>]]`.
//!
//! Each scenario has a namespace and an operator of its own. In each, every request that clients sent is accounted for,
//! shares are held to the weights, and the operator may not ask the API server for what its role does not allow.
//! `LEADSMAN_E2E_KEEP=1` leaves the namespaces behind.

mod api;
mod bad;
mod contended;
mod deleted;
mod drain;
mod effects;
mod gitops;
mod good;
mod harness;
mod idle;
mod input;
mod killed;
mod lost;
mod people;
mod refused;
mod sources;
mod table;
mod third;
mod weak;

use std::process::ExitCode;

use libtest_mimic::Arguments;

/// Scenarios mostly wait: for pods, for pauses, for windows to fill.
const SIDE_BY_SIDE: usize = 10;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(SIDE_BY_SIDE));
    // The longest first.
    let trials = [
        idle::trials(),
        killed::trials(),
        effects::trials(),
        gitops::trials(),
        drain::trials(),
        weak::trials(),
        table::trials(),
        deleted::trials(),
        lost::trials(),
        contended::trials(),
        refused::trials(),
        api::trials(),
        sources::trials(),
        good::trials(),
        third::trials(),
        people::trials(),
        input::trials(),
        bad::trials(),
    ];
    let mut trials: Vec<_> = trials.into_iter().flatten().collect();
    // Several, with commas between them.
    if let Some(filters) = arguments.filter.take() {
        trials.retain(|trial| filters.split(',').any(|filter| trial.name().contains(filter)));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if arguments.list {
        return ExitCode::SUCCESS;
    }
    harness::conclude(&conclusion)
}
