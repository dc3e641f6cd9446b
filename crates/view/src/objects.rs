//! What there is to look at, as it was read.

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use leadsman_api::{ReportFact, Rollout, RolloutReport, RolloutStatus};

/// A Rollout and what belongs to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Objects {
    /// The Rollout.
    pub rollout: Rollout,
    /// Its reports, in any order; those of other Rollouts are passed over.
    pub reports: Vec<RolloutReport>,
    /// Its ReplicaSets; empty where nobody asked.
    pub sets: Vec<ReplicaSet>,
    /// Its pods; empty where nobody asked.
    pub pods: Vec<Pod>,
}

impl Objects {
    /// A Rollout alone.
    pub fn of(rollout: Rollout) -> Self {
        Self { rollout, reports: Vec::new(), sets: Vec::new(), pods: Vec::new() }
    }

    /// The Rollout's name; empty where it has none.
    pub(crate) fn name(&self) -> &str {
        name_of(&self.rollout)
    }

    /// The Rollout's namespace; empty where it has none.
    pub(crate) fn namespace(&self) -> &str {
        namespace_of(&self.rollout)
    }

    pub(crate) fn status(&self) -> Option<&RolloutStatus> {
        self.rollout.status.as_ref()
    }

    /// Its reports, the newest first.
    pub(crate) fn newest_first(&self) -> Vec<&RolloutReport> {
        newest_first(&self.rollout, &self.reports)
    }

    /// The report of this attempt.
    pub(crate) fn report(&self, revision: i64) -> Option<&RolloutReport> {
        self.newest_first().into_iter().find(|report| report.spec.revision == revision)
    }
}

/// A Rollout's reports, the newest first.
pub(crate) fn newest_first<'a>(rollout: &Rollout, reports: &'a [RolloutReport]) -> Vec<&'a RolloutReport> {
    let name = name_of(rollout);
    let mut own: Vec<_> = reports.iter().filter(|report| report.spec.rollout == name).collect();
    own.sort_by_key(|report| std::cmp::Reverse(report.spec.revision));
    own
}

/// A Rollout's name; empty where it has none.
pub(crate) fn name_of(rollout: &Rollout) -> &str {
    rollout.metadata.name.as_deref().unwrap_or_default()
}

/// A Rollout's namespace; empty where it has none.
pub(crate) fn namespace_of(rollout: &Rollout) -> &str {
    rollout.metadata.namespace.as_deref().unwrap_or_default()
}

/// When the newest fact of this kind happened.
pub(crate) fn last_of<'a>(facts: &'a [ReportFact], kind: &str) -> Option<&'a ReportFact> {
    facts.iter().rev().find(|fact| fact.kind == kind)
}
