//! Somebody else who writes the weights, or the selector that carries the traffic: put back at once and told once, but nobody is fought.

use std::time::Duration;

use jiff::Timestamp;

use super::{Fact, Pass};
use crate::state::State;
use crate::time::after;
use crate::traffic::Carrier;

/// Foreign edits of the weights within [`WINDOW`] that are put back at once. A tool that applies Git every ten seconds writes
/// six times in it, or twelve where two routes are put back one by one.
const EDITS_BORNE: usize = 12;
const WINDOW: Duration = Duration::from_mins(1);
/// Between two writes to a route that somebody else rewrites again and again.
const PAUSE: Duration = Duration::from_secs(10);

/// True when somebody rewrites the weights again and again.
pub(super) fn is_contended(state: &State) -> bool {
    state.foreign_edits.len() > EDITS_BORNE
}

/// While the weights are contended: the instant of the next write that only puts them back.
pub(super) fn next_write(state: &State) -> Option<Timestamp> {
    let last = state.foreign_edits.last().filter(|_| is_contended(state))?;
    Some(after(*last, PAUSE))
}

/// Notes and reports that somebody else wrote the weights. Asked after safety has had its say: what looks foreign may be our
/// own way back, written while its intent could not be persisted.
pub(super) fn note(pass: &mut Pass<'_>) {
    if !pass.rewritten {
        return;
    }
    let (view, decided) = (pass.view, pass.state.split.decided);
    // What cannot be kept is told as its problem, and is not put back.
    let fact = match view.routes().find(|(_, route)| !route.is_at(decided) && route.problem.is_none()) {
        Some((id, route)) => Fact::WeightsPutBack { route: id.clone(), found: route.most, decided },
        None if pass.carrier() == Carrier::Service => {
            let found = view.seen.stable_service.seen().and_then(|service| service.selection.clone());
            let decided = pass.state.bindings.stable.decided.clone();
            if found.as_ref() == Some(&decided) {
                return;
            }
            Fact::SelectorPutBack { found, decided }
        }
        None => return,
    };
    if !is_contended(&pass.state) {
        pass.tell(fact);
    }
    pass.state.foreign_edits.push(view.now);
}

/// An editor that reacts before our watch delivers is invisible to us, so the pause runs from our own write.
pub(super) fn note_own_write(state: &mut State, now: Timestamp) {
    if is_contended(state)
        && let Some(last) = state.foreign_edits.last_mut()
    {
        *last = now;
    }
}

/// Edits count for a minute. Contention lasts until nobody has written for a minute: our own writes have become rare by then,
/// and so have the answers to them.
pub(super) fn forget(pass: &mut Pass<'_>) {
    let now = pass.view.now;
    let contended = is_contended(&pass.state);
    let edits = &mut pass.state.foreign_edits;
    let over = edits.last().map(|last| after(*last, WINDOW));
    match over {
        Some(over) if contended && now < over => {
            edits.drain(..edits.len().saturating_sub(EDITS_BORNE + 1));
            pass.wake_at(over);
        }
        _ => edits.retain(|edit| after(*edit, WINDOW) > now),
    }
}
