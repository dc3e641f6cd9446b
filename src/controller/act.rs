//! Doing what a plan asks for. The failure of one write stops none of the others.

use std::time::Duration;

use leadsman_core::plan::{Action, Plan};
use tokio::time::Instant;

use super::apply::{Applying, Effect, abandoned, apply, hand_over, seen_version, target, tend, untended};
use super::context::Context;
use super::failures::{Basis, STATUS};
use super::loaded::Loaded;
use super::log;
use super::memory::Memory;
use super::observe::Snapshot;
use crate::cluster::Result;
use crate::runtime::backoff::jittered;

/// When to look again after something moved under our hands.
const SOON: Duration = Duration::from_millis(100);

/// Which of a plan's actions are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of them, and what the shell sees to by itself.
    All,
    /// What takes traffic away from harm: what may be done before the status is written.
    Safety,
    /// All but that.
    Rest,
    /// Nothing any more: it has been done.
    Nothing,
}

impl Part {
    fn has(self, action: &Action) -> bool {
        match self {
            Self::All => true,
            Self::Safety => action.is_safety(),
            Self::Rest => !action.is_safety(),
            Self::Nothing => false,
        }
    }

    /// Whether the status that it rests on is written.
    fn is_persisted(self) -> bool {
        matches!(self, Self::All | Self::Rest)
    }
}

/// Does part of what a plan asks for. Gives when to decide anew, where something has moved meanwhile.
pub async fn act(
    context: &Context,
    loaded: &mut Loaded,
    memory: &mut Memory,
    snapshot: &Snapshot,
    plan: &Plan,
    part: Part,
) -> Option<Instant> {
    let mut again = None;
    let mut wanted: Vec<_> = plan.actions.iter().map(target).collect();
    for action in plan.actions.iter().filter(|action| part.has(action)) {
        let (what, basis) = (target(action), basis(loaded, action));
        let mut applying = Applying { context, loaded, objects: &snapshot.objects, memory };
        let version = seen_version(&applying, action);
        if applying.memory.failures.hold(&what, &basis, version, Instant::now()) && !action.is_safety() {
            continue;
        }
        let applied = apply(&mut applying, action).await;
        again = note(loaded, memory, &what, basis, applied).or(again);
    }
    if part.is_persisted() && loaded.declared.core.deleted_at.is_none() {
        for route in abandoned(loaded, &snapshot.objects) {
            let what = format!("hand over {route}");
            let basis = Basis { generation: loaded.declared.core.generation, ..Basis::default() };
            let mut applying = Applying { context, loaded, objects: &snapshot.objects, memory };
            if !applying.memory.failures.hold(&what, &basis, None, Instant::now()) {
                let handed = hand_over(&mut applying, &route).await.map(|()| Effect::Changed);
                again = note(loaded, memory, &what, basis, handed).or(again);
            }
            wanted.push(what);
        }
        for tending in untended(loaded, &snapshot.objects.sets) {
            let what = format!("tend {}", tending.set.name);
            let basis = Basis { generation: loaded.declared.core.generation, ..Basis::default() };
            let version = Some(tending.version());
            let mut applying = Applying { context, loaded, objects: &snapshot.objects, memory };
            if !applying.memory.failures.hold(&what, &basis, version, Instant::now()) {
                let tended = tend(&mut applying, &tending).await;
                again = note(loaded, memory, &what, basis, tended).or(again);
            }
            wanted.push(what);
        }
    }
    memory.failures.retain(|what| what == STATUS || wanted.iter().any(|wanted| wanted == what));
    again
}

/// Notes what came of a write. Gives when to decide anew, where it met with a conflict.
fn note(loaded: &Loaded, memory: &mut Memory, what: &str, basis: Basis, written: Result<Effect>) -> Option<Instant> {
    let (failures, now) = (&mut memory.failures, Instant::now());
    match written {
        Ok(Effect::Changed) => failures.succeeded(what),
        Ok(Effect::None(version)) => {
            tracing::warn!(rollout = %loaded.key, what, "written without effect: something takes it back");
            failures.had_no_effect(what, basis, version, now);
        }
        Err(error) if error.is_moved() && failures.moved(what) => {
            tracing::debug!(rollout = %loaded.key, %error, what, "decided anew");
            return Some(now + jittered(SOON));
        }
        Err(error) => {
            log::failed(loaded, what, &error);
            failures.failed(what, basis, &error, now);
        }
    }
    None
}

/// What a write rests on, beside the object that it changes.
fn basis(loaded: &Loaded, action: &Action) -> Basis {
    Basis { action: Some(action.clone()), generation: loaded.declared.core.generation }
}
