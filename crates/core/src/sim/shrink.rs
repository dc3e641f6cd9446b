//! A counterexample with as little in it as still breaks the same law: a person is to read it.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::faults::Faults;
use super::mutants::Planner;
use super::run::{Broken, Run};

/// Events that a search may replay: some ten seconds.
const MOST_EVENTS: u64 = 600_000;

/// Leaves out disturbances, in halves, quarters and so on down to single ones, for as long as the law stays broken (the
/// delta debugging of Zeller and Hildebrandt, 2002). What comes before a disturbance that is left out stays as it was.
pub(super) fn shrink(planner: Planner, seed: u64, faults: Faults, broken: Broken) -> Broken {
    let mut best = broken;
    let mut replayed = 0;
    let mut parts = 2;
    while !best.struck.is_empty() && replayed < MOST_EVENTS {
        let all: Vec<u64> = best.struck.iter().copied().collect();
        let size = all.len().div_ceil(parts);
        // From the end: what is left out there moves nothing before it.
        let smaller = all.chunks(size).rev().find_map(|part| {
            if replayed > MOST_EVENTS {
                return None;
            }
            let kept: BTreeSet<u64> = all.iter().copied().filter(|number| !part.contains(number)).collect();
            let again = replay(planner, seed, faults, kept);
            // One that breaks no law has played to its end, which takes about as long.
            replayed += again.as_ref().map_or(best.events, |again| again.events);
            let again = again?;
            (again.struck.len() < all.len() && name(&again.law) == name(&best.law)).then_some(again)
        });
        match smaller {
            Some(again) => {
                best = again;
                parts = parts.saturating_sub(1).max(2);
            }
            None if size == 1 => break,
            None => parts = (parts * 2).min(all.len()),
        }
    }
    replay(planner, seed, faults, best.struck.clone()).unwrap_or(best)
}

fn replay(planner: Planner, seed: u64, faults: Faults, kept: BTreeSet<u64>) -> Option<Broken> {
    Run::of(planner, seed, faults, Some(Rc::new(kept))).told().play().err().map(|broken| *broken)
}

/// The law's name, without the figures of the case.
fn name(law: &str) -> &str {
    law.split(':').next().unwrap_or(law)
}

/// A broken law as it is printed: what, where, and what led to it.
pub(super) fn shown(planner: Planner, seed: u64, faults: Faults, broken: Broken) -> String {
    let before = broken.struck.len();
    let least = shrink(planner, seed, faults, broken);
    format!(
        "{}\nseed {seed}, {} of {before} disturbances are enough: {:?}\n{faults:?}\n{}",
        least.law,
        least.struck.len(),
        least.struck,
        least.timeline
    )
}

mod tests {
    use super::super::mutants::scale_before_weight;
    use super::*;

    /// A mistake that needs no more than a release that goes back, found in a run full of faults.
    #[test]
    fn what_is_left_of_a_counterexample_is_what_it_takes() {
        let broken = (0..1_000).find_map(|seed| {
            let faults = Faults { lag: true, refusals: true, crashes: true, ..Faults::default() };
            let broken = Run::of(scale_before_weight, seed, faults, None).play().err()?;
            (broken.struck.len() > 50).then_some((seed, faults, *broken))
        });
        let (seed, faults, broken) = broken.expect("a run with many disturbances");
        let (law, before) = (name(&broken.law).to_owned(), broken.struck.len());
        let least = shrink(scale_before_weight, seed, faults, broken);
        assert_eq!(name(&least.law), law);
        assert!(least.struck.len() * 10 <= before, "{before} disturbances, and {} are left", least.struck.len());
        assert!(least.timeline.to_string().contains("* "), "the timeline tells what somebody did:\n{}", least.timeline);
    }
}
