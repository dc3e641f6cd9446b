//! The steps of a release, in words. Blue-green is told as the steps that the operator makes of it.

use leadsman_api::{Analysis, BlueGreen, Pause, Rollout, SetCanaryScale, Step as Declared};

use crate::model::{Carrier, Position, Step, StepState, Strategy};

/// Steps before any of them has begun.
pub fn of(rollout: &Rollout) -> Vec<Step> {
    let strategy = &rollout.spec.strategy;
    match (&strategy.canary, &strategy.blue_green) {
        (Some(canary), _) => canary.steps.iter().map(of_canary).collect(),
        (None, Some(blue_green)) => of_blue_green(blue_green, rollout),
        (None, None) => Vec::new(),
    }
}

/// Steps, the present one of which is known.
pub fn at(rollout: &Rollout, position: Position, until: Option<jiff::Timestamp>) -> Vec<Step> {
    let mut steps = of(rollout);
    // Another number means that other steps are declared by now than those that the release goes by.
    if i32::try_from(steps.len()) != Ok(position.of) {
        return Vec::new();
    }
    for (index, step) in (0..).zip(&mut steps) {
        step.state = match index {
            index if index < position.index => StepState::Done,
            index if index == position.index => StepState::Now,
            _ => StepState::ToCome,
        };
        if step.state == StepState::Now {
            (step.since, step.until) = (position.started_at, until);
        }
    }
    steps
}

/// Which strategy is declared.
pub fn strategy(rollout: &Rollout) -> Strategy {
    match (&rollout.spec.strategy.canary, &rollout.spec.strategy.blue_green) {
        (Some(_), _) => Strategy::Canary,
        (None, Some(_)) => Strategy::BlueGreen,
        (None, None) => Strategy::Unknown,
    }
}

/// What shares the traffic.
pub fn carrier(rollout: &Rollout) -> Carrier {
    let strategy = &rollout.spec.strategy;
    let has_routes = match (&strategy.canary, &strategy.blue_green) {
        (Some(canary), _) => canary.traffic.as_ref().map(|traffic| traffic.routes.is_some()),
        (None, blue_green) => blue_green.as_ref().map(|it| it.routes.is_some()),
    };
    match has_routes {
        Some(true) => Carrier::Routes,
        Some(false) => Carrier::Service,
        None => Carrier::Pods,
    }
}

fn step(short: impl Into<String>, words: impl Into<String>) -> Step {
    Step { short: short.into(), words: words.into(), state: StepState::ToCome, since: None, until: None }
}

fn of_canary(declared: &Declared) -> Step {
    match declared {
        Declared { set_weight: Some(weight), .. } => step(format!("{weight}%"), format!("{weight}%")),
        Declared { pause: Some(pause), .. } => of_pause(pause),
        Declared { analysis: Some(analysis), .. } => of_analysis(analysis),
        Declared { set_canary_scale: Some(scale), .. } => of_scale(scale),
        _ => step("?", "a step of another version"),
    }
}

fn of_pause(pause: &Pause) -> Step {
    match &pause.duration {
        Some(duration) => step(duration.as_str(), format!("pause {duration}")),
        None => step("promote", "pause until promoted"),
    }
}

fn of_analysis(analysis: &Analysis) -> Step {
    let templates = analysis.templates.iter().map(|template| template.template_name.as_str());
    let metrics = analysis.metrics.iter().map(|metric| metric.name.as_str());
    let names: Vec<_> = templates.chain(metrics).collect();
    let short = match names.as_slice() {
        [] => "analysis".to_owned(),
        [one] => (*one).to_owned(),
        [first, others @ ..] => format!("{first} +{}", others.len()),
    };
    step(short, format!("analysis {}", names.join(", ")).trim_end())
}

fn of_scale(scale: &SetCanaryScale) -> Step {
    match (scale.replicas, scale.weight) {
        (Some(1), _) => step("1 pod", "1 pod"),
        (Some(pods), _) => step(format!("{pods} pods"), format!("{pods} pods")),
        (None, Some(part)) => step(format!("{part}% pods"), format!("pods for {part}%")),
        (None, None) => step("pods", "as many pods as its share needs"),
    }
}

fn of_blue_green(blue_green: &BlueGreen, rollout: &Rollout) -> Vec<Step> {
    let all = rollout.spec.replicas.or_else(|| rollout.status.as_ref().map(|status| status.replicas));
    let pods =
        |pods: Option<i32>| of_scale(&SetCanaryScale { replicas: pods, weight: None, match_traffic_weight: false });
    let mut steps = vec![pods(blue_green.preview_replicas.or(all))];
    steps.extend(blue_green.pre_promotion_analysis.as_ref().map(of_analysis));
    let is_asked = !blue_green.auto_promotion || blue_green.auto_promotion_after.is_some();
    steps.extend(is_asked.then(|| of_pause(&Pause { duration: blue_green.auto_promotion_after.clone() })));
    if blue_green.preview_replicas.is_some() {
        steps.push(pods(all));
    }
    steps.push(step("switch", "all traffic"));
    steps.extend(blue_green.post_promotion_analysis.as_ref().map(of_analysis));
    steps
}
