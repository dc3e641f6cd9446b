//! One analysis: the metrics of its templates and its own, with the arguments of each resolved.

use std::cell::Cell;
use std::collections::BTreeMap;

use leadsman_api::{AnalysisTemplateSpec, Argument, Metric, TemplateReference};
use leadsman_core::analysis::metric;
use leadsman_core::spec::{Problem, Reason};

use super::invalid_analysis;
use super::metric::Reading;
use crate::routers::Backends;

/// Metrics that the analyses of a Rollout may have together; a template that two steps use counts twice.
const MOST_METRICS: usize = 64;
/// Bytes that they may take in the status, where a release keeps them.
const MOST_BYTES: usize = 64 * 1024;

/// Steps that asking each of their conditions once may take together: some tenths of a second.
const MOST_STEPS: u64 = 1_000_000;

/// What metrics may refer to.
pub(super) struct Catalog<'a> {
    pub rollout: &'a str,
    pub backends: Backends<'a>,
    pub operator_namespace: &'a str,
    pub templates: &'a dyn Fn(&TemplateReference) -> Option<AnalysisTemplateSpec>,
    pub taken: Taken,
}

/// What the metrics that were read so far take.
#[derive(Default)]
pub(super) struct Taken {
    metrics: Cell<usize>,
    bytes: Cell<usize>,
    steps: Cell<u64>,
}

/// An analysis as declared, in a step or beside the steps.
pub(super) struct Wanted<'a> {
    /// Its field.
    pub at: String,
    pub templates: &'a [TemplateReference],
    pub args: &'a [Argument],
    pub metrics: &'a [Metric],
    pub in_step: bool,
}

impl Catalog<'_> {
    /// Every metric of an analysis: those of the templates in their order, then its own.
    pub fn metrics(&self, wanted: &Wanted<'_>) -> Result<Vec<metric::Metric>, Problem> {
        let at = &wanted.at;
        let given: BTreeMap<String, String> =
            wanted.args.iter().map(|argument| (argument.name.clone(), argument.value.clone())).collect();
        let mut found: Vec<(metric::Metric, String)> = Vec::new();
        let mut taken: Vec<String> = Vec::new();
        for (index, reference) in wanted.templates.iter().enumerate() {
            let name = described(reference);
            let template = (self.templates)(reference).ok_or_else(|| {
                Problem::missing(
                    Reason::InvalidAnalysis,
                    format!("{name} does not exist: create it, or take it out of {at}.templates[{index}]"),
                )
            })?;
            let args = resolved(&name, at, &template, &given)?;
            taken.extend(template.args.iter().map(|argument| argument.name.clone()));
            let secrets_in = if reference.cluster_scope { self.operator_namespace } else { self.backends.namespace };
            for metric in &template.metrics {
                let at = format!("{name}: metric {}", metric.name);
                let reading = Reading { at: &at, args: &args, secrets_in, in_step: wanted.in_step, around: self };
                found.push((self.taken.add(reading.metric(metric)?, &at)?, name.clone()));
            }
        }
        for (index, metric) in wanted.metrics.iter().enumerate() {
            let at = format!("{at}.metrics[{index}] ({})", metric.name);
            let reading = Reading {
                at: &at,
                args: &given,
                secrets_in: self.backends.namespace,
                in_step: wanted.in_step,
                around: self,
            };
            found.push((self.taken.add(reading.metric(metric)?, &at)?, at));
        }
        let unused = given.keys().find(|name| wanted.metrics.is_empty() && !taken.contains(*name));
        if let Some(unused) = unused {
            // Most likely a slip of the pen; the template's own default would stand in for it without a word.
            return Err(invalid_analysis(format!(
                "{at}.args: no template here takes {unused}; they take {}",
                list(&taken)
            )));
        }
        distinct(at, &found)?;
        Ok(found.into_iter().map(|(metric, _)| metric).collect())
    }
}

impl Taken {
    /// Counts a metric, and refuses the first that is too many.
    fn add(&self, metric: metric::Metric, at: &str) -> Result<metric::Metric, Problem> {
        let bytes = serde_json::to_vec(&metric).map_or(0, |text| text.len());
        self.metrics.set(self.metrics.get().saturating_add(1));
        self.bytes.set(self.bytes.get().saturating_add(bytes));
        let conditions = [&metric.success, &metric.failure].into_iter().flatten();
        let steps = conditions.filter_map(|condition| condition.most_steps(&metric.args).ok());
        self.steps.set(steps.fold(self.steps.get(), u64::saturating_add));
        if self.metrics.get() > MOST_METRICS {
            return Err(invalid_analysis(format!(
                "{at}: spec.strategy has more than {MOST_METRICS} metrics, counted anew for each step: measure less, or \
                 measure beside the steps of a canary (its analysis) what several steps measure"
            )));
        }
        if self.bytes.get() > MOST_BYTES {
            return Err(invalid_analysis(format!(
                "{at}: the metrics of spec.strategy take more than {} KiB together, with arguments filled in and \
                 counted anew for each step: shorten queries and arguments, as by recording rules, or measure less",
                MOST_BYTES / 1024
            )));
        }
        if self.steps.get() > MOST_STEPS {
            return Err(invalid_analysis(format!(
                "{at}: the conditions of spec.strategy take more than {MOST_STEPS} steps together, counted anew for \
                 each step: loop over fewer series, as by aggregating them in the query, or measure less"
            )));
        }
        Ok(metric)
    }
}

fn described(reference: &TemplateReference) -> String {
    let kind = if reference.cluster_scope { "ClusterAnalysisTemplate" } else { "AnalysisTemplate" };
    format!("{kind} {}", reference.template_name)
}

/// The arguments that a template takes: the Rollout's values before the template's own.
fn resolved(
    name: &str,
    at: &str,
    template: &AnalysisTemplateSpec,
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Problem> {
    let value = |argument: &leadsman_api::DeclaredArgument| {
        let value = given.get(&argument.name).or(argument.value.as_ref());
        let value = value.ok_or_else(|| {
            let argument = &argument.name;
            invalid_analysis(format!("{name}: its argument {argument} has no value: give it one in {at}.args"))
        })?;
        Ok((argument.name.clone(), value.clone()))
    };
    template.args.iter().map(value).collect()
}

fn distinct(at: &str, found: &[(metric::Metric, String)]) -> Result<(), Problem> {
    if found.is_empty() {
        return Err(invalid_analysis(format!("{at} must have templates or metrics")));
    }
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for (metric, owner) in found {
        if let Some(other) = owners.insert(&metric.name, owner) {
            let name = &metric.name;
            return Err(invalid_analysis(format!(
                "{at} has two metrics named {name}, of {other} and of {owner}: rename one of them"
            )));
        }
    }
    Ok(())
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
