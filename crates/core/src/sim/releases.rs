//! Rollouts drawn at random: every kind of step, with and without background analysis.

use std::collections::BTreeMap;
use std::time::Duration;

use super::world::Dice;
use crate::analysis::condition::Condition;
use crate::analysis::metric::{Metric, OnNoData, OnProviderError};
use crate::analysis::proportion::{Against, OnInconclusive, OnSharedFailure, Proportion, Share};
use crate::analysis::tally::tests::{counted, metric};
use crate::names::Hash;
use crate::spec::{Background, CanaryScale, Rollout, Spec, Step};
use crate::traffic::{Amount, Carrier, Targets, Weight};

pub(super) fn rollout(dice: &mut Dice, carrier: Carrier) -> Rollout {
    Rollout {
        namespace: "market".to_owned(),
        name: "shop".to_owned(),
        created_at: None,
        generation: 1,
        deleted_at: None,
        hash: Hash::new("v0"),
        commit: None,
        images: vec!["app=shop:0".to_owned()],
        targets: Targets::default(),
        replicas_given: true,
        restart_at: None,
        reports_kept: 10,
        replicas: dice.of(&[1, 2, 3, 4, 5, 10]),
        paused: false,
        command: None,
        commander: None,
        spec: Ok(spec(dice, carrier)),
    }
}

pub(super) fn spec(dice: &mut Dice, carrier: Carrier) -> Spec {
    if carrier == Carrier::Service && dice.chance(50) {
        return blue_green(dice);
    }
    let spec = canary(dice);
    if carrier == Carrier::Routes && dice.chance(60) {
        return spec;
    }
    with_sizes(dice, spec, carrier)
}

/// What a declared blue-green strategy comes to.
fn blue_green(dice: &mut Dice) -> Spec {
    let percent = |dice: &mut Dice| Step::Scale(CanaryScale::Percent(Weight::clamped(dice.of(&[1, 50, 100]))));
    let mut steps = vec![percent(dice)];
    if dice.chance(50) {
        steps.push(Step::Analysis(vec![drawn_metric(dice, "step")]));
    }
    if dice.chance(30) {
        steps.push(Step::Pause(Some(Duration::from_secs(10 + dice.below(50)))));
    }
    steps.push(Step::Scale(CanaryScale::Percent(Weight::FULL)));
    steps.push(Step::SetWeight(Weight::FULL));
    if dice.chance(60) {
        steps.push(Step::Analysis(vec![drawn_metric(dice, "step")]));
    }
    Spec {
        overlap: Duration::from_secs(dice.of(&[0, 3, 20])),
        keep_warm: Duration::from_secs(dice.of(&[0, 60, 600])),
        steps,
        background: None,
        ..canary(dice)
    }
}

/// Sizes of all kinds, and weights that pods can make.
fn with_sizes(dice: &mut Dice, spec: Spec, carrier: Carrier) -> Spec {
    let keep_stable = Weight::clamped(dice.of(&[100, 100, 50, 25, 0]));
    let mut steps = spec.steps;
    if carrier.shares_by_pods() && keep_stable == Weight::FULL {
        for step in &mut steps {
            if let Step::SetWeight(weight) = step {
                *weight = if *weight == Weight::FULL { *weight } else { Weight::clamped(weight.percent() / 2) };
            }
        }
    }
    if dice.chance(30) {
        steps.insert(0, Step::Scale(CanaryScale::Replicas(u32::try_from(dice.below(4)).unwrap())));
    }
    Spec {
        keep_stable,
        steps,
        pods_at_once: dice.of(&[None, None, Some(Amount::Pods(1)), Some(Amount::Percent(Weight::clamped(25)))]),
        least_canary: dice.of(&[0, 0, 2]),
        keep_warm: Duration::from_secs(dice.of(&[0, 0, 60])),
        rollback_window: dice.of(&[0, 0, 2]),
        ..spec
    }
}

fn canary(dice: &mut Dice) -> Spec {
    let mut weights: Vec<u32> = (0..dice.below(4)).map(|_| u32::try_from(dice.below(101)).unwrap()).collect();
    weights.sort_unstable();
    let mut steps = Vec::new();
    for weight in weights {
        steps.push(Step::SetWeight(Weight::clamped(weight)));
        match dice.below(4) {
            0 => steps.push(Step::Pause(Some(Duration::from_secs(10 + dice.below(50))))),
            1 => steps.push(Step::Analysis(vec![drawn_metric(dice, "step")])),
            2 if dice.chance(10) => steps.push(Step::Pause(None)),
            _ => {}
        }
    }
    if steps.is_empty() {
        steps.push(Step::SetWeight(Weight::clamped(50)));
    }
    let mut metrics = vec![drawn_metric(dice, "background")];
    if dice.chance(30) {
        metrics.push(drawn_metric(dice, "latency"));
    }
    Spec {
        settle_endpoints: dice.chance(20).then(|| Duration::from_secs(6)),
        bind_early: dice.chance(10),
        drain: Duration::from_secs(dice.of(&[0, 5, 10])),
        progress_deadline: Duration::from_mins(3),
        revision_history: 2,
        background: dice
            .chance(70)
            .then(|| Background { starting_step: usize::try_from(dice.below(3)).unwrap(), metrics }),
        ..Spec::plain(steps)
    }
}

fn drawn_metric(dice: &mut Dice, name: &str) -> Metric {
    if dice.chance(25) {
        return drawn_proportion(dice, name);
    }
    Metric {
        interval: Duration::from_secs(dice.of(&[2, 5, 10])),
        count: (name == "step").then(|| u32::try_from(1 + dice.below(3)).unwrap()),
        failure_limit: u32::try_from(dice.below(3)).unwrap(),
        on_no_data: dice.of(&[OnNoData::Hold, OnNoData::Hold, OnNoData::Succeed, OnNoData::Fail]),
        on_provider_error: dice.of(&[
            OnProviderError::Hold,
            OnProviderError::Hold,
            OnProviderError::Fail,
            OnProviderError::Pause,
        ]),
        failure: dice.chance(30).then(|| Condition::new("value < 0.5", &BTreeMap::new()).unwrap()),
        ..metric(name)
    }
}

/// Counts of both revisions, against a limit and now and then against stable.
fn drawn_proportion(dice: &mut Dice, name: &str) -> Metric {
    let against = dice.chance(30).then_some(Against { margin: Share(5000), pass_within: Share(10_000) });
    let patience = Duration::from_secs(dice.of(&[20, 60, 600]));
    let on_inconclusive = dice.of(&[OnInconclusive::Pause, OnInconclusive::Proceed, OnInconclusive::Fail]);
    let on_shared_failure = dice.of(&[OnSharedFailure::Hold, OnSharedFailure::Hold, OnSharedFailure::Fail]);
    let min_samples = dice.of(&[0, 0, 500]);
    let change = |it| Proportion { against, min_samples, patience, on_inconclusive, on_shared_failure, ..it };
    Metric {
        interval: Duration::from_secs(dice.of(&[2, 5, 10])),
        warm_up: Duration::from_secs(dice.of(&[0, 0, 10])),
        dry_run: dice.chance(10),
        on_provider_error: dice.of(&[OnProviderError::Hold, OnProviderError::Hold, OnProviderError::Pause]),
        ..counted(name, change)
    }
}
