//! What a proportion counts: counters or a histogram that people name.

use leadsman_api::Proportion;
use leadsman_core::analysis::proportion::queries::{Counters, Part, Selectors, WINDOW, check_counter};
use leadsman_core::analysis::proportion::{Latency, Share, Unit};
use leadsman_core::spec::Problem;

use super::metric::Reading;
use super::proportion::LEAST;

/// What stands for a name of the revision that is counted.
const REVISION: [&str; 3] = ["{{revision.hash}}", "{{revision.service}}", "{{revision.workload}}"];

/// What is counted, by everybody who may count it, and what follows from it for the limit.
pub(super) struct Counting {
    pub selectors: Vec<Selectors>,
    pub latency: Option<Latency>,
    /// In place of `max`.
    pub max: Option<Share>,
}

pub(super) fn read(reading: &Reading<'_>, wire: &Proportion) -> Result<Counting, Problem> {
    if let Some(latency) = &wire.latency {
        return of_histogram(reading, latency);
    }
    let total = wire.total.as_deref().unwrap_or_default();
    let (field, part, kind) = match (&wire.bad, &wire.good) {
        (Some(bad), None) => ("proportion.bad", bad, Part::Bad),
        (None, Some(good)) => ("proportion.good", good, Part::Good),
        _ => return Err(reading.wrong("proportion", "must have exactly one of: bad, good, latency")),
    };
    if part.contains(WINDOW) != total.contains(WINDOW) {
        return Err(reading.wrong(field, "and total must both be counters, or both be queries over {{window}}"));
    }
    let selectors =
        selectors(reading, kind, [field, "proportion.total"], std::slice::from_ref(part), &[total.to_owned()])?;
    Ok(Counting { selectors: vec![selectors], latency: None, max: None })
}

fn of_histogram(reading: &Reading<'_>, wire: &leadsman_api::Latency) -> Result<Counting, Problem> {
    const FIELD: &str = "proportion.latency.histogram";
    let text = wire.histogram.trim();
    let (name, matchers) = text.split_at(text.find('{').unwrap_or(text.len()));
    if name.is_empty() || text.contains(WINDOW) {
        let like = "http_request_duration_seconds{revision=\"{{revision.hash}}\"}";
        return Err(reading.wrong(FIELD, format!("must be the name of a histogram with matchers, like {like}")));
    }
    if let Some(series) = ["_bucket", "_count", "_sum"].into_iter().find(|end| name.ends_with(end)) {
        return Err(reading.wrong(FIELD, format!("is {name}: leave out {series}, which is one of its series")));
    }
    let max = reading.duration(
        "proportion.latency.max",
        Some(&wire.max),
        std::time::Duration::ZERO,
        std::time::Duration::from_micros(1),
    )?;
    let quantile =
        wire.quantile.map(|quantile| quantile_of(reading, "proportion.latency.quantile", quantile)).transpose()?;
    let unit = wire.unit.or_else(|| unit_of(name)).ok_or_else(|| {
        let what = format!("is missing, and the name {name} does not say it: give Seconds or Milliseconds");
        reading.wrong("proportion.latency.unit", what)
    })?;
    let latency = Latency { max, unit, units: Vec::new(), native: wire.native, quantile };
    let selectors = if wire.native {
        let all = format!("sum(increase({text}[{WINDOW}]))");
        let within = format!("(histogram_count({all}) * histogram_fraction(0, {}, {all})) >= 0", latency.boundary());
        let total = format!("histogram_count({all})");
        selectors(reading, Part::Good, [FIELD, FIELD], &[within], &[total])?
    } else {
        let series = |end: &str| format!("{name}{end}{matchers}");
        selectors(reading, Part::Within, [FIELD, FIELD], &[series("_bucket")], &[series("_count")])?
    };
    Ok(Counting { selectors: vec![selectors], max: quantile.map(slower), latency: Some(latency) })
}

/// What a name of a histogram says of its unit.
fn unit_of(name: &str) -> Option<Unit> {
    let is = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    match () {
        () if is(&["_seconds"]) => Some(Unit::Seconds),
        () if is(&["_milliseconds", "_ms"]) => Some(Unit::Milliseconds),
        () => None,
    }
}

/// A quantile in millionths.
pub(super) fn quantile_of(reading: &Reading<'_>, field: &str, quantile: f64) -> Result<Share, Problem> {
    let millionths = format!("{:.0}", quantile * 1e6).parse().ok().map(Share);
    let known = millionths.filter(|share| (Share(500_000)..=Share(Share::ALL.0 - LEAST.0)).contains(share));
    known.ok_or_else(|| reading.wrong(field, format!("is {quantile}: it must be from 0.5 to 0.9999, like 0.99")))
}

/// The share that may be slower.
pub(super) fn slower(quantile: Share) -> Share {
    Share(Share::ALL.0.saturating_sub(quantile.0))
}

/// Counters of both revisions, with everything filled in that is known before a release.
pub(super) fn selectors(
    reading: &Reading<'_>,
    kind: Part,
    [field, total_field]: [&str; 2],
    part: &[String],
    total: &[String],
) -> Result<Selectors, Problem> {
    let tells_apart = |all: &[String]| all.iter().all(|text| REVISION.iter().any(|name| text.contains(name)));
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
        let all =
            |field: &str, texts: &[String]| texts.iter().map(|text| counter(field, text)).collect::<Result<_, _>>();
        Ok::<_, Problem>(Counters { part: all(field, part)?, total: all(total_field, total)? })
    };
    let stable = (tells_apart(part) && tells_apart(total)).then(|| of("stable")).transpose()?;
    Ok(Selectors { reporter: None, part: kind, canary: of("canary")?, stable })
}

/// What is filled in later is a hash.
fn without_variables(query: &str) -> String {
    query.replace("{{canary.hash}}", "hash").replace("{{stable.hash}}", "hash")
}
