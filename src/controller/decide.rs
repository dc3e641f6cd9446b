//! From a look to a plan: as far a look as the decision needs, and no longer a wait than it may take.

use std::time::Duration;

use leadsman_core::names::Hash;
use leadsman_core::observed::Trial;
use leadsman_core::plan::{Action, Plan, plan};
use leadsman_core::spec;
use tokio::time::Instant;

use super::context::Context;
use super::loaded::Loaded;
use super::memory::Memory;
use super::observe::{Reach, Snapshot, observe, trial};

/// How often answers of metric sources are looked for while something is slow to be read.
const ANSWERS_EVERY: Duration = Duration::from_millis(100);

/// Observes and plans: on what is known, where that is certain or takes traffic away from harm; else on what the API server
/// has of what is in doubt, and of everything where the core wants that.
pub async fn decide(context: &Context, loaded: &Loaded, memory: &mut Memory) -> (Snapshot, Plan) {
    let is_due = memory.live_checks.take_due();
    let known = observe(context, loaded, memory, Reach::Known).await;
    let snapshot = if known.has_doubts || is_due {
        let answers = known.observed.answers.len();
        if let Some(decided) = back(loaded, known) {
            return decided;
        }
        let reach = if is_due { Reach::Live } else { Reach::Doubts };
        let looked = tokio::select! {
            biased;
            snapshot = observe(context, loaded, memory, reach) => snapshot,
            () = answered(context, loaded, answers) => {
                if let Some(decided) = back(loaded, observe(context, loaded, memory, Reach::Known).await) {
                    return decided;
                }
                observe(context, loaded, memory, reach).await
            }
        };
        if is_due && !looked.observed.live {
            // What is known is better than nothing.
            observe(context, loaded, memory, Reach::Known).await
        } else {
            looked
        }
    } else {
        known
    };
    let (mut snapshot, mut plan) = planned(loaded, snapshot);
    if plan.wants_live {
        (snapshot, plan) = planned(loaded, observe(context, loaded, memory, Reach::Live).await);
    }
    if plan.wants_trial {
        snapshot.observed.trial = Some(tried(context, loaded, memory).await);
        (snapshot, plan) = planned(loaded, snapshot);
    }
    (snapshot, plan)
}

/// The API server's word on the declared template; the last one, where that cannot have changed yet.
async fn tried(context: &Context, loaded: &Loaded, memory: &mut Memory) -> Trial {
    let core = &loaded.declared.core;
    if let Some(last) = memory.trial.as_ref().filter(|last| last.is_of(core) && last.at.elapsed() < last.lasts()) {
        return last.word.clone();
    }
    let word = trial(context, loaded, &core.hash).await;
    let last = Tried { hash: core.hash.clone(), generation: core.generation, at: Instant::now(), word: word.clone() };
    memory.trial = Some(Box::new(last));
    word
}

/// The API server's last word on a template.
pub struct Tried {
    hash: Hash,
    generation: i64,
    at: Instant,
    word: Trial,
}

impl Tried {
    fn is_of(&self, declared: &spec::Rollout) -> bool {
        self.hash == declared.hash && self.generation == declared.generation
    }

    /// For how long it is not asked again, whoever else wakes the Rollout: a little less than the core waits by itself.
    fn lasts(&self) -> Duration {
        match self.word {
            Trial::Accepted | Trial::Unknown(_) => Duration::from_secs(4),
            Trial::Refused(_) => Duration::from_secs(50),
        }
    }
}

fn planned(loaded: &Loaded, snapshot: Snapshot) -> (Snapshot, Plan) {
    let plan = plan(&loaded.declared.core, loaded.state.as_ref(), &snapshot.observed);
    (snapshot, plan)
}

/// What is decided where an answer takes traffic away from harm: that does not wait for what is slow to be read.
fn back(loaded: &Loaded, known: Snapshot) -> Option<(Snapshot, Plan)> {
    if known.observed.answers.is_empty() {
        return None;
    }
    Some(planned(loaded, known)).filter(|(_, plan)| plan.actions.iter().any(Action::is_safety))
}

/// Waits until there are more answers of metric sources than these.
async fn answered(context: &Context, loaded: &Loaded, answers: usize) {
    while context.measurer.answers(&loaded.key).len() <= answers {
        tokio::time::sleep(ANSWERS_EVERY).await;
    }
}
