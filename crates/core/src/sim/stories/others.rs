//! What people, tools and the API server do while a release is under way.

use std::time::Duration;

use super::{LONG, command, declare, deployed, gated, in_force, resting_on, spec, state, weight};
use crate::names::Hash;
use crate::report::Phase;
use crate::sim::run::{Happening, Run};
use crate::sim::source::Source;
use crate::sim::world::{CANARY, Kind, STABLE, Selects, Service, World};
use crate::spec::{Step, Verb};
use crate::state::Stage;
use crate::traffic::Weight;

#[test]
fn a_hand_on_the_weights_is_put_back_within_the_second_pass() {
    let mut run = deployed(spec(vec![weight(20), Step::Pause(None)]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(20)));
    for percent in [60, 0] {
        run.edit_route(0, Weight::clamped(percent));
        run.process.sync(&run.world, Kind::Routes);
        let healed = |world: &World| world.routes.iter().all(|route| route.is_at(Weight::clamped(20)));
        assert!(run.until(Duration::from_secs(1), healed), "from {percent}%");
        run.until(Duration::from_mins(2), |_| false);
    }
    assert!(matches!(&state(&run.world).stage, Stage::Releasing(release) if release.step == 1), "the step goes on");
}

#[test]
fn a_route_that_names_other_services_is_no_hand_on_the_weights() {
    let mut run = deployed(spec(vec![weight(20), Step::Pause(None)]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(20)));
    run.rollout.targets.canary_service = "shop-c2".to_owned();
    run.rollout.generation += 1;
    run.rename_backends();
    let leaves = |world: &World| matches!(state(world).stage, Stage::Leaving(_));
    assert!(run.until(LONG, leaves), "the law on what is told of edits holds");
    assert!(run.until(LONG, in_force(20)), "the release begins anew, with the other Service");
}

#[test]
fn a_hand_on_a_selector_is_put_back_under_traffic() {
    for (name, ours) in [(CANARY, "v1"), (STABLE, "v0")] {
        let mut run = deployed(spec(vec![weight(40), Step::Pause(None)]));
        declare(&mut run, "v1");
        assert!(run.until(LONG, in_force(40)));
        let theirs = Selects::Only(Hash::new(if name == CANARY { "v0" } else { "v1" }));
        let service = run.world.service(name).unwrap().clone();
        run.world.write_service(name, Service { selects: theirs, ..service });
        run.world.changed(Kind::Services);
        run.laws.excuse(run.world.now);
        let healed = |world: &World| world.selected(name) == Some(&Hash::new(ours));
        assert!(run.until(Duration::from_secs(1), healed), "{name}");
        run.until(Duration::from_mins(1), |_| false);
        assert!(in_force(40)(&run.world), "the release goes on");
    }
}

#[test]
fn pods_for_a_share_that_somebody_wrote_stay_until_proxies_know_that_it_is_gone() {
    let mut run = deployed(spec(vec![weight(20), Step::Pause(None)]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(20)));
    run.edit_route(0, Weight::clamped(90));
    run.process.sync(&run.world, Kind::Routes);
    let wanted = |pods: u32| move |world: &World| world.sets[&Hash::new("v1")].wanted == pods;
    assert!(run.until(Duration::from_secs(1), wanted(4)), "90% need all of them");
    let healed = |world: &World| world.routes.iter().all(|route| route.is_at(Weight::clamped(20)));
    assert!(run.until(Duration::from_secs(1), healed));
    assert!(!run.until(Duration::from_millis(2500), wanted(1)), "settle is 3 s");
    assert!(run.until(Duration::from_mins(1), wanted(1)));
}

#[test]
fn scaling_in_mid_release_keeps_the_share_and_both_sets_follow() {
    let mut run = deployed(spec(vec![weight(50), Step::Pause(None)]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(50)));
    run.rollout.replicas = 8;
    let followed = |world: &World| world.sets[&Hash::new("v0")].wanted == 8 && world.sets[&Hash::new("v1")].wanted == 4;
    assert!(run.until(Duration::from_mins(1), followed));
    assert!(in_force(50)(&run.world));
    assert!(run.world.routes.iter().all(|route| route.is_at(Weight::clamped(50))), "scaling up takes nothing back");
}

#[test]
fn a_lost_status_is_no_big_bang() {
    let mut run = deployed(spec(vec![weight(50), Step::Pause(None)]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(50)));
    run.world.status = None;
    run.world.changed(Kind::Status);
    run.process.sync(&run.world, Kind::Status);
    command(&mut run, Verb::PromoteFull, "v1", "old");
    assert!(run.until(LONG, |world| world.status.is_some()));
    assert_eq!(state(&run.world).stable.hash, Hash::new("v0"));
    assert!(run.until(LONG, in_force(50)), "the release starts anew, from its first step");
    assert!(!run.until(LONG, resting_on("v1")), "an old command is acknowledged, not executed");
}

#[test]
fn a_write_that_the_api_server_refuses_is_told_in_its_own_words() {
    let mut run = deployed(spec(vec![weight(20)]));
    run.world.refusing.insert(Kind::Sets, "exceeded quota: compute, requested: pods=1, used: pods=4, limited: pods=4");
    declare(&mut run, "v1");
    run.until(Duration::from_mins(1), |_| false);
    let report = run.report();
    assert!(report.message.contains("cannot create the ReplicaSet of v1"), "{}", report.message);
    assert!(report.message.contains("exceeded quota: compute"), "{}", report.message);
    let reconciling = report.conditions.iter().find(|condition| condition.kind == "Reconciling").unwrap();
    assert_eq!(reconciling.reason, "WriteRefused");
    run.world.refusing.clear();
    assert!(run.until(LONG, resting_on("v1")), "it goes on by itself");
}

/// Somebody sets the first route to this weight each second, for so long.
fn contend(run: &mut Run, percent: u32, lasting: Duration) {
    let times = u32::try_from(lasting.as_secs()).unwrap();
    run.schedule(Duration::ZERO, Happening::Rewrite(0, Weight::clamped(percent), times));
}

fn stalled_for(run: &mut Run) -> Option<String> {
    let conditions = run.report().conditions;
    conditions.into_iter().find(|condition| condition.kind == "Stalled").map(|condition| condition.reason)
}

#[test]
fn a_tool_that_applies_git_every_ten_seconds_is_put_back_each_time_and_holds_nothing_up() {
    let mut run = deployed(spec(vec![weight(20), Step::Pause(Some(Duration::from_mins(5))), weight(40)]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(20)));
    for sync in 0..28 {
        contend(&mut run, 0, Duration::from_secs(1));
        let reset = |world: &World| world.routes[0].is_at(Weight::ZERO);
        assert!(run.until(Duration::from_secs(1), reset));
        let healed = |world: &World| world.routes.iter().all(|route| route.is_at(Weight::clamped(20)));
        assert!(run.until(Duration::from_secs(1), healed), "sync {sync}");
        run.until(Duration::from_secs(10), |_| false);
    }
    assert!(run.until(LONG, resting_on("v1")), "and the release goes on");
}

#[test]
fn weights_that_were_put_back_at_the_last_step_settle_again_before_the_promotion() {
    let mut run = deployed(spec(vec![weight(100), Step::Pause(None)]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(100)));
    run.until(Duration::from_mins(1), |_| false);
    run.edit_route(0, Weight::ZERO);
    run.process.sync(&run.world, Kind::Routes);
    let healed = |world: &World| world.routes.iter().all(|route| route.is_at(Weight::FULL));
    assert!(run.until(Duration::from_secs(1), healed));
    command(&mut run, Verb::Promote, "v1", "now");
    let follows = |world: &World| world.selected(STABLE) == Some(&Hash::new("v1"));
    assert!(!run.until(Duration::from_millis(2500), follows), "settle is 3 s, and proxies may still send to v0");
    assert!(run.until(LONG, resting_on("v1")));
}

#[test]
fn whoever_rewrites_the_weights_for_ever_is_not_fought_and_gets_the_pods_that_the_weights_need() {
    let mut run = deployed(spec(vec![weight(20), Step::Pause(Some(Duration::from_mins(1)))]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(20)));
    contend(&mut run, 60, Duration::from_mins(5));
    assert!(!run.until(Duration::from_mins(4), resting_on("v1")), "it does not go on");
    assert_eq!(stalled_for(&mut run).as_deref(), Some("RouteContended"));
    let written = run.world.routes[0].generation;
    run.until(Duration::from_secs(50), |_| false);
    // Each write of ours is answered by one of theirs.
    assert!(run.world.routes[0].generation - written <= 12, "at most one write in ten seconds");
    assert_eq!(run.world.sets[&Hash::new("v1")].wanted, 3, "pods for what is in force, not for what was decided");
    assert!(run.until(LONG, resting_on("v1")), "once they stop it goes on by itself");
    assert_eq!(stalled_for(&mut run), None);
}

#[test]
fn a_rollback_wins_against_whoever_rewrites_the_weights() {
    let mut run = deployed(gated(vec![weight(40), Step::Pause(None)]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(40)));
    contend(&mut run, 40, Duration::from_mins(10));
    run.source_says(Source::Bad);
    let is_out = |world: &World| world.selected(CANARY) == Some(&Hash::new("v0"));
    assert!(run.until(Duration::from_secs(30), is_out), "canaryService follows where the weights cannot be kept");
    run.until(Duration::from_mins(2), |_| false);
    assert_eq!(run.report().phase, Phase::RollingBack);
    assert_eq!(stalled_for(&mut run).as_deref(), Some("RouteContended"));
    assert!(run.until(LONG, resting_on("v0")));
}

#[test]
fn a_route_that_cannot_be_written_has_its_canary_service_bound_to_stable() {
    let mut run = deployed(gated(vec![weight(40), Step::Pause(None)]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(40)));
    run.world.refusing.insert(Kind::Routes, "denied by policy");
    run.source_says(Source::Bad);
    let is_out = |world: &World| world.selected(CANARY) == Some(&Hash::new("v0"));
    assert!(run.until(Duration::from_secs(30), is_out));
    assert!(run.report().message.contains("denied by policy"), "{}", run.report().message);
    declare(&mut run, "v2");
    let given_away = |world: &World| world.selected(CANARY) == Some(&Hash::new("v2"));
    assert!(!run.until(Duration::from_mins(5), given_away), "while the route still sends there, the slot is nobody's");
    run.world.refusing.clear();
    assert!(run.until(LONG, in_force(40)), "the fix starts once traffic is on stable");
}

#[test]
fn a_rollback_whose_intent_cannot_be_persisted_takes_the_traffic_away_all_the_same() {
    let mut run = deployed(gated(vec![weight(40), Step::Pause(None)]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(40)));
    run.world.refusing.insert(Kind::Status, "denied by policy");
    run.source_says(Source::Bad);
    let at_rest = |world: &World| world.routes.iter().all(|route| route.is_at(Weight::ZERO));
    assert!(run.until(Duration::from_secs(20), at_rest), "two seconds after the verdict");
    assert!(matches!(state(&run.world).stage, Stage::Releasing(_)), "and nothing of it is persisted");
    run.world.refusing.clear();
    assert!(run.until(LONG, resting_on("v0")));
    assert_eq!(run.report().phase, Phase::RolledBack);
}
