//! The steps on one line: where there is no room for all of them, those around the present one.

use crate::line::{Meaning, Span};
use crate::model::{Release, Step, StepState};
use crate::style::columns;
use crate::text::gates;
use crate::text::page::{Page, span};

/// Columns between two steps.
const GAP: &str = "   ";
/// Room for how many are left out at either end.
const MARGIN: usize = 28;

/// The steps.
pub fn draw(page: &mut Page<'_>, release: &Release) {
    if release.steps.is_empty() {
        return;
    }
    let items: Vec<Vec<Span>> = release.steps.iter().map(|step| item(page, step)).collect();
    let widths: Vec<usize> = items
        .iter()
        .map(|item| item.iter().map(|it| columns(&page.style.say(&it.text))).sum::<usize>() + GAP.len())
        .collect();
    let present = release.steps.iter().position(|step| matches!(step.state, StepState::Now | StepState::Failed));
    let (from, upto) = window(&widths, present.unwrap_or_default(), page.style.width);
    let mut spans = vec![span("  ", Meaning::Plain)];
    if from > 0 {
        spans.push(span(format!("✓ {from} done{GAP}"), Meaning::Good));
    }
    for item in items.into_iter().take(upto).skip(from) {
        spans.extend(item);
        spans.push(span(GAP, Meaning::Plain));
    }
    match widths.len() - upto {
        0 => drop(spans.pop()),
        more => spans.push(span(format!("· {more} more"), Meaning::Past)),
    }
    page.line(spans);
}

fn item(page: &Page<'_>, step: &Step) -> Vec<Span> {
    let is_wide = page.style.width >= gates::WIDE;
    let (glyph, meaning) = match step.state {
        StepState::Done => ("✓", Meaning::Good),
        StepState::Now => ("▶", Meaning::Moving),
        StepState::Failed => ("✗", Meaning::Bad),
        StepState::ToCome => ("·", Meaning::Past),
    };
    let until = step.until.filter(|_| is_wide).map(|at| format!(" until {}", page.clock(at))).unwrap_or_default();
    let words = if is_wide { &step.words } else { &step.short };
    let told = if step.state == StepState::Now { Meaning::Strong } else { Meaning::Plain };
    vec![span(glyph, meaning), span(format!(" {words}{until}"), told)]
}

/// The first step that is shown, and the one after the last.
fn window(widths: &[usize], present: usize, width: usize) -> (usize, usize) {
    if widths.iter().sum::<usize>() <= width {
        return (0, widths.len());
    }
    let room = width.saturating_sub(MARGIN);
    let (mut from, mut upto) = (present, (present + 1).min(widths.len()));
    let mut used = widths.get(present).copied().unwrap_or_default();
    loop {
        let after = widths.get(upto).copied().filter(|it| used + it <= room);
        if let Some(more) = after {
            (used, upto) = (used + more, upto + 1);
        }
        let before = from.checked_sub(1).and_then(|index| widths.get(index).copied()).filter(|it| used + it <= room);
        if let Some(more) = before {
            (used, from) = (used + more, from - 1);
        }
        if after.is_none() && before.is_none() {
            return (from, upto);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_around_the_present_one_are_shown_where_there_is_no_room_for_all() {
        assert_eq!(window(&[10; 7], 3, 80), (0, 7));
        assert_eq!(window(&[10; 20], 10, 80), (8, 13));
        assert_eq!(window(&[10; 20], 0, 80), (0, 5));
        assert_eq!(window(&[10; 20], 19, 80), (15, 20));
        assert_eq!(window(&[100; 3], 1, 80), (1, 2));
    }
}
