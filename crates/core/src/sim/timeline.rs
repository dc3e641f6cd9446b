//! What happened in a run, as people read it: one line for whatever changed something, from its beginning.

use jiff::Timestamp;

use super::laws::short;
use super::process::Passed;
use crate::plan::Persist;

/// Lines that are printed of a long run: the last ones.
const SHOWN: usize = 60;

/// A run, told.
#[derive(Default)]
pub(super) struct Timeline {
    began: Timestamp,
    lines: Vec<String>,
    last: String,
}

impl Timeline {
    /// A timeline that counts from this instant.
    pub(super) fn from(began: Timestamp) -> Self {
        Self { began, ..Self::default() }
    }

    /// Something in the cluster.
    pub(super) fn note(&mut self, now: Timestamp, what: impl std::fmt::Display) {
        let after = now.duration_since(self.began);
        let (minutes, seconds) = (after.as_secs() / 60, after.as_secs() % 60);
        self.lines.push(format!("{minutes:>3}:{seconds:02}.{:03}  {what}", after.subsec_millis()));
    }

    /// A pass of the operator, unless it is like the one before and does nothing.
    pub(super) fn pass(&mut self, now: Timestamp, passed: &Passed) {
        let state = passed.plan.state.as_ref().map(short).unwrap_or_default();
        let quiet = passed.plan.persist != Persist::Now && passed.wrote.is_empty() && !passed.crashed;
        if quiet && state == self.last {
            return;
        }
        self.note(now, format!("pass {state}"));
        self.last = state;
        for fact in &passed.plan.facts {
            self.more(&format!("says {}: {fact}", fact.reason()));
        }
        for action in &passed.wrote {
            self.more(&format!("does {action}"));
        }
        if passed.crashed {
            self.more("CRASHES");
        } else {
            self.more(&format!("waits {}", passed.plan.report.message));
        }
    }

    /// A pass of an operator that does not lead any more.
    pub(super) fn ghost(&mut self, now: Timestamp, passed: &Passed) {
        let wrote: Vec<_> = passed.wrote.iter().map(ToString::to_string).collect();
        self.note(now, format!("FORMER LEADER does {}", wrote.join(", ")));
    }

    fn more(&mut self, what: &str) {
        self.lines.push(format!("{:12}{what}", ""));
    }
}

impl std::fmt::Display for Timeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let left_out = self.lines.len().saturating_sub(SHOWN);
        if left_out > 0 {
            writeln!(f, "  ... {left_out} lines ...")?;
        }
        self.lines.iter().skip(left_out).try_for_each(|line| writeln!(f, "{line}"))
    }
}
