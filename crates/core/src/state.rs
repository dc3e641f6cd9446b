//! What `.status.progress` persists: everything that a decision needs from the past, and nothing that it does not.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::analysis::metric::Metric;
use crate::analysis::tally::Tally;
use crate::names::{Hash, Revision, Side};
use crate::spec::{Spec, Verb};
use crate::split::Weight;

/// The state machine's own record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// What has traffic at rest.
    pub stable: Revision,
    /// What is under way.
    pub stage: Stage,
    /// The split, decided and in force.
    pub traffic: Traffic,
    /// What each Service is bound to.
    pub bindings: Bindings,
    /// The last valid settle and drain: going back needs them when the declaration is broken.
    pub timing: Timing,
    /// Sets on their way out, and since when nothing has sent to them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub idle: BTreeMap<Hash, Timestamp>,
    /// Newest first, bounded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<Rejection>,
    /// Revision numbers given so far.
    pub attempts: u64,
    /// The last command that was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_command: Option<Acknowledged>,
    /// When somebody else changed the weights, within the last minute.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreign_edits: Vec<Timestamp>,
}

impl State {
    /// Takes instants that lie after `now` for now: the clock was set back, or another machine's was ahead. Waits begin
    /// anew then, rather than last as long as the clock was wrong.
    pub fn clamp(&mut self, now: Timestamp) {
        let late = |at: &mut Timestamp| *at = (*at).min(now);
        let late_if = |at: &mut Option<Timestamp>| *at = at.map(|at| at.min(now));
        late(&mut self.traffic.decided_at);
        late_if(&mut self.traffic.seen_since);
        late_if(&mut self.bindings.stable.seen_since);
        late_if(&mut self.bindings.canary.seen_since);
        self.idle.values_mut().for_each(late);
        self.foreign_edits.iter_mut().for_each(late);
        match &mut self.stage {
            Stage::Deploying | Stage::Resting => {}
            Stage::Promoting(promotion) => late(&mut promotion.since),
            Stage::Leaving(leaving) => late(&mut leaving.since),
            Stage::Releasing(release) => {
                late(&mut release.began_at);
                late(&mut release.step_since);
                late_if(&mut release.goal_since);
                late_if(&mut release.clock.running_since);
                if let Some(shrunk) = &mut release.shrunk {
                    late(&mut shrunk.since);
                    late_if(&mut shrunk.ready_since);
                }
                let preflight = release.preflight.iter_mut().flat_map(|preflight| preflight.measured.values_mut());
                let tallies = preflight.chain(release.background.values_mut()).chain(release.measured.values_mut());
                for tally in tallies {
                    // Which weight it measured cannot be told any more: it counts, but vouches for none.
                    tally.last = tally.last.take().filter(|last| last.at <= now && last.since <= now);
                }
            }
        }
    }
}

/// How long things are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timing {
    /// For a written split or binding to reach the proxies.
    pub settle: Duration,
    /// For a set without traffic before it is scaled down.
    pub drain: Duration,
}

impl Default for Timing {
    /// The schema's defaults.
    fn default() -> Self {
        Self { settle: Duration::from_secs(3), drain: Duration::from_secs(30) }
    }
}

/// What is under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    /// First deployment: straight to full size.
    Deploying,
    /// Stable serves. Clean-up may still go on.
    Resting,
    /// A canary goes through the steps.
    Releasing(Box<Release>),
    /// Past the point of no return: the new revision is stable, Services and split follow.
    Promoting(Promotion),
    /// A canary is being taken out of service.
    Leaving(Leaving),
}

/// A canary on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// The new revision.
    pub canary: Revision,
    /// When it began.
    pub began_at: Timestamp,
    /// The strategy: the last valid one that was declared.
    pub recipe: Spec,
    /// Set until the preflight has passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preflight: Option<Preflight>,
    /// Index of the present step; the number of steps once all are done.
    pub step: usize,
    /// Since when.
    pub step_since: Timestamp,
    /// The share that the steps ask for at present.
    pub goal: Weight,
    /// Since when `goal` has been in force: the start of the analysis window. Not moved by shrinking and healing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal_since: Option<Timestamp>,
    /// Full size when `goal` was given; followed by scaling once the canary's pods have followed.
    pub base_replicas: u32,
    /// Set while the share is less than `goal` because pods are missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shrunk: Option<Shrunk>,
    /// Background analysis.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub background: BTreeMap<String, Tally>,
    /// Analysis of the present step.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub measured: BTreeMap<String, Tally>,
    /// The `pause` command.
    #[serde(default)]
    pub paused: bool,
    /// What a person has been asked to look at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    /// `promote-full`: the remaining steps are skipped.
    #[serde(default)]
    pub skip: bool,
    /// The progress deadline's clock.
    pub clock: Clock,
    /// Most canary pods seen ready since the step began.
    pub most_ready: u32,
}

/// The questions asked before anything moves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Preflight {
    /// What was answered, by metric.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub measured: BTreeMap<String, Tally>,
    /// A query that the source refuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrong_query: Option<String>,
}

/// The share is smaller than the steps ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shrunk {
    /// Since when.
    pub since: Timestamp,
    /// Since when all pods needed have been ready again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_since: Option<Timestamp>,
}

/// The new revision is stable; its predecessor goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Promotion {
    /// The revision that was stable before.
    pub old: Revision,
    /// When it was decided.
    pub since: Timestamp,
}

/// A canary is being taken out of service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Leaving {
    /// The revision that goes.
    pub canary: Revision,
    /// Why.
    pub why: Why,
    /// Since when.
    pub since: Timestamp,
    /// The share that it had.
    pub had: Weight,
    /// What failed, until stable has been asked the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Box<Comparison>>,
}

/// A limit that a canary failed, to be held against stable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// The metric.
    pub metric: Metric,
    /// The canary's window.
    pub window: Duration,
}

/// Why a canary goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Why {
    /// It failed, and is rejected.
    Failed,
    /// A newer template came.
    Superseded,
    /// Git went back to stable.
    Reverted,
    /// The status was lost: what was under way is not known.
    Lost,
}

/// The split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// The canary's share that every route is to have.
    pub decided: Weight,
    /// Since when it was decided.
    pub decided_at: Timestamp,
    /// Since when every route has been seen with it, and accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_since: Option<Timestamp>,
    /// The last share that was seen and settled.
    pub in_force: Weight,
}

/// What each Service is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bindings {
    /// `stableService`.
    pub stable: Binding,
    /// `canaryService`.
    pub canary: Binding,
}

impl Bindings {
    /// The binding of a side.
    pub fn of(&self, side: Side) -> &Binding {
        match side {
            Side::Stable => &self.stable,
            Side::Canary => &self.canary,
        }
    }

    /// The binding of a side, to be changed.
    pub fn of_mut(&mut self, side: Side) -> &mut Binding {
        match side {
            Side::Stable => &mut self.stable,
            Side::Canary => &mut self.canary,
        }
    }
}

/// A Service's binding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Binding {
    /// What it is to be bound to.
    pub decided: Hash,
    /// Since when its slices have shown that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_since: Option<Timestamp>,
    /// The last binding that was seen and settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_force: Option<Hash>,
}

impl Binding {
    /// A binding that has been decided and not yet seen.
    pub fn decided(hash: Hash) -> Self {
        Self { decided: hash, seen_since: None, in_force: None }
    }

    /// True when it is bound to `hash` and proxies have had time to know.
    pub fn is_in_force(&self, hash: &Hash) -> bool {
        self.decided == *hash && self.in_force.as_ref() == Some(hash)
    }
}

/// A template that must not run again by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejection {
    /// Which.
    pub revision: Revision,
    /// One word: `AnalysisFailed`, `SharedFailure`, `ProgressDeadlineExceeded`, `NoEvidence`, `Aborted`, `CrashLooping`.
    pub reason: String,
    /// What was measured, against what, and since when.
    pub message: String,
    /// The query as sent, when a metric decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// An answered command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Acknowledged {
    /// Its id.
    pub id: String,
    /// Its verb, where it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verb: Option<Verb>,
    /// Whether it was executed.
    pub executed: bool,
    /// What was done, or why nothing was.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// Accumulated waiting time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Clock {
    /// Before `running_since`.
    pub accumulated: Duration,
    /// Set while the clock runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_since: Option<Timestamp>,
}
