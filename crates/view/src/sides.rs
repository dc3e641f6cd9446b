//! The revisions that are there, their pods and their shares, and where that leaves the users.

use leadsman_api::{Phase, RevisionStatus, RolloutStatus};

use crate::images;
use crate::model::{Carrier, Side, Strategy, Weight};
use crate::numbers::number;
use crate::objects::Objects;
use crate::phases;
use crate::{pods, steps};

/// What serves, and then what is on trial. One that was rejected and has no pods left is not shown.
pub fn of(objects: &Objects, status: &RolloutStatus) -> Vec<Side> {
    let (serving, trial) = roles(steps::strategy(&objects.rollout));
    let on_trial =
        status.canary.as_ref().filter(|it| phases::is_moving(status.phase) || it.replicas > 0 || it.ready_replicas > 0);
    let share = share(status).filter(|_| on_trial.is_some());
    let side = |role: &str, revision: &RevisionStatus, beside: Option<&RevisionStatus>, weight| Side {
        role: role.to_owned(),
        revision: images::of_status(revision, beside.map(|it| it.images.as_slice()).unwrap_or_default()),
        replicas: revision.replicas,
        ready: revision.ready_replicas,
        weight,
        pods: pods::of(&objects.pods, &revision.hash),
    };
    let stable = status.stable.as_ref().map(|it| side(serving, it, status.canary.as_ref(), share.map(rest)));
    let canary = on_trial.map(|it| side(trial, it, status.stable.as_ref(), share));
    stable.into_iter().chain(canary).collect()
}

/// What the two revisions are called.
pub fn roles(strategy: Strategy) -> (&'static str, &'static str) {
    match strategy {
        Strategy::BlueGreen => ("active", "preview"),
        Strategy::Canary | Strategy::Unknown => ("stable", "canary"),
    }
}

fn share(status: &RolloutStatus) -> Option<Weight> {
    let weight = status.weight.as_ref()?;
    let seen = weight.seen.as_deref().and_then(number).map(|ratio| ratio * 100.0);
    Some(Weight { desired: weight.desired, written: weight.written, in_force: weight.in_force, seen })
}

/// What is left for the other revision.
fn rest(weight: Weight) -> Weight {
    let of = |share: i32| 100_i32.saturating_sub(share).clamp(0, 100);
    Weight {
        desired: of(weight.desired),
        written: of(weight.written),
        in_force: of(weight.in_force),
        seen: weight.seen.map(|seen| 100.0 - seen),
    }
}

/// Where the users are. `most` is the largest share that the new revision ever had, where a report says so.
pub fn users(sides: &[Side], carrier: Carrier, phase: Option<Phase>, most: Option<i32>) -> String {
    let Some(serving) = sides.first() else { return String::new() };
    let work = if carrier == Carrier::Pods { "work" } else { "traffic" };
    let stable = &serving.revision.version;
    if serving.ready == 0 && serving.replicas > 0 && phase == Some(Phase::Degraded) {
        return format!("no pod of {stable} is ready");
    }
    let Some(trial) = sides.get(1) else { return format!("all {work} on {stable}") };
    let (canary, weight) =
        (&trial.revision.version, trial.weight.map_or(0, |weight| weight.in_force.max(weight.written)));
    match weight {
        i32::MIN..=0 if most == Some(0) => format!("all {work} on {stable}; nothing was sent to {canary}"),
        i32::MIN..=0 => format!("all {work} on {stable}"),
        100.. => format!("all {work} on {canary}"),
        weight => format!("{weight}% of the {work} on {canary}, the rest on {stable}"),
    }
}
