//! A proportion: its limits, and the two queries that count both revisions.

use leadsman_api::{Metric, Proportion, defaults};
use leadsman_core::analysis::proportion::queries::{Counters, Selectors, WINDOW, check_counter};
use leadsman_core::analysis::proportion::{self, Against, Limit, Share};
use leadsman_core::spec::Problem;

use super::metric::Reading;

/// The least share that may be asked for: fewer would never be shown.
const LEAST: Share = Share(100);
/// What stands for a name of the revision that is counted.
const REVISION: [&str; 3] = ["{{revision.hash}}", "{{revision.service}}", "{{revision.workload}}"];

/// The query of every look, and what is asked of its answers.
pub(super) fn read(
    reading: &Reading<'_>,
    metric: &Metric,
    wire: &Proportion,
) -> Result<(String, proportion::Proportion), Problem> {
    let selectors = selectors(reading, wire)?;
    if wire.against.is_some() && selectors.stable.is_none() {
        return Err(reading.wrong(
            "proportion.against",
            "needs {{revision.hash}}, {{revision.service}} or {{revision.workload}} in total and in bad or good: both \
             revisions are counted by one query",
        ));
    }
    let (limit, against) = (limit(reading, wire)?, against(reading, wire)?);
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
    let hard_failure = reading.number("proportion.hardFailure", wire.hard_failure.unwrap_or(defaults::HARD_FAILURE))?;
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
        patience: duration("patience", metric.patience.as_ref(), defaults::PATIENCE)?,
        on_inconclusive: metric.on_inconclusive.unwrap_or_default(),
        on_shared_failure: metric.on_shared_failure.unwrap_or_default(),
        delay: duration("proportion.delay", wire.delay.as_ref(), defaults::DELAY)?,
        baseline: selectors.baseline(),
    };
    Ok((selectors.counting(), proportion))
}

fn limit(reading: &Reading<'_>, wire: &Proportion) -> Result<Option<Limit>, Problem> {
    let Some(max) = &wire.max else {
        let beside = wire.pass_below.as_ref();
        return beside.map_or(Ok(None), |_| Err(reading.wrong("proportion.passBelow", "is nothing without max")));
    };
    let max = at_least(reading, "proportion.max", max, LEAST)?;
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

fn share(reading: &Reading<'_>, field: &str, text: &leadsman_api::Share) -> Result<Share, Problem> {
    text.parse().map(Share).map_err(|error| reading.wrong(field, error))
}

/// The counters of both revisions, with everything filled in that is known before a release.
fn selectors(reading: &Reading<'_>, wire: &Proportion) -> Result<Selectors, Problem> {
    let (field, part, is_good) = match (&wire.bad, &wire.good) {
        (Some(bad), None) => ("proportion.bad", bad, false),
        (None, Some(good)) => ("proportion.good", good, true),
        _ => return Err(reading.wrong("proportion", "must have exactly one of: bad, good")),
    };
    if part.contains(WINDOW) != wire.total.contains(WINDOW) {
        return Err(reading.wrong(field, "and total must both be counters, or both be queries over {{window}}"));
    }
    let tells_apart = |text: &str| REVISION.iter().any(|name| text.contains(name));
    let of = |side: &str| {
        let counter = |field: &str, text: &str| {
            let named = text
                .replace("{{revision.hash}}", &format!("{{{{{side}.hash}}}}"))
                .replace("{{revision.service}}", &format!("{{{{{side}.service}}}}"))
                .replace("{{revision.workload}}", &format!("{{{{rollout}}}}-{{{{{side}.hash}}}}"));
            let query = reading.query(field, &named)?;
            if !query.contains(WINDOW) {
                check_counter(&without_variables(&query)).map_err(|why| {
                    let like = "write one like http_requests_total{code=~\"5..\"}, or a query over [{{window}}]";
                    reading.wrong(field, format!("must be a counter, and {why}: {like}"))
                })?;
            }
            Ok::<_, Problem>(query)
        };
        Ok::<_, Problem>(Counters { part: counter(field, part)?, total: counter("proportion.total", &wire.total)? })
    };
    let stable = (tells_apart(part) && tells_apart(&wire.total)).then(|| of("stable")).transpose()?;
    Ok(Selectors { canary: of("canary")?, stable, is_good })
}

/// What is filled in later is a hash.
fn without_variables(query: &str) -> String {
    query.replace("{{canary.hash}}", "hash").replace("{{stable.hash}}", "hash")
}
