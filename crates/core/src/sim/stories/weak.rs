//! A rollback onto a stable that lost pods (I4): at once onto half of them, else step by step; never up, never onto nothing.

use std::time::Duration;

use super::{LONG, break_pods, declare, deployed, gated, in_force, state, weight};
use crate::sim::run::Run;
use crate::sim::source::Source;
use crate::sim::world::World;
use crate::spec::Step;
use crate::state::Stage;
use crate::traffic::Weight;

/// The shares that a rollback goes through, as they are decided.
fn shares_on_the_way_back(run: &mut Run) -> Vec<u32> {
    let mut shares = Vec::new();
    while shares.last() != Some(&0) {
        let known = shares.last().copied();
        let next = |world: &World| {
            let leaving = matches!(state(world).stage, Stage::Leaving(_));
            leaving && Some(state(world).split.decided.percent()) != known
        };
        assert!(run.until(LONG, next), "the rollback stands still at {shares:?}");
        shares.push(state(&run.world).split.decided.percent());
    }
    shares
}

#[test]
fn a_rollback_onto_half_of_stable_goes_all_the_way_at_once() {
    let mut run = deployed(gated(vec![weight(80), Step::Pause(None)]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(80)));
    break_pods(&mut run, "v0", 2, Duration::from_hours(1));
    run.source_says(Source::Bad);
    assert_eq!(shares_on_the_way_back(&mut run), [0]);
}

#[test]
fn a_rollback_onto_less_goes_in_steps_that_each_make_progress() {
    let mut run = deployed(gated(vec![weight(80), Step::Pause(None)]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(80)));
    break_pods(&mut run, "v0", 3, Duration::from_hours(1));
    run.source_says(Source::Bad);
    assert_eq!(shares_on_the_way_back(&mut run), [60, 40, 20, 0], "a quarter of 80% at each step, one settle apart");
}

#[test]
fn a_rollback_waits_for_the_first_stable_pod_and_no_longer() {
    let mut run = deployed(gated(vec![weight(80), Step::Pause(None)]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(80)));
    break_pods(&mut run, "v0", 4, Duration::from_mins(3));
    run.source_says(Source::Bad);
    assert!(run.until(LONG, |world| matches!(state(world).stage, Stage::Leaving(_))));
    assert_eq!(state(&run.world).split.decided, Weight::clamped(80), "there is nowhere to go");
    assert!(run.report().message.contains("no ready pod"), "{}", run.report().message);
    assert_eq!(shares_on_the_way_back(&mut run).last(), Some(&0));
}

#[test]
fn a_canary_without_a_ready_pod_goes_whatever_stable_has() {
    let mut run = deployed(gated(vec![weight(80), Step::Pause(None)]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(80)));
    break_pods(&mut run, "v0", 3, Duration::from_hours(1));
    break_pods(&mut run, "v1", 4, Duration::from_hours(1));
    assert_eq!(state(&run.world).split.decided, Weight::ZERO);
}
