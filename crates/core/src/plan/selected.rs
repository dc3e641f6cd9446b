//! I1 where one Service carries the traffic. Pods that are not ready leave its endpoints by themselves, and the others get
//! their part: only where that makes too much of the canary, or nothing at all, is it taken out of the selection.

use super::{Fact, Pass, pods, share};
use crate::names::Side;
use crate::state::Shrunk;
use crate::time::after;
use crate::traffic::{Weight, sizes};

/// Keeps the selection on pods that answer.
pub(super) fn keep_on_pods(pass: &mut Pass<'_>) {
    let Some(release) = pass.release().filter(|it| it.preflight.is_none() && it.goal > Weight::ZERO) else { return };
    let (canary, shrunk) = (release.canary.hash.clone(), release.shrunk);
    if pass.view.sets().is_none() {
        return;
    }
    let ready = pass.view.set(&canary).map_or(0, |set| set.ready);
    pods::note_ready(pass, ready);
    if pass.state.split.decided != Weight::ZERO {
        if is_too_weak(pass, ready) {
            let since = shrunk.map_or(pass.view.now, |shrunk| shrunk.since);
            share::set(pass, Some(Shrunk { since, ready_since: None }));
            pass.tell(Fact::ShareReduced { ready, share: Weight::ZERO });
            pass.decide_split(Weight::ZERO);
        }
    } else if let Some(shrunk) = shrunk {
        restore(pass, &canary, shrunk);
    }
}

/// True where stable alone serves better than what is selected now.
fn is_too_weak(pass: &Pass<'_>, ready: u32) -> bool {
    let (replicas, stable) = (pass.view.replicas(), pass.ready_stable());
    if ready == 0 {
        return stable > 0;
    }
    let half = sizes::half_of_stable(replicas);
    let Some(release) = pass.release().filter(|_| stable >= half) else { return false };
    if pass.state.split.decided == Weight::FULL {
        let is_whole = stable >= pass.enough(replicas);
        return is_whole && ready < half;
    }
    // Stable pods that are not ready make the canary's share larger, whatever was asked.
    let asked = release.goal.max(pass.shape().share());
    release.goal.is_shared() && sizes::share(stable, ready).percent() > 2 * asked.percent()
}

/// Once its pods have been ready for a while, the canary is selected again: with stable at first.
fn restore(pass: &mut Pass<'_>, canary: &crate::names::Hash, shrunk: Shrunk) {
    let needed = pass.enough(pass.shape().canary);
    let stable = pass.ready_stable() >= pass.enough(pass.shape().stable.min(pass.view.replicas()));
    if pass.view.available(canary) < needed || !stable {
        share::set(pass, Some(Shrunk { ready_since: None, ..shrunk }));
        return;
    }
    let since = shrunk.ready_since.unwrap_or(pass.view.now);
    let back_at = after(since, share::READY_AGAIN_FOR);
    share::set(pass, Some(Shrunk { ready_since: Some(since), ..shrunk }));
    if pass.view.now < back_at {
        pass.wake_at(back_at);
        return;
    }
    let is_settled = pass.reach().is_out_of(Side::Canary);
    if is_settled && !pass.view.seen.first_pass && share::may_be_restored(pass) && pass.others_end().is_none() {
        let Some(goal) = pass.release().map(|release| release.goal) else { return };
        share::set(pass, None);
        pass.tell(Fact::ShareRestored { goal });
        pass.decide_split(if goal == Weight::FULL { Weight::HALF } else { goal });
    }
}
