//! A line as it is shown: text with a few meanings, which a terminal shows as colours.

use crate::style::Style;

/// What a piece of text means. Sixteen colours at most, and never the only carrier of a meaning: a glyph or a word stands
/// beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing in particular.
    #[default]
    Plain,
    /// What one looks for first.
    Strong,
    /// Done, passed.
    Good,
    /// On its way.
    Moving,
    /// Waits, or is held.
    Waiting,
    /// Rolled back, failed.
    Bad,
    /// Over, or beside the point.
    Past,
}

impl Meaning {
    /// The escape sequence that begins it; empty for plain text.
    fn begin(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Strong => "\u{1b}[1m",
            Self::Good => "\u{1b}[32m",
            Self::Moving => "\u{1b}[34m",
            Self::Waiting => "\u{1b}[33m",
            Self::Bad => "\u{1b}[31m",
            Self::Past => "\u{1b}[90m",
        }
    }
}

/// A piece of text with one meaning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The text: no control characters.
    pub text: String,
    /// What it means.
    pub meaning: Meaning,
}

/// A line, no wider than its style asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Its pieces, from left to right.
    pub spans: Vec<Span>,
}

impl Line {
    /// The text alone.
    pub fn plain(&self) -> String {
        self.spans.iter().map(|span| span.text.as_str()).collect()
    }

    /// The text with escape sequences for its colours.
    pub fn ansi(&self) -> String {
        let coloured = |span: &Span| match span.meaning.begin() {
            "" => span.text.clone(),
            begin => format!("{begin}{}\u{1b}[0m", span.text),
        };
        self.spans.iter().map(coloured).collect()
    }

    /// The text as this style shows it.
    pub fn drawn(&self, style: &Style) -> String {
        if style.colour { self.ansi() } else { self.plain() }
    }

    /// True without any text.
    pub fn is_empty(&self) -> bool {
        self.spans.iter().all(|span| span.text.is_empty())
    }
}
