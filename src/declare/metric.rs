//! One metric: durations, limits, conditions, and its query as far as it can be filled in.

use std::collections::BTreeMap;
use std::time::Duration;

use leadsman_api::{Metric, Prometheus, defaults};
use leadsman_core::analysis::condition::Condition;
use leadsman_core::analysis::proportion::Proportion;
use leadsman_core::analysis::proportion::queries::WINDOW;
use leadsman_core::analysis::source::Source;
use leadsman_core::analysis::{metric, query};
use leadsman_core::spec::Problem;

use super::analysis::Catalog;
use super::{invalid_analysis, proportion, source};

/// Windows of a source that knows only the last so many seconds should be two scrapes long.
fn usual_interval(wire: &Metric) -> Duration {
    let has_windows = wire.proportion.as_ref().is_some_and(|proportion| {
        let is_native = proportion.latency.as_ref().is_some_and(|latency| latency.native);
        is_native || proportion.total.as_ref().is_some_and(|total| total.contains(WINDOW))
    });
    if has_windows { defaults::WINDOWED_INTERVAL } else { defaults::INTERVAL }
}

/// True for a metric that is judged on counts.
fn counts(wire: &Metric) -> bool {
    wire.proportion.is_some() || wire.builtin.is_some()
}

/// How a metric is to be read.
pub(super) struct Reading<'a> {
    /// Where it stands, for messages.
    pub at: &'a str,
    /// Its arguments.
    pub args: &'a BTreeMap<String, String>,
    /// Namespace of the Secrets that it names.
    pub secrets_in: &'a str,
    pub in_step: bool,
    pub around: &'a Catalog<'a>,
}

impl Reading<'_> {
    /// An error in a field of this metric.
    pub fn wrong(&self, field: &str, what: impl std::fmt::Display) -> Problem {
        invalid_analysis(format!("{}: {field} {what}", self.at))
    }

    pub fn metric(&self, wire: &Metric) -> Result<metric::Metric, Problem> {
        // A value goes into queries as it is; braces in it would be taken for a variable when the question is asked.
        if let Some((name, _)) = self.args.iter().find(|(_, value)| value.contains("{{")) {
            return Err(self.wrong(&format!("argument {name}"), "must not contain {{: values take no variables"));
        }
        let (success, failure) = (wire.success_condition.as_ref(), wire.failure_condition.as_ref());
        let other = wire.provider.as_ref().map(|provider| source::other(self, provider)).transpose()?.flatten();
        let is_job = matches!(other, Some(Source::Job(_)));
        if success.is_none() && failure.is_none() && !counts(wire) && !is_job {
            return Err(self.wrong("successCondition", "and failureCondition are both missing: give at least one"));
        }
        if is_job && (success.is_some() || failure.is_some()) {
            return Err(self.wrong("provider.job", "succeeds or fails by itself: leave out the conditions"));
        }
        if other.is_some() && counts(wire) {
            return Err(self.wrong("provider", "must be prometheus: proportion and builtin are asked of it"));
        }
        let (source, proportion) = match other {
            Some(other) => (other, None),
            None => self.asked_of_prometheus(wire)?,
        };
        let is_latency = proportion.as_ref().is_some_and(|proportion| proportion.latency.is_some());
        let initial_delay = if is_latency { defaults::INITIAL_DELAY_OF_LATENCY } else { defaults::INITIAL_DELAY };
        let count = match wire.count {
            None if self.in_step => Some(self.number("count", defaults::STEP_COUNT)?),
            None => None,
            Some(0) => return Err(self.wrong("count", "must be at least 1")),
            Some(count) => Some(self.number("count", count)?),
        };
        let second = Duration::from_secs(1);
        Ok(metric::Metric {
            name: wire.name.clone(),
            interval: self.duration("interval", wire.interval.as_ref(), usual_interval(wire), second)?,
            initial_delay: self.duration("initialDelay", wire.initial_delay.as_ref(), initial_delay, Duration::ZERO)?,
            count,
            failure_limit: self.number("failureLimit", wire.failure_limit.unwrap_or(defaults::FAILURE_LIMIT))?,
            inconclusive_limit: self
                .number("inconclusiveLimit", wire.inconclusive_limit.unwrap_or(defaults::INCONCLUSIVE_LIMIT))?,
            consecutive_error_limit: self.number(
                "consecutiveErrorLimit",
                wire.consecutive_error_limit.unwrap_or(defaults::CONSECUTIVE_ERROR_LIMIT),
            )?,
            on_no_data: wire.on_no_data.unwrap_or_default(),
            on_provider_error: wire.on_provider_error.unwrap_or_default(),
            window: self.duration("window", wire.window.as_ref(), defaults::WINDOW, second)?,
            min_window: self.duration("minWindow", wire.min_window.as_ref(), defaults::MIN_WINDOW, Duration::ZERO)?,
            warm_up: self.duration("warmUp", wire.warm_up.as_ref(), defaults::WARM_UP, Duration::ZERO)?,
            dry_run: wire.dry_run,
            success: success.map(|source| self.condition("successCondition", source)).transpose()?,
            failure: failure.map(|source| self.condition("failureCondition", source)).transpose()?,
            args: self.args.clone(),
            proportion,
            source,
        })
    }

    fn asked_of_prometheus(&self, wire: &Metric) -> Result<(Source, Option<Proportion>), Problem> {
        let prometheus = self.prometheus(wire)?;
        let (query, proportion) = if counts(wire) {
            let (query, proportion) = proportion::read(self, wire)?;
            (query, Some(proportion))
        } else {
            (self.query("query", prometheus.query.as_deref().unwrap_or_default())?, None)
        };
        Ok((Source::Prometheus(Box::new(source::read(self, &prometheus, query)?)), proportion))
    }

    /// Where it is asked; a proportion may leave it out.
    fn prometheus(&self, wire: &Metric) -> Result<Prometheus, Problem> {
        match wire.provider.as_ref().and_then(|provider| provider.prometheus.clone()) {
            Some(given) => Ok(given),
            None if counts(wire) => Ok(Prometheus::default()),
            None => {
                Err(self.wrong("provider", "is missing: it must have exactly one of: prometheus, web, datadog, job"))
            }
        }
    }

    /// A query with arguments and names filled in.
    pub fn query(&self, field: &str, source: &str) -> Result<String, Problem> {
        let Catalog { rollout, backends, .. } = self.around;
        let names = |name: &str| {
            let value = match name {
                "namespace" => backends.namespace,
                "rollout" => rollout,
                "canary.service" => backends.canary,
                "stable.service" => backends.stable,
                _ => return None,
            };
            // Workers have no Services.
            Some(value.to_owned()).filter(|value| !value.is_empty())
        };
        if source.trim().is_empty() {
            return Err(self.wrong(field, "is empty: write what is to be measured in PromQL"));
        }
        query::prepare(source, self.args, &names).map_err(|error| self.wrong(field, error))
    }

    fn condition(&self, field: &str, source: &str) -> Result<Condition, Problem> {
        Condition::new(source, self.args)
            .map_err(|error| self.wrong(field, format!("{source:?} is not usable: {error}")))
    }

    pub fn duration(
        &self,
        field: &str,
        text: Option<&leadsman_api::Duration>,
        otherwise: Duration,
        least: Duration,
    ) -> Result<Duration, Problem> {
        let Some(text) = text else { return Ok(otherwise) };
        let duration = text.parse().map_err(|error| self.wrong(field, error))?;
        if duration < least {
            return Err(self.wrong(field, format!("is {text}: it must be at least {least:?}")));
        }
        Ok(duration)
    }

    pub fn number(&self, field: &str, value: i32) -> Result<u32, Problem> {
        u32::try_from(value).map_err(|_| self.wrong(field, format!("is {value}: it must not be negative")))
    }
}
