//! Questions under way.
//!
//! For each Rollout the measurer knows what its last plan asks. Each question is asked once it is due, in a task of its own:
//! nothing here blocks a pass, no Rollout waits for another one's metric source, and none long for another one's questions
//! to its own ([`limits`](super::limits)). Answers are kept until the state that counts them has been persisted; one that
//! nobody asks for any more is dropped when it arrives.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use leadsman_core::analysis::{Answer, Outcome, Part, Question, Token};
use tokio::task::AbortHandle;

use super::limits::HostLimits;
use super::{Asked, Failure, MOST_TIMEOUT, Provider};
use crate::controller::key::Key;

/// Beyond a question's own timeout: time for the source's words about a timeout of its own to arrive.
const GRACE: Duration = Duration::from_millis(500);
/// Longest sleep before the clock is looked at again: it may have been set in the meantime.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);
/// Answers of a Rollout that may wait to be persisted. With so many, nothing more is asked for it.
pub(super) const MOST_ANSWERS: usize = 256;
/// Questions of a Rollout that are kept: twice the metrics that it may have. A state that somebody else has written may ask
/// more.
pub(super) const MOST_QUESTIONS: usize = 128;

/// What is asked for every Rollout, and what was answered.
pub struct Measurer(Arc<Inner>);

struct Inner {
    source: Box<dyn Provider>,
    wake: Box<dyn Fn(Key) + Send + Sync>,
    clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
    limits: HostLimits,
    runs: AtomicU64,
    by_rollout: Mutex<HashMap<Key, Pending>>,
}

/// One Rollout's questions and answers.
#[derive(Default)]
struct Pending {
    entries: HashMap<Token, Entry>,
    answers: Vec<Answer>,
    /// When the last answer came.
    last_at: Timestamp,
}

struct Entry {
    question: Question,
    /// When the question that was asked last had been due.
    asked: Option<Timestamp>,
    state: State,
}

enum State {
    /// Nothing to do: the question was asked.
    Idle,
    /// Not yet due, or in line.
    Waiting(Run),
    /// Sent.
    Asking(Run),
}

/// A task that sees to an entry. One whose number is not the entry's has nothing to say any more.
struct Run {
    number: u64,
    task: AbortHandle,
}

impl Entry {
    fn wants_to_be_asked(&self) -> bool {
        self.asked.is_none_or(|asked| self.question.due > asked)
    }

    fn is_of(&self, run: u64) -> bool {
        match &self.state {
            State::Idle => false,
            State::Waiting(current) | State::Asking(current) => current.number == run,
        }
    }

    fn stop(&mut self) {
        if let State::Waiting(run) | State::Asking(run) = std::mem::replace(&mut self.state, State::Idle) {
            run.task.abort();
        }
    }
}

impl Pending {
    fn of(&mut self, token: &Token, run: u64) -> Option<&mut Entry> {
        self.entries.get_mut(token).filter(|entry| entry.is_of(run))
    }

    fn has_room(&self) -> bool {
        self.answers.len() < MOST_ANSWERS
    }
}

impl Measurer {
    /// An empty measurer. `wake` is called for a Rollout whenever one of its questions has been answered.
    pub fn new(
        source: Box<dyn Provider>,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
        wake: impl Fn(Key) + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner {
            source,
            wake: Box::new(wake),
            clock: Box::new(clock),
            limits: HostLimits::new(),
            runs: AtomicU64::new(0),
            by_rollout: Mutex::default(),
        }))
    }

    /// What is to be asked for a Rollout from now on. What is not listed any more is dropped, also what is under way; a
    /// token that was asked is asked again only when it is due later than before or its answer was dropped uncounted, and
    /// never twice at once.
    ///
    /// Must be called within a Tokio runtime. Does not block.
    pub fn set(&self, key: &Key, mut questions: Vec<Question>) {
        questions.truncate(MOST_QUESTIONS);
        let mut by_rollout = self.0.by_rollout();
        if questions.is_empty() && !by_rollout.contains_key(key) {
            return;
        }
        let pending = by_rollout.entry(key.clone()).or_default();
        pending.entries.retain(|token, entry| {
            let listed = questions.iter().any(|question| question.token == *token);
            if !listed {
                entry.stop();
                self.0.give_up(key, &entry.question);
            }
            listed
        });
        for question in questions {
            if let Some(entry) = pending.entries.get_mut(&question.token) {
                // A sleeping task looks again when it wakes, which is too late only for what is due sooner.
                if matches!(entry.state, State::Waiting(_)) && question.due < entry.question.due {
                    entry.stop();
                }
                // Still asked for although its answer is gone: that was dropped without having been counted.
                let answered = pending.answers.iter().any(|it| it.token == question.token && it.at >= question.due);
                if matches!(entry.state, State::Idle) && !answered {
                    entry.asked = None;
                }
                entry.question = question;
            } else {
                let token = question.token.clone();
                pending.entries.insert(token, Entry { question, asked: None, state: State::Idle });
            }
        }
        self.0.start(key, pending);
        if pending.entries.is_empty() && pending.answers.is_empty() {
            by_rollout.remove(key);
        }
    }

    /// Every answer that has not been persisted yet, in the order in which they came.
    pub fn answers(&self, key: &Key) -> Vec<Answer> {
        self.0.by_rollout().get(key).map(|pending| pending.answers.clone()).unwrap_or_default()
    }

    /// The state that counts all answers until `until` has been persisted: they are not needed any more.
    pub fn persisted(&self, key: &Key, until: Timestamp) {
        let mut by_rollout = self.0.by_rollout();
        let Some(pending) = by_rollout.get_mut(key) else { return };
        pending.answers.retain(|answer| answer.at > until);
        self.0.start(key, pending);
        if pending.entries.is_empty() && pending.answers.is_empty() {
            by_rollout.remove(key);
        }
    }

    /// The Rollout is gone.
    pub fn forget(&self, key: &Key) {
        if let Some(mut pending) = self.0.by_rollout().remove(key) {
            pending.entries.values_mut().for_each(Entry::stop);
        }
    }
}

#[cfg(test)]
impl Measurer {
    /// Rollouts that the measurer keeps anything for.
    pub(super) fn rollouts(&self) -> usize {
        self.0.by_rollout().len()
    }
}

impl Drop for Measurer {
    fn drop(&mut self) {
        self.0.by_rollout().drain().for_each(|(_, mut pending)| pending.entries.values_mut().for_each(Entry::stop));
    }
}

/// What a task does next.
enum Next {
    Sleep(Duration),
    StandInLine(String),
    Stop,
}

impl Inner {
    fn by_rollout(&self) -> MutexGuard<'_, HashMap<Key, Pending>> {
        self.by_rollout.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was begun for a question ends, where its kind of source begins anything.
    fn give_up(self: &Arc<Self>, key: &Key, question: &Question) {
        if question.source.is_done_once() {
            let (inner, key, question) = (Arc::clone(self), key.clone(), question.clone());
            tokio::spawn(async move { inner.source.give_up(&key, &question).await });
        }
    }

    /// Starts a task for every entry that has something to ask and none to ask it.
    fn start(self: &Arc<Self>, key: &Key, pending: &mut Pending) {
        let has_room = pending.has_room();
        let idle = pending
            .entries
            .iter_mut()
            .filter(|(_, entry)| has_room && matches!(entry.state, State::Idle) && entry.wants_to_be_asked());
        // They may have to wait for each other.
        let mut idle: Vec<_> = idle.collect();
        idle.sort_by(|(a, one), (b, other)| (one.question.due, &a.metric).cmp(&(other.question.due, &b.metric)));
        for (token, entry) in idle {
            let number = self.runs.fetch_add(1, Ordering::Relaxed);
            let task = tokio::spawn(Arc::clone(self).see_to(key.clone(), token.clone(), number));
            entry.state = State::Waiting(Run { number, task: task.abort_handle() });
        }
    }

    /// Asks what one token wants to be asked, until there is nothing more to ask.
    async fn see_to(self: Arc<Self>, key: Key, token: Token, run: u64) {
        loop {
            match self.next(&key, &token, run) {
                Next::Stop => return,
                Next::Sleep(duration) => tokio::time::sleep(duration).await,
                Next::StandInLine(host) => {
                    let Some(turn) = self.limits.turn(&host, &key).await else { return };
                    let Some(question) = self.begin(&key, &token, run, &host) else { continue };
                    let asked = self.ask(&key, &question).await;
                    drop(turn);
                    let outcome = match asked {
                        Asked::Answered(outcome) => outcome,
                        Asked::Later(again) if self.postpone(&key, &token, run) => {
                            tokio::time::sleep(again).await;
                            continue;
                        }
                        Asked::Later(_) => return,
                    };
                    let Some(more) = self.deliver(&key, run, question, outcome) else { return };
                    (self.wake)(key.clone());
                    if !more {
                        return;
                    }
                }
            }
        }
    }

    fn next(&self, key: &Key, token: &Token, run: u64) -> Next {
        let mut by_rollout = self.by_rollout();
        let Some(entry) = by_rollout.get_mut(key).and_then(|pending| pending.of(token, run)) else { return Next::Stop };
        let wait = entry.question.due.duration_since((self.clock)());
        match Duration::try_from(wait) {
            Ok(wait) if !wait.is_zero() => Next::Sleep(wait.min(LONGEST_SLEEP)),
            _ => Next::StandInLine(self.source.host(&entry.question)),
        }
    }

    /// Takes the question as it stands now, or nothing where it changed while it stood in line.
    fn begin(&self, key: &Key, token: &Token, run: u64, host: &str) -> Option<Question> {
        let mut by_rollout = self.by_rollout();
        let entry = by_rollout.get_mut(key)?.of(token, run)?;
        if entry.question.due > (self.clock)() || self.source.host(&entry.question) != host {
            return None;
        }
        entry.asked = Some(entry.question.due);
        if let State::Waiting(run) = std::mem::replace(&mut entry.state, State::Idle) {
            entry.state = State::Asking(run);
        }
        Some(entry.question.clone())
    }

    /// It is under way, and asked again by the same task; false where nobody wants to know any more.
    fn postpone(&self, key: &Key, token: &Token, run: u64) -> bool {
        let mut by_rollout = self.by_rollout();
        let Some(entry) = by_rollout.get_mut(key).and_then(|pending| pending.of(token, run)) else { return false };
        entry.asked = None;
        if let State::Asking(run) = std::mem::replace(&mut entry.state, State::Idle) {
            entry.state = State::Waiting(run);
        }
        true
    }

    async fn ask(&self, key: &Key, question: &Question) -> Asked {
        let timeout = question.source.timeout().min(MOST_TIMEOUT);
        let late = |_| {
            let words = format!("{}: no answer within {timeout:?}", self.source.host(question));
            Asked::Answered(vec![Failure::passing(words).into(); question.queries.len()])
        };
        tokio::time::timeout(timeout + GRACE, self.source.ask(key, question)).await.unwrap_or_else(late)
    }

    /// Keeps an answer that is still asked for, and says whether the token wants to be asked again already.
    fn deliver(&self, key: &Key, run: u64, question: Question, outcomes: Vec<Outcome>) -> Option<bool> {
        let mut by_rollout = self.by_rollout();
        let pending = by_rollout.get_mut(key)?;
        pending.of(&question.token, run)?;
        // Strictly later than the last one, whatever the clock does: answers are counted and dropped by their time.
        let after_last = pending.last_at.saturating_add(SignedDuration::from_nanos(1)).unwrap_or(Timestamp::MAX);
        pending.last_at = (self.clock)().max(after_last);
        let Question { token, queries, reads, .. } = question;
        let parts = queries.into_iter().zip(outcomes).map(|(query, outcome)| Part { query, outcome }).collect();
        pending.answers.push(Answer { token: token.clone(), at: pending.last_at, reads, parts });
        let has_room = pending.has_room();
        let entry = pending.of(&token, run)?;
        let more = has_room && entry.wants_to_be_asked();
        entry.state = match std::mem::replace(&mut entry.state, State::Idle) {
            State::Waiting(run) | State::Asking(run) if more => State::Waiting(run),
            _ => State::Idle,
        };
        Some(more)
    }
}
