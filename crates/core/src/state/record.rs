//! What is to be told of an attempt later, when everything else of it is gone.
//!
//! It stands in the state until it has been seen in the attempt's report, so that a kill between any two writes loses none of
//! it; and each entry has an index, so that a report that was written already is not written twice.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::is_default;
use crate::names::Revision;
use crate::report::Measured;
use crate::text::one_line;
use crate::traffic::{Strategy, Weight};

/// Entries of an attempt after which only those are kept that tell where it stands.
const MOST_ENTRIES: u64 = 60;
/// Entries of an attempt after which only its end is kept.
const MOST_TELLING: u64 = 160;
/// Gates that are kept of an attempt.
const MOST_GATES: usize = 24;
/// Longest sentence of an entry, in characters.
const LONGEST: usize = 500;
/// The index of the first entry after the status was lost: what had been written by then is not known, and is less.
const AFTER_LOSS: u64 = 1_000;

/// What is to be told of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// What is on trial, with the number of the attempt.
    pub canary: Revision,
    /// What served when it began; `None` at the first deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<Revision>,
    /// How it takes over.
    #[serde(default, skip_serializing_if = "is_default")]
    pub strategy: Strategy,
    /// When it began.
    pub began_at: Timestamp,
    /// When the report was last seen to have grown; its beginning before that.
    pub written_at: Timestamp,
    /// The index that the next entry gets.
    pub next: u64,
    /// What happened and was not seen in the report yet, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<Entry>,
    /// What was measured and was not seen in the report yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateRecord>,
    /// The last values of stable by metric, where it was asked the same.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub of_stable: BTreeMap<String, String>,
    /// The largest share that it had in force.
    #[serde(default, skip_serializing_if = "is_default")]
    pub most: Weight,
    /// Requests that reached it, where they were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Requests>,
    /// How traffic is taken from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way_back: Option<WayBack>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
    /// Entries that were left out because there were too many.
    #[serde(default, skip_serializing_if = "is_default")]
    pub omitted: u32,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Counts the entries of the attempt from 0.
    pub index: u64,
    /// When.
    pub at: Timestamp,
    /// One word, the reason of the fact.
    pub kind: String,
    /// A sentence, on one line.
    pub words: String,
    /// The share that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Weight>,
    /// Index of the step that had its turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
}

/// What was measured of one metric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GateRecord {
    /// The index of the entry that it was noted with.
    pub index: u64,
    /// Index of the step that measured it; `None` for one beside the steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// Whether it decided the outcome.
    #[serde(default, skip_serializing_if = "is_default")]
    pub decided: bool,
    /// The query as sent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub query: String,
    /// The last measurement, and those before it.
    pub measured: Measured,
}

/// Requests that were counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Requests {
    /// All of them.
    pub total: u64,
    /// Those that went wrong.
    pub failed: u64,
    /// By which metric.
    pub metric: String,
}

/// The three instants of a way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WayBack {
    /// When it was decided.
    pub decided: Timestamp,
    /// When nothing was seen to send to it any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<Timestamp>,
    /// When that had reached whoever sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_force: Option<Timestamp>,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct End {
    /// When everything was settled again.
    pub at: Timestamp,
    /// How.
    pub outcome: Outcome,
    /// Why, in one word.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Why, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// How an attempt ended, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The first revision serves.
    First,
    /// It is stable.
    Promoted,
    /// It failed, and is rejected.
    RolledBack,
    /// A person ended it.
    Aborted,
    /// Another template was declared.
    Superseded,
    /// Stable's template was declared again.
    Reverted,
    /// A rollback by command was given up.
    GivenUp,
    /// Other Services were declared: its release began anew.
    TargetsChanged,
    /// The status was lost in between.
    Recovered,
}

impl Outcome {
    /// The word in the report.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "First",
            Self::Promoted => "Promoted",
            Self::RolledBack => "RolledBack",
            Self::Aborted => "Aborted",
            Self::Superseded => "Superseded",
            Self::Reverted => "Reverted",
            Self::GivenUp => "GivenUp",
            Self::TargetsChanged => "TargetsChanged",
            Self::Recovered => "Recovered",
        }
    }
}

impl Record {
    /// An attempt begins.
    pub fn new(canary: Revision, stable: Option<Revision>, strategy: Strategy, now: Timestamp) -> Self {
        Self {
            canary,
            stable,
            strategy,
            began_at: now,
            written_at: now,
            next: 0,
            entries: Vec::new(),
            gates: Vec::new(),
            of_stable: BTreeMap::new(),
            most: Weight::ZERO,
            requests: None,
            way_back: None,
            end: None,
            omitted: 0,
        }
    }

    /// The rest of an attempt of which the beginning was lost.
    pub fn after_loss(canary: Revision, stable: Revision, strategy: Strategy, now: Timestamp) -> Self {
        Self { next: AFTER_LOSS, ..Self::new(canary, Some(stable), strategy, now) }
    }

    /// Notes something that happened; what tells less only while there is little of it.
    pub fn note(&mut self, entry: Entry, tells_much: bool, is_the_end: bool) {
        let so_far = self.next % AFTER_LOSS;
        let most = if tells_much { MOST_TELLING } else { MOST_ENTRIES };
        if so_far >= most && !is_the_end {
            self.omitted = self.omitted.saturating_add(1);
            return;
        }
        self.entries.push(Entry { index: self.next, words: one_line(&entry.words, LONGEST), ..entry });
        self.next = self.next.saturating_add(1);
    }

    /// Notes what was measured, with the entry that comes next. What the same step measured before is replaced.
    pub fn note_gate(&mut self, gate: GateRecord) {
        let is_same = |it: &GateRecord| it.step == gate.step && it.measured.metric == gate.measured.metric;
        self.gates.retain(|it| !is_same(it));
        if self.gates.len() < MOST_GATES {
            self.gates.push(GateRecord { index: self.next, ..gate });
        }
    }

    /// The report has been seen with everything before this index.
    pub fn seen(&mut self, through: u64, now: Timestamp) {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.index >= through);
        self.gates.retain(|gate| gate.index >= through);
        if self.entries.len() < before {
            self.written_at = now;
        }
    }

    /// True where it is over and the report has all of it.
    pub fn is_told(&self) -> bool {
        self.end.is_some() && self.entries.is_empty()
    }

    /// Takes instants that lie after `now` for now, as [`super::State::clamp`] does.
    pub(super) fn clamp(&mut self, now: Timestamp) {
        // When it began is told, and decides nothing.
        self.written_at = self.written_at.min(now);
    }
}
