//! I1: a share that the ready pods cannot carry is taken back in the first pass that sees it, where stable can carry it; it
//! comes back after they have been ready for a while.

use std::time::Duration;

use super::{Fact, Pass, pods, selected, steps};
use crate::names::Side;
use crate::state::Shrunk;
use crate::time::after;
use crate::traffic::{Carrier, Weight};

/// Pods that came back must stay ready for this long before their share comes back.
pub(super) const READY_AGAIN_FOR: Duration = Duration::from_secs(30);

/// Keeps the canary's share within what its ready pods can carry.
pub(super) fn keep_within_pods(pass: &mut Pass<'_>) {
    match pass.carrier() {
        Carrier::Routes => {}
        Carrier::Service => return selected::keep_on_pods(pass),
        // Whoever pulls his work pulls none when he is not there.
        Carrier::Pods => return,
    }
    if pass.reach().fixed() > Weight::ZERO && follow_dead_pods(pass) {
        return;
    }
    let (view, replicas) = (pass.view, pass.view.replicas());
    let Some(release) = pass.release() else { return };
    let (goal, shrunk) = (release.goal, release.shrunk);
    if !pass.state.bindings.canary.is_in_force(&release.canary.hash) {
        return;
    }
    if goal == Weight::ZERO {
        // What was taken away was the binding, and it is back.
        set(pass, None);
        return;
    }
    let Some(ready) = view.endpoints(Side::Canary, &release.canary.hash) else { return };
    let has_followed = ready >= pass.needs(goal, replicas);
    let base = if has_followed { replicas } else { release.base_replicas.min(replicas) };
    if let Some(release) = pass.release_mut() {
        release.base_replicas = base;
    }
    pods::note_ready(pass, ready);
    match shrunk {
        _ if ready < pass.needs(goal, base) => shrink(pass, ready, base, shrunk),
        Some(shrunk) => restore(pass, goal, shrunk),
        None => {}
    }
}

/// A rule that is not split sends to `canaryService` whatever is written: without a ready canary pod it is bound to stable,
/// and to the canary again once its pods have been ready for a while. True while it is not the canary's for that reason.
fn follow_dead_pods(pass: &mut Pass<'_>) -> bool {
    let (view, stable) = (pass.view, pass.state.stable.hash.clone());
    let Some(release) = pass.release().filter(|release| release.preflight.is_none()) else { return false };
    let (canary, goal, base, shrunk) =
        (release.canary.hash.clone(), release.goal, release.base_replicas, release.shrunk);
    let binding = &pass.state.bindings.canary;
    if binding.is_in_force(&canary) {
        if view.endpoints(Side::Canary, &canary) != Some(0) || pass.ready_stable() == 0 {
            return false;
        }
        let since = shrunk.map_or(view.now, |shrunk| shrunk.since);
        set(pass, Some(Shrunk { since, ready_since: None }));
        pass.tell(Fact::ShareReduced { ready: 0, share: Weight::ZERO });
        if pass.state.split.decided != Weight::ZERO {
            pass.decide_split(Weight::ZERO);
        }
        pass.decide_binding(Side::Canary, &stable);
        return true;
    }
    let Some(shrunk) = shrunk.filter(|_| binding.decided.is_only(&stable)) else { return false };
    if view.available(&canary) < pass.needs(goal, base).max(1) {
        set(pass, Some(Shrunk { ready_since: None, ..shrunk }));
        return true;
    }
    let since = shrunk.ready_since.unwrap_or(view.now);
    let back_at = after(since, READY_AGAIN_FOR);
    set(pass, Some(Shrunk { ready_since: Some(since), ..shrunk }));
    if view.now < back_at {
        pass.wake_at(back_at);
    } else if pass.reach().is_out_of(Side::Canary) && !view.seen.first_pass {
        pass.decide_binding(Side::Canary, &canary);
    }
    true
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
    if pass.state.split.decided == goal {
        set(pass, None);
    } else if may_be_restored(pass) && !pass.view.seen.first_pass {
        set(pass, None);
        pass.tell(Fact::ShareRestored { goal });
        pass.decide_split(goal);
    }
}

/// True while no metric of the release fails.
pub(super) fn may_be_restored(pass: &Pass<'_>) -> bool {
    pass.release().is_none_or(|release| steps::may_raise(release, &pass.state.stable.hash))
}

pub(super) fn set(pass: &mut Pass<'_>, shrunk: Option<Shrunk>) {
    if let Some(release) = pass.release_mut() {
        release.was_shrunk |= shrunk.is_some();
        release.shrunk = shrunk;
    }
}
