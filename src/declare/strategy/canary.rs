//! `spec.strategy.canary`: a growing share.

use std::time::Duration;

use leadsman_api::{Canary, SetCanaryScale, defaults};
use leadsman_core::spec::{Background, CanaryScale, Problem, Step};
use leadsman_core::traffic::{Carrier, Weight};

use super::{Way, amount, analysis, at_least_one, duration, optional, percent};
use crate::declare::analysis::{Catalog, Wanted};
use crate::declare::{invalid_analysis, invalid_spec};

const AT: &str = "spec.strategy.canary";

pub(super) fn read(canary: &Canary, carrier: Carrier, around: &Catalog<'_>) -> Result<Way, Problem> {
    let keep_stable = percent(&format!("{AT}.keepStable"), &canary.keep_stable)?;
    let way = Way {
        keep_stable,
        pods_at_once: amount(&format!("{AT}.podsAtOnce"), canary.pods_at_once.as_ref())?,
        least_canary: match canary.min_canary_pods {
            Some(pods) => at_least_one(&format!("{AT}.minCanaryPods"), pods)?,
            None => 0,
        },
        steps: steps(canary, around)?,
        background: background(canary, around)?,
        ..timing(canary)?
    };
    fits(carrier, keep_stable, &way.steps)?;
    Ok(way)
}

/// Nothing is sent to workers, so there is nothing to wait for until they may end.
fn timing(canary: &Canary) -> Result<Way, Problem> {
    let of = |field: &str| format!("{AT}.traffic.{field}");
    let (settle, drain) = match &canary.traffic {
        Some(traffic) => (duration(&of("settle"), &traffic.settle)?, duration(&of("drain"), &traffic.drain)?),
        None => (duration(&of("settle"), &leadsman_api::Duration::new(defaults::SETTLE))?, Duration::ZERO),
    };
    let traffic = canary.traffic.as_ref();
    let settle_endpoints = traffic.and_then(|traffic| traffic.settle_endpoints.as_ref());
    let keep_warm = traffic.and_then(|traffic| traffic.keep_warm.as_ref());
    Ok(Way {
        settle,
        settle_endpoints: optional(&of("settleEndpoints"), settle_endpoints)?,
        drain,
        keep_warm: optional(&of("keepWarm"), keep_warm)?.unwrap_or_default(),
        overlap: Duration::ZERO,
        keep_stable: Weight::FULL,
        pods_at_once: None,
        least_canary: 0,
        bind_canary: traffic.and_then(|traffic| traffic.bind_canary),
        steps: Vec::new(),
        background: None,
    })
}

/// Whether pods alone can make the shares that the steps ask for, where they have to.
fn fits(carrier: Carrier, keep_stable: Weight, steps: &[Step]) -> Result<(), Problem> {
    for (index, step) in steps.iter().enumerate() {
        match step {
            Step::Scale(_) if carrier == Carrier::Pods => {
                return Err(invalid_spec(format!(
                    "{AT}.steps[{index}] has setCanaryScale, and there is no traffic: a share is a share of the pods, set by \
                     setWeight"
                )));
            }
            Step::SetWeight(weight)
                if carrier.shares_by_pods()
                    && keep_stable == Weight::FULL
                    && weight.is_shared()
                    && *weight > Weight::HALF =>
            {
                let percent = weight.percent();
                return Err(invalid_spec(format!(
                    "{AT}.steps[{index}].setWeight is {percent}: stable stays whole, so without routes it is at most 50, or \
                     100; for more, set keepStable"
                )));
            }
            _ => {}
        }
    }
    Ok(())
}

fn steps(canary: &Canary, around: &Catalog<'_>) -> Result<Vec<Step>, Problem> {
    let steps = canary.steps.iter().enumerate().map(|(index, step)| self::step(index, step, around));
    let steps = steps.collect::<Result<Vec<_>, _>>()?;
    match steps.iter().find(|step| !matches!(step, Step::Pause(_))) {
        Some(Step::SetWeight(_) | Step::Scale(_)) => Ok(steps),
        _ => Err(invalid_spec(format!(
            "{AT}.steps: the first step that is not a pause must be a setWeight or a setCanaryScale"
        ))),
    }
}

fn step(index: usize, step: &leadsman_api::Step, around: &Catalog<'_>) -> Result<Step, Problem> {
    let at = format!("{AT}.steps[{index}]");
    match (step.set_weight, &step.set_canary_scale, &step.pause, &step.analysis) {
        (Some(weight), None, None, None) => share(&format!("{at}.setWeight"), weight).map(Step::SetWeight),
        (None, Some(scale), None, None) => self::scale(&format!("{at}.setCanaryScale"), scale).map(Step::Scale),
        (None, None, Some(pause), None) => {
            optional(&format!("{at}.pause.duration"), pause.duration.as_ref()).map(Step::Pause)
        }
        (None, None, None, Some(analysis)) => self::analysis(format!("{at}.analysis"), analysis, around),
        _ => Err(invalid_spec(format!("{at} must have exactly one of: setWeight, setCanaryScale, pause, analysis"))),
    }
}

fn share(at: &str, percent: i32) -> Result<Weight, Problem> {
    let weight = u8::try_from(percent).ok().and_then(|percent| Weight::try_from(percent).ok());
    weight.ok_or_else(|| invalid_spec(format!("{at} must be a whole number from 0 to 100, not {percent}")))
}

fn scale(at: &str, scale: &SetCanaryScale) -> Result<CanaryScale, Problem> {
    match (scale.replicas, scale.weight, scale.match_traffic_weight) {
        (Some(pods), None, false) => at_least_one(&format!("{at}.replicas"), pods).map(CanaryScale::Replicas),
        (None, Some(weight), false) => share(&format!("{at}.weight"), weight).map(CanaryScale::Percent),
        (None, None, true) => Ok(CanaryScale::MatchTraffic),
        _ => Err(invalid_spec(format!("{at} must have exactly one of: replicas, weight, matchTrafficWeight"))),
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
