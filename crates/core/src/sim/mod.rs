//! The simulator: plans run against a small model of a cluster, in virtual time, under every fault that the model knows.
//!
//! [`world`] is what is true: objects, pods, an endpoint slice controller and proxies that lag. [`process`] is the operator:
//! caches that lag by kind, writes that are refused or whose answer is lost, crashes between any two writes. [`run`] draws
//! a run from a seed; [`laws`] are the invariants of the design, checked after every event. A run that breaks a law prints
//! its seed and its timeline, and is kept as a named test in [`found`].

mod faults;
mod found;
mod laws;
mod mischief;
mod mutants;
mod process;
mod releases;
mod run;
mod shrink;
mod source;
mod spoiled;
mod stories;
mod timeline;
mod world;
mod writes;

use crate::traffic::Carrier;
use faults::Faults;
use run::Run;

/// Runs by default.
const RUNS: u64 = 1_000;
/// Runs of `cargo xtask test --full`, which sets `LEADSMAN_FULL`.
const FULL_RUNS: u64 = 8_000;

/// `LEADSMAN_SIM_RUNS` asks for any other number.
fn runs() -> u64 {
    let wanted = std::env::var("LEADSMAN_SIM_RUNS").ok().and_then(|runs| runs.parse().ok());
    wanted.unwrap_or(if std::env::var_os("LEADSMAN_FULL").is_some() { FULL_RUNS } else { RUNS })
}

/// Seeds that are the same every time, so that a change is judged by what it changes. `LEADSMAN_FULL` adds a quarter as many
/// that nobody has tried before: they begin at the present millisecond, or at `LEADSMAN_SIM_SEED`.
fn seeds() -> impl Iterator<Item = u64> {
    let wanted = std::env::var("LEADSMAN_SIM_SEED").ok().and_then(|seed| seed.parse().ok());
    let now = || u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default();
    let fresh = wanted.or_else(|| std::env::var_os("LEADSMAN_FULL").map(|_| now()));
    (0..runs()).chain(fresh.into_iter().flat_map(|fresh| fresh..fresh + runs() / 4))
}

fn explore(name: &str, faults: impl Fn(u64) -> Faults) {
    let mut events = 0;
    let mut ends = std::collections::BTreeMap::<&'static str, u64>::new();
    for seed in seeds() {
        match Run::new(seed, faults(seed)).play() {
            Ok(end) => {
                events += end.events;
                *ends.entry(end.phase).or_default() += 1;
            }
            Err(broken) => {
                eprintln!("{name}: seed {seed} breaks {}; again with LEADSMAN_SIM_SEED={seed}", broken.law);
                panic!("{}", shrink::shown(crate::plan::plan, seed, faults(seed), *broken))
            }
        }
    }
    println!("{name}: {events} events in {} runs; they ended {ends:?}", ends.values().sum::<u64>());
    assert!(ends.len() > 1, "{name}: every run ended the same way, so that the runs show little: {ends:?}");
}

#[test]
fn the_laws_hold_without_faults() {
    explore("no faults", |_| Faults::default());
}

#[test]
fn the_laws_hold_while_the_operator_crashes_and_its_caches_lag() {
    explore("crashes and lag", |_| Faults { crashes: true, lag: true, ..Faults::default() });
}

#[test]
fn the_laws_hold_while_writes_are_refused_delayed_or_their_answers_lost() {
    explore("writes", |_| Faults {
        refusals: true,
        lost_answers: true,
        delayed_writes: true,
        lag: true,
        ..Faults::default()
    });
}

#[test]
fn the_laws_hold_while_the_api_server_is_gone_or_takes_no_writes_of_a_kind() {
    explore("outages", |_| Faults { outages: true, crashes: true, ..Faults::default() });
}

#[test]
fn the_laws_hold_while_pods_come_and_go() {
    explore("pods", |_| Faults { pods_fail: true, lag: true, ..Faults::default() });
}

#[test]
fn the_laws_hold_while_an_autoscaler_scales() {
    explore("scaling", |_| Faults { scaling: true, lag: true, ..Faults::default() });
}

#[test]
fn the_laws_hold_while_people_edit_what_is_not_theirs() {
    explore("people", |_| Faults { people: true, ..Faults::default() });
}

#[test]
fn the_laws_hold_while_git_moves_services_routes_and_ports() {
    explore("moves", |_| Faults { moves: true, lag: true, ..Faults::default() });
}

#[test]
fn nothing_is_lost_but_what_lags_while_proxies_are_slow() {
    explore("slow proxies", |_| Faults { slow_proxies: true, lag: true, ..Faults::default() });
}

#[test]
fn the_laws_hold_in_a_mesh_that_spills() {
    explore("spilling", |_| Faults { spilling: true, pods_fail: true, lag: true, ..Faults::default() });
}

#[test]
fn the_laws_hold_while_a_former_leader_writes_once_more() {
    explore("two at once", |_| Faults { crashes: true, lag: true, two_at_once: true, ..Faults::default() });
}

#[test]
fn the_laws_hold_while_the_clock_is_set() {
    explore("clock", |_| Faults { clock_steps: true, crashes: true, ..Faults::default() });
}

/// The same without a proxy: with and without faults, and with all of them.
fn explore_carried_by(name: &str, carrier: Carrier) {
    explore(name, |_| Faults::default().carried_by(carrier));
    let lag = Faults { crashes: true, lag: true, refusals: true, lost_answers: true, ..Faults::default() };
    explore(&format!("{name}, crashes, lag and writes"), |_| lag.carried_by(carrier));
    let pods = Faults { pods_fail: true, lag: true, ..Faults::default() };
    explore(&format!("{name}, pods"), |_| pods.carried_by(carrier));
    let scaling = Faults { scaling: true, lag: true, ..Faults::default() };
    explore(&format!("{name}, scaling"), |_| scaling.carried_by(carrier));
    explore(&format!("{name}, everything"), |seed| Faults::drawn(seed).carried_by(carrier));
}

#[test]
fn the_laws_hold_where_one_service_carries_the_traffic() {
    explore_carried_by("one Service", Carrier::Service);
}

#[test]
fn the_laws_hold_for_workers() {
    explore_carried_by("workers", Carrier::Pods);
}

#[test]
fn the_laws_hold_under_everything_at_once() {
    explore("everything", Faults::drawn);
}
