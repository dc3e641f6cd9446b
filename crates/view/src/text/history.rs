//! The attempts of a Rollout.

use crate::line::{Line, Meaning};
use crate::model::{Attempt, History};
use crate::numbers::narrow;
use crate::style::Style;
use crate::text::page::{Cell, Page, span};

/// The attempts as a table.
pub fn draw(history: &History, style: &Style) -> Vec<Line> {
    let mut page = Page::new(style, history.at);
    let head = |text: &str| Cell::left(text, Meaning::Past);
    let number = |text: &str| Cell::right(text, Meaning::Past);
    let heading = vec![
        number("REV"),
        head("OUTCOME"),
        head("IMAGE"),
        head("COMMIT"),
        head("BEGAN"),
        number("TOOK"),
        number("MAX"),
        head("WHY"),
    ];
    if history.attempts.is_empty() {
        page.prose(
            &span("", Meaning::Plain),
            &format!("no attempt of {} is known: no report is kept, and none was rejected", history.name),
            Meaning::Plain,
        );
        return page.into_lines();
    }
    let rows = std::iter::once(heading).chain(history.attempts.iter().map(|attempt| row(&page, attempt))).collect();
    page.table(0, rows, None);
    let (known, total, kept) = (history.attempts.len(), history.total, history.kept);
    page.line(vec![span(format!("{known} of {total} attempts; {kept} are kept (reportHistoryLimit)"), Meaning::Past)]);
    page.into_lines()
}

fn row(page: &Page<'_>, attempt: &Attempt) -> Vec<Cell> {
    let plain = |text: &str| Cell::left(text, Meaning::Plain);
    let (glyph, meaning) = outcome(&attempt.outcome);
    vec![
        Cell::right(attempt.revision.to_string(), Meaning::Strong),
        Cell::of(vec![span(glyph, meaning), span(format!(" {}", attempt.outcome), meaning)]),
        plain(&attempt.version),
        plain(attempt.commit.as_deref().unwrap_or_default()),
        plain(&attempt.began_at.map(|at| page.style.day(at, page.now)).unwrap_or_default()),
        Cell::right(attempt.took_seconds.map(narrow).unwrap_or_default(), Meaning::Plain),
        Cell::right(attempt.most_weight.map(|most| format!("{most}%")).unwrap_or_default(), Meaning::Plain),
        plain(&attempt.why),
    ]
}

/// What an outcome looks like.
pub fn outcome(outcome: &str) -> (&'static str, Meaning) {
    match outcome {
        "Promoted" | "First" => ("✓", Meaning::Good),
        "RolledBack" | "Aborted" => ("✗", Meaning::Bad),
        "Progressing" => ("●", Meaning::Moving),
        _ => ("↷", Meaning::Past),
    }
}
