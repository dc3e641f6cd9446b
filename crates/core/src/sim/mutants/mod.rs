//! Deliberate mutations of `plan()`: each is a mistake that somebody could make, and each must break a law within the
//! default number of runs. They stand around the planner and not in it, so that the real one stays readable: a mutant
//! either is lied to about what was observed, or changes what was decided.

mod anywhere;
mod carriers;
mod mistakes;

pub(super) use mistakes::scale_before_weight;

use super::faults::Faults;
use super::run::Run;
use crate::observed::Observed;
use crate::plan::Plan;
use crate::spec::Rollout;
use crate::state::State;

/// A planner.
pub(super) type Planner = fn(&Rollout, Option<&State>, &Observed) -> Plan;

/// Name, the law that it breaks, planner, and what has to go wrong around it for the mistake to matter.
type Mutant = (&'static str, &'static str, Planner, fn(u64) -> Faults);

/// Runs in which a mutant has to be caught. Some show in one of three hundred only.
const MOST_RUNS: u64 = 5 * super::RUNS;

/// Plays each mutant until a law is broken: the one that is named with it.
fn all_are_caught(mutants: &[Mutant]) {
    let (mut survivors, mut all) = (Vec::new(), 0);
    for (name, law, mutant, faults) in mutants.iter().copied() {
        let mut events = 0;
        let caught = (0..MOST_RUNS).find_map(|seed| match Run::with(mutant, seed, faults(seed)).play() {
            Ok(end) => {
                events += end.events;
                None
            }
            // What another law has caught says nothing about this one.
            Err(broken) => {
                events += broken.events;
                Some((seed, broken.law)).filter(|(_, broken)| broken.starts_with(law))
            }
        });
        match caught {
            Some((seed, broken)) => {
                all += events;
                println!("{name}: caught in run {seed} after {events} events: {broken}");
            }
            None => survivors.push((name, law)),
        }
    }
    println!("{} mutants, {} not caught; the rest in {all} events in all", mutants.len(), survivors.len());
    assert!(survivors.is_empty(), "not caught: {survivors:?}");
}
