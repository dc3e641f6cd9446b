//! How the program ends: nine codes that scripts rely on, and a failure's two lines.

use std::fmt;

/// What the process ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// What was asked for came true.
    Done,
    /// It could not be found out: not reachable, forbidden, no such Rollout.
    Unknown,
    /// Wrong usage.
    Usage,
    /// Rolled back, or rejected before.
    RolledBack,
    /// Will not go on by itself; a command was refused.
    Stuck,
    /// Time is up.
    TimeUp,
    /// Superseded by another revision, or Git went back.
    Superseded,
    /// Waits for a person.
    Paused,
    /// Ctrl-C.
    Interrupted,
}

impl Exit {
    /// The number of it.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Unknown => 1,
            Self::Usage => 2,
            Self::RolledBack => 3,
            Self::Stuck => 4,
            Self::TimeUp => 5,
            Self::Superseded => 6,
            Self::Paused => 7,
            Self::Interrupted => 130,
        }
    }
}

/// Why a verb came to nothing: one line what, one line what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What the process ends with.
    pub exit: Exit,
    /// What is wrong.
    pub what: String,
    /// What to do about it, a line each.
    pub advice: Vec<String>,
}

impl Failure {
    /// A failure without advice.
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), advice: Vec::new() }
    }

    /// The same with a line of advice more.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice.push(advice.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        self.advice.iter().try_for_each(|line| write!(f, "\n       {line}"))
    }
}

impl std::error::Error for Failure {}

/// What a verb gives.
pub type Outcome = Result<Exit, Failure>;
