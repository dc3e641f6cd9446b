//! From the wire to the core: a Rollout as it was declared becomes what plans are made of.
//!
//! This is the one place where the wire form is read. It never fails: what is wrong with the declaration stands in
//! [`leadsman_core::spec::Rollout::spec`], with the field and what to do about it, and everything else stays usable, since
//! a rollback needs names and routes however broken the rest is.

mod analysis;
pub mod builtin;
mod counters;
mod metric;
mod proportion;
mod source;
mod strategy;
mod traffic;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use leadsman_api::{AnalysisTemplateSpec, Rollout, commit_of, names};
use leadsman_core::names::Hash;
use leadsman_core::spec::{self, Command, Commander, Problem, Reason};
use leadsman_core::text::one_line;
use leadsman_core::traffic::Port;
use serde_json::Value;

pub use leadsman_api::TemplateReference as TemplateRef;

use crate::routers::{Backends, RouteRef};

/// Longest message about an analysis, in characters: a condition and what is wrong with it fit in.
const MOST_WORDS: usize = 2000;

/// A Rollout as declared at this moment, and everything around the core that is declared with it.
#[derive(Clone, Debug)]
pub struct Declared {
    /// What plans are made of.
    pub core: spec::Rollout,
    /// The field that says what carries the traffic.
    pub at: &'static str,
    /// The routes, in the order of the spec.
    pub routes: Vec<RouteRef>,
    /// Name of the Service that is the routes' parent or host, where one is named.
    pub service: Option<String>,
    /// Ports of the Services that we make; `None`: those of `service`, or of the Service that carries the traffic.
    pub ports: Option<Vec<Port>>,
    /// Every template that the Rollout refers to, each once, whether it exists or not.
    pub refers_to: Vec<TemplateRef>,
    /// `spec.template`, verbatim.
    pub template: Value,
    /// `spec.selector.matchLabels`.
    pub match_labels: BTreeMap<String, String>,
    /// `spec.minReadySeconds`, never negative.
    pub min_ready_seconds: i32,
}

/// Reads a Rollout. `templates` gives the spec of a template that exists: one of the Rollout's namespace, or, with
/// `cluster_scope`, one of the cluster, whose Secrets are in `operator_namespace`.
pub fn declare(
    rollout: &Rollout,
    operator_namespace: &str,
    templates: &dyn Fn(&TemplateRef) -> Option<AnalysisTemplateSpec>,
) -> Declared {
    let metadata = &rollout.metadata;
    let name = metadata.name.as_deref().unwrap_or_default();
    let traffic = traffic::read(rollout);
    let around = analysis::Catalog {
        rollout: name,
        backends: Backends {
            stable: &traffic.targets.stable_service,
            canary: &traffic.targets.canary_service,
            namespace: metadata.namespace.as_deref().unwrap_or_default(),
        },
        operator_namespace,
        templates,
        taken: analysis::Taken::default(),
    };
    let annotation = |name| metadata.annotations.as_ref().and_then(|annotations| annotations.get(name));
    let command = annotation(names::COMMAND_ANNOTATION);
    Declared {
        core: spec::Rollout {
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: name.to_owned(),
            created_at: metadata.creation_timestamp.as_ref().map(|time| time.0),
            generation: metadata.generation.unwrap_or(0),
            deleted_at: metadata.deletion_timestamp.as_ref().map(|time| time.0),
            hash: Hash::new(rollout.spec.template.hash()),
            commit: commit_of(metadata),
            images: rollout.spec.template.images(),
            targets: traffic.targets.clone(),
            replicas: replicas(rollout),
            replicas_given: rollout.spec.replicas.is_some(),
            reports_kept: usize::try_from(rollout.spec.report_history_limit).unwrap_or(1).max(1),
            restart_at: rollout.spec.restart_at.max(rollout.spec.template.restarted_at()),
            paused: rollout.spec.paused,
            command: command.map(|text| Command::parse(text.trim())),
            commander: annotation(names::COMMANDER_ANNOTATION).and_then(|name| commander(name)),
            spec: strategy::read(rollout, &traffic, &around),
        },
        at: traffic.at,
        routes: traffic.routes,
        service: traffic.service,
        ports: traffic.ports,
        refers_to: refers_to(rollout),
        template: rollout.spec.template.as_value().clone(),
        match_labels: rollout.spec.selector.match_labels.clone(),
        min_ready_seconds: rollout.spec.min_ready_seconds.max(0),
    }
}

/// Whose name stands beside the command, until more is known not verified.
fn commander(name: &str) -> Option<Commander> {
    let name = one_line(name, Commander::LONGEST);
    (!name.is_empty()).then_some(Commander { name, verified: false })
}

/// Pods at full size: as many as are declared, else as many as there were last.
fn replicas(rollout: &Rollout) -> u32 {
    let written = rollout.status.as_ref().filter(|status| status.observed_generation.is_some_and(|seen| seen >= 0));
    let replicas = rollout.spec.replicas.or_else(|| Some(written?.replicas));
    // Less than none is refused; until it is corrected it must not take the last pod away.
    replicas.and_then(|replicas| u32::try_from(replicas).ok()).unwrap_or(1)
}

fn refers_to(rollout: &Rollout) -> Vec<TemplateRef> {
    let strategy = &rollout.spec.strategy;
    let background = strategy.canary.iter().filter_map(|canary| canary.analysis.as_ref());
    let steps = strategy.canary.iter().flat_map(|canary| &canary.steps).filter_map(|step| step.analysis.as_ref());
    let promotion = strategy.blue_green.iter().flat_map(|it| [&it.pre_promotion_analysis, &it.post_promotion_analysis]);
    let templates = background.flat_map(|analysis| &analysis.templates);
    let templates = templates.chain(steps.chain(promotion.flatten()).flat_map(|analysis| &analysis.templates));
    let mut all: Vec<TemplateRef> = Vec::new();
    for template in templates {
        if !all.contains(template) {
            all.push(template.clone());
        }
    }
    all
}

fn invalid_spec(message: impl Into<String>) -> Problem {
    Problem::new(Reason::InvalidSpec, message)
}

/// What templates say may be anything: it is told as one line.
fn invalid_analysis(message: impl AsRef<str>) -> Problem {
    Problem::new(Reason::InvalidAnalysis, one_line(message.as_ref(), MOST_WORDS))
}
