//! The strategy with every reference resolved, or the first thing that is wrong with it.
//!
//! Most of what is checked here the API server has refused already; an older CRD in the cluster may not.

use std::time::Duration;

use leadsman_api::{BindCanary, Canary, Rollout, names};
use leadsman_core::spec::{self, Background, Problem, Spec};
use leadsman_core::traffic::Weight;

use super::analysis::{Catalog, Wanted};
use super::traffic::Traffic;
use super::{invalid_analysis, invalid_spec};
use crate::routers;

const AT: &str = "spec.strategy.canary";

pub(super) fn read(rollout: &Rollout, traffic: &Traffic, around: &Catalog<'_>) -> Result<Spec, Problem> {
    check(rollout)?;
    let spec = &rollout.spec;
    let canary = spec.strategy.canary.as_ref();
    let canary = canary.ok_or_else(|| invalid_spec("spec.strategy must have exactly one of: canary"))?;
    if let Some(wrong) = &traffic.wrong {
        return Err(wrong.clone());
    }
    let duration = |field: &str, text: &leadsman_api::Duration| {
        text.parse().map_err(|error| invalid_spec(format!("{AT}.{field}: {error}")))
    };
    let settle_endpoints = canary.traffic.settle_endpoints.as_ref();
    let settle_endpoints = settle_endpoints.map(|given| duration("traffic.settleEndpoints", given));
    let read = Spec {
        settle: duration("traffic.settle", &canary.traffic.settle)?,
        settle_endpoints: settle_endpoints.transpose()?,
        drain: duration("traffic.drain", &canary.traffic.drain)?,
        crash_limit: u32::try_from(spec.crash_limit).unwrap_or(spec::CRASH_LIMIT),
        bind_early: canary
            .traffic
            .bind_canary
            .map_or_else(|| spec.template.has_readiness_gates(), |given| given == BindCanary::Created),
        progress_deadline: Duration::from_secs(u64::try_from(spec.progress_deadline_seconds).unwrap_or(0)),
        revision_history: usize::try_from(spec.revision_history_limit).unwrap_or(0),
        ready_when: spec.ready_when,
        steps: steps(canary, around)?,
        background: background(canary, around)?,
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

fn steps(canary: &Canary, around: &Catalog<'_>) -> Result<Vec<spec::Step>, Problem> {
    let steps = canary.steps.iter().enumerate().map(|(index, step)| self::step(index, step, around));
    let steps = steps.collect::<Result<Vec<_>, _>>()?;
    match steps.iter().find(|step| !matches!(step, spec::Step::Pause(_))) {
        Some(spec::Step::SetWeight(_)) => Ok(steps),
        _ => Err(invalid_spec(format!("{AT}.steps: the first step that is not a pause must be a setWeight"))),
    }
}

fn step(index: usize, step: &leadsman_api::Step, around: &Catalog<'_>) -> Result<spec::Step, Problem> {
    let at = format!("{AT}.steps[{index}]");
    match (step.set_weight, &step.pause, &step.analysis) {
        (Some(percent), None, None) => {
            let weight = u8::try_from(percent).ok().and_then(|percent| Weight::try_from(percent).ok());
            let wrong = || invalid_spec(format!("{at}.setWeight must be a whole number from 0 to 100, not {percent}"));
            weight.map(spec::Step::SetWeight).ok_or_else(wrong)
        }
        (None, Some(pause), None) => {
            let duration = pause.duration.as_ref().map(leadsman_api::Duration::parse).transpose();
            let wrong = |error| invalid_spec(format!("{at}.pause.duration: {error}"));
            duration.map(spec::Step::Pause).map_err(wrong)
        }
        (None, None, Some(analysis)) => {
            let wanted = Wanted {
                at: format!("{at}.analysis"),
                templates: &analysis.templates,
                args: &analysis.args,
                metrics: &analysis.metrics,
                in_step: true,
            };
            around.metrics(&wanted).map(spec::Step::Analysis)
        }
        _ => Err(invalid_spec(format!("{at} must have exactly one of: setWeight, pause, analysis"))),
    }
}

fn background(canary: &Canary, around: &Catalog<'_>) -> Result<Option<Background>, Problem> {
    let Some(analysis) = &canary.analysis else { return Ok(None) };
    let with_traffic = || canary.steps.iter().position(|step| step.set_weight.is_some_and(|weight| weight > 0));
    let starting_step = match analysis.starting_step {
        Some(given) => usize::try_from(given).ok().filter(|step| *step < canary.steps.len()).ok_or_else(|| {
            let of = canary.steps.len();
            invalid_analysis(format!("{AT}.analysis.startingStep is {given}, but the {of} steps count from 0"))
        })?,
        None => with_traffic().unwrap_or(0),
    };
    let wanted = Wanted {
        at: format!("{AT}.analysis"),
        templates: &analysis.templates,
        args: &analysis.args,
        metrics: &analysis.metrics,
        in_step: false,
    };
    Ok(Some(Background { starting_step, metrics: around.metrics(&wanted)? }))
}
