//! Leadsman on a real cluster, under load: `cargo test --workspace --test scenarios [-- <filter>[,<filter>]]`.
//!
//! Each scenario has a namespace and an operator of its own. In each, every request that clients sent is accounted for,
//! shares are held to the weights, and the operator may not ask the API server for what its role does not allow.
//! `LEADSMAN_E2E_KEEP=1` leaves the namespaces behind.

mod admission;
mod api;
mod bad;
mod blue_green;
mod boots;
mod chart;
mod contended;
mod deleted;
mod drain;
mod effects;
mod explained;
mod gates;
mod gitops;
mod good;
mod harness;
mod helm;
mod hpa;
mod idle;
mod input;
mod killed;
mod linkerd;
mod lost;
mod many;
mod people;
mod pipeline;
mod plain;
mod policed;
mod policies;
mod ports;
mod proportions;
mod refused;
mod slow_gateway;
mod sources;
mod table;
mod tenants;
mod third;
mod weak;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// Scenarios mostly wait: for pods, for pauses, for windows to fill. Two cores bear no more of them without starving the
/// gateway.
const SIDE_BY_SIDE: usize = 6;

/// What takes minutes and shows for another kind of route, or on the cluster, what others show by default: run by
/// `cargo xtask test --full`, or by name with `--include-ignored`.
const FULL_ONLY: [&str; 31] = [
    "bad-httproute-contour",
    "helm-release-of-flux",
    "slow-gateway-with-the-times-of-a-fast-one",
    "bad-httproute-service",
    "bad-virtualservice",
    "killed-in-every-phase-virtualservice",
    "api-server-slow",
    "good-httproute-service",
    "third-version-httproute-service",
    "third-version-virtualservice",
    "killed-in-every-phase-httproute-service",
    "leader-killed-at-every-effect-virtualservice",
    "rollback-while-a-node-drains-most-of-stable",
    "weak-stable-crashed",
    "deleted-in-each-phase-virtualservice",
    "watches-fall-silent",
    "blue-green-routes",
    "blue-green-rolled-back-by-command",
    "blue-green-pre-fails",
    "blue-green-selector-edited-and-aborted",
    "plain-one-replica",
    "plain-crashes",
    "plain-third",
    "plain-keep-stable",
    "plain-gitops",
    "hpa-plain",
    "explained-held",
    "explained-blue-green",
    "proportion-twenty-good",
    "proportion-twenty-with-5-percent",
    "proportion-twenty-with-10-percent",
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(SIDE_BY_SIDE));
    // The longest first.
    let trials = [
        idle::trials(),
        slow_gateway::trials(),
        pipeline::trials(),
        explained::trials(),
        many::trials(),
        killed::trials(),
        linkerd::trials(),
        contended::trials(),
        refused::trials(),
        effects::trials(),
        gitops::trials(),
        drain::trials(),
        helm::trials(),
        chart::trials(),
        hpa::trials(),
        weak::trials(),
        table::trials(),
        deleted::trials(),
        blue_green::trials(),
        lost::trials(),
        api::trials(),
        sources::trials(),
        boots::trials(),
        ports::trials(),
        gates::trials(),
        proportions::trials(),
        tenants::trials(),
        policed::trials(),
        policies::trials(),
        good::trials(),
        third::trials(),
        people::trials(),
        plain::trials(),
        input::trials(),
        bad::trials(),
    ];
    let left_out = |trial: &Trial| !harness::full() && FULL_ONLY.contains(&trial.name());
    let trials = trials.into_iter().flatten().map(|trial| {
        let ignored = left_out(&trial);
        trial.with_ignored_flag(ignored)
    });
    let mut trials: Vec<_> = trials.collect();
    // Several, with commas between them.
    let is_whole = arguments.filter.is_none();
    if let Some(filters) = arguments.filter.take() {
        trials.retain(|trial| filters.split(',').any(|filter| trial.name().contains(filter)));
    }
    if !arguments.list
        && let Err(error) = harness::prepare()
    {
        eprintln!("no scenario can run: {error:#}");
        return ExitCode::FAILURE;
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if arguments.list {
        return ExitCode::SUCCESS;
    }
    harness::conclude(&conclusion, is_whole)
}
