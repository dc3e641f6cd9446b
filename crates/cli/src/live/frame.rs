//! A frame that is redrawn in place on the normal screen: only lines that changed are written, in one go, and the last frame
//! stays.
//!
//! The cursor rests at the end of the frame's last line, so that what a program or a shell writes next comes below it. The
//! terminal is as it was before, however this ends.

use std::fmt::Write;
use std::io::Write as _;
use std::sync::Once;

use crossterm::cursor::{Hide, MoveToColumn, MoveUp, RestorePosition, SavePosition, Show};
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, disable_raw_mode, enable_raw_mode,
};
use crossterm::{Command, execute};

/// A frame on the terminal.
pub(super) struct Frame {
    columns: u16,
    lines: u16,
    drawn: Vec<String>,
    is_raw: bool,
}

impl Frame {
    /// Takes the terminal over: keys come one by one, the cursor is hidden. A panic gives it back first.
    pub fn begin(size: (u16, u16)) -> Self {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                give_back();
                before(panic);
            }));
        });
        let mut frame = Self::of(size);
        frame.is_raw = enable_raw_mode().is_ok();
        frame
    }

    fn of((columns, lines): (u16, u16)) -> Self {
        Self { columns, lines, drawn: Vec::new(), is_raw: false }
    }

    /// Columns of the terminal.
    pub fn width(&self) -> usize {
        usize::from(self.columns.max(1))
    }

    /// Lines of the terminal.
    pub fn height(&self) -> usize {
        usize::from(self.lines.max(1))
    }

    /// The terminal has another size: where lines broke is not known any more, so all of them are written anew.
    pub fn resize(&mut self, (columns, lines): (u16, u16)) {
        (self.columns, self.lines) = (columns, lines);
        self.drawn.iter_mut().for_each(String::clear);
        // What was above the screen's top cannot be reached.
        self.drawn.truncate(self.height());
    }

    /// What turns the frame that is there into this one.
    pub fn update(&mut self, lines: &[String]) -> String {
        let lines = lines.get(..lines.len().min(self.height())).unwrap_or_default();
        let mut out = String::new();
        say(&mut out, &BeginSynchronizedUpdate);
        say(&mut out, &Hide);
        self.go_to_top(&mut out);
        for (index, line) in lines.iter().enumerate() {
            if index > 0 {
                out.push_str("\r\n");
            }
            // The last line is written always: the cursor has to end behind it.
            if self.drawn.get(index) != Some(line) || line.is_empty() || index + 1 == lines.len() {
                say(&mut out, &MoveToColumn(0));
                say(&mut out, &Clear(ClearType::UntilNewLine));
                out.push_str(line);
            }
        }
        if self.drawn.len() > lines.len() {
            say(&mut out, &SavePosition);
            out.push_str("\r\n");
            say(&mut out, &Clear(ClearType::FromCursorDown));
            say(&mut out, &RestorePosition);
        }
        say(&mut out, &EndSynchronizedUpdate);
        self.drawn = lines.to_vec();
        out
    }

    /// The last frame in full, whatever its height, and the terminal as it was.
    pub fn end(&mut self, lines: &[String]) -> String {
        let mut out = String::new();
        say(&mut out, &BeginSynchronizedUpdate);
        self.go_to_top(&mut out);
        say(&mut out, &Clear(ClearType::FromCursorDown));
        out.extend(lines.iter().flat_map(|line| [line, "\r\n"]));
        say(&mut out, &Show);
        say(&mut out, &EndSynchronizedUpdate);
        self.drawn.clear();
        self.leave_raw();
        out
    }

    fn go_to_top(&self, out: &mut String) {
        say(out, &MoveToColumn(0));
        let up = u16::try_from(self.drawn.len().saturating_sub(1)).unwrap_or(u16::MAX);
        if up > 0 {
            say(out, &MoveUp(up));
        }
    }

    fn leave_raw(&mut self) {
        if std::mem::take(&mut self.is_raw) {
            // Where even that fails, there is no terminal any more.
            let _ = disable_raw_mode();
        }
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        if self.is_raw {
            give_back();
        }
    }
}

fn give_back() {
    let _ = disable_raw_mode();
    let _ = execute!(std::io::stdout(), EndSynchronizedUpdate, Show);
    let _ = std::io::stdout().flush();
}

/// Writing into a text cannot fail.
fn say(out: &mut String, command: &impl Command) {
    let mut sequence = String::new();
    let _ = command.write_ansi(&mut sequence);
    let _ = out.write_str(&sequence);
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Terminal(vt100::Parser);

    impl Terminal {
        fn new(lines: u16, columns: u16) -> Self {
            Self(vt100::Parser::new(lines, columns, 10_000))
        }

        fn process(&mut self, text: &str) {
            self.0.process(text.as_bytes());
        }

        fn shows(&self) -> String {
            self.0.screen().contents()
        }

        fn scrolled(&mut self) -> usize {
            self.0.screen_mut().set_scrollback(usize::MAX);
            let scrolled = self.0.screen().scrollback();
            self.0.screen_mut().set_scrollback(0);
            scrolled
        }
    }

    fn lines(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn a_thousand_updates_leave_one_frame() {
        let (mut terminal, mut frame) = (Terminal::new(24, 80), Frame::of((80, 24)));
        terminal.process("$ kubectl leadsman get cart -w\r\n");
        for update in 0..1_000_usize {
            let height = 10 + update % 14;
            let drawn: Vec<String> = (0..height).map(|line| "x".repeat((line * update) % 81)).collect();
            terminal.process(&frame.update(&drawn));
            let shown: Vec<_> = terminal.shows().lines().map(str::to_owned).collect();
            let tail = shown.get(shown.len().saturating_sub(1)).cloned().unwrap_or_default();
            if let Some(last) = drawn.iter().rev().find(|line| !line.is_empty()) {
                assert_eq!(tail, *last, "update {update}");
            }
        }
        terminal.process(&frame.end(&lines(&["the end"])));
        assert!(terminal.scrolled() <= 24, "{}", terminal.scrolled());
        assert!(terminal.shows().contains("the end") && !terminal.shows().contains("xx"), "{}", terminal.shows());
        assert!(!terminal.0.screen().hide_cursor());
    }

    #[test]
    fn a_frame_looks_the_same_drawn_at_once_or_by_its_changes() {
        let frames = [
            lines(&["head", "  ✓ 5%", "", "next in 42s"]),
            lines(&["head", "  ✓ 5%   ▶ 20%", "next in 41s"]),
            lines(&["head"]),
            lines(&["head", "a", "b", "c", "d", &"w".repeat(20)]),
            lines(&["head", "a", "b", &"w".repeat(20)]),
            lines(&["head", "b", "a", "the last"]),
            lines(&["head", "c", "d", "the last"]),
        ];
        let (mut terminal, mut frame) = (Terminal::new(6, 20), Frame::of((20, 6)));
        for drawn in &frames {
            terminal.process(&frame.update(drawn));
            let mut fresh = Terminal::new(6, 20);
            fresh.process(&Frame::of((20, 6)).update(drawn));
            assert_eq!(terminal.shows(), fresh.shows());
            let cursor = terminal.0.screen().cursor_position();
            assert_eq!(cursor, fresh.0.screen().cursor_position(), "the cursor stays behind the last line");
        }
    }

    #[test]
    fn what_did_not_change_is_not_written_again() {
        let mut frame = Frame::of((80, 24));
        frame.update(&lines(&["a line that stays", "one that goes"]));
        let text = frame.update(&lines(&["a line that stays", "another"]));
        assert!(!text.contains("stays") && text.contains("another"), "{text:?}");
    }

    #[test]
    fn after_a_resize_everything_is_written_anew_and_fits() {
        let (mut terminal, mut frame) = (Terminal::new(24, 80), Frame::of((80, 24)));
        let tall: Vec<String> = (0..20).map(|line| format!("line {line}")).collect();
        terminal.process(&frame.update(&tall));
        terminal.0.screen_mut().set_size(8, 40);
        frame.resize((40, 8));
        let short: Vec<String> = (0..8).map(|line| format!("short {line}")).collect();
        terminal.process(&frame.update(&short));
        let shown = terminal.shows();
        assert!((0..8).all(|line| shown.contains(&format!("short {line}"))) && !shown.contains("line 1"), "{shown}");
    }
}
