//! What gates on counts hold up, let pass and take back. The source counts 20 requests a second of the canary and 100 of
//! stable; `Unclear` is a share of 0.9% against a limit of 1%.

use std::time::Duration;

use super::{LONG, command, condition, declare, deployed, in_force, resting_on, spec, state, weight};
use crate::analysis::metric::Metric;
use crate::analysis::proportion::{Limit, OnInconclusive, Proportion, Share};
use crate::analysis::tally::tests;
use crate::report::Phase;
use crate::sim::run::Run;
use crate::sim::source::Source;
use crate::spec::{Background, Spec, Step, Verb};
use crate::time::after;

const PATIENCE: Duration = Duration::from_mins(3);

fn errors(change: impl Fn(Proportion) -> Proportion) -> Metric {
    tests::counted("errors", |it| change(Proportion { patience: PATIENCE, ..it }))
}

fn counted(steps: Vec<Step>, change: impl Fn(Proportion) -> Proportion) -> Spec {
    Spec { background: Some(Background { starting_step: 0, metrics: vec![errors(change)] }), ..spec(steps) }
}

fn releasing(steps: Vec<Step>, change: impl Fn(Proportion) -> Proportion, source: Source) -> Run {
    let mut run = deployed(counted(steps, change));
    run.source_says(source);
    declare(&mut run, "v1");
    run
}

#[test]
fn a_good_release_is_promoted_and_a_bad_one_goes_back_with_its_numbers() {
    let mut run = releasing(vec![weight(20), weight(50)], |it| it, Source::Good);
    assert!(run.until(LONG, resting_on("v1")));

    let mut run = releasing(vec![weight(20), weight(50)], |it| it, Source::Bad);
    assert!(run.until(LONG, in_force(20)));
    let back = |world: &crate::sim::world::World| !state(world).rejected.is_empty();
    assert!(run.until(Duration::from_secs(30), back), "two looks of 200 requests each");
    let message = &state(&run.world).rejected[0].message;
    assert!(message.contains("errors is 30%") && message.contains("limit 1%: above it at 95%"), "{message}");
    assert!(message.contains("stable 0% of "), "{message}");
}

#[test]
fn a_failure_after_long_good_is_found_and_each_weight_is_passed_anew() {
    let steps = vec![weight(20), Step::Pause(Some(Duration::from_mins(6))), weight(50)];
    let mut run = releasing(steps, |it| it, Source::Good);
    assert!(run.until(LONG, in_force(20)));
    run.until(Duration::from_mins(5), |_| false);
    run.source_says(Source::Down);
    assert!(!run.until(Duration::from_mins(2), in_force(50)), "the last look gave no answer");
    run.source_says(Source::Good);
    assert!(run.until(Duration::from_secs(30), in_force(50)), "what was asked in vain is counted with the next look");
    run.source_says(Source::Bad);
    assert!(run.until(Duration::from_mins(1), |world| !state(world).rejected.is_empty()));
}

#[test]
fn what_is_not_decided_is_borne_for_so_long_and_then_as_is_declared() {
    for (then, ends) in [(OnInconclusive::Proceed, "v1"), (OnInconclusive::Fail, "v0")] {
        let mut run = releasing(
            vec![weight(20), weight(50)],
            |it| Proportion {
                on_inconclusive: then,
                limit: Some(Limit { max: Share(10_000), pass_below: Share(10_000) }),
                ..it
            },
            Source::Unclear,
        );
        assert!(run.until(LONG, in_force(20)));
        assert!(!run.until(PATIENCE * 8 / 9, in_force(50)), "{then:?}");
        assert!(state(&run.world).rejected.is_empty(), "{then:?}");
        assert!(run.until(LONG, resting_on(ends)), "{then:?}");
    }
}

#[test]
fn a_person_is_asked_about_what_stays_undecided_and_the_answer_is_for_the_step() {
    let strict = |it| Proportion { limit: Some(Limit { max: Share(10_000), pass_below: Share(10_000) }), ..it };
    let mut run = releasing(vec![weight(20), weight(50)], strict, Source::Unclear);
    assert!(run.until(LONG, in_force(20)));
    run.until(PATIENCE + Duration::from_mins(2), |_| false);
    let report = run.report();
    assert_eq!((report.phase, condition(&report, "Paused").is_some()), (Phase::Paused, true), "{}", report.message);
    assert!(report.message.contains("0.9%") && report.message.contains("not decided"), "{}", report.message);
    command(&mut run, Verb::Promote, "v1", "1");
    assert!(run.until(Duration::from_mins(1), in_force(50)), "{}", run.report().message);
    run.until(PATIENCE + Duration::from_mins(2), |_| false);
    assert_eq!(run.report().phase, Phase::Paused, "the next weight is asked about anew");
}

#[test]
fn an_outage_of_both_is_held_against_nobody_and_ends_with_the_deadline() {
    let mut run = releasing(vec![weight(20), weight(50)], |it| it, Source::Good);
    assert!(run.until(LONG, in_force(20)));
    run.stable_fails = true;
    run.source_says(Source::Bad);
    assert!(!run.until(Duration::from_mins(5), in_force(50)));
    assert!(state(&run.world).rejected.is_empty());
    let report = run.report();
    assert_eq!(report.waiting.map(|it| it.reason), Some("SharedFailure"), "{}", report.message);
    run.source_says(Source::Good);
    assert!(run.until(LONG, in_force(50)), "it goes on once it is over");

    run.source_says(Source::Bad);
    assert!(run.until(LONG, resting_on("v0")));
    assert_eq!(state(&run.world).rejected[0].reason, "SharedFailure");
}

#[test]
fn stable_that_breaks_the_limit_or_has_no_request_holds_the_release() {
    for (source, reason) in [(Source::Bad, "StableFails"), (Source::Empty, "StableWithoutData")] {
        let mut run = deployed(counted(vec![weight(20)], |it| it));
        run.stable_fails = true;
        run.source_says(source);
        declare(&mut run, "v1");
        run.until(Duration::from_mins(2), |_| false);
        let report = run.report();
        assert_eq!(condition(&report, "Paused").as_deref(), Some(reason), "{}", report.message);
    }
}

#[test]
fn fewer_requests_than_asked_for_never_pass() {
    let run = |min_samples| {
        let mut run = releasing(vec![weight(20), weight(50)], |it| Proportion { min_samples, ..it }, Source::Good);
        assert!(run.until(LONG, in_force(20)));
        let began = run.world.now;
        assert!(run.until(LONG, in_force(50)));
        run.world.now.duration_since(began).as_secs()
    };
    // 20 in a second.
    assert!(run(0) < 60 && run(3000) >= 150, "{} and {} s", run(0), run(3000));
}

#[test]
fn what_is_measured_without_consequence_neither_holds_nor_rolls_back() {
    for source in [Source::Bad, Source::Empty, Source::Down] {
        let spec = counted(vec![weight(20), weight(50)], |it| it);
        let background = spec.background.clone().map(|mut background| {
            background.metrics[0].dry_run = true;
            background
        });
        let mut run = deployed(Spec { background, ..spec });
        run.source_says(source);
        declare(&mut run, "v1");
        assert!(run.until(LONG, in_force(20)));
        assert!(run.until(LONG, resting_on("v1")), "{source:?}");
    }
}

#[test]
fn what_young_pods_show_is_left_out() {
    let spec = counted(vec![weight(20), Step::Pause(Some(Duration::from_mins(4))), weight(50)], |it| it);
    let background = spec.background.clone().map(|mut background| {
        background.metrics[0].warm_up = Duration::from_mins(2);
        background
    });
    let mut run = deployed(Spec { background, ..spec });
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(20)));
    run.source_says(Source::Bad);
    let bad_until = after(run.world.now, Duration::from_secs(90));
    run.until_then(bad_until);
    run.source_says(Source::Good);
    assert!(run.until(LONG, resting_on("v1")), "its first 90 s were bad");
}

#[test]
fn a_canary_that_gets_much_less_than_its_share_is_held_and_goes_back_as_that() {
    let mut run = releasing(vec![weight(20), weight(50)], |it| Proportion { traffic_share: true, ..it }, Source::Good);
    assert!(run.until(LONG, in_force(50)), "a sixth of all at 20%");
    let message = |run: &mut Run| run.report().message;
    run.until_then(after(run.world.now, Duration::from_mins(2)));
    assert!(
        message(&mut run).contains("the traffic does not follow the weights: errors has "),
        "{}",
        message(&mut run)
    );
    assert!(run.until(LONG, |world| !state(world).rejected.is_empty()));
    assert_eq!(state(&run.world).rejected[0].reason, "TrafficShare");
}
