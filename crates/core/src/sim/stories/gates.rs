//! What analysis holds up, and what it does not.

use std::time::Duration;

use super::{LONG, declare, deployed, gated, in_force, resting_on, state, weight};
use crate::analysis::metric::Metric;
use crate::sim::run::Source;
use crate::spec::{Background, Step};
use crate::traffic::Weight;

#[test]
fn a_count_beside_the_steps_ends_nothing() {
    let mut recipe = gated(vec![weight(20), Step::Pause(Some(Duration::from_mins(3))), weight(50)]);
    let counted = |metric: Metric| Metric { count: Some(6), ..metric };
    recipe.background = recipe
        .background
        .map(|background| Background { metrics: background.metrics.into_iter().map(counted).collect(), ..background });
    let mut run = deployed(recipe);
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(20)));
    run.until(Duration::from_mins(2), |_| false);
    run.source_says(Source::Bad);
    assert!(
        run.until(Duration::from_mins(1), |world| !state(world).rejected.is_empty()),
        "six good ones are long over"
    );
}

#[test]
fn nothing_is_promoted_without_a_success_at_the_last_weight() {
    for last in [vec![weight(20), weight(100)], vec![weight(100), Step::Pause(Some(Duration::from_mins(5)))]] {
        let mut run = deployed(gated(last));
        declare(&mut run, "v1");
        assert!(run.until(LONG, |world| state(world).split.decided == Weight::FULL));
        run.source_says(Source::Down);
        assert!(!run.until(Duration::from_mins(9), resting_on("v1")), "nobody said that it is well");
        assert!(run.until(LONG, resting_on("v0")));
        assert_eq!(state(&run.world).rejected[0].reason, "NoEvidence");
    }
}

#[test]
fn a_failure_is_heeded_while_a_raise_waits_for_a_route() {
    let mut run = deployed(gated(vec![weight(20), weight(50)]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(20)));
    run.world.routes[0].ignored = true;
    let raised = |world: &crate::sim::world::World| state(world).split.decided == Weight::clamped(50);
    assert!(run.until(LONG, raised));
    run.until(Duration::from_secs(30), |_| false);
    assert!(!in_force(50)(&run.world), "the route is never accepted");
    run.source_says(Source::Bad);
    let back = |world: &crate::sim::world::World| state(world).split.decided == Weight::ZERO;
    assert!(run.until(Duration::from_secs(20), back), "long before the deadline");
}

#[test]
fn what_succeeds_while_a_raise_waits_for_a_route_vouches_for_nothing() {
    let mut run = deployed(gated(vec![weight(20), weight(50), weight(80)]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(20)));
    run.world.routes[0].ignored = true;
    assert!(run.until(LONG, |world| state(world).split.decided == Weight::clamped(50)));
    run.until(Duration::from_mins(1), |_| false);
    run.source_says(Source::Down);
    run.world.routes[0].ignored = false;
    let generation = run.world.routes[0].generation;
    run.world.routes[0].accepted = generation;
    run.world.changed(crate::sim::world::Kind::Routes);
    assert!(run.until(LONG, in_force(50)));
    assert!(!run.until(Duration::from_mins(5), in_force(80)), "good answers came before 50% was in force");
}
