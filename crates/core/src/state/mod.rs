//! What `.status.progress` persists: everything that a decision needs from the past, and nothing that it does not.
//!
//! Every form that was ever persisted is read for ever: `fixtures/state` has one folder a form.

#[cfg(test)]
mod forms;
mod record;
mod release;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use record::{End, Entry, GateRecord, Outcome, Record, Requests, WayBack};
pub use release::{Clock, Grown, Preflight, Release, Return, Shrunk};
pub(crate) use release::{in_step, is_default};

use crate::analysis::metric::Metric;
use crate::names::{Hash, Revision};
use crate::spec::{Commander, Verb};
use crate::traffic::{Bindings, Carrier, Split, Targets, Weight};

/// The state machine's own record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// What has traffic at rest.
    pub stable: Revision,
    /// What is under way.
    pub stage: Stage,
    /// The split, decided and in force.
    #[serde(rename = "traffic")]
    pub split: Split,
    /// What each Service is bound to.
    pub bindings: Bindings,
    /// The objects that traffic is moved by; absent in form 1, where they were the declared ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<Targets>,
    /// Services that were targets and are not declared any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retired: Vec<Retired>,
    /// The last valid settle and drain: going back needs them when the declaration is broken.
    pub timing: Timing,
    /// Sets on their way out, and since when nothing has sent to them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub idle: BTreeMap<Hash, Timestamp>,
    /// Revisions that were stable before this one, the last first, bounded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<Revision>,
    /// Newest first, bounded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<Rejection>,
    /// Revision numbers given so far.
    pub attempts: u64,
    /// The last command that was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_command: Option<Acknowledged>,
    /// Ids of commands that were answered, newest first, bounded: none acts twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// The template that the API server last said it would take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried: Option<Hash>,
    /// The restart that was completed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarted_at: Option<Timestamp>,
    /// Since when something that the declaration names does not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<Timestamp>,
    /// When somebody else changed the weights, within the last minute.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreign_edits: Vec<Timestamp>,
    /// True while the mesh gives the new revision stable's share as well: that is told once.
    #[serde(default, skip_serializing_if = "is_default")]
    pub spilling: bool,
    /// Attempts whose reports lack something, the present one last; bounded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<Record>,
}

impl State {
    /// What carries the traffic at present.
    pub fn carrier(&self) -> Carrier {
        self.targets.as_ref().map_or(Carrier::Routes, |targets| targets.carrier)
    }

    /// What was stable before this, where that is known and was not rejected since.
    pub fn predecessor(&self) -> Option<&Revision> {
        self.former.first().filter(|former| !self.rejected.iter().any(|it| it.revision.hash == former.hash))
    }

    /// Takes instants that lie after `now` for now: the clock was set back, or another machine's was ahead. Waits begin
    /// anew then, rather than last as long as the clock was wrong.
    pub fn clamp(&mut self, now: Timestamp) {
        let late = |at: &mut Timestamp| *at = (*at).min(now);
        let late_if = |at: &mut Option<Timestamp>| *at = at.map(|at| at.min(now));
        late(&mut self.split.decided_at);
        late_if(&mut self.split.seen_since);
        late_if(&mut self.bindings.stable.seen_since);
        late_if(&mut self.bindings.canary.seen_since);
        self.idle.values_mut().for_each(late);
        late_if(&mut self.missing_since);
        self.retired.iter_mut().for_each(|retired| late(&mut retired.since));
        self.foreign_edits.iter_mut().for_each(late);
        self.records.iter_mut().for_each(|record| record.clamp(now));
        match &mut self.stage {
            Stage::Deploying | Stage::Resting => {}
            Stage::Promoting(promotion) => late(&mut promotion.since),
            Stage::Leaving(leaving) => late(&mut leaving.since),
            Stage::Releasing(release) => release.clamp(now),
        }
    }
}

/// How long things are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timing {
    /// For a written split to reach the proxies.
    pub settle: Duration,
    /// For endpoints to reach whatever sends to them, where that is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle_endpoints: Option<Duration>,
    /// For a set without traffic before it is scaled down.
    pub drain: Duration,
    /// For what was stable before, where that is longer.
    #[serde(default, skip_serializing_if = "Duration::is_zero")]
    pub keep_warm: Duration,
    /// For both revisions behind one Service, on the way from one to the other.
    #[serde(default, skip_serializing_if = "Duration::is_zero")]
    pub overlap: Duration,
}

impl Timing {
    /// For a binding to reach whatever sends to the Service.
    pub fn of_endpoints(&self) -> Duration {
        self.settle_endpoints.unwrap_or(self.settle)
    }
}

impl Default for Timing {
    /// The schema's defaults.
    fn default() -> Self {
        Self {
            settle: Duration::from_secs(3),
            settle_endpoints: None,
            drain: Duration::from_secs(30),
            keep_warm: Duration::ZERO,
            overlap: Duration::ZERO,
        }
    }
}

/// A Service that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retired {
    /// Its name.
    pub service: String,
    /// Since when.
    pub since: Timestamp,
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
    /// A person gave up a rollback that he had asked for.
    GivenUp,
    /// Other Services are declared, and the routes name those: its release begins anew with them.
    Moved,
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
    /// Who gave it, as was told when it was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Commander>,
    /// Whether it was executed.
    pub executed: bool,
    /// What was done, or why nothing was.
    pub message: String,
    /// When.
    pub at: Timestamp,
}
