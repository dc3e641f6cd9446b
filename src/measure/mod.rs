//! Metric sources: who is asked what, and when. What an answer means is for the core to say.
//!
//! [`Measurer`] holds the questions of every Rollout and asks each when it is due; [`prometheus`] sends one query and says
//! what came of it.

mod addresses;
mod answer;
mod credentials;
mod frame;
mod limits;
mod measurer;
mod prometheus;

#[cfg(test)]
mod tests;

use std::time::Duration;

use futures::future::BoxFuture;
use leadsman_core::analysis::{Outcome, Question};
use leadsman_core::text::one_line;

pub use self::addresses::AddressPattern;
pub use self::measurer::Measurer;
pub use self::prometheus::Prometheus;

/// Longest time that an answer may take, whatever its metric says: so long a slow source can keep a turn.
pub const MOST_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest message about a question that has no usable answer, in characters.
const MOST_WORDS: usize = 1000;

/// Somebody who answers questions.
pub trait Provider: Send + Sync + 'static {
    /// Where a question goes: questions to one host wait for each other.
    fn host(&self, question: &Question) -> String;

    /// Asks now, all queries for one instant; an outcome for each. May be dropped at any time, when the answer is not wanted
    /// any more or takes too long.
    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Vec<Outcome>>;
}

/// Why there is no usable answer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Failure {
    /// True when asking again cannot help.
    query_is_wrong: bool,
    /// What went wrong, with the source's own words.
    message: String,
}

impl Failure {
    /// The next time may be better.
    fn passing(message: impl Into<String>) -> Self {
        Self { query_is_wrong: false, message: message.into() }
    }

    /// The question itself has to be changed.
    fn lasting(message: impl Into<String>) -> Self {
        Self { query_is_wrong: true, message: message.into() }
    }
}

/// Whatever words are in it, they are one short line of a status.
impl From<Failure> for Outcome {
    fn from(Failure { query_is_wrong, message }: Failure) -> Self {
        Self::Error { query_is_wrong, message: one_line(&message, MOST_WORDS) }
    }
}
