//! A metric source that says what a test wants it to say, after as long as the test wants.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use leadsman_core::analysis::Outcome;
use tokio::time::Instant;

/// A question as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// When.
    pub at: Instant,
    /// The query as sent.
    pub query: String,
}

/// The source. Clones are the same.
#[derive(Clone, Default)]
pub struct Prometheus(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    replies: Vec<(String, Outcome, Duration)>,
    asked: Vec<Asked>,
}

impl Prometheus {
    /// A source in which every query has an empty answer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Queries that contain `part` are answered with this from now on.
    pub fn says(&self, part: &str, outcome: Outcome) {
        self.says_after(part, outcome, Duration::from_millis(5));
    }

    /// The same, after a while.
    pub fn says_after(&self, part: &str, outcome: Outcome, delay: Duration) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.replies.insert(0, (part.to_owned(), outcome, delay));
    }

    /// Queries that contain `part` have this one sample.
    pub fn says_value(&self, part: &str, value: f64) {
        self.says(part, Outcome::Samples(vec![value]));
    }

    /// Answers a query.
    pub async fn ask(&self, query: &str) -> Outcome {
        let reply = {
            let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            inner.asked.push(Asked { at: Instant::now(), query: query.to_owned() });
            inner.replies.iter().find(|(part, ..)| query.contains(part)).cloned()
        };
        let Some((_, outcome, delay)) = reply else { return Outcome::Empty };
        tokio::time::sleep(delay).await;
        outcome
    }

    /// Every question so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).asked.clone()
    }
}
