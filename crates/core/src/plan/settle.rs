//! What has been seen of our own writes. A split or a binding is in force once it has been seen everywhere and has
//! settled; both instants are persisted, so that a restart neither shortens nor repeats the wait.

use super::{Pass, contention};
use crate::names::Side;
use crate::observed::Look;
use crate::state::Stage;
use crate::time::after;

/// Notes what was seen of everything that was written.
pub(super) fn note(pass: &mut Pass<'_>) {
    note_split(pass);
    note_binding(pass, Side::Stable);
    note_binding(pass, Side::Canary);
}

/// Notes since when the routes have been on the decided split.
pub(super) fn note_split(pass: &mut Pass<'_>) {
    let decided = pass.state.split.decided;
    let resting = matches!(pass.state.stage, Stage::Resting | Stage::Deploying);
    let somebody_wrote = || pass.view.routes().any(|(_, route)| !route.is_at(decided));
    if pass.routes_are_at(decided) {
        let since = *pass.state.split.seen_since.get_or_insert(pass.view.now);
        let settled = after(since, pass.state.timing.settle);
        if decided == pass.state.split.in_force {
            // Nothing to wait for.
        } else if settled <= pass.view.now {
            pass.state.split.in_force = decided;
        } else {
            pass.wake_at(settled);
        }
    } else if !resting && pass.state.split.seen_since.is_some() && somebody_wrote() {
        pass.state.split.seen_since = None;
        pass.rewritten = true;
    }
    contention::forget(pass);
}

/// Notes since when the slices of a side's Service have been those of its binding.
pub(super) fn note_binding(pass: &mut Pass<'_>, side: Side) {
    let (view, settle) = (pass.view, pass.state.timing.of_endpoints());
    let hash = pass.state.bindings.of(side).decided.clone();
    let service = view.seen.service_of(side);
    let selects = |wanted: bool| service.seen().is_some_and(|it| (it.bound.as_ref() == Some(&hash)) == wanted);
    let enough = endpoints_wanted(pass, side);
    let there = view.endpoints(side, &hash).is_some_and(|ready| ready >= enough) || view.replicas() == 0;
    let binding = pass.state.bindings.of_mut(side);
    if binding.is_in_force(&hash) {
        if matches!(service, Look::Missing) || selects(false) {
            binding.in_force = None;
            binding.seen_since = None;
        }
    } else if !(selects(true) && there) {
        binding.seen_since = None;
    } else {
        let settled = after(*binding.seen_since.get_or_insert(view.now), settle);
        if settled <= view.now {
            binding.in_force = Some(hash);
        } else {
            pass.wake_at(settled);
        }
    }
}

/// Ready endpoints that a binding must show before it counts as seen.
fn endpoints_wanted(pass: &Pass<'_>, side: Side) -> u32 {
    match (&pass.state.stage, side) {
        (Stage::Releasing(release), Side::Canary) => release.target().needs(pass.view.replicas()).max(1),
        _ => 1,
    }
}

/// The instant at which what is decided of the split has settled; `None` while it has not been seen.
pub(super) fn split_settles_at(pass: &Pass<'_>) -> Option<jiff::Timestamp> {
    Some(after(pass.state.split.seen_since?, pass.state.timing.settle))
}
