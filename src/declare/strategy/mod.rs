//! The strategy with every reference resolved, or the first thing that is wrong with it.
//!
//! Most of what is checked here the API server has refused already; an older CRD in the cluster may not.

mod blue_green;
mod canary;

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use leadsman_api::{Analysis, BindCanary, Percent, Rollout, names};
use leadsman_core::spec::{self, Background, Problem, Spec, Step};
use leadsman_core::traffic::{Amount, Carrier, Weight};

use super::analysis::{Catalog, Wanted};
use super::invalid_spec;
use super::traffic::Traffic;
use crate::routers;

/// What the strategies say in words of their own.
struct Way {
    settle: Duration,
    settle_endpoints: Option<Duration>,
    drain: Duration,
    keep_warm: Duration,
    overlap: Duration,
    keep_stable: Weight,
    pods_at_once: Option<Amount>,
    least_canary: u32,
    bind_canary: Option<BindCanary>,
    steps: Vec<Step>,
    background: Option<Background>,
}

pub(super) fn read(rollout: &Rollout, traffic: &Traffic, around: &Catalog<'_>) -> Result<Spec, Problem> {
    check(rollout)?;
    let spec = &rollout.spec;
    if let Some(wrong) = &traffic.wrong {
        return Err(wrong.clone());
    }
    let way = match (&spec.strategy.canary, &spec.strategy.blue_green) {
        (Some(canary), None) => canary::read(canary, traffic.targets.carrier, around)?,
        (None, Some(blue_green)) => blue_green::read(blue_green, around)?,
        _ => return Err(invalid_spec("spec.strategy must have exactly one of: canary, blueGreen")),
    };
    let binds_early =
        way.bind_canary.map_or_else(|| spec.template.has_readiness_gates(), |given| given == BindCanary::Created);
    let read = Spec {
        settle: way.settle,
        settle_endpoints: way.settle_endpoints,
        drain: way.drain,
        keep_warm: way.keep_warm,
        overlap: way.overlap,
        keep_stable: way.keep_stable,
        pods_at_once: way.pods_at_once,
        least_canary: way.least_canary,
        ready_threshold: percent("spec.readyThreshold", &spec.ready_threshold)?,
        rollback_window: rollback_window(rollout)?,
        crash_limit: u32::try_from(spec.crash_limit).unwrap_or(spec::CRASH_LIMIT),
        bind_early: binds_early && traffic.targets.carrier != Carrier::Pods,
        progress_deadline: Duration::from_secs(u64::try_from(spec.progress_deadline_seconds).unwrap_or(0)),
        revision_history: usize::try_from(spec.revision_history_limit).unwrap_or(0),
        ready_when: spec.ready_when,
        steps: way.steps,
        background: way.background,
    };
    for route in traffic.routes.iter().filter(|route| route.spec.is_some()) {
        routers::declared(route, &around.backends, Weight::ZERO)?;
    }
    Ok(read)
}

/// What has nothing to do with the strategy.
fn check(rollout: &Rollout) -> Result<(), Problem> {
    let spec = &rollout.spec;
    let name = rollout.metadata.name.as_deref().unwrap_or_default();
    let labels = spec.template.labels();
    let lacking =
        spec.selector.match_labels.iter().find(|(key, value)| labels.get(key.as_str()) != Some(&value.as_str()));
    let wrong = if name.len() > names::MAX_NAME {
        format!("metadata.name must be no more than {} characters", names::MAX_NAME)
    } else if spec.replicas.is_some_and(|replicas| replicas < 0) {
        "spec.replicas must not be negative".to_owned()
    } else if spec.selector.match_labels.is_empty() {
        "spec.selector.matchLabels must not be empty".to_owned()
    } else if let Some((key, value)) = lacking {
        format!("spec.template.metadata.labels must have the selector's label {key}: {value}")
    } else if labels.contains_key(names::REVISION_LABEL) {
        format!("spec.template.metadata.labels must not have {}: it is added", names::REVISION_LABEL)
    } else if spec.progress_deadline_seconds <= spec.min_ready_seconds.max(0) {
        "spec.progressDeadlineSeconds must be greater than 0 and than minReadySeconds".to_owned()
    } else {
        return Ok(());
    };
    Err(invalid_spec(wrong))
}

fn rollback_window(rollout: &Rollout) -> Result<u32, Problem> {
    let Some(window) = &rollout.spec.rollback_window else { return Ok(0) };
    at_least_one("spec.rollbackWindow.revisions", window.revisions)
}

fn at_least_one(at: &str, number: i32) -> Result<u32, Problem> {
    let number_of = u32::try_from(number).ok().filter(|number| *number > 0);
    number_of.ok_or_else(|| invalid_spec(format!("{at} must be at least 1, not {number}")))
}

fn percent(at: &str, text: &Percent) -> Result<Weight, Problem> {
    let percent = text.parse().map_err(|error| invalid_spec(format!("{at}: {error}")))?;
    Ok(Weight::clamped(percent.into()))
}

fn duration(at: &str, text: &leadsman_api::Duration) -> Result<Duration, Problem> {
    text.parse().map_err(|error| invalid_spec(format!("{at}: {error}")))
}

fn optional(at: &str, text: Option<&leadsman_api::Duration>) -> Result<Option<Duration>, Problem> {
    text.map(|text| duration(at, text)).transpose()
}

/// A number of pods, or a part of full size.
fn amount(at: &str, given: Option<&IntOrString>) -> Result<Option<Amount>, Problem> {
    let Some(given) = given else { return Ok(None) };
    let amount = match given {
        IntOrString::Int(pods) => Amount::Pods(at_least_one(at, *pods)?),
        IntOrString::String(text) => Amount::Percent(percent(at, &Percent::new(text.as_str()))?),
    };
    if amount == Amount::Percent(Weight::ZERO) {
        return Err(invalid_spec(format!("{at} must be at least 1 pod or 1%, not 0%")));
    }
    Ok(Some(amount))
}

/// An analysis that is a step.
fn analysis(at: String, analysis: &Analysis, around: &Catalog<'_>) -> Result<Step, Problem> {
    let Analysis { templates, args, metrics } = analysis;
    around.metrics(&Wanted { at, templates, args, metrics, in_step: true }).map(Step::Analysis)
}
