//! What one pass over a release costs with ten gates of which none, one or each has just been answered: ten proportions of both
//! revisions beside ten thresholds. `cargo bench -p leadsman-core`.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a bench has nobody to tell")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use jiff::Timestamp;
use leadsman_core::analysis::condition::Condition;
use leadsman_core::analysis::metric::Metric;
use leadsman_core::analysis::tally::Tally;
use leadsman_core::analysis::{Answer, Counted, Number, Outcome, Part, Question, Reads};
use leadsman_core::names::Hash;
use leadsman_core::observed::{
    Acceptance, Endpoints, Look, Observed, ParentService, RouteId, RouteView, ServiceView, SetView, Sighted, Slice,
};
use leadsman_core::plan::plan;
use leadsman_core::spec::Rollout;
use leadsman_core::state::{Stage, State};
use leadsman_core::traffic::Weight;

const GATES: usize = 10;
/// A release at 20% whose gate counts both revisions.
const RELEASING: &str = include_str!("../fixtures/state/4/releasing.json");

/// The release with ten gates made of the first one of the fixture.
fn releasing(change: impl Fn(Metric) -> Metric) -> State {
    let mut state: State = serde_json::from_str(RELEASING).unwrap();
    let Stage::Releasing(release) = &mut state.stage else { panic!("no release") };
    let background = release.recipe.background.as_mut().unwrap();
    let counted = background.metrics.first().unwrap().clone();
    let tally = release.background.get("errors").unwrap().clone();
    let named = |index: usize| format!("gate-{index}");
    let gate =
        |index| Metric { name: named(index), dry_run: false, warm_up: Duration::ZERO, ..change(counted.clone()) };
    background.metrics = (0..GATES).map(gate).collect();
    let kept =
        if background.metrics.iter().any(|metric| metric.proportion.is_some()) { tally } else { Tally::default() };
    release.background = (0..GATES).map(|index| (named(index), kept.clone())).collect();
    release.was_shrunk = false;
    state
}

fn proportions() -> State {
    let plain = |mut metric: Metric| {
        if let Some(proportion) = &mut metric.proportion {
            (proportion.latency, proportion.by) = (None, Vec::new());
        }
        metric
    };
    releasing(plain)
}

fn thresholds() -> State {
    let success = || Condition::new("value >= 0.9", &BTreeMap::new()).ok();
    releasing(|metric| Metric { proportion: None, success: success(), ..metric })
}

fn rollout(state: &State) -> Rollout {
    let Stage::Releasing(release) = &state.stage else { panic!("no release") };
    Rollout {
        namespace: "market".to_owned(),
        name: "shop".to_owned(),
        created_at: None,
        generation: 1,
        deleted_at: None,
        hash: release.canary.hash.clone(),
        commit: None,
        images: Vec::new(),
        targets: state.targets.clone().unwrap(),
        replicas: 4,
        replicas_given: true,
        restart_at: None,
        reports_kept: 10,
        paused: false,
        command: None,
        commander: None,
        spec: Ok(release.recipe.clone()),
    }
}

/// Everything is as it was decided.
fn observed(state: &State, rollout: &Rollout, now: Timestamp) -> Observed {
    let pods = |ready| SetView { wanted: ready, existing: ready, ready, available: ready, ..SetView::default() };
    let (old, new) = (state.stable.hash.clone(), rollout.hash.clone());
    let service = |hash: &Hash| {
        Look::Seen(ServiceView {
            selection: Some(hash.clone().into()),
            created_by_us: true,
            ports: state.stable.ports.clone(),
            ..ServiceView::default()
        })
    };
    let endpoints = |hash: &Hash, ready| Endpoints {
        slices: vec![Slice { selection: Some(hash.clone().into()), ready }],
        lacking: None,
    };
    let weight: Weight = state.split.decided;
    let route = RouteView {
        least: weight,
        most: weight,
        fixed: Weight::ZERO,
        acceptance: Acceptance::Accepted,
        problem: None,
        differs: false,
        warnings: Vec::new(),
        held: false,
        spills: false,
    };
    let routes = rollout.targets.routes.iter().map(|target| {
        let id = RouteId { kind: "HTTPRoute", name: target.name.clone(), created_by_us: false };
        (id, Look::Seen(route.clone()))
    });
    Observed {
        now,
        first_pass: false,
        live: false,
        sets: Look::Seen([(old.clone(), pods(4)), (new.clone(), pods(1))].into()),
        service: ParentService::Fits,
        ports: Some(state.stable.ports.clone()),
        named_ports: None,
        stable_service: service(&old),
        canary_service: service(&new),
        other_services: Vec::new(),
        stable_endpoints: endpoints(&old, 4),
        canary_endpoints: endpoints(&new, 1),
        routes: routes.collect(),
        answers: Vec::new(),
        words: None,
        old_pods: None,
        trial: None,
        reports: std::collections::BTreeMap::new(),
        finalizer: true,
        refused: Vec::new(),
        sighted: Sighted::default(),
    }
}

/// The answers to what the release asks.
fn answers(questions: Vec<Question>, at: Timestamp) -> Vec<Answer> {
    let one = |question: Question| {
        let numbers = [
            (Number::CanaryBad, 1.0),
            (Number::CanaryTotal, 200.0),
            (Number::StableBad, 3.0),
            (Number::StableTotal, 800.0),
        ];
        let outcome = match question.reads {
            Reads::Values => Outcome::Samples(vec![0.99]),
            Reads::Counts(_) | Reads::Baseline => {
                Outcome::Counted(numbers.map(|(number, value)| Counted::plain(number, value)).to_vec())
            }
        };
        let parts = question.queries.into_iter().map(|query| Part { query, outcome: outcome.clone() }).collect();
        Answer { token: question.token, at, reads: question.reads, parts }
    };
    questions.into_iter().map(one).collect()
}

fn bench(criterion: &mut Criterion) {
    for (name, state) in [("ten proportions", proportions()), ("ten thresholds", thresholds())] {
        let rollout = rollout(&state);
        let now: Timestamp = "2023-11-14T22:14:40Z".parse().unwrap();
        let seen = observed(&state, &rollout, now);
        let asked = plan(&rollout, Some(&state), &seen).questions;
        assert_eq!(asked.len(), GATES, "{name}");
        for answered in [0, 1, GATES] {
            let answers = answers(asked.iter().take(answered).cloned().collect(), now);
            let seen = Observed { answers, ..seen.clone() };
            let after = plan(&rollout, Some(&state), &seen).state.unwrap();
            assert_eq!(after != state, answered > 0, "{name}: what was answered is counted");
            criterion.bench_function(&format!("{name}, {answered} answered"), |bencher| {
                bencher.iter(|| plan(black_box(&rollout), Some(black_box(&state)), black_box(&seen)));
            });
        }
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
