//! Rollouts drawn at random: every kind of step, with and without background analysis.

use std::collections::BTreeMap;
use std::time::Duration;

use super::world::Dice;
use crate::analysis::condition::Condition;
use crate::analysis::metric::{Metric, OnNoData, OnProviderError};
use crate::analysis::tally::tests::metric;
use crate::names::Hash;
use crate::spec::{Background, Rollout, Spec, Step};
use crate::traffic::{Targets, Weight};

pub(super) fn rollout(dice: &mut Dice) -> Rollout {
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
        replicas: dice.of(&[1, 2, 3, 4, 5, 10]),
        paused: false,
        command: None,
        spec: Ok(spec(dice)),
    }
}

pub(super) fn spec(dice: &mut Dice) -> Spec {
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
