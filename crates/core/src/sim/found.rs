//! Counterexamples that the simulator found, each kept under the name of what went wrong.

use std::time::Duration;

use super::source::Source;
use super::stories::{LONG, declare, deployed, gated, in_force, resting_on, spec, state, weight};
use super::world::{Kind, STABLE, Selects, World};
use crate::analysis::metric::{Metric, OnNoData};
use crate::spec::{Background, Step};
use crate::state::Stage;
use crate::traffic::Weight;

/// Towards the end of a promotion.
fn both_bound_to(hash: &'static str) -> impl Fn(&World) -> bool {
    move |world| {
        let bound = world.service(STABLE).is_some_and(|service| service.selects == Selects::Only(hash.into()));
        bound && matches!(state(world).stage, Stage::Promoting(_))
    }
}

/// At the end of a promotion both Services are bound to the new revision and the route gives canary everything. With the
/// status lost just then, the split used to stay where it was, at rest.
#[test]
fn a_status_lost_in_the_middle_of_a_promotion_left_the_split_away_from_rest() {
    let mut run = deployed(spec(vec![weight(50)]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, both_bound_to("v1")));
    run.world.status = None;
    run.world.changed(Kind::Status);
    for kind in Kind::ALL {
        run.process.sync(&run.world, kind);
    }
    assert!(run.until(LONG, |world| world.status.is_some()));
    assert!(run.until(LONG, resting_on("v1")));
    assert!(run.world.routes.iter().all(|route| route.is_at(Weight::ZERO)));
}

/// Answers were compared with the last one by their time: a clock that was set back made a release deaf until it had
/// caught up.
#[test]
fn a_clock_set_back_made_a_release_deaf_to_its_answers() {
    let mut run = deployed(gated(vec![weight(20), Step::Pause(Some(Duration::from_mins(1))), weight(40)]));
    declare(&mut run, "v1");
    assert!(run.until(LONG, in_force(20)));
    run.until(Duration::from_secs(30), |_| false);
    run.world.skew = -3600;
    run.source_says(Source::Bad);
    assert!(run.until(Duration::from_mins(1), |world| !state(world).rejected.is_empty()), "the failure is heeded");
}

/// `onNoData: Fail` is said of a canary; of stable, before anything moves, it made stable fail.
#[test]
fn a_silent_source_made_stable_fail_where_no_data_is_failure() {
    let mut recipe = gated(vec![weight(20)]);
    let strict = |metric: Metric| Metric { on_no_data: OnNoData::Fail, ..metric };
    recipe.background = recipe
        .background
        .map(|background| Background { metrics: background.metrics.into_iter().map(strict).collect(), ..background });
    let mut run = deployed(recipe);
    run.stable_fails = true;
    run.source_says(Source::Empty);
    declare(&mut run, "v1");
    run.until(Duration::from_mins(1), |_| false);
    let report = run.report();
    assert!(report.message.contains("finds nothing about stable"), "{}", report.message);
}

/// A release that began anew in every pass, since its beginning could not be persisted, asked its metric source anew at each
/// answer: as fast as both could.
#[test]
fn a_release_that_could_not_be_begun_asked_without_end() {
    let mut run = deployed(gated(vec![weight(20)]));
    run.world.refusing.insert(Kind::Status, "denied by policy");
    declare(&mut run, "v1");
    run.until(Duration::from_mins(1), |_| false);
    assert!(run.process.answers.is_empty(), "{} answers", run.process.answers.len());
    run.world.refusing.clear();
    assert!(run.until(LONG, resting_on("v1")));
}

/// A set that was found idle while the status could not be written was looked at again a millisecond later, for as long as
/// that lasted.
#[test]
fn a_set_on_its_way_out_was_looked_at_without_end_while_the_status_could_not_be_written() {
    let mut immediate = spec(vec![weight(50)]);
    immediate.drain = Duration::ZERO;
    let mut run = deployed(immediate);
    declare(&mut run, "v1");
    // Once stableService is bound to the new revision nothing needs the old one any more.
    assert!(run.until(LONG, both_bound_to("v1")));
    run.world.refusing.insert(Kind::Status, "denied by policy");
    let before = run.events();
    run.until(Duration::from_mins(1), |_| false);
    assert!(run.events() - before < 1_000, "{} events in a minute", run.events() - before);
}
