//! The table "What happens when" of the design, told row by row on the modelled cluster.

use std::time::Duration;

use super::releases;
use super::run::{Happening, Run, Source};
use super::world::{Dice, Kind, World};
use crate::analysis::tally::tests::metric;
use crate::names::{Hash, Side};
use crate::plan::report::Phase;
use crate::spec::{Background, Command, ReadyWhen, Rollout, Spec, Step, Verb};
use crate::split::Weight;
use crate::state::{Stage, State};

pub(super) const LONG: Duration = Duration::from_mins(20);

pub(super) fn weight(percent: u32) -> Step {
    Step::SetWeight(Weight::clamped(percent))
}

pub(super) fn spec(steps: Vec<Step>) -> Spec {
    Spec {
        settle: Duration::from_secs(3),
        drain: Duration::from_secs(30),
        progress_deadline: Duration::from_mins(10),
        revision_history: 3,
        ready_when: ReadyWhen::Promoted,
        background: None,
        steps,
    }
}

pub(super) fn gated(steps: Vec<Step>) -> Spec {
    Spec { background: Some(Background { starting_step: 0, metrics: vec![metric("success-rate")] }), ..spec(steps) }
}

/// A Rollout of four pods that has deployed `v0` and rests.
pub(super) fn deployed(spec: Spec) -> Run {
    let rollout = Rollout { replicas: 4, spec: Ok(spec), ..releases::rollout(&mut Dice::new(1)) };
    let mut run = Run::quiet(rollout);
    assert!(run.until(LONG, resting_on("v0")), "the first deployment does not end");
    run
}

pub(super) fn state(world: &World) -> &State {
    world.status.as_ref().expect("a status")
}

pub(super) fn resting_on(hash: &str) -> impl Fn(&World) -> bool {
    let hash = Hash::new(hash);
    move |world| world.status.as_ref().is_some_and(|it| it.stable.hash == hash && matches!(it.stage, Stage::Resting))
}

pub(super) fn in_force(percent: u32) -> impl Fn(&World) -> bool {
    move |world| {
        let share = Weight::clamped(percent);
        matches!(&state(world).stage, Stage::Releasing(release) if release.goal == share && release.goal_since.is_some())
    }
}

pub(super) fn declare(run: &mut Run, hash: &str) {
    run.rollout.hash = Hash::new(hash);
    run.rollout.generation += 1;
}

fn command(run: &mut Run, verb: Verb, hash: &str, id: &str) {
    run.rollout.command = Some(Ok(Command { verb, hash: Hash::new(hash), id: id.to_owned() }));
}

#[test]
fn a_first_deployment_takes_no_steps_and_asks_nothing() {
    let mut run = deployed(gated(vec![weight(10), Step::Pause(None)]));
    let report = run.report();
    assert_eq!(report.phase, Phase::Healthy);
    assert_eq!(run.world.sets[&Hash::new("v0")].wanted, 4);
    assert!(run.world.routes.iter().all(|route| route.generation == 1), "no route was written");
}

#[test]
fn a_good_release_is_promoted_without_moving_a_pod() {
    let mut run = deployed(gated(vec![weight(20), Step::Pause(Some(Duration::from_secs(30))), weight(50)]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(20)));
    assert_eq!(run.world.sets[&Hash::new("v1")].wanted, 1);
    assert!(run.until(LONG, resting_on("v1")));
    let pods = run.world.sets[&Hash::new("v1")].pods.len();
    assert!(run.until(LONG, |world| world.sets[&Hash::new("v0")].wanted == 0), "the old set is scaled down");
    assert_eq!((pods, run.world.sets[&Hash::new("v1")].pods.len()), (4, 4));
    assert_eq!(run.world.services[&Side::Stable].selector, Hash::new("v1"));
    assert_eq!(run.world.services[&Side::Canary].selector, Hash::new("v1"));
    assert!(run.world.routes.iter().all(|route| route.weight == Weight::ZERO));
    assert_eq!(run.report().phase, Phase::Healthy);
}

#[test]
fn a_failing_verdict_sends_everything_back_and_says_what_was_measured() {
    let mut run = deployed(gated(vec![weight(50), Step::Pause(None)]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(50)));
    run.source_says(Source::Bad);
    assert!(run.until(LONG, resting_on("v0")));
    let report = run.report();
    assert_eq!(report.phase, Phase::RolledBack);
    let said = "AnalysisFailed: success-rate is 0.2 (background analysis): successCondition value >= 0.9 does not hold";
    assert!(report.message.starts_with(said), "{}", report.message);
    assert!(report.message.contains("1 of"), "{}", report.message);
    let rejection = &state(&run.world).rejected[0];
    assert_eq!(rejection.query.as_deref().map(|query| query.contains("rev=\"v1\"")), Some(true));
    assert!(run.until(LONG, |world| world.sets[&Hash::new("v1")].wanted == 0));
    assert!(run.world.sets[&Hash::new("v1")].rejected.is_some(), "the rejection stands on the set as well");
}

#[test]
fn what_is_rejected_does_not_run_again_until_a_retry_makes_it_a_new_attempt() {
    let mut run = deployed(gated(vec![weight(50)]));
    declare(&mut run, "v1");
    run.source_says(Source::Bad);
    assert!(run.until(LONG, |world| !state(world).rejected.is_empty() && matches!(state(world).stage, Stage::Resting)));
    run.source_says(Source::Good);
    run.rollout.generation += 1;
    run.rollout.commit = Some("a commit that keeps the template".to_owned());
    assert!(!run.until(LONG, |world| matches!(state(world).stage, Stage::Releasing(_))));
    assert!(run.report().message.contains("retry"));
    command(&mut run, Verb::Retry, "v1", "1");
    assert!(run.until(LONG, resting_on("v1")));
    assert_eq!(state(&run.world).stable.number, 3);
}

#[test]
fn a_pause_lasts_until_promoted_and_the_command_acts_once() {
    let mut run = deployed(spec(vec![weight(20), Step::Pause(None), weight(40), Step::Pause(None)]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(20)));
    assert!(!run.until(LONG, in_force(40)), "nobody promoted it");
    assert_eq!(run.report().phase, Phase::Paused);
    command(&mut run, Verb::Promote, "v1", "1");
    assert!(run.until(LONG, in_force(40)));
    assert!(!run.until(LONG, resting_on("v1")), "the same command does not end the second pause");
    command(&mut run, Verb::Promote, "v0", "2");
    assert!(!run.until(LONG, resting_on("v1")), "it names another revision");
    assert!(!state(&run.world).last_command.as_ref().unwrap().executed);
    command(&mut run, Verb::PromoteFull, "v1", "3");
    assert!(run.until(LONG, resting_on("v1")));
}

#[test]
fn git_going_back_to_stable_is_not_a_failure() {
    let mut run = deployed(spec(vec![weight(50), Step::Pause(None)]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(50)));
    declare(&mut run, "v0");
    assert!(run.until(LONG, resting_on("v0")));
    assert_eq!(run.report().phase, Phase::Healthy);
    assert!(state(&run.world).rejected.is_empty());
    assert_eq!(run.world.services[&Side::Canary].selector, Hash::new("v0"));
}

#[test]
fn a_third_template_waits_for_the_second_to_be_out_of_traffic() {
    let mut run = deployed(spec(vec![weight(50), Step::Pause(Some(Duration::from_mins(1)))]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(50)));
    declare(&mut run, "v2");
    let bound_to_third = |world: &World| world.services[&Side::Canary].selector == Hash::new("v2");
    assert!(run.until(LONG, bound_to_third));
    assert!(
        run.world.proxies.weights.iter().all(|weight| *weight == Weight::ZERO),
        "no proxy sends to the slot any more"
    );
    assert!(run.until(LONG, resting_on("v2")));
    assert!(state(&run.world).rejected.is_empty(), "superseded is not rejected");
}

#[test]
fn a_source_that_is_silent_holds_until_the_deadline_and_is_no_evidence() {
    let mut run = deployed(gated(vec![weight(20), weight(50)]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(20)));
    run.source_says(Source::Empty);
    assert!(!run.until(Duration::from_mins(9), in_force(50)), "no data is not success");
    assert!(matches!(state(&run.world).stage, Stage::Releasing(_)), "and not failure");
    assert!(run.until(LONG, resting_on("v0")));
    assert_eq!(state(&run.world).rejected[0].reason, "NoEvidence");
}

#[test]
fn a_source_that_comes_back_lets_the_release_go_on() {
    let mut run = deployed(gated(vec![weight(20), weight(50)]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(20)));
    run.source_says(Source::Down);
    assert!(!run.until(Duration::from_mins(5), in_force(50)));
    run.source_says(Source::Good);
    assert!(run.until(LONG, resting_on("v1")));
}

#[test]
fn pods_that_never_come_up_get_no_traffic_and_end_with_the_deadline() {
    let mut run = deployed(spec(vec![weight(20)]));
    run.world.never_ready.push(Hash::new("v1"));
    declare(&mut run, "v1");
    assert!(run.until(LONG, |world| !state(world).rejected.is_empty()));
    assert_eq!(state(&run.world).rejected[0].reason, "ProgressDeadlineExceeded");
    assert!(run.world.routes.iter().all(|route| route.weight == Weight::ZERO && route.generation == 1));
}

#[test]
fn a_crash_loop_never_gets_traffic_and_is_rolled_back_at_the_second_restart() {
    let mut run = deployed(spec(vec![weight(20)]));
    let declared_at = run.world.now;
    run.world.crashing.insert(Hash::new("v1"), declared_at);
    declare(&mut run, "v1");
    assert!(run.until(LONG, |world| !state(world).rejected.is_empty()));
    let rejection = state(&run.world).rejected[0].clone();
    assert_eq!(rejection.reason, "CrashLooping");
    assert!(rejection.message.contains("exit code 42"), "{}", rejection.message);
    assert!(rejection.at.duration_since(declared_at) < jiff::SignedDuration::from_secs(30), "long before the deadline");
    assert!(run.world.routes.iter().all(|route| route.generation == 1), "no route was written");
}

#[test]
fn a_hand_on_the_weights_is_put_back_within_the_second_pass() {
    let mut run = deployed(spec(vec![weight(20), Step::Pause(None)]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(20)));
    for percent in [60, 0] {
        run.edit_route(0, Weight::clamped(percent));
        run.process.sync(&run.world, Kind::Routes);
        let healed = |world: &World| world.routes.iter().all(|route| route.weight == Weight::clamped(20));
        assert!(run.until(Duration::from_secs(1), healed), "from {percent}%");
        run.until(Duration::from_mins(2), |_| false);
    }
    assert!(matches!(&state(&run.world).stage, Stage::Releasing(release) if release.step == 1), "the step goes on");
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
    assert!(run.world.routes.iter().all(|route| route.weight == Weight::clamped(50)), "scaling up takes nothing back");
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

/// Takes the readiness of so many pods of a set, for so long.
fn break_pods(run: &mut Run, hash: &str, count: usize, lasting: Duration) {
    let back = run.world.later(lasting);
    let set = run.world.sets.get_mut(&Hash::new(hash)).unwrap();
    set.pods.iter_mut().take(count).for_each(|pod| pod.ready_from = back);
    run.world.changed(Kind::Sets);
    run.laws.excuse(back);
    run.until(Duration::from_secs(3), |_| false);
}

/// The shares that a rollback goes through, as they are decided.
fn shares_on_the_way_back(run: &mut Run) -> Vec<u32> {
    let mut shares = Vec::new();
    while shares.last() != Some(&0) {
        let known = shares.last().copied();
        let next = |world: &World| {
            let leaving = matches!(state(world).stage, Stage::Leaving(_));
            leaving && Some(state(world).traffic.decided.percent()) != known
        };
        assert!(run.until(LONG, next), "the rollback stands still at {shares:?}");
        shares.push(state(&run.world).traffic.decided.percent());
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
    assert_eq!(state(&run.world).traffic.decided, Weight::clamped(80), "there is nowhere to go");
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
    assert_eq!(state(&run.world).traffic.decided, Weight::ZERO);
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
    let is_out = |world: &World| world.services[&Side::Canary].selector == Hash::new("v0");
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
    let is_out = |world: &World| world.services[&Side::Canary].selector == Hash::new("v0");
    assert!(run.until(Duration::from_secs(30), is_out));
    assert!(run.report().message.contains("denied by policy"), "{}", run.report().message);
    declare(&mut run, "v2");
    let given_away = |world: &World| world.services[&Side::Canary].selector == Hash::new("v2");
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
    let at_rest = |world: &World| world.routes.iter().all(|route| route.weight == Weight::ZERO);
    assert!(run.until(Duration::from_secs(20), at_rest), "two seconds after the verdict");
    assert!(matches!(state(&run.world).stage, Stage::Releasing(_)), "and nothing of it is persisted");
    run.world.refusing.clear();
    assert!(run.until(LONG, resting_on("v0")));
    assert_eq!(run.report().phase, Phase::RolledBack);
}

#[test]
fn a_hand_on_a_selector_is_put_back_under_traffic() {
    for (side, ours) in [(Side::Canary, "v1"), (Side::Stable, "v0")] {
        let mut run = deployed(spec(vec![weight(40), Step::Pause(None)]));
        declare(&mut run, "v1");
        assert!(run.until(LONG, in_force(40)));
        let theirs = if side == Side::Canary { "v0" } else { "v1" };
        run.world.select(side, &Hash::new(theirs), &Hash::new(ours));
        run.world.changed(Kind::Services);
        run.laws.excuse(run.world.now);
        let healed = |world: &World| world.services[&side].selector == Hash::new(ours);
        assert!(run.until(Duration::from_secs(1), healed), "{side}");
        run.until(Duration::from_mins(1), |_| false);
        assert!(in_force(40)(&run.world), "the release goes on");
    }
}
