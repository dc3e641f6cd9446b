//! The terminal: lines that stay, and below them a panel that is drawn anew in place. Where output is no terminal, only
//! lines.

use std::io::{IsTerminal as _, Write as _, stdout};
use std::process::{Command, Stdio};

/// Columns where nobody says how many there are.
const USUAL_WIDTH: usize = 100;
const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";
/// What is longer than a line is cut off instead of going on in the next one.
const CUT: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

/// Standard output.
#[derive(Debug)]
pub(super) struct Screen {
    /// Whether somebody looks at it as it goes.
    pub is_live: bool,
    /// Columns.
    pub width: usize,
    drawn: usize,
}

impl Screen {
    pub(super) fn new() -> Self {
        let is_live = stdout().is_terminal();
        Self { is_live, width: if is_live { columns() } else { USUAL_WIDTH }, drawn: 0 }
    }

    /// A line that stays, above the panel.
    pub(super) fn line(&mut self, line: &str) {
        self.erase();
        say(&format!("{line}\n"));
    }

    /// The panel, in place of what it was.
    pub(super) fn panel(&mut self, lines: &[String]) {
        if !self.is_live {
            return;
        }
        self.width = columns();
        let up = if self.drawn > 0 { format!("\x1b[{}A\r", self.drawn) } else { String::new() };
        // Line by line, each cleared behind its end: a panel that is cleared first would flicker.
        let lines_drawn: Vec<_> = lines.iter().map(|line| format!("{line}\x1b[0m\x1b[K\n")).collect();
        say(&format!("{HIDE_CURSOR}{CUT}{up}{}\x1b[J{WRAP}", lines_drawn.concat()));
        self.drawn = lines.len();
    }

    /// Leaves the panel where it is; lines and panels go on below.
    pub(super) fn keep_panel(&mut self) {
        self.drawn = 0;
        if self.is_live {
            say(SHOW_CURSOR);
        }
    }

    fn erase(&mut self) {
        if self.drawn > 0 {
            say(&format!("\x1b[{}A\r\x1b[J", self.drawn));
            self.drawn = 0;
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.keep_panel();
    }
}

/// A reader that is gone is no reason to stop.
fn say(text: &str) {
    let mut output = stdout().lock();
    let _ = output.write_all(text.as_bytes());
    let _ = output.flush();
}

fn columns() -> usize {
    let said = Command::new("stty").arg("size").stdin(Stdio::inherit()).stderr(Stdio::null()).output();
    let said = said.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    said.split_whitespace().nth(1).and_then(|columns| columns.parse().ok()).filter(|it| *it > 0).unwrap_or(USUAL_WIDTH)
}
