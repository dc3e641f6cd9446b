//! Phrases that several screens share.

use jiff::Timestamp;
use leadsman_api::Phase;

use crate::instants::seconds_between;
use crate::line::Meaning;
use crate::model::{Pod, Source};
use crate::numbers::age;
use crate::text::page::Cell;

/// What a phase looks like.
pub fn meaning(phase: Option<Phase>) -> Meaning {
    match phase {
        Some(Phase::Healthy) => Meaning::Good,
        Some(Phase::Progressing) => Meaning::Moving,
        Some(Phase::Paused | Phase::Degraded) => Meaning::Waiting,
        Some(Phase::RollingBack | Phase::RolledBack | Phase::Invalid) => Meaning::Bad,
        None => Meaning::Past,
    }
}

/// ` (Flux, shop/cart)`.
pub fn source(source: &Source) -> String {
    if source.object.is_empty() {
        format!(" ({})", source.tool)
    } else {
        format!(" ({}, {})", source.tool, source.object)
    }
}

/// `4 running, 0 restarts`; empty where nobody asked for pods.
pub fn pods(pods: &[Pod]) -> String {
    if pods.is_empty() {
        return String::new();
    }
    let mut states: Vec<(String, usize)> = Vec::new();
    for state in pods.iter().map(|pod| pod.state.to_lowercase()) {
        match states.iter_mut().find(|(known, _)| *known == state) {
            Some((_, count)) => *count += 1,
            None => states.push((state, 1)),
        }
    }
    let restarts = pods.iter().fold(0_i32, |all, pod| all.saturating_add(pod.restarts));
    let states: Vec<_> = states.into_iter().map(|(state, count)| format!("{count} {state}")).collect();
    format!("{}, {restarts} restart{}", states.join(", "), if restarts == 1 { "" } else { "s" })
}

/// A pod in a table.
pub fn pod_row(pod: &Pod, role: &str, now: Timestamp) -> Vec<Cell> {
    let meaning = if pod.is_ready { Meaning::Good } else { Meaning::Waiting };
    vec![
        Cell::left(&*pod.name, Meaning::Plain),
        Cell::left(role, Meaning::Past),
        Cell::left(&*pod.state, meaning),
        Cell::right(pod.restarts.to_string(), if pod.restarts > 0 { Meaning::Waiting } else { Meaning::Plain }),
        Cell::right(pod.since.map(|since| age(seconds_between(since, now))).unwrap_or_default(), Meaning::Plain),
        Cell::left(&*pod.words, Meaning::Plain),
    ]
}
