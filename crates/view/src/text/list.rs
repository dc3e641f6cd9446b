//! A list of Rollouts.

use jiff::Timestamp;

use crate::instants::seconds_between;
use crate::line::{Line, Meaning};
use crate::model::Row;
use crate::numbers::{age, duration};
use crate::phases;
use crate::style::Style;
use crate::text::page::{Cell, Page, span};
use crate::text::{Columns, words};

/// The list as a table.
pub fn draw(rows: &[Row], now: Timestamp, style: &Style, columns: Columns) -> Vec<Line> {
    let mut page = Page::new(style, now);
    let head = |text: &str| Cell::left(text, Meaning::Past);
    let mut names = if columns.namespace { vec![head("NAMESPACE")] } else { Vec::new() };
    names.extend(["NAME", "PHASE", "STEP"].map(head));
    names.push(Cell::right("WEIGHT", Meaning::Past));
    names.extend(["STABLE", "NEW", "READY"].map(head));
    names.push(Cell::right("SINCE", Meaning::Past));
    names.extend(if columns.wide { vec![head("COMMIT"), head("MESSAGE")] } else { vec![head("NEXT")] });
    let table = std::iter::once(names).chain(rows.iter().map(|it| row(&page, it, columns))).collect();
    page.table(0, table, None);
    page.into_lines()
}

fn row(page: &Page<'_>, row: &Row, columns: Columns) -> Vec<Cell> {
    let plain = |text: &str| Cell::left(text, Meaning::Plain);
    let meaning = words::meaning(row.phase);
    let phase = vec![
        span(phases::glyph(row.phase), meaning),
        span(format!(" {}", phases::word(row.phase, row.is_seen)), meaning),
    ];
    let step = row.step.map(|step| format!("{}/{}", step.index.saturating_add(1).min(step.of), step.of));
    let mut cells = if columns.namespace { vec![plain(&row.namespace)] } else { Vec::new() };
    cells.extend([
        Cell::left(&*row.name, Meaning::Strong),
        Cell::of(phase),
        plain(&step.unwrap_or_default()),
        Cell::right(row.weight.map(|weight| format!("{weight}%")).unwrap_or_default(), Meaning::Plain),
        plain(row.stable.as_deref().unwrap_or_default()),
        plain(row.canary.as_deref().unwrap_or_default()),
        plain(&ready(row)),
        Cell::right(row.since.map(|since| age(seconds_between(since, page.now))).unwrap_or_default(), Meaning::Plain),
    ]);
    if columns.wide {
        cells.push(plain(row.commit.as_deref().unwrap_or_default()));
        cells.push(plain(&page.localized(&row.message)));
        return cells;
    }
    cells.push(plain(&match row.next_at {
        Some(at) if at <= page.now => "due".to_owned(),
        Some(at) => format!("in {}", duration(seconds_between(page.now, at))),
        None => row.next.clone(),
    }));
    cells
}

/// `4+1/4`: ready pods of what serves and of what is on trial, of those that are asked for.
fn ready(row: &Row) -> String {
    let (Some(stable), Some(replicas)) = (row.ready_stable, row.replicas) else { return String::new() };
    let trial = row.ready_canary.map(|ready| format!("+{ready}")).unwrap_or_default();
    format!("{stable}{trial}/{replicas}")
}
