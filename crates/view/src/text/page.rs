//! The page that text is drawn on: rows that are cut, tables, and sentences that go on in the next line.
//!
//! Characters are turned into those of the charset before anything is measured, so that columns stand below each other in
//! ASCII as well.

use jiff::Timestamp;

use crate::instants::localized;
use crate::line::{Line, Meaning, Span};
use crate::style::{Style, columns, fitting};

/// Columns between two columns of a table.
const GAP: usize = 2;
/// A column that gives way keeps so much.
const LEAST: usize = 6;

/// Lines of one width.
pub struct Page<'a> {
    /// How it is shown.
    pub style: &'a Style,
    /// The instant that it is about.
    pub now: Timestamp,
    lines: Vec<Line>,
}

/// A cell of a table.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    spans: Vec<Span>,
    is_right: bool,
}

/// A piece of text with a meaning.
pub fn span(text: impl Into<String>, meaning: Meaning) -> Span {
    Span { text: text.into(), meaning }
}

impl Cell {
    /// Text that begins at the left of its column.
    pub fn left(text: impl Into<String>, meaning: Meaning) -> Self {
        Self { spans: vec![span(text, meaning)], is_right: false }
    }

    /// Text that ends at the right of its column, as numbers do.
    pub fn right(text: impl Into<String>, meaning: Meaning) -> Self {
        Self { spans: vec![span(text, meaning)], is_right: true }
    }

    /// Pieces of several meanings.
    pub fn of(spans: Vec<Span>) -> Self {
        Self { spans, is_right: false }
    }

    /// Columns that it takes.
    pub fn columns(&self, style: &Style) -> usize {
        self.spans.iter().map(|span| columns(&style.say(&span.text))).sum()
    }

    fn is_empty(&self) -> bool {
        self.spans.iter().all(|span| span.text.is_empty())
    }
}

impl<'a> Page<'a> {
    /// An empty page.
    pub fn new(style: &'a Style, now: Timestamp) -> Self {
        Self { style, now, lines: Vec::new() }
    }

    /// What was drawn.
    pub fn into_lines(self) -> Vec<Line> {
        self.lines
    }

    /// Lines that were drawn for themselves.
    pub fn append(&mut self, mut lines: Vec<Line>) {
        self.lines.append(&mut lines);
    }

    /// An instant in the reader's zone.
    pub fn clock(&self, at: Timestamp) -> String {
        self.style.clock(at, self.now)
    }

    /// A sentence with its instants in the reader's zone.
    pub fn localized(&self, text: &str) -> String {
        localized(text, self.now, self.style)
    }

    /// Whether so many texts fit into one line.
    pub fn has_room(&self, texts: &[&str]) -> bool {
        texts.iter().map(|text| columns(&self.style.say(text))).sum::<usize>() <= self.style.width
    }

    /// An empty line, unless one was just drawn.
    pub fn blank(&mut self) {
        if self.lines.last().is_some_and(|line| !line.is_empty()) {
            self.lines.push(Line::default());
        }
    }

    /// A line, cut where it is too wide.
    pub fn line(&mut self, spans: Vec<Span>) {
        let spans = self.said(spans);
        self.lines.push(Line { spans: self.cut(spans, self.style.width) });
    }

    /// One text at the left, another at the right; below each other where there is no room for both.
    pub fn ends(&mut self, left: Vec<Span>, right: Vec<Span>) {
        let (mut left, right) = (self.said(left), self.said(right));
        let (used, needed) = (wide(&left), wide(&right));
        if used + GAP + needed > self.style.width {
            self.lines.push(Line { spans: self.cut(left, self.style.width) });
            self.lines.push(Line { spans: self.cut(right, self.style.width) });
            return;
        }
        left.push(span(" ".repeat(self.style.width - used - needed), Meaning::Plain));
        left.extend(right);
        self.lines.push(Line { spans: left });
    }

    /// Sentences behind a label: the first line begins with it, the others with as much space.
    pub fn prose(&mut self, label: &Span, text: &str, meaning: Meaning) {
        let label = span(self.style.say(&label.text), label.meaning);
        let indent = columns(&label.text);
        let room = self.style.width.saturating_sub(indent).max(LEAST);
        let mut label = Some(label);
        for part in wrapped(&self.style.say(&self.localized(text)), room) {
            let begin = label.take().unwrap_or_else(|| span(" ".repeat(indent), Meaning::Plain));
            let spans = self.cut(vec![begin, span(part, meaning)], self.style.width);
            self.lines.push(Line { spans });
        }
    }

    /// Rows in columns below each other. Columns without any text are left out; where there is no room, the column `gives_way`
    /// is cut first, then each row at its end.
    pub fn table(&mut self, indent: usize, rows: Vec<Vec<Cell>>, gives_way: Option<usize>) {
        self.columns(indent, rows, gives_way, true);
    }

    /// Cells in columns below each other, without headings.
    pub fn grid(&mut self, indent: usize, rows: Vec<Vec<Cell>>) {
        self.columns(indent, rows, None, false);
    }

    fn columns(&mut self, indent: usize, mut rows: Vec<Vec<Cell>>, gives_way: Option<usize>, is_headed: bool) {
        for cell in rows.iter_mut().flatten() {
            cell.spans = self.said(std::mem::take(&mut cell.spans));
        }
        let mut widths = widths(&rows, is_headed);
        let total: usize = indent + widths.iter().filter(|width| **width > 0).map(|width| width + GAP).sum::<usize>();
        let over = total.saturating_sub(GAP + self.style.width);
        if let Some(width) = gives_way.and_then(|index| widths.get_mut(index)) {
            *width = width.saturating_sub(over).max(LEAST.min(*width));
        }
        for row in rows {
            let spans = self.row(indent, row, &widths);
            self.lines.push(Line { spans: self.cut(spans, self.style.width) });
        }
    }

    fn row(&self, indent: usize, cells: Vec<Cell>, widths: &[usize]) -> Vec<Span> {
        let mut spans = vec![span(" ".repeat(indent), Meaning::Plain)];
        let mut owed = 0;
        for (cell, width) in cells.into_iter().zip(widths).filter(|(_, width)| **width > 0) {
            let (is_right, content) = (cell.is_right, self.cut(cell.spans, *width));
            let room = width.saturating_sub(wide(&content));
            let is_empty = content.iter().all(|it| it.text.is_empty());
            let before = owed + if is_right { room } else { 0 };
            owed = GAP + if is_right { 0 } else { room };
            if is_empty {
                owed += before;
                continue;
            }
            spans.push(span(" ".repeat(before), Meaning::Plain));
            spans.extend(content);
        }
        spans.retain(|it| !it.text.is_empty());
        spans
    }

    fn said(&self, spans: Vec<Span>) -> Vec<Span> {
        spans.into_iter().map(|it| span(self.style.say(&it.text), it.meaning)).collect()
    }

    /// As much as fits, with a mark where something is missing.
    fn cut(&self, spans: Vec<Span>, most: usize) -> Vec<Span> {
        if wide(&spans) <= most {
            return spans;
        }
        let mark = self.style.cut_mark();
        let mut room = most.saturating_sub(columns(mark));
        let mut kept = Vec::new();
        for it in spans {
            let fits = fitting(&it.text, room);
            room -= columns(fits);
            let is_cut = fits.len() < it.text.len();
            kept.push(span(fits, it.meaning));
            if is_cut {
                break;
            }
        }
        if most >= columns(mark) {
            kept.push(span(mark, Meaning::Past));
        }
        kept
    }
}

fn wide(spans: &[Span]) -> usize {
    spans.iter().map(|span| columns(&span.text)).sum()
}

/// Columns that each column needs; 0 for those that are empty but for their heading.
fn widths(rows: &[Vec<Cell>], is_headed: bool) -> Vec<usize> {
    let count = rows.iter().map(Vec::len).max().unwrap_or_default();
    let cells = |index: usize| rows.iter().filter_map(move |row| row.get(index));
    let has_text = |index: usize| cells(index).skip(usize::from(is_headed)).any(|cell| !cell.is_empty());
    let width = |index: usize| cells(index).map(|cell| wide(&cell.spans)).max().unwrap_or_default();
    (0..count).map(|index| if has_text(index) { width(index) } else { 0 }).collect()
}

/// A text in lines of at most so many columns, broken between words; a word that is too long is broken where it must.
fn wrapped(text: &str, most: usize) -> Vec<String> {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for mut word in text.split_whitespace() {
        let needed = columns(&line) + usize::from(!line.is_empty()) + columns(word);
        if needed > most && !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        while columns(word) > most {
            let part = fitting(word, most);
            if part.is_empty() {
                break;
            }
            lines.push(part.to_owned());
            word = word.get(part.len()..).unwrap_or_default();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_break_between_words_and_long_words_where_they_must() {
        assert_eq!(wrapped("all on 1.4.1; nothing was sent", 14), ["all on 1.4.1;", "nothing was", "sent"]);
        assert_eq!(wrapped("a abcdefghij b", 4), ["a", "abcd", "efgh", "ij b"]);
        assert_eq!(wrapped("", 4), [""; 0]);
    }

    #[test]
    fn a_wide_character_takes_two_columns() {
        assert_eq!(wrapped("日本語", 4), ["日本", "語"]);
    }

    fn drawn(style: &Style, draw: impl Fn(&mut Page<'_>)) -> Vec<String> {
        let mut page = Page::new(style, Timestamp::UNIX_EPOCH);
        draw(&mut page);
        page.into_lines().iter().map(Line::plain).collect()
    }

    #[test]
    fn rows_are_cut_and_say_so() {
        let style = Style { width: 8, ..Style::default() };
        let row = |page: &mut Page<'_>| page.line(vec![span("0123", Meaning::Plain), span("456789", Meaning::Bad)]);
        assert_eq!(drawn(&style, row), ["0123456…"]);
    }

    #[test]
    fn the_column_that_gives_way_is_cut_before_the_others() {
        let style = Style { width: 20, ..Style::default() };
        let table = |page: &mut Page<'_>| {
            let cell = |text: &str| Cell::left(text, Meaning::Plain);
            page.table(
                0,
                vec![
                    vec![cell("A"), cell("NONE"), cell("B"), cell("C")],
                    vec![cell("a"), cell(""), cell("long enough"), cell("verdict")],
                ],
                Some(2),
            );
        };
        assert_eq!(drawn(&style, table), ["A  B         C", "a  long en…  verdict"]);
    }
}
