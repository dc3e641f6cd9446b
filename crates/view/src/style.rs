//! How something is shown: how wide, by which characters, in which zone.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use leadsman_core::text::one_line;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How something is shown.
#[derive(Clone, Debug)]
pub struct Style {
    /// Columns of the terminal. No line is wider.
    pub width: usize,
    /// Which characters can be shown.
    pub charset: Charset,
    /// Whether colours are shown.
    pub colour: bool,
    /// The reader's zone, in which instants are said.
    pub zone: TimeZone,
}

/// Which characters can be shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Charset {
    /// All of them.
    #[default]
    Unicode,
    /// Those of ASCII; others are replaced.
    Ascii,
}

impl Default for Style {
    /// 80 columns of plain text in UTC.
    fn default() -> Self {
        Self { width: 80, charset: Charset::Unicode, colour: false, zone: TimeZone::UTC }
    }
}

impl Style {
    /// A text in the characters of this style. What a terminal would obey is made visible.
    pub(crate) fn say(&self, text: &str) -> String {
        let shown = |character: char| match (self.charset, is_obeyed(character)) {
            (Charset::Ascii, false) if !character.is_ascii() => ascii(character).to_owned(),
            (_, false) => character.to_string(),
            (Charset::Ascii, true) => "?".to_owned(),
            (Charset::Unicode, true) => char::REPLACEMENT_CHARACTER.to_string(),
        };
        text.chars().map(shown).collect()
    }

    /// What stands where something was cut off.
    pub(crate) fn cut_mark(&self) -> &'static str {
        if self.charset == Charset::Ascii { "~" } else { "…" }
    }

    /// A time of day, with the date before it where that is another day than that of `now`.
    pub(crate) fn clock(&self, at: Timestamp, now: Timestamp) -> String {
        let (at, now) = (at.to_zoned(self.zone.clone()), now.to_zoned(self.zone.clone()));
        let form = match (at.date() == now.date(), at.year() == now.year()) {
            (true, _) => "%H:%M:%S",
            (false, true) => "%b %-d %H:%M:%S",
            (false, false) => "%Y-%m-%d %H:%M:%S",
        };
        at.strftime(form).to_string()
    }

    /// A day and a time to the minute, as in a table: today 12:00, Nov 24 09:12, or 2025-11-24.
    pub(crate) fn day(&self, at: Timestamp, now: Timestamp) -> String {
        let (at, now) = (at.to_zoned(self.zone.clone()), now.to_zoned(self.zone.clone()));
        let form = match (at.date() == now.date(), at.year() == now.year()) {
            (true, _) => "today %H:%M",
            (false, true) => "%b %e %H:%M",
            (false, false) => "%Y-%m-%d",
        };
        at.strftime(form).to_string()
    }
}

/// Columns that a text takes.
pub(crate) fn columns(text: &str) -> usize {
    text.width()
}

/// As much of a text as fits into so many columns.
pub(crate) fn fitting(text: &str, most: usize) -> &str {
    let mut used = 0;
    for (index, character) in text.char_indices() {
        used += character.width().unwrap_or(0);
        if used > most {
            return text.get(..index).unwrap_or_default();
        }
    }
    text
}

/// True for what a terminal or a reader would obey: control characters, and marks that turn the direction of writing.
fn is_obeyed(character: char) -> bool {
    if character.is_ascii() {
        return character.is_control();
    }
    character.is_control() || one_line(character.encode_utf8(&mut [0; 4]), 1).starts_with(char::REPLACEMENT_CHARACTER)
}

/// What stands for a character where there is ASCII only.
fn ascii(character: char) -> &'static str {
    match character {
        '●' => "*",
        '✓' => "ok",
        '✗' | '×' | '✕' => "x",
        '‖' => "||",
        '·' => ".",
        '▶' => ">",
        '↷' => "~",
        '█' => "#",
        '▁' | '▂' => "_",
        '▃' | '▄' | '▅' | '–' | '—' => "-",
        '▆' | '▇' => "^",
        '→' => "->",
        '≤' => "<=",
        '≥' => ">=",
        '…' => "...",
        '│' => "|",
        '“' | '”' => "\"",
        '‘' | '’' => "'",
        _ => "?",
    }
}
