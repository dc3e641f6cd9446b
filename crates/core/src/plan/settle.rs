//! What has been seen of our own writes. A split or a binding is in force once it has been seen everywhere and has
//! settled. Since when it has been seen is persisted with the next decision, or after ten seconds: a restart does not shorten
//! the wait, and repeats no more than that of it.

use jiff::Timestamp;

use super::{Pass, contention, record};
use crate::names::{Selection, Side};
use crate::observed::Look;
use crate::state::Stage;
use crate::time::after;
use crate::traffic::{Carrier, Weight};

/// Notes what was seen of everything that was written.
pub(super) fn note(pass: &mut Pass<'_>) {
    note_binding(pass, Side::Stable);
    note_binding(pass, Side::Canary);
    note_split(pass);
    let ready = pass.release().and_then(|release| pass.view.set(&release.canary.hash)).map_or(0, |set| set.ready);
    let now = pass.view.now;
    if let Some(release) = pass.release_mut() {
        release.note_pods(ready, now);
    }
}

/// Notes since when the traffic has been shared as decided.
pub(super) fn note_split(pass: &mut Pass<'_>) {
    let decided = pass.state.split.decided;
    let resting = matches!(pass.state.stage, Stage::Resting | Stage::Deploying);
    if pass.traffic_is_at(decided) {
        let (moves, is_new) = (decided != pass.state.split.in_force, pass.state.split.seen_since.is_none());
        let sighted = sighted_split(pass);
        let since = *pass.state.split.seen_since.get_or_insert(sighted.unwrap_or(pass.view.now));
        let settled = after(since, pass.settle_time());
        if moves && is_new {
            record::note_share_written(pass, decided, sighted);
        }
        if !moves {
            // Nothing to wait for.
        } else if settled <= pass.view.now {
            pass.state.split.in_force = decided;
            record::note_share_in_force(pass, decided);
        } else {
            pass.wake_at(settled);
        }
    } else if !resting && pass.state.split.seen_since.or(sighted_split(pass)).is_some() && somebody_wrote(pass) {
        pass.state.split.seen_since = None;
        pass.rewritten = true;
    }
    contention::forget(pass);
}

/// Since when this process has seen the split that is decided, where that is not persisted yet.
fn sighted_split(pass: &Pass<'_>) -> Option<Timestamp> {
    pass.view.seen.sighted.split_since(&pass.state.split).map(|since| since.min(pass.view.now))
}

/// True where a route, or the Service that carries the traffic, is not as it was decided.
fn somebody_wrote(pass: &Pass<'_>) -> bool {
    let decided = pass.state.split.decided;
    let selects_others = || {
        let selection = pass.view.seen.stable_service.seen().map(|service| &service.selection);
        selection.is_some_and(|it| it.as_ref() != Some(&pass.state.bindings.stable.decided))
    };
    pass.view.routes().any(|(_, route)| !route.is_at(decided)) || pass.carrier() == Carrier::Service && selects_others()
}

/// Notes since when the slices of a side's Service have been those of its binding. Without a Service there is nothing to see.
pub(super) fn note_binding(pass: &mut Pass<'_>, side: Side) {
    let (view, settle) = (pass.view, pass.state.timing.of_endpoints());
    let selection = pass.state.bindings.of(side).decided.clone();
    let service = view.seen.service_of(side);
    let selects = |wanted: bool| service.seen().is_some_and(|it| (it.selection.as_ref() == Some(&selection)) == wanted);
    let enough = endpoints_wanted(pass, side);
    let ready = view.seen.endpoints_of(side).ready_as(&selection);
    let there = ready.is_some_and(|ready| ready >= enough) || view.replicas() == 0;
    let carrier = pass.carrier();
    let binding = pass.state.bindings.of_mut(side);
    if carrier == Carrier::Pods {
        binding.in_force = Some(selection);
    } else if !binding.is_moving() {
        if matches!(service, Look::Missing) || selects(false) {
            binding.in_force = None;
            binding.seen_since = None;
        }
    } else if !(selects(true) && there) {
        binding.seen_since = None;
    } else {
        let sighted = view.seen.sighted.binding_since(side, &selection).unwrap_or(view.now);
        let settled = after(*binding.seen_since.get_or_insert(sighted.min(view.now)), settle);
        if settled <= view.now {
            binding.in_force = Some(selection);
        } else {
            pass.wake_at(settled);
        }
    }
}

/// Ready endpoints that a binding must show before it counts as seen.
fn endpoints_wanted(pass: &Pass<'_>, side: Side) -> u32 {
    let ready = |hash| pass.view.set(hash).map_or(0, |set| set.ready);
    let canary = || pass.trial().map_or(0, |canary| ready(&canary.hash));
    match (&pass.state.stage, side) {
        (Stage::Releasing(release), Side::Canary) => pass.needs(release.target(), pass.view.replicas()).max(1),
        (_, Side::Stable) if pass.state.bindings.stable.decided == Selection::Any => {
            ready(&pass.state.stable.hash).saturating_add(canary()).max(1)
        }
        (Stage::Releasing(_), Side::Stable)
            if pass.carrier() == Carrier::Service && pass.state.split.decided == Weight::FULL =>
        {
            pass.enough(pass.view.replicas())
        }
        _ => 1,
    }
}

/// The instant at which what is decided of the split has settled; `None` while it has not been seen.
pub(super) fn split_settles_at(pass: &Pass<'_>) -> Option<Timestamp> {
    Some(after(pass.state.split.seen_since?, pass.settle_time()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::scene::Scene;
    use super::super::{Persist, Plan, plan};
    use super::*;
    use crate::observed::Sighted;
    use crate::traffic::Split;

    /// So long after the beginning, on what was persisted then.
    fn later(scene: &mut Scene, began: Timestamp, seconds: u64) -> Plan {
        scene.seen.now = after(began, Duration::from_secs(seconds));
        plan(&scene.rollout, scene.state.as_ref(), &scene.seen)
    }

    #[test]
    fn what_is_seen_is_told_once_and_persisted_with_the_next_decision() {
        let mut scene = Scene::releasing();
        let began = scene.seen.now;
        scene.state().split = Split { in_force: Weight::ZERO, ..Split::at_rest(Weight::clamped(25), began) };
        let seen = later(&mut scene, began, 1);
        assert_eq!((seen.persist, seen.told()), (Persist::Later, vec!["WeightWritten"]));
        scene.seen.sighted = seen.sighted;
        let waits = later(&mut scene, began, 3);
        assert_eq!((waits.persist, waits.told()), (Persist::Later, vec![]));
        assert_eq!(waits.state.unwrap().split.seen_since, Some(after(began, Duration::from_secs(1))));
        let settled = later(&mut scene, began, 4);
        assert_eq!((settled.persist, settled.told()), (Persist::Now, vec!["WeightInForce"]));
        // Another process has not seen it, and waits for as long.
        scene.seen.sighted = Sighted::default();
        let anew = later(&mut scene, began, 4);
        assert_eq!((anew.persist, anew.told()), (Persist::Later, vec!["WeightWritten"]));
    }
}
