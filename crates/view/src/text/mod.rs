//! What a terminal shows. No line is wider than asked: rows are cut with `…`, sentences go on in the next line.

use jiff::Timestamp;

use crate::line::Line;
use crate::model::{Difference, Explanation, History, Release, Row};
use crate::style::Style;

mod difference;
pub(crate) mod explain;
pub(crate) mod gates;
pub(crate) mod history;
mod list;
mod next;
pub(crate) mod page;
mod release;
mod spark;
mod steps;
pub(crate) mod words;

pub use release::{Section, Topic, joined, sections};

/// Which columns of a list are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// The namespace, first.
    pub namespace: bool,
    /// Commit and message, last, in place of what follows.
    pub wide: bool,
}

/// One Rollout, without its pods.
pub fn release(release: &Release, style: &Style) -> Vec<Line> {
    joined(sections(release, style, false))
}

/// One Rollout in no more lines than a terminal has.
pub fn fitted(release: &Release, style: &Style, with_pods: bool, height: usize) -> Vec<Line> {
    release::fitted(release, style, with_pods, height)
}

/// A list of Rollouts, in the order that it has.
pub fn list(rows: &[Row], now: Timestamp, style: &Style, columns: Columns) -> Vec<Line> {
    list::draw(rows, now, style, columns)
}

/// The attempts of a Rollout.
pub fn history(history: &History, style: &Style) -> Vec<Line> {
    history::draw(history, style)
}

/// Why, on about a screen: what is long is cut, and says so. The first two lines, where there is room, answer the question.
pub fn explain(explanation: &Explanation, style: &Style) -> Vec<Line> {
    explain::draw(explanation, style, &explain::SCREEN)
}

/// The same with everything that is known, and what happened when.
pub fn explain_all(explanation: &Explanation, style: &Style) -> Vec<Line> {
    explain::draw(explanation, style, &explain::WITHOUT_END)
}

/// What differs.
pub fn difference(difference: &Difference, style: &Style) -> Vec<Line> {
    difference::draw(difference, style)
}
