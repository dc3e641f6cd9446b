//! The table "What happens when" of the design, row by row.

use std::time::Duration;

use super::{LONG, break_pods, command, declare, deployed, gated, in_force, resting_on, spec, state, weight};
use crate::names::Hash;
use crate::report::Phase;
use crate::sim::run::Run;
use crate::sim::source::Source;
use crate::sim::world::{CANARY, Kind, STABLE, World};
use crate::spec::{Problem, Reason, Spec, Step, Verb};
use crate::state::Stage;
use crate::traffic::Weight;

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
    assert_eq!(run.world.selected(STABLE), Some(&Hash::new("v1")));
    assert_eq!(run.world.selected(CANARY), Some(&Hash::new("v1")));
    assert!(run.world.routes.iter().all(|route| route.is_at(Weight::ZERO)));
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
    assert_eq!(run.world.selected(CANARY), Some(&Hash::new("v0")));
}

#[test]
fn a_third_template_waits_for_the_second_to_be_out_of_traffic() {
    let mut run = deployed(spec(vec![weight(50), Step::Pause(Some(Duration::from_mins(1)))]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(50)));
    declare(&mut run, "v2");
    let bound_to_third = |world: &World| world.selected(CANARY) == Some(&Hash::new("v2"));
    assert!(run.until(LONG, bound_to_third));
    assert!(
        run.world.proxies.routes.iter().all(|route| route.rules.iter().all(|rule| *rule == Weight::ZERO)),
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
    assert!(run.world.routes.iter().all(|route| route.is_at(Weight::ZERO) && route.generation == 1));
}

#[test]
fn a_crash_loop_never_gets_traffic_and_is_rolled_back_at_the_third_restart() {
    let mut run = deployed(spec(vec![weight(20)]));
    let declared_at = run.world.now;
    run.world.crashing.insert(Hash::new("v1"), declared_at);
    declare(&mut run, "v1");
    assert!(run.until(LONG, |world| !state(world).rejected.is_empty()));
    let rejection = state(&run.world).rejected[0].clone();
    assert_eq!(rejection.reason, "CrashLooping");
    assert!(rejection.message.contains("exit code 42"), "{}", rejection.message);
    assert!(rejection.at.duration_since(declared_at) < jiff::SignedDuration::from_secs(40), "long before the deadline");
    assert!(run.world.routes.iter().all(|route| route.generation == 1), "no route was written");
}

#[test]
fn a_failure_that_stable_shares_is_rolled_back_and_says_so() {
    let mut run = deployed(gated(vec![weight(40), Step::Pause(None)]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(40)));
    run.stable_fails = true;
    run.source_says(Source::Bad);
    assert!(run.until(LONG, |world| matches!(state(world).stage, Stage::Leaving(_))));
    assert_eq!(state(&run.world).split.decided, Weight::ZERO, "it does not wait for stable's answer");
    assert!(run.until(LONG, resting_on("v0")));
    let rejection = &state(&run.world).rejected[0];
    assert_eq!(rejection.reason, "SharedFailure");
    assert!(rejection.message.starts_with("success-rate is 0.2 (background analysis)"), "{}", rejection.message);
    assert!(rejection.message.ends_with("stable fails the same: success-rate is 0.2"), "{}", rejection.message);
}

fn redeclare(run: &mut Run, spec: Spec) {
    run.rollout.spec = Ok(spec);
    run.rollout.generation += 1;
}

fn step(world: &World) -> Option<usize> {
    if let Stage::Releasing(release) = &state(world).stage { Some(release.step) } else { None }
}

#[test]
fn changed_steps_go_on_after_the_last_weight_that_is_reached() {
    let mut run = deployed(spec(vec![weight(40), Step::Pause(None)]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(40)));
    let hour = Step::Pause(Some(Duration::from_hours(1)));
    redeclare(&mut run, spec(vec![weight(20), weight(30), hour.clone(), weight(60)]));
    assert!(run.until(Duration::from_secs(1), |world| step(world) == Some(2)), "with the pause that follows it");
    assert!(in_force(40)(&run.world), "the share stays");
    redeclare(&mut run, spec(vec![weight(50), hour.clone()]));
    assert!(run.until(LONG, in_force(50)), "from the first step, where none is reached");
    redeclare(&mut run, spec(vec![weight(50), hour, weight(70)]));
    assert!(
        !run.until(Duration::from_mins(30), |world| step(world) != Some(1)),
        "what comes later changes nothing now"
    );
}

#[test]
fn a_broken_declaration_holds_the_steps_and_its_last_valid_analysis_can_still_roll_back() {
    let mut run = deployed(gated(vec![weight(20), Step::Pause(Some(Duration::from_mins(1))), weight(60)]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(20)));
    run.rollout.spec = Err(Problem::new(Reason::InvalidAnalysis, "AnalysisTemplate success-rate is gone"));
    assert!(!run.until(LONG, in_force(60)), "nothing goes forward");
    let report = run.report();
    assert_eq!(report.phase, Phase::Invalid);
    assert!(report.message.contains("AnalysisTemplate success-rate is gone"), "{}", report.message);
    run.source_says(Source::Bad);
    assert!(run.until(LONG, resting_on("v0")));
    assert_eq!(state(&run.world).rejected[0].reason, "AnalysisFailed");
}

#[test]
fn a_share_follows_the_canary_pods_that_are_left_and_comes_back_after_half_a_minute() {
    let mut run = deployed(spec(vec![weight(100), Step::Pause(Some(Duration::from_mins(2)))]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(100)));
    let since = state(&run.world).split.decided_at;
    break_pods(&mut run, "v1", 2, Duration::from_secs(20));
    assert_eq!(state(&run.world).split.decided, Weight::clamped(50), "two of four are left");
    let restored = |world: &World| state(world).split.decided == Weight::FULL;
    assert!(!run.until(Duration::from_secs(45), restored), "not before they were ready for 30 s");
    assert!(run.until(Duration::from_secs(10), restored));
    let Stage::Releasing(release) = &state(&run.world).stage else { panic!("the release goes on") };
    assert!(
        release.step == 1 && release.goal_since.is_some_and(|at| at >= since),
        "neither step nor window began anew"
    );
}

#[test]
fn stable_pods_that_fail_give_the_canary_nothing() {
    let mut run = deployed(spec(vec![weight(40), Step::Pause(Some(Duration::from_mins(3)))]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(40)));
    break_pods(&mut run, "v0", 4, Duration::from_mins(2));
    assert!(!run.until(Duration::from_mins(2), |world| state(world).split.decided != Weight::clamped(40)));
}

#[test]
fn a_paused_rollout_is_rolled_back_all_the_same() {
    for (what, reason) in [("analysis", "AnalysisFailed"), ("crash", "CrashLooping")] {
        let mut run = deployed(gated(vec![weight(40), Step::Pause(None)]));
        declare(&mut run, "v1");
        assert!(run.until(LONG, in_force(40)));
        run.rollout.paused = true;
        run.until(Duration::from_mins(1), |_| false);
        if what == "analysis" {
            run.source_says(Source::Bad);
        } else {
            let now = run.world.now;
            run.world.crashing.insert(Hash::new("v1"), now);
            break_pods(&mut run, "v1", 4, Duration::from_hours(1));
        }
        assert!(run.until(LONG, resting_on("v0")), "{what}");
        assert_eq!(state(&run.world).rejected[0].reason, reason);
    }
}

#[test]
fn what_is_deleted_holds_a_release_and_keeps_no_rollback_back() {
    for deleted in ["route", "service"] {
        let mut run = deployed(gated(vec![weight(40), Step::Pause(Some(Duration::from_mins(1))), weight(80)]));
        declare(&mut run, "v1");
        assert!(run.until(LONG, in_force(40)));
        run.laws.excuse(run.world.now);
        if deleted == "route" {
            run.world.routes[0].exists = false;
            run.world.changed(Kind::Routes);
            assert!(!run.until(Duration::from_mins(5), in_force(80)), "it holds");
            assert!(run.report().message.contains("route-0 does not exist"), "{}", run.report().message);
        } else {
            run.world.services.remove(CANARY);
            run.world.slices.remove(CANARY);
            run.world.changed(Kind::Services);
            run.world.changed(Kind::Slices);
            let again = |world: &World| world.services.contains_key(CANARY);
            assert!(run.until(Duration::from_secs(1), again), "ours is made again");
        }
        run.source_says(Source::Bad);
        assert!(run.until(LONG, resting_on("v0")), "{deleted}");
        assert_eq!(state(&run.world).rejected[0].reason, "AnalysisFailed");
    }
}

#[test]
fn after_a_rollback_a_revert_in_git_is_healthy_at_once_and_moves_nothing() {
    let mut run = deployed(gated(vec![weight(40)]));
    declare(&mut run, "v1");
    run.source_says(Source::Bad);
    assert!(run.until(LONG, |world| !state(world).rejected.is_empty()));
    run.until(LONG, |_| false);
    assert_eq!(run.report().phase, Phase::RolledBack);
    let written = run.world.routes[0].generation;
    declare(&mut run, "v0");
    let report = run.report();
    assert_eq!(report.phase, Phase::Healthy);
    run.until(LONG, |_| false);
    assert_eq!(run.world.routes[0].generation, written);
    assert!(!state(&run.world).rejected.is_empty(), "what was rejected stays rejected");
}

#[test]
fn after_a_rollback_an_edited_analysis_starts_nothing() {
    let mut run = deployed(gated(vec![weight(40)]));
    declare(&mut run, "v1");
    run.source_says(Source::Bad);
    assert!(run.until(LONG, |world| !state(world).rejected.is_empty() && matches!(state(world).stage, Stage::Resting)));
    run.source_says(Source::Good);
    redeclare(&mut run, spec(vec![weight(10)]));
    assert!(!run.until(LONG, |world| matches!(state(world).stage, Stage::Releasing(_))));
    assert!(run.report().message.contains("leadsman.dev/command=retry/v1"), "{}", run.report().message);
}

#[test]
fn a_fix_that_comes_during_a_rollback_waits_until_traffic_is_on_stable() {
    let mut run = deployed(gated(vec![weight(40), Step::Pause(None)]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(40)));
    run.source_says(Source::Bad);
    assert!(run.until(LONG, |world| matches!(state(world).stage, Stage::Leaving(_))));
    run.source_says(Source::Good);
    declare(&mut run, "v2");
    assert!(run.until(LONG, |world| world.sets.contains_key(&Hash::new("v2"))));
    assert!(run.world.proxies.routes.iter().all(|route| route.rules.iter().all(|rule| *rule == Weight::ZERO)));
    assert_eq!(run.world.selected(CANARY), Some(&Hash::new("v0")));
    assert!(run.until(LONG, in_force(40)), "then it is a release as any other");
}

#[test]
fn an_older_template_than_stable_takes_all_the_steps() {
    let mut run = deployed(gated(vec![weight(40), Step::Pause(None)]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(40)));
    command(&mut run, Verb::PromoteFull, "v1", "1");
    assert!(run.until(LONG, resting_on("v1")));
    declare(&mut run, "v0");
    assert!(run.until(LONG, in_force(40)));
    assert!(!run.until(LONG, resting_on("v0")), "the pause is a pause");
    assert_eq!(state(&run.world).stable.hash, Hash::new("v1"));
}

#[test]
fn without_pods_a_new_template_is_stable_at_once() {
    let mut run = deployed(gated(vec![weight(40), Step::Pause(None)]));
    run.rollout.replicas = 0;
    run.until(LONG, |_| false);
    declare(&mut run, "v1");
    assert!(run.until(Duration::from_secs(1), |world| state(world).stable.hash == Hash::new("v1")));
}
