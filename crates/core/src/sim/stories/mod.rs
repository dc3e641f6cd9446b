//! Single cases on the modelled cluster, told step by step: [`table`] is "What happens when" of the design, row by row,
//! [`carriers`] the same without a proxy, [`gates`] what analysis holds up and what it does not, [`proportions`]
//! what those on counts do, [`weak`] the
//! rollback onto a stable that lost pods, [`others`] what people, tools and the API server do meanwhile.

mod carriers;
mod gates;
mod others;
mod proportions;
mod table;
mod weak;

use std::time::Duration;

use super::releases;
use super::run::Run;
use super::world::{Dice, Kind, World, port_of};
use crate::analysis::tally::tests::metric;
use crate::names::Hash;
use crate::report::Report;
use crate::spec::{Background, Command, Rollout, Spec, Step, Verb};
use crate::state::{Stage, State};
use crate::traffic::{Carrier, Weight};

pub(in crate::sim) const LONG: Duration = Duration::from_mins(20);

pub(in crate::sim) fn weight(percent: u32) -> Step {
    Step::SetWeight(Weight::clamped(percent))
}

pub(in crate::sim) fn spec(steps: Vec<Step>) -> Spec {
    Spec::plain(steps)
}

pub(in crate::sim) fn gated(steps: Vec<Step>) -> Spec {
    Spec { background: Some(Background { starting_step: 0, metrics: vec![metric("success-rate")] }), ..spec(steps) }
}

/// A Rollout of four pods that has deployed `v0` and rests.
pub(in crate::sim) fn deployed(spec: Spec) -> Run {
    deployed_by(Carrier::Routes, spec)
}

/// The same with something else that carries the traffic.
pub(in crate::sim) fn deployed_by(carrier: Carrier, spec: Spec) -> Run {
    let rollout = Rollout { replicas: 4, spec: Ok(spec), ..releases::rollout(&mut Dice::new(1), carrier) };
    let mut run = Run::quiet(rollout, carrier);
    assert!(run.until(LONG, resting_on("v0")), "the first deployment does not end");
    run
}

pub(in crate::sim) fn state(world: &World) -> &State {
    world.status.as_ref().expect("a status")
}

pub(in crate::sim) fn resting_on(hash: &str) -> impl Fn(&World) -> bool {
    let hash = Hash::new(hash);
    move |world| world.status.as_ref().is_some_and(|it| it.stable.hash == hash && matches!(it.stage, Stage::Resting))
}

pub(in crate::sim) fn in_force(percent: u32) -> impl Fn(&World) -> bool {
    move |world| {
        let share = Weight::clamped(percent);
        matches!(&state(world).stage, Stage::Releasing(release) if release.goal == share && release.goal_since.is_some())
    }
}

pub(in crate::sim) fn declare(run: &mut Run, hash: &str) {
    run.rollout.hash = Hash::new(hash);
    run.rollout.generation += 1;
    run.world.ports = vec![port_of(run.world.carrier, &run.rollout.hash)];
    run.world.changed(Kind::Services);
}

pub(in crate::sim) fn command(run: &mut Run, verb: Verb, hash: &str, id: &str) {
    run.rollout.command = Some(Ok(Command { verb, hash: Hash::new(hash), id: id.to_owned(), reason: None }));
}

/// The reason of a condition that is true.
pub(in crate::sim) fn condition(report: &Report, kind: &str) -> Option<String> {
    let found = report.conditions.iter().find(|condition| condition.kind == kind && condition.is_true)?;
    Some(found.reason.clone())
}

/// Takes the readiness of so many pods of a set, for so long.
pub(in crate::sim) fn break_pods(run: &mut Run, hash: &str, count: usize, lasting: Duration) {
    let back = run.world.later(lasting);
    let set = run.world.sets.get_mut(&Hash::new(hash)).unwrap();
    set.pods.iter_mut().take(count).for_each(|pod| pod.ready_from = back);
    run.world.changed(Kind::Sets);
    run.laws.excuse(back);
    run.until(Duration::from_secs(3), |_| false);
}
