//! Where results, hints and questions go: stdout is the result, stderr everything else.

use std::collections::BTreeMap;
use std::io::{self, BufRead, IsTerminal, Write};

use clap::ValueEnum;
use serde::Serialize;

use crate::args::{Colour, Common};
use crate::exit::{Exit, Failure};

/// The environment variables, as they were when the program began.
pub type Environment = BTreeMap<String, String>;

/// How a result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The view's JSON.
    Json,
    /// The same as YAML.
    Yaml,
    /// `rollout.leadsman.dev/cart`, a line each.
    Name,
    /// For people, with more columns.
    Wide,
    /// For merge requests.
    Markdown,
    /// A picture.
    Svg,
}

/// What may be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Columns.
    pub width: usize,
    /// Whether colours are wanted.
    pub colour: bool,
    /// Whether only ASCII is wanted.
    pub ascii: bool,
    /// Whether times are wanted in UTC.
    pub utc: bool,
}

/// Columns where neither the terminal nor `COLUMNS` says anything.
const WIDTH: usize = 80;
/// Columns of a wide format that goes into a file.
const WIDE: usize = 160;

/// Stdout, stderr and stdin.
pub struct Screen {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    input: Box<dyn BufRead + Send>,
    /// Whether stdout is a terminal.
    pub is_terminal: bool,
    /// Whether there is somebody to ask.
    pub can_ask: bool,
    /// Whether only the result is wanted.
    pub quiet: bool,
    /// What may be drawn.
    pub look: Look,
}

impl Screen {
    /// The process's own.
    pub fn of_process(common: &Common, environment: &Environment) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let width = crossterm::terminal::size().ok().filter(|_| is_terminal).map(|(columns, _)| usize::from(columns));
        let mut screen = Self::new(io::stdout(), io::stderr(), io::BufReader::new(io::stdin()));
        screen.is_terminal = is_terminal;
        screen.can_ask = io::stdin().is_terminal() && io::stderr().is_terminal();
        screen.quiet = common.quiet;
        screen.look = look(common, environment, is_terminal, width);
        screen
    }

    /// Others than the process's own: no terminal, nobody to ask.
    pub fn new(
        out: impl Write + Send + 'static,
        err: impl Write + Send + 'static,
        input: impl BufRead + Send + 'static,
    ) -> Self {
        let look = Look { width: WIDTH, colour: false, ascii: false, utc: true };
        let (out, err, input) = (Box::new(out), Box::new(err), Box::new(input));
        Self { out, err, input, is_terminal: false, can_ask: false, quiet: false, look }
    }

    /// A piece of the result, as it is.
    ///
    /// # Errors
    /// Where nobody reads any more, or the disk is full.
    pub fn write(&mut self, text: &str) -> Result<(), Failure> {
        let written = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
        written.map_err(|error| Failure::new(Exit::Unknown, format!("cannot write the result: {error}")))
    }

    /// A line of the result.
    ///
    /// # Errors
    /// As with [`Self::write`].
    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.write(&format!("{text}\n"))
    }

    /// A result as JSON on one line.
    ///
    /// # Errors
    /// As with [`Self::write`].
    pub fn json_line(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value).map_err(|error| unwritable(&error))?;
        self.line(&text)
    }

    /// A result as JSON for reading.
    ///
    /// # Errors
    /// As with [`Self::write`].
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(|error| unwritable(&error))?;
        self.line(&text)
    }

    /// A result as YAML.
    ///
    /// # Errors
    /// As with [`Self::write`].
    pub fn yaml(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_saphyr::to_string(value).map_err(|error| unwritable(&error))?;
        self.write(&text)
    }

    /// A hint, progress or a warning: on stderr, and not where only the result is wanted.
    pub fn note(&mut self, text: &str) {
        if !self.quiet {
            self.complain(text);
        }
    }

    /// On stderr, always. Where even that cannot be written, there is nobody left to tell.
    pub fn complain(&mut self, text: &str) {
        let _ = writeln!(self.err, "{text}");
    }

    /// Asks before something that cannot be taken back easily.
    ///
    /// # Errors
    /// Where there is nobody to ask: then `-y` has to say it.
    pub fn confirm(&mut self, question: &str, yes: bool) -> Result<bool, Failure> {
        if yes {
            return Ok(true);
        }
        if !self.can_ask {
            return Err(Failure::new(Exit::Usage, "there is no terminal to ask on").advise("--yes says it beforehand"));
        }
        let _ = write!(self.err, "{question} [y/N] ").and_then(|()| self.err.flush());
        let mut answer = String::new();
        let _ = self.input.read_line(&mut answer);
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }
}

fn unwritable(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Unknown, format!("cannot write the result: {error}"))
}

/// What may be drawn, by flags, environment and terminal, in this order.
fn look(common: &Common, environment: &Environment, is_terminal: bool, width: Option<usize>) -> Look {
    let variable = |name: &str| environment.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let is_plain = variable("NO_COLOR").is_some() || variable("TERM") == Some("dumb");
    let is_forced = variable("CLICOLOR_FORCE").is_some_and(|value| value != "0");
    let colour = match common.color {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => is_forced || (is_terminal && !is_plain),
    };
    // As with setlocale: the first that says anything decides. None does on Windows, where terminals are UTF-8.
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(variable);
    let is_utf8 = locale.map_or(cfg!(windows), |locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    });
    let columns = || variable("COLUMNS").and_then(|columns| columns.parse().ok());
    let width = width.or_else(columns).filter(|width| *width > 0).unwrap_or(WIDTH);
    Look { width, colour, ascii: common.ascii || (is_terminal && !is_utf8), utc: common.utc }
}

impl Look {
    /// The same for a format with more columns: a file has room for all of them.
    #[must_use]
    pub fn wide(self, is_terminal: bool) -> Self {
        Self { width: if is_terminal { self.width } else { self.width.max(WIDE) }, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn coloured(color: Colour, variables: &[(&str, &str)], is_terminal: bool) -> bool {
        let common = Common { color, ..Common::default() };
        look(&common, &environment(variables), is_terminal, None).colour
    }

    #[test]
    fn colour_is_for_terminals_that_want_it() {
        use Colour::{Always, Auto, Never};
        for (color, variables, is_terminal, expected) in [
            (Auto, &[][..], true, true),
            (Auto, &[], false, false),
            (Auto, &[("NO_COLOR", "1")], true, false),
            (Auto, &[("NO_COLOR", "")], true, true),
            (Auto, &[("TERM", "dumb")], true, false),
            (Auto, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false, true),
            (Auto, &[("CLICOLOR_FORCE", "0")], false, false),
            (Always, &[("NO_COLOR", "1")], false, true),
            (Never, &[], true, false),
        ] {
            assert_eq!(coloured(color, variables, is_terminal), expected, "{color:?} {variables:?} {is_terminal}");
        }
    }

    #[test]
    fn width_and_glyphs_are_those_of_the_terminal() {
        let look = |variables, is_terminal, width| {
            let look = look(&Common::default(), &environment(variables), is_terminal, width);
            (look.width, look.ascii)
        };
        assert_eq!(look(&[("LANG", "de_DE.UTF-8"), ("COLUMNS", "100")], true, Some(120)), (120, false));
        assert_eq!(look(&[("COLUMNS", "100")], true, None), (100, true));
        assert_eq!(look(&[("LC_ALL", "C"), ("LANG", "en_US.utf8")], true, None), (80, true));
        assert_eq!(look(&[], false, None), (80, false), "files are read by programs, which know UTF-8");
    }

    #[test]
    fn nobody_to_ask_is_wrong_usage_unless_it_was_said_beforehand() {
        let mut screen = Screen::new(io::sink(), io::sink(), io::empty());
        assert_eq!(screen.confirm("Sure?", false).unwrap_err().exit, Exit::Usage);
        assert!(screen.confirm("Sure?", true).unwrap());
        let asked = |answer: &'static [u8]| {
            let mut screen = Screen::new(io::sink(), io::sink(), answer);
            screen.can_ask = true;
            screen.confirm("Sure?", false).unwrap()
        };
        assert!(asked(b"Y\n") && !asked(b"\n") && !asked(b"maybe\n") && !asked(b""));
    }
}
