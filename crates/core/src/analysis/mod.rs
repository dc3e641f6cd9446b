//! Measurements and what follows from them.
//!
//! A metric source answers a question ([`Answer`]); [`verdict`] judges one answer by the metric's conditions, in CEL;
//! [`tally`] counts verdicts against the metric's limits. A result belongs to one attempt at one weight and is dropped when
//! either has changed.

pub mod condition;
pub mod metric;
mod numbers;
pub mod proportion;
pub mod query;
pub mod run;
pub mod source;
pub mod tally;
pub mod verdict;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use numbers::{Counted, Number, Reporter};

/// Which metric, in which part of the analysis.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricId {
    /// Where it runs.
    pub scope: Scope,
    /// `metrics[].name`.
    pub name: String,
}

/// The part of a release in which a metric is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Scope {
    /// Once before anything moves, with stable in the canary's place.
    Preflight,
    /// Beside the steps.
    Background,
    /// In an analysis step.
    Step,
    /// Once of stable, while a canary that failed is on its way out.
    Comparison,
}

/// What a question was asked for. An answer counts only while this is still what is being asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// The attempt (revision number).
    pub attempt: u64,
    /// The metric.
    pub metric: MetricId,
    /// Since when the measured weight has been in force; the preflight's beginning before that.
    pub since: Timestamp,
    /// Since when the step runs, for step analysis: a repeated step is a new question.
    pub step_since: Option<Timestamp>,
}

/// A question that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What it is for.
    pub token: Token,
    /// Not to be asked before this instant.
    pub due: Timestamp,
    /// The queries with every variable filled in, one or several: all are asked for one instant.
    pub queries: Vec<String>,
    /// Who is asked, with everything filled in.
    pub source: source::Source,
    /// The time that the question is about.
    pub window: std::time::Duration,
    /// How many answers there have been: what is done for one of them is done once.
    pub answered: u32,
    /// What is read of the answer.
    pub reads: Reads,
}

/// What is read of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// The values that there are now.
    Values,
    /// Named numbers of so much time.
    Counts(Span),
    /// Named numbers of the time before a release.
    Baseline,
}

/// Between two looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The end of the look before.
    pub from: Timestamp,
    /// The instant that the source is asked about.
    pub to: Timestamp,
}

/// What the source answered to a question.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The question's token.
    pub token: Token,
    /// When it was answered.
    pub at: Timestamp,
    /// What was to be read of it.
    pub reads: Reads,
    /// What was answered to each of the question's queries, in their order.
    pub parts: Vec<Part>,
}

impl Answer {
    /// The part that a judgement by conditions rests on: the first that has no usable answer, else the first.
    pub fn decisive(&self) -> Option<&Part> {
        let failed = self.parts.iter().find(|part| matches!(part.outcome, Outcome::Error { .. }));
        failed.or_else(|| self.parts.first())
    }
}

/// What was answered to one query.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The query as sent.
    pub query: String,
    /// The answer.
    pub outcome: Outcome,
}

/// An answer before it is judged.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The values of the samples, one a series, never empty.
    Samples(Vec<f64>),
    /// Numbers by their names, never empty.
    Counted(Vec<Counted>),
    /// Something was done, and ended well or not, with what it said.
    Done {
        /// Whether it ended well.
        well: bool,
        /// Its last words.
        words: String,
    },
    /// Answered, without a single sample.
    Empty,
    /// No usable answer.
    Error {
        /// True when asking again cannot help: the query itself is wrong.
        query_is_wrong: bool,
        /// What went wrong, with the source's own words.
        message: String,
    },
}
