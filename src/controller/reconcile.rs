//! One pass over one Rollout: observe, plan, persist, act, tell.
//!
//! A decision is persisted before it is acted upon. Where that fails, only what takes traffic away from harm is done.

use std::time::Duration;

use jiff::Timestamp;
use leadsman_core::analysis::Answer;
use leadsman_core::plan::{Fact, Persist, Plan};
use leadsman_core::report::Phase;
use leadsman_core::state::Stage;
use tokio::time::Instant;

use super::act::{Part, act};
use super::context::Context;
use super::decide::decide;
use super::failures::{Basis, STATUS};
use super::key::Key;
use super::loaded::{self, Loaded, Reading};
use super::memory::Memory;
use super::observe::Snapshot;
use super::persist::{self, HURRY, Written};
use super::status::{Difference, difference, render};
use super::{log, unreadable};
use crate::cluster::TIMEOUT;
use crate::runtime::backoff::jittered;

/// How often a pass starts over because somebody else changed the Rollout.
const MOST_CONFLICTS: usize = 5;
/// A status in which only values differ is written at most this often.
const VALUES_EVERY: Duration = Duration::from_secs(10);
/// When to look again after something moved under our hands.
const SOON: Duration = Duration::from_millis(100);
/// When to look again after something could not be read.
const LATER: Duration = Duration::from_secs(1);
/// How often a release is looked at while a watch fails that would tell of changes.
const UNWATCHED: Duration = Duration::from_secs(2);

/// How a pass ended.
#[derive(Debug)]
pub struct Outcome {
    /// In a word, for metrics.
    pub word: &'static str,
    /// When to look again although nothing changes.
    pub wake: Option<Instant>,
    /// True when there is nothing left to remember.
    pub gone: bool,
}

impl Outcome {
    fn again(word: &'static str, after: Duration) -> Self {
        Self { word, wake: Some(Instant::now() + jittered(after)), gone: false }
    }

    const GONE: Self = Self { word: "gone", wake: None, gone: true };
}

/// Makes a pass.
pub async fn reconcile(context: &Context, key: &Key, memory: &mut Memory) -> Outcome {
    for attempt in 0..MOST_CONFLICTS {
        let mut loaded = match loaded::read(context, key, memory, attempt > 0).await {
            Reading::Loaded(loaded) => loaded,
            Reading::Doubtful(mut loaded) => {
                let (snapshot, plan) = decide(context, &loaded, memory).await;
                act(context, &mut loaded, memory, &snapshot, &plan, Part::Safety).await;
                return Outcome { word: "doubtful", wake: Some(memory.unread()), gone: false };
            }
            Reading::Gone => {
                context.reporter.forget(key);
                return Outcome::GONE;
            }
            Reading::Unknown => return Outcome { word: "unread", wake: Some(memory.unread()), gone: false },
            Reading::Unreadable(copy, error) => return unreadable::tell(context, key, memory, &copy, &error).await,
        };
        let (snapshot, plan) = decide(context, &loaded, memory).await;
        // A status that somebody else changes faster than it can be written holds up no way back.
        let ahead = memory.is_unwritten_for(HURRY);
        if ahead {
            act(context, &mut loaded, memory, &snapshot, &plan, Part::Safety).await;
        }
        let patience = if ahead { TIMEOUT } else { persist::patience(&plan.actions) };
        match persist(context, &mut loaded, memory, &snapshot, &plan, patience).await {
            Persisted::Yes { wake } => {
                memory.unwritten_since = None;
                let part = if ahead { Part::Rest } else { Part::All };
                let wakes = [wake, act(context, &mut loaded, memory, &snapshot, &plan, part).await];
                tell(context, &loaded, memory, &snapshot, &plan);
                return settled(context, key, memory, &plan, wakes);
            }
            Persisted::Moved => {}
            Persisted::Gone => return Outcome::GONE,
            Persisted::No => {
                let part = if ahead { Part::Nothing } else { Part::Safety };
                let wakes = [None, act(context, &mut loaded, memory, &snapshot, &plan, part).await];
                // Measurements go on: a verdict must not wait for a status that can be written.
                context.measurer.set(key, plan.questions_of(loaded.state.as_ref()));
                let outcome = settled(context, key, memory, &plan, wakes);
                return Outcome { word: "not-persisted", ..outcome };
            }
        }
    }
    Outcome::again("conflict", SOON)
}

enum Persisted {
    /// What had to be persisted is; `wake` is when the rest is due.
    Yes {
        wake: Option<Instant>,
    },
    Moved,
    Gone,
    No,
}

/// Writes the status where that is due.
async fn persist(
    context: &Context,
    loaded: &mut Loaded,
    memory: &mut Memory,
    snapshot: &Snapshot,
    plan: &Plan,
    patience: Duration,
) -> Persisted {
    let now = Instant::now();
    let status = render(loaded, plan, snapshot.observed.now);
    let is_idle = memory.idle_status.as_ref().is_some_and(|idle| idle.0 == loaded.version && idle.1 == status);
    let difference = difference(loaded.rollout.status.as_ref(), &status);
    let decided = plan.persist == Persist::Now || difference == Difference::Generation;
    let due = memory.written_at.map_or(now, |at| at + VALUES_EVERY);
    if is_idle || difference == Difference::None && plan.persist == Persist::Nothing {
        // Answers that change nothing have been considered.
        context.measurer.persisted(&loaded.key, latest(&snapshot.observed.answers));
        memory.failures.succeeded(STATUS);
        return Persisted::Yes { wake: None };
    }
    if !decided && difference != Difference::Essence && due > now {
        return Persisted::Yes { wake: Some(due) };
    }
    if !decided && memory.failures.hold(STATUS, &Basis::default(), None, now) {
        return Persisted::Yes { wake: None };
    }
    match persist::write(context, loaded, memory, status, patience).await {
        Written::Done => {
            context.measurer.persisted(&loaded.key, latest(&snapshot.observed.answers));
            memory.failures.succeeded(STATUS);
            log::persisted(context, loaded, plan);
            Persisted::Yes { wake: None }
        }
        Written::Moved => Persisted::Moved,
        Written::Gone => Persisted::Gone,
        Written::Failed(error) => {
            tracing::warn!(rollout = %loaded.key, %error, "the status could not be written");
            memory.failures.failed(STATUS, Basis::default(), &error, Instant::now());
            if decided { Persisted::No } else { Persisted::Yes { wake: None } }
        }
    }
}

fn latest(answers: &[Answer]) -> Timestamp {
    answers.iter().map(|answer| answer.at).max().unwrap_or(Timestamp::MIN)
}

/// Tells people, metric sources and the next pass.
fn tell(context: &Context, loaded: &Loaded, memory: &mut Memory, snapshot: &Snapshot, plan: &Plan) {
    // What is still persisted is read again by the next pass.
    let persisted = loaded.state.as_ref().filter(|_| plan.persist != Persist::Nothing);
    let records = || plan.state.iter().chain(persisted).flat_map(|state| &state.records);
    let attempt = records().map(|record| record.canary.number).max();
    for event in plan.facts.iter().filter_map(Fact::event) {
        log::decided(loaded, &event);
        context.events.publish(&loaded.key, &loaded.uid, &event, attempt, snapshot.observed.now);
    }
    log::phase(context, loaded, memory, plan);
    context.measurer.set(&loaded.key, plan.questions.clone());
    memory.sighted.clone_from(&plan.sighted);
    memory.wants_words_of.clone_from(&plan.wants_words_of);
    memory.restart.clone_from(&plan.wants_old_pods);
    context.reporter.keep_only(&loaded.key, |number| records().any(|record| record.canary.number == number));
    memory.has_passed = true;
}

/// When to come back: what the plan says, what was put off, and what has to be looked at in any case.
fn settled(context: &Context, key: &Key, memory: &mut Memory, plan: &Plan, wakes: [Option<Instant>; 2]) -> Outcome {
    let now = context.now();
    let planned = plan.next_wake.map(|at| {
        let after = Duration::try_from(at.duration_since(now)).unwrap_or_default();
        // A moment later than asked for, so that the clock that plans has certainly reached it.
        Instant::now() + after + Duration::from_millis(1)
    });
    let unread = (plan.state.is_none() && plan.wants_live).then(|| Instant::now() + jittered(LATER));
    let settled = matches!(plan.report.phase, Phase::Healthy | Phase::RolledBack);
    let unwatched =
        (!settled && context.caches.are_doubtful(&key.namespace)).then(|| Instant::now() + jittered(UNWATCHED));
    let remembered = memory.next_deadline().map(|at| {
        // Still due after the pass: it could not be read, or nothing was done about it.
        if at <= Instant::now() {
            memory.unread()
        } else {
            memory.read();
            at
        }
    });
    let moved = plan.persist == Persist::Now || !waits_for_others(plan);
    let check = if moved {
        memory.live_checks.reset();
        None
    } else {
        memory.live_checks.schedule()
    };
    let wake = wakes.into_iter().chain([planned, unread, unwatched, remembered, check]).flatten().min();
    Outcome { word: "ok", wake, gone: false }
}

/// Whether it goes on only when pods, endpoints, routes or data have changed.
fn waits_for_others(plan: &Plan) -> bool {
    match plan.state.as_ref().map(|state| &state.stage) {
        None | Some(Stage::Resting) => false,
        Some(Stage::Releasing(release)) => release.clock.running_since.is_some(),
        Some(Stage::Deploying | Stage::Promoting(_) | Stage::Leaving(_)) => true,
    }
}
