//! "What happens when" where no proxy shares the traffic: blue-green and canaries behind one Service, and workers.

use std::time::Duration;

use super::{LONG, break_pods, command, declare, deployed_by, resting_on, state, weight};
use crate::analysis::tally::tests::metric;
use crate::names::Hash;
use crate::report::Phase;
use crate::sim::run::Run;
use crate::sim::source::Source;
use crate::sim::world::{CANARY, STABLE, Selects, World};
use crate::spec::{CanaryScale, Spec, Step, Verb};
use crate::state::{Return, Stage};
use crate::traffic::{Carrier, Strategy, Weight};

fn only(hash: &str) -> Selects {
    Selects::Only(Hash::new(hash))
}

fn selects(service: &'static str, what: Selects) -> impl Fn(&World) -> bool {
    move |world| world.services.get(service).is_some_and(|service| service.selects == what)
}

fn wanted(world: &World, hash: &str) -> u32 {
    world.sets.get(&Hash::new(hash)).map_or(0, |set| set.wanted)
}

fn whole() -> Step {
    Step::Scale(CanaryScale::Percent(Weight::FULL))
}

fn measured() -> Step {
    Step::Analysis(vec![crate::analysis::metric::Metric { count: Some(3), ..metric("success-rate") }])
}

/// One pod is shown first; then all of them take over, are measured, and the old ones are kept for ten minutes.
fn blue_green() -> Run {
    let mut steps = vec![Step::Scale(CanaryScale::Replicas(1)), Step::Pause(Some(Duration::from_secs(20)))];
    steps.extend([whole(), Step::SetWeight(Weight::FULL), measured()]);
    let spec = Spec { overlap: Duration::from_secs(3), keep_warm: Duration::from_mins(10), ..Spec::plain(steps) };
    let mut run = deployed_by(Carrier::Service, spec);
    run.rollout.targets.strategy = Strategy::BlueGreen;
    run.until(Duration::from_secs(1), |_| false);
    run
}

fn measuring_the_new_one(world: &World) -> bool {
    matches!(&state(world).stage, Stage::Releasing(release) if release.step == 4)
}

#[test]
fn a_preview_is_shown_and_then_takes_over_by_way_of_both() {
    let mut run = blue_green();
    declare(&mut run, "v1");
    assert!(run.until(LONG, selects(CANARY, only("v1"))));
    assert_eq!((run.world.selected(STABLE), wanted(&run.world, "v1")), (Some(&Hash::new("v0")), 1));
    assert!(run.until(LONG, selects(STABLE, Selects::Any)));
    assert_eq!(run.world.ready_of(&Hash::new("v1")), 4, "all of it is there before anybody is sent to it");
    assert!(run.until(LONG, selects(STABLE, only("v1"))));
    assert!(run.until(LONG, measuring_the_new_one));
    assert_eq!(wanted(&run.world, "v0"), 4, "the old one stays whole");
    assert!(run.until(LONG, resting_on("v1")));
    assert_eq!(run.report().phase, Phase::Healthy);
    assert!(!run.until(Duration::from_mins(9), |world| wanted(world, "v0") < 4));
    assert!(run.until(LONG, |world| wanted(world, "v0") == 0));
}

#[test]
fn what_fails_after_it_took_over_is_taken_out_at_once_and_ends() {
    let mut run = blue_green();
    declare(&mut run, "v1");
    assert!(run.until(LONG, measuring_the_new_one));
    run.source_says(Source::Bad);
    assert!(run.until(LONG, |world| !state(world).rejected.is_empty()));
    assert_eq!(run.world.selected(STABLE), Some(&Hash::new("v0")), "in the pass of the verdict");
    assert!(run.until(Duration::from_secs(5), |world| wanted(world, "v1") == 0), "connections end with their pods");
    assert_eq!(run.report().phase, Phase::RolledBack);
}

#[test]
fn the_way_back_never_asks_about_the_new_pods() {
    for count in [1, 4] {
        let mut run = blue_green();
        declare(&mut run, "v1");
        assert!(run.until(LONG, measuring_the_new_one));
        run.source_says(Source::Bad);
        break_pods(&mut run, "v1", count, Duration::from_hours(1));
        assert!(run.until(LONG, resting_on("v0")), "{count} pods of it fail");
        assert_eq!(run.world.selected(STABLE), Some(&Hash::new("v0")));
    }
}

#[test]
fn a_new_revision_that_loses_its_pods_gives_way_without_a_verdict_and_comes_back() {
    let mut run = blue_green();
    declare(&mut run, "v1");
    assert!(run.until(LONG, measuring_the_new_one));
    run.source_says(Source::Down);
    break_pods(&mut run, "v1", 3, Duration::from_secs(20));
    assert_eq!(run.world.selected(STABLE), Some(&Hash::new("v0")), "one of four is less than half");
    assert!(!run.until(Duration::from_secs(40), selects(STABLE, Selects::Any)), "no flapping");
    run.source_says(Source::Good);
    assert!(run.until(LONG, selects(STABLE, Selects::Any)));
    assert!(run.until(LONG, resting_on("v1")));
}

#[test]
fn a_revert_to_what_is_still_warm_starts_no_pod_and_asks_nothing() {
    let mut run = blue_green();
    declare(&mut run, "v1");
    assert!(run.until(LONG, resting_on("v1")));
    let pods = run.world.pods_made;
    declare(&mut run, "v0");
    assert!(run.until(Duration::from_secs(8), selects(STABLE, only("v0"))));
    assert!(run.until(LONG, resting_on("v0")));
    assert_eq!((run.world.pods_made, run.report().phase), (pods, Phase::Healthy));
}

#[test]
fn a_third_template_comes_when_the_second_has_gone() {
    let mut run = blue_green();
    declare(&mut run, "v1");
    assert!(run.until(LONG, selects(STABLE, Selects::Any)));
    declare(&mut run, "v2");
    assert!(run.until(Duration::from_secs(1), selects(STABLE, only("v0"))));
    assert!(run.until(LONG, selects(STABLE, Selects::Any)));
    assert_eq!(run.world.ready_of(&Hash::new("v1")), 0);
    assert!(run.until(LONG, resting_on("v2")));
    assert!(state(&run.world).rejected.is_empty());
}

#[test]
fn git_that_goes_back_takes_the_new_one_out_and_rejects_nothing() {
    let mut run = blue_green();
    declare(&mut run, "v1");
    assert!(run.until(LONG, measuring_the_new_one));
    declare(&mut run, "v0");
    assert!(run.until(LONG, resting_on("v0")));
    assert_eq!((run.report().phase, state(&run.world).rejected.len()), (Phase::Healthy, 0));
    assert!(run.until(Duration::from_secs(5), |world| wanted(world, "v1") == 0));
}

#[test]
fn an_autoscaler_moves_what_serves_and_leaves_the_preview_its_size() {
    let mut run = blue_green();
    declare(&mut run, "v1");
    assert!(run.until(LONG, selects(CANARY, only("v1"))));
    run.rollout.replicas = 7;
    assert!(run.until(LONG, |world| wanted(world, "v0") == 7));
    assert_eq!(wanted(&run.world, "v1"), 1);
    assert_eq!(run.report().scaled.to_string(), "v0");
    assert!(run.until(LONG, resting_on("v1")));
    assert_eq!((wanted(&run.world, "v1"), run.report().scaled.to_string().as_str()), (7, "v1"));
}

#[test]
fn a_paused_declaration_stops_nothing_but_the_way_forward() {
    let mut run = blue_green();
    declare(&mut run, "v1");
    assert!(run.until(LONG, selects(CANARY, only("v1"))));
    run.rollout.paused = true;
    assert!(!run.until(LONG, selects(STABLE, Selects::Any)));
    assert_eq!(run.report().phase, Phase::Paused);
    command(&mut run, Verb::Abort, "v1", "1");
    assert!(run.until(LONG, resting_on("v0")));
}

#[test]
fn a_person_has_it_taken_back_after_the_promotion() {
    let mut run = blue_green();
    declare(&mut run, "v1");
    assert!(run.until(LONG, resting_on("v1")));
    command(&mut run, Verb::Rollback, "v1", "1");
    assert!(run.until(LONG, |world| {
        matches!(&state(world).stage, Stage::Releasing(release) if release.returns == Some(Return::Commanded))
    }));
    assert_eq!(run.report().phase, Phase::RollingBack);
    assert!(run.until(LONG, resting_on("v0")));
    let report = run.report();
    assert_eq!(report.phase, Phase::RolledBack);
    assert!(report.message.starts_with("RolledBackByCommand"), "{}", report.message);
    assert!(run.until(Duration::from_secs(5), |world| wanted(world, "v1") == 0), "it was rejected");
    declare(&mut run, "v2");
    assert!(run.until(LONG, resting_on("v2")), "the fix is an ordinary release");
}

#[test]
fn a_fix_need_not_wait_for_a_rollback_whose_pods_do_not_come() {
    let mut run = blue_green();
    declare(&mut run, "v1");
    assert!(run.until(LONG, resting_on("v1")));
    assert!(run.until(LONG, |world| wanted(world, "v0") == 0));
    run.world.never_ready.push(Hash::new("v0"));
    command(&mut run, Verb::Rollback, "v1", "1");
    assert!(!run.until(LONG, resting_on("v0")));
    assert_eq!(run.report().phase, Phase::RollingBack, "{:?}", state(&run.world).last_command);
    declare(&mut run, "v2");
    assert!(run.until(LONG, resting_on("v2")));
}

fn plain(steps: Vec<Step>, keep_stable: u32) -> Run {
    deployed_by(Carrier::Service, Spec { keep_stable: Weight::clamped(keep_stable), ..Spec::plain(steps) })
}

fn goal(percent: u32) -> impl Fn(&World) -> bool {
    move |world| {
        let goal = Weight::clamped(percent);
        matches!(&state(world).stage, Stage::Releasing(release) if release.goal == goal && release.goal_since.is_some())
    }
}

#[test]
fn a_canary_without_a_proxy_gets_the_share_of_its_pods() {
    let pause = || Step::Pause(Some(Duration::from_secs(10)));
    let mut run = plain(vec![weight(5), pause(), weight(50), pause()], 100);
    declare(&mut run, "v1");
    assert!(run.until(LONG, |world| wanted(world, "v1") == 1));
    assert_eq!(run.world.selected(STABLE), Some(&Hash::new("v0")), "not before it is ready");
    assert!(run.until(LONG, goal(5)));
    let weight = run.report().weight;
    assert_eq!((weight.desired, weight.written, weight.in_force), (5, Some(20), 20), "one of five pods");
    assert!(run.until(LONG, goal(50)));
    assert_eq!((wanted(&run.world, "v0"), wanted(&run.world, "v1")), (4, 4));
    assert!(run.until(LONG, resting_on("v1")));
    assert_eq!(run.world.selected(STABLE), Some(&Hash::new("v1")));
    assert!(run.until(LONG, |world| wanted(world, "v0") == 0));
}

#[test]
fn a_canary_without_a_ready_pod_is_selected_again_after_a_while() {
    let mut run = plain(vec![weight(25), Step::Pause(None)], 100);
    declare(&mut run, "v1");
    assert!(run.until(LONG, goal(25)));
    break_pods(&mut run, "v1", 1, Duration::from_secs(20));
    assert_eq!(run.world.selected(STABLE), Some(&Hash::new("v0")));
    assert!(!run.until(Duration::from_secs(40), selects(STABLE, Selects::Any)));
    assert!(run.until(LONG, selects(STABLE, Selects::Any)));
}

#[test]
fn stable_gives_up_what_the_canary_carries_and_no_more() {
    let mut run = plain(vec![weight(60), Step::Pause(None)], 50);
    declare(&mut run, "v1");
    assert!(run.until(LONG, goal(60)));
    assert_eq!((wanted(&run.world, "v0"), wanted(&run.world, "v1")), (2, 3));
    command(&mut run, Verb::Abort, "v1", "1");
    assert!(run.until(LONG, selects(STABLE, only("v0"))));
    assert_eq!(wanted(&run.world, "v0"), 4, "in the same pass");
    assert!(run.until(LONG, resting_on("v0")));
}

#[test]
fn a_way_back_onto_a_small_stable_goes_pod_by_pod() {
    let mut run = plain(vec![weight(80), Step::Pause(None)], 25);
    declare(&mut run, "v1");
    assert!(run.until(LONG, goal(80)));
    assert_eq!((wanted(&run.world, "v0"), wanted(&run.world, "v1")), (1, 4));
    run.world.slow_pods = true;
    command(&mut run, Verb::Abort, "v1", "1");
    assert!(run.until(LONG, |world| wanted(world, "v1") < 4));
    assert!(selects(STABLE, Selects::Any)(&run.world), "there is not half of stable yet");
    assert!(run.until(LONG, resting_on("v0")));
}

#[test]
fn workers_are_shared_by_their_number_and_go_at_once() {
    let steps = vec![weight(25), Step::Pause(Some(Duration::from_secs(30))), weight(50), measured()];
    let mut run = deployed_by(Carrier::Pods, Spec::plain(steps.clone()));
    declare(&mut run, "v1");
    assert!(run.until(LONG, goal(25)));
    assert_eq!((wanted(&run.world, "v0"), wanted(&run.world, "v1")), (4, 1));
    assert!(run.until(LONG, goal(50)));
    run.source_says(Source::Bad);
    assert!(run.until(LONG, |world| !state(world).rejected.is_empty()));
    assert_eq!(wanted(&run.world, "v1"), 0, "in the pass of the verdict");
    assert!(run.until(LONG, resting_on("v0")));
    assert!(run.world.services.is_empty());
    let mut run = deployed_by(Carrier::Pods, Spec::plain(steps));
    declare(&mut run, "v1");
    assert!(run.until(LONG, resting_on("v1")));
    assert!(run.until(LONG, |world| wanted(world, "v0") == 0));
}

#[test]
fn pods_come_a_few_at_a_time_and_each_of_them_is_progress() {
    let spec = Spec {
        pods_at_once: Some(crate::traffic::Amount::Pods(1)),
        progress_deadline: Duration::from_secs(20),
        ..Spec::plain(vec![whole(), Step::Pause(None)])
    };
    let mut run = deployed_by(Carrier::Service, spec);
    run.world.min_ready = jiff::SignedDuration::from_secs(10);
    declare(&mut run, "v1");
    for pods in 1..=4 {
        assert!(run.until(LONG, |world| wanted(world, "v1") == pods), "{pods}");
        let ready = run.world.ready_of(&Hash::new("v1"));
        assert!(ready + 1 >= pods, "{ready} of {pods} are ready, and another one is started");
    }
    assert!(!run.until(LONG, |world| !state(world).rejected.is_empty()), "it waits for a person");
}

#[test]
fn a_revision_within_the_window_comes_back_without_steps_but_not_before_it_is_ready() {
    let steps = vec![weight(25), Step::Pause(None)];
    let spec = Spec { rollback_window: 2, ..Spec::plain(steps) };
    let mut run = deployed_by(Carrier::Routes, spec);
    declare(&mut run, "v1");
    assert!(run.until(LONG, goal(25)));
    command(&mut run, Verb::PromoteFull, "v1", "1");
    assert!(run.until(LONG, resting_on("v1")));
    assert!(run.until(LONG, |world| wanted(world, "v0") == 0));
    declare(&mut run, "v0");
    assert!(run.until(LONG, resting_on("v0")), "no pause is waited for");
    assert_eq!(run.report().phase, Phase::Healthy);
}
