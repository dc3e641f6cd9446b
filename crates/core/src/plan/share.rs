//! I1: a share that the ready pods cannot carry is taken back in the first pass that sees it, where stable can carry it; it
//! comes back after they have been ready for a while.

use std::time::Duration;

use super::{Fact, Pass, pods, steps};
use crate::names::Side;
use crate::state::Shrunk;
use crate::time::after;
use crate::traffic::Weight;

/// Pods that came back must stay ready for this long before their share comes back.
const READY_AGAIN_FOR: Duration = Duration::from_secs(30);

/// Keeps the canary's share within what its ready pods can carry.
pub(super) fn keep_within_pods(pass: &mut Pass<'_>) {
    let (view, replicas) = (pass.view, pass.view.replicas());
    let Some(release) = pass.release() else { return };
    let (goal, shrunk) = (release.goal, release.shrunk);
    if goal == Weight::ZERO || !pass.state.bindings.canary.is_in_force(&release.canary.hash) {
        return;
    }
    let Some(ready) = view.endpoints(Side::Canary, &release.canary.hash) else { return };
    let has_followed = ready >= goal.needs(replicas);
    let base = if has_followed { replicas } else { release.base_replicas.min(replicas) };
    if let Some(release) = pass.release_mut() {
        release.base_replicas = base;
    }
    pods::note_ready(pass, ready);
    match shrunk {
        _ if ready < goal.needs(base) => shrink(pass, ready, base, shrunk),
        Some(shrunk) => restore(pass, goal, shrunk),
        None => {}
    }
}

fn shrink(pass: &mut Pass<'_>, ready: u32, base: u32, shrunk: Option<Shrunk>) {
    let (decided, now) = (pass.state.split.decided, pass.view.now);
    let carried = Weight::carried_by(ready, base);
    let carried_by_stable = Weight::carried_by(pass.ready_stable(), pass.view.replicas());
    // Without one ready endpoint every request of the share fails: whatever stable has is better.
    let lowest = if ready == 0 { Weight::ZERO } else { carried_by_stable.rest() };
    let share = carried.max(lowest).min(decided);
    let since = shrunk.map_or(now, |shrunk| shrunk.since);
    set(pass, Some(Shrunk { since, ready_since: None }));
    if share < decided {
        pass.tell(Fact::ShareReduced { ready, share });
        pass.decide_split(share);
    }
}

fn restore(pass: &mut Pass<'_>, goal: Weight, shrunk: Shrunk) {
    let since = shrunk.ready_since.unwrap_or(pass.view.now);
    let back_at = after(since, READY_AGAIN_FOR);
    if pass.view.now < back_at {
        pass.wake_at(back_at);
        set(pass, Some(Shrunk { ready_since: Some(since), ..shrunk }));
        return;
    }
    let may_raise = || pass.release().is_none_or(|release| steps::may_raise(release, &pass.state.stable.hash));
    if pass.state.split.decided == goal {
        set(pass, None);
    } else if may_raise() && !pass.view.seen.first_pass {
        set(pass, None);
        pass.tell(Fact::ShareRestored { goal });
        pass.decide_split(goal);
    }
}

fn set(pass: &mut Pass<'_>, shrunk: Option<Shrunk>) {
    if let Some(release) = pass.release_mut() {
        release.shrunk = shrunk;
    }
}
