//! What analysis holds up, and what it does not.

use std::time::Duration;

use super::{LONG, break_pods, command, condition, declare, deployed, gated, in_force, resting_on, state, weight};
use crate::analysis::metric::{Metric, OnNoData};
use crate::report::Phase;
use crate::sim::run::Run;
use crate::sim::source::Source;
use crate::sim::world::{Kind, World};
use crate::spec::{Background, Spec, Step, Verb};
use crate::state::Stage;
use crate::traffic::{Carrier, Weight};

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
    let raised = |world: &World| state(world).split.decided == Weight::clamped(50);
    assert!(run.until(LONG, raised));
    run.until(Duration::from_secs(30), |_| false);
    assert!(!in_force(50)(&run.world), "the route is never accepted");
    run.source_says(Source::Bad);
    let back = |world: &World| state(world).split.decided == Weight::ZERO;
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
    run.world.changed(Kind::Routes);
    assert!(run.until(LONG, in_force(50)));
    assert!(!run.until(Duration::from_mins(5), in_force(80)), "good answers came before 50% was in force");
}

fn with_metrics(recipe: Spec, change: impl Fn(Metric) -> Metric) -> Spec {
    let background = recipe
        .background
        .map(|background| Background { metrics: background.metrics.into_iter().map(change).collect(), ..background });
    Spec { background, ..recipe }
}

/// A release whose preflight finds this of stable.
fn held_by_stable(recipe: Spec, source: Source) -> Run {
    let mut run = deployed(recipe);
    run.stable_fails = true;
    run.source_says(source);
    declare(&mut run, "v1");
    run.until(Duration::from_mins(2), |_| false);
    run
}

fn has_begun(world: &World) -> bool {
    matches!(&state(world).stage, Stage::Releasing(release) if release.preflight.is_none())
}

#[test]
fn a_release_does_not_start_where_nothing_is_known_of_stable() {
    for (source, reason, words) in [
        (Source::Bad, "StableFails", "stable itself fails"),
        (Source::Empty, "StableWithoutData", "window of two scrapes or more"),
        (Source::NotANumber, "StableWithoutData", "query as sent: rate(x{rev=\"v0\"}"),
        (Source::Down, "NoAnswer", "connection refused"),
    ] {
        let mut run = held_by_stable(gated(vec![weight(20)]), source);
        assert!(!has_begun(&run.world), "{source:?}");
        let report = run.report();
        assert_eq!((report.phase, condition(&report, "Paused").as_deref()), (Phase::Paused, Some(reason)));
        assert!(report.message.contains(words), "{}", report.message);
        for verb in ["promote", "promote-full"] {
            let command = format!("-n market rollouts.leadsman.dev/shop leadsman.dev/command={verb}/v1/");
            assert!(report.message.contains(&command), "{}", report.message);
        }
        run.source_says(Source::Good);
        assert!(run.until(LONG, resting_on("v1")), "{source:?}: it starts by itself once stable is well");
    }
}

#[test]
fn no_data_of_stable_is_no_finding_where_no_data_is_declared_to_be_fine() {
    let recipe = with_metrics(gated(vec![weight(20)]), |it| Metric { on_no_data: OnNoData::Succeed, ..it });
    let mut run = deployed(recipe);
    run.stable_fails = true;
    run.source_says(Source::Empty);
    declare(&mut run, "v1");
    assert!(run.until(LONG, resting_on("v1")));
}

#[test]
fn a_held_release_starts_by_command_and_its_own_analysis_counts() {
    let mut run = held_by_stable(gated(vec![Step::Pause(Some(Duration::from_mins(1))), weight(20)]), Source::Bad);
    command(&mut run, Verb::Promote, "v1", "1");
    assert!(run.until(Duration::from_secs(5), has_begun));
    assert!(!run.until(Duration::from_secs(50), in_force(20)), "the first pause has not been ended with it");
    assert!(run.until(LONG, resting_on("v0")));
    assert_eq!(state(&run.world).rejected[0].reason, "SharedFailure");
}

#[test]
fn a_fix_goes_out_by_one_command_whatever_the_gate_says_and_still_needs_its_pods() {
    let mut run = held_by_stable(gated(vec![weight(20), Step::Pause(None), weight(50)]), Source::Bad);
    run.world.never_ready.push("v1".into());
    command(&mut run, Verb::PromoteFull, "v1", "1");
    run.until(Duration::from_mins(2), |_| false);
    assert_eq!(run.world.routes[0].generation, 1, "no weight is written without pods");
    run.world.never_ready.clear();
    let now = run.world.now;
    run.world.sets.get_mut(&"v1".into()).unwrap().pods.iter_mut().for_each(|pod| {
        pod.broken = false;
        pod.ready_from = now;
    });
    run.world.changed(Kind::Sets);
    assert!(run.until(Duration::from_mins(2), resting_on("v1")), "straight to full weight");
}

#[test]
fn a_fix_can_be_aborted_although_it_passed_the_gate() {
    let mut run = held_by_stable(gated(vec![weight(20)]), Source::Bad);
    command(&mut run, Verb::Abort, "v1", "1");
    assert!(run.until(Duration::from_secs(30), resting_on("v0")));
    assert_eq!(state(&run.world).rejected[0].reason, "Aborted");
}

#[test]
fn a_stable_without_a_ready_pod_is_not_waited_for() {
    let mut run = deployed(gated(vec![weight(20), weight(50)]));
    run.stable_fails = true;
    run.source_says(Source::Bad);
    break_pods(&mut run, "v0", 4, Duration::from_hours(1));
    declare(&mut run, "v1");
    assert!(run.until(Duration::from_secs(30), has_begun));
}

#[test]
fn a_template_that_the_api_server_refuses_is_found_before_a_pod_is_made() {
    let mut run = deployed(gated(vec![weight(20)]));
    run.world.refused_templates.push("v1".into());
    declare(&mut run, "v1");
    run.until(Duration::from_mins(30), |_| false);
    assert!(!run.world.sets.contains_key(&"v1".into()), "nothing was made of it");
    assert!(state(&run.world).rejected.is_empty(), "and nothing is rejected");
    let report = run.report();
    assert_eq!(condition(&report, "Stalled").as_deref(), Some("InvalidTemplate"));
    assert!(report.message.contains("unknown field \"spec.template.spec.contianers\""), "{}", report.message);
    declare(&mut run, "v2");
    assert!(run.until(LONG, resting_on("v2")));
}

#[test]
fn a_first_template_that_the_api_server_refuses_is_found_as_well() {
    let mut run = Run::quiet(deployed(gated(vec![weight(20)])).rollout, Carrier::Routes);
    run.world.refused_templates.push("v0".into());
    run.until(Duration::from_mins(5), |_| false);
    assert!(run.world.sets.is_empty());
    let report = run.report();
    assert_eq!(condition(&report, "Stalled").as_deref(), Some("InvalidTemplate"));
    run.world.refused_templates.clear();
    assert!(run.until(Duration::from_mins(2), resting_on("v0")), "what refused it may be gone");
}

#[test]
fn routes_that_nobody_accepts_are_said_to_be_stuck_and_reject_nothing() {
    let mut run = deployed(gated(vec![weight(20)]));
    run.world.routes[0].ignored = true;
    run.world.routes[0].generation += 1;
    run.world.changed(Kind::Routes);
    run.until(Duration::from_secs(2), |_| false);
    declare(&mut run, "v1");
    run.until(Duration::from_mins(9), |_| false);
    assert_eq!(condition(&run.report(), "Stalled"), None);
    run.until(Duration::from_mins(20), |_| false);
    let report = run.report();
    assert_eq!(condition(&report, "Stalled").as_deref(), Some("RouteNotAccepted"));
    assert!(report.message.contains("waited 600 s for HTTPRoute route-0 to be accepted"), "{}", report.message);
    assert!(state(&run.world).rejected.is_empty());
    run.world.routes[0].ignored = false;
    run.world.routes[0].accepted = run.world.routes[0].generation;
    run.world.changed(Kind::Routes);
    assert!(run.until(LONG, resting_on("v1")), "it goes on by itself");
}
