//! A proportion: its limits. What is counted is for [`counters`](super::counters) and [`builtin`](super::builtin) to say.

use leadsman_api::{Metric, Proportion, TrafficShare, defaults};
use leadsman_core::analysis::proportion::queries::{Selectors, baseline};
use leadsman_core::analysis::proportion::{self, Against, Limit, Share};
use leadsman_core::spec::Problem;

use super::builtin;
use super::counters::{self, Counting};
use super::metric::Reading;

/// The least share that may be asked for: fewer would never be shown.
pub(super) const LEAST: Share = Share(100);

/// The query of every look, and what is asked of its answers.
pub(super) fn read(reading: &Reading<'_>, metric: &Metric) -> Result<(String, proportion::Proportion), Problem> {
    let none = Proportion::default();
    let wire = metric.proportion.as_ref().unwrap_or(&none);
    let Counting { selectors, latency, max } = match &metric.builtin {
        Some(builtin) => builtin::read(reading, builtin)?,
        None => counters::read(reading, wire)?,
    };
    if wire.against.is_some() && selectors.iter().any(|selectors| selectors.stable.is_none()) {
        return Err(reading.wrong(
            "proportion.against",
            "needs {{revision.hash}}, {{revision.service}} or {{revision.workload}} in total and in bad or good: both \
             revisions are counted by one query",
        ));
    }
    let (limit, against) = (limit(reading, wire, max)?, against(reading, wire)?);
    if limit.is_none() && against.is_none() {
        return Err(reading.wrong("proportion", "must have max, against, or both"));
    }
    let confidence = match &wire.confidence {
        Some(text) => share(reading, "proportion.confidence", text)?,
        None => Share(defaults::CONFIDENCE),
    };
    if !(Share(800_000)..=Share(999_000)).contains(&confidence) {
        return Err(reading.wrong("proportion.confidence", format!("is {confidence}: it must be from 80% to 99.9%")));
    }
    let usual = if latency.is_some() { defaults::HARD_FAILURE_OF_LATENCY } else { defaults::HARD_FAILURE };
    let hard_failure = reading.number("proportion.hardFailure", wire.hard_failure.unwrap_or(usual))?;
    if (1..5).contains(&hard_failure) {
        let what = format!("is {hard_failure}: it must be 0, for never, or at least 5");
        return Err(reading.wrong("proportion.hardFailure", what));
    }
    let duration = |field: &str, text: Option<&leadsman_api::Duration>, otherwise| {
        reading.duration(field, text, otherwise, std::time::Duration::ZERO)
    };
    let proportion = proportion::Proportion {
        limit,
        against,
        confidence,
        hard_failure,
        min_samples: reading.number("proportion.minSamples", wire.min_samples.unwrap_or(defaults::MIN_SAMPLES))?,
        patience: duration("patience", metric.patience.as_ref(), defaults::PATIENCE)?,
        on_inconclusive: metric.on_inconclusive.unwrap_or_default(),
        on_shared_failure: metric.on_shared_failure.unwrap_or_default(),
        delay: duration("proportion.delay", wire.delay.as_ref(), defaults::DELAY)?,
        baseline: baseline(&selectors),
        latency,
        by: selectors.iter().filter_map(|it| Some((it.reporter?, it.counting()))).collect(),
        traffic_share: wire.traffic_share.unwrap_or_default() == TrafficShare::On,
    };
    Ok((selectors.first().map(Selectors::counting).unwrap_or_default(), proportion))
}

/// The limit of its own: that of `max`, or what a builtin or a quantile says in its place.
fn limit(reading: &Reading<'_>, wire: &Proportion, said: Option<Share>) -> Result<Option<Limit>, Problem> {
    let max = match (&wire.max, said) {
        (Some(max), _) => at_least(reading, "proportion.max", max, LEAST)?,
        (None, Some(said)) => said,
        (None, None) => {
            let beside = wire.pass_below.as_ref();
            return beside.map_or(Ok(None), |_| Err(reading.wrong("proportion.passBelow", "is nothing without max")));
        }
    };
    let pass_below = match &wire.pass_below {
        Some(text) => at_least(reading, "proportion.passBelow", text, max)?,
        None => max.twice(),
    };
    Ok(Some(Limit { max, pass_below }))
}

fn against(reading: &Reading<'_>, wire: &Proportion) -> Result<Option<Against>, Problem> {
    let Some(stable) = wire.against.as_ref().map(|against| &against.stable) else { return Ok(None) };
    let margin = at_least(reading, "proportion.against.stable.margin", &stable.margin, LEAST)?;
    let pass_within = match &stable.pass_within {
        Some(text) => at_least(reading, "proportion.against.stable.passWithin", text, margin)?,
        None => Share(margin.0.saturating_mul(2).min(Share::ALL.0)),
    };
    Ok(Some(Against { margin, pass_within }))
}

fn at_least(reading: &Reading<'_>, field: &str, text: &leadsman_api::Share, least: Share) -> Result<Share, Problem> {
    let share = share(reading, field, text)?;
    if share < least || share >= Share::ALL {
        return Err(reading.wrong(field, format!("is {text}: it must be at least {least} and less than 100%")));
    }
    Ok(share)
}

pub(super) fn share(reading: &Reading<'_>, field: &str, text: &leadsman_api::Share) -> Result<Share, Problem> {
    text.parse().map(Share).map_err(|error| reading.wrong(field, error))
}
