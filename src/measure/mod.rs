//! Metric sources: who is asked what, and when. What an answer means is for the core to say.
//!
//! [`Measurer`] holds the questions of every Rollout and asks each when it is due; [`sources`] asks whom it is for, in a way
//! of its own for each kind of source.

mod addresses;
mod answer;
mod credentials;
mod datadog;
mod frame;
mod http;
mod jobs;
mod kept;
mod limits;
mod measurer;
mod oauth;
mod prometheus;
mod sources;
pub mod web;

#[cfg(test)]
mod tests;

use std::time::Duration;

use futures::future::BoxFuture;
use leadsman_core::analysis::{Outcome, Question};
use leadsman_core::text::one_line;

use crate::controller::key::Key;

pub use self::addresses::AddressPattern;
pub use self::measurer::Measurer;
pub use self::sources::Sources;

/// Longest time that an answer may take, whatever its metric says: so long a slow source can keep a turn.
pub const MOST_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest message about a question that has no usable answer, in characters.
const MOST_WORDS: usize = 1000;

/// Somebody who answers questions.
pub trait Provider: Send + Sync + 'static {
    /// Where a question goes: questions to one host wait for each other.
    fn host(&self, question: &Question) -> String;

    /// Asks now for a Rollout, all queries for one instant. May be dropped at any time, when the answer is not wanted any more
    /// or takes too long.
    fn ask<'a>(&'a self, key: &'a Key, question: &'a Question) -> BoxFuture<'a, Asked>;

    /// A question is not asked any more: what was begun for it ends.
    fn give_up<'a>(&'a self, _key: &'a Key, _question: &'a Question) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// What comes of asking.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// An outcome for each query.
    Answered(Vec<Outcome>),
    /// It is under way: to be asked again after so long.
    Later(Duration),
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
