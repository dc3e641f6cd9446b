//! Gates as a table.

use jiff::Timestamp;
use leadsman_api::Verdict;

use crate::gates::limit;
use crate::instants::seconds_between;
use crate::line::{Meaning, Span};
use crate::model::{Gate, Measure};
use crate::numbers::{age, whole};
use crate::text::page::{Cell, Page, span};
use crate::text::spark;

/// Measurements that are shown on a narrow terminal.
const FEW: usize = 10;
/// Measurements that are kept.
const MANY: usize = 16;
/// Seconds after which measurements are not those of the last time.
const FRESH: i64 = 120;
/// From so many columns on everything is shown.
pub const WIDE: usize = 110;
/// Column of the limit, which can be a long condition.
const LIMIT: usize = 3;

/// Gates as a table, and below it what those say that did not succeed.
pub fn draw(page: &mut Page<'_>, gates: &[Gate], roles: (&str, &str)) {
    let is_wide = page.style.width >= WIDE;
    let most = if is_wide { MANY } else { FEW };
    let past = |text: &str| Cell::left(text, Meaning::Past);
    let number = |text: &str| Cell::right(text, Meaning::Past);
    let mut rows = vec![vec![
        past("gate"),
        number(roles.1),
        number(roles.0),
        past("limit"),
        number("n"),
        past(&spanned(gates, most, page.now)),
        past("verdict"),
        past(if is_wide { "query" } else { "" }),
    ]];
    rows.extend(gates.iter().map(|gate| row(gate, most, is_wide)));
    page.table(2, rows, Some(LIMIT));
    for gate in gates.iter().filter(|gate| gate.verdict != Some(Verdict::Success) && !gate.message.is_empty()) {
        page.prose(&span(format!("  {}  ", gate.metric), Meaning::Past), &gate.message, Meaning::Plain);
    }
}

fn row(gate: &Gate, most: usize, is_wide: bool) -> Vec<Cell> {
    let value = |measure: Option<&Measure>, meaning| {
        Cell::right(measure.map(|it| it.text.as_str()).unwrap_or_default(), meaning)
    };
    let is_bad = gate.verdict == Some(Verdict::Failure);
    vec![
        Cell::left(&*gate.metric, Meaning::Strong),
        value(gate.value.as_ref(), if is_bad { Meaning::Bad } else { Meaning::Plain }),
        value(gate.stable.as_ref(), Meaning::Plain),
        Cell::left(limit(gate), Meaning::Plain),
        Cell::right(gate.samples.map(whole).unwrap_or_default(), Meaning::Plain),
        Cell::of(spark::of(&gate.recent, most)),
        Cell::of(verdict(gate)),
        Cell::left(if is_wide { one_query(&gate.query) } else { String::new() }, Meaning::Past),
    ]
}

/// A query on one line.
pub fn one_query(query: &str) -> String {
    query.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Over which time the measurements were taken that are shown.
fn spanned(gates: &[Gate], most: usize, now: Timestamp) -> String {
    let taken: Vec<_> =
        gates.iter().flat_map(|gate| gate.recent.iter().rev().take(most)).filter_map(|it| it.at).collect();
    let is_fresh = |newest: &Timestamp| seconds_between(*newest, now) < FRESH;
    match (taken.iter().min(), taken.iter().max().filter(|newest| is_fresh(newest))) {
        (Some(oldest), Some(_)) => format!("last {}", age(seconds_between(*oldest, now))),
        _ => "recent".to_owned(),
    }
}

/// A verdict with its glyph and its counts.
pub fn verdict(gate: &Gate) -> Vec<Span> {
    let passed = gate.measurements.saturating_sub(gate.failed);
    let (glyph, words) = match gate.verdict {
        Some(Verdict::Success) => ("✓", format!("{passed} of {}", gate.measurements)),
        Some(Verdict::Failure) => ("✗", format!("{} of {} failed", gate.failed, gate.measurements)),
        Some(Verdict::Inconclusive) => ("!", "undecided".to_owned()),
        Some(Verdict::NoData) => ("!", "no data".to_owned()),
        Some(Verdict::ProviderError) => ("!", "no answer".to_owned()),
        None => ("·", if gate.measurements == 0 { "none yet" } else { "unknown" }.to_owned()),
    };
    let note = if gate.dry_run { ", dry run" } else { "" };
    vec![span(glyph, spark::meaning(gate.verdict)), span(format!(" {words}{note}"), Meaning::Plain)]
}
