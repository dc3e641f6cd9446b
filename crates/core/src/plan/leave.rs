//! Taking a canary out of service: split, then binding, then (as clean-up) pods.
//!
//! Needs nothing but stable pods. Where a route cannot be written or is not accepted in time, `canaryService` is bound to
//! stable instead: another object and another write.

use std::time::Duration;

use jiff::Timestamp;

use super::hold::{Hold, Timed};
use super::{Fact, Next, Pass, pods, record};
use crate::analysis::Scope;
use crate::names::{Revision, Side};
use crate::state::{Leaving, Rejection, Stage, Why};
use crate::time::after;
use crate::traffic::{Binding, Carrier, Weight, sizes};

/// How long a route may take to show the way back before `canaryService` is re-bound.
const SECOND_WAY_AFTER: Duration = Duration::from_secs(5);
/// Rejections kept in the status.
const REJECTIONS_KEPT: usize = 10;

/// The canary failed: it is rejected and leaves.
pub(super) fn reject(pass: &mut Pass<'_>, reason: &str, message: String) {
    record::note_release(pass, None);
    turn_back(pass, reason, message, None);
}

/// The canary failed by one metric.
pub(super) fn reject_by(pass: &mut Pass<'_>, decided: (Scope, &str), message: String, query: String) {
    record::note_release(pass, Some(decided));
    turn_back(pass, "AnalysisFailed", message, Some(query));
}

fn turn_back(pass: &mut Pass<'_>, reason: &str, message: String, query: Option<String>) {
    let Some(revision) = pass.release().map(|release| release.canary.clone()) else { return };
    pass.tell(Fact::RollingBack { reason: reason.to_owned(), message: message.clone() });
    note_rejection(pass, revision, reason, message, query);
    begin(pass, Why::Failed);
}

/// Remembers that a revision must not run again by itself.
pub(super) fn note_rejection(
    pass: &mut Pass<'_>,
    revision: Revision,
    reason: &str,
    message: String,
    query: Option<String>,
) {
    let (declared, at) = (&pass.view.rollout.hash, pass.view.now);
    let rejected = &mut pass.state.rejected;
    rejected.retain(|rejection| rejection.revision.hash != revision.hash);
    rejected.insert(0, Rejection { revision, reason: reason.to_owned(), message, query, at });
    let mut kept = 0;
    rejected.retain(|rejection| {
        kept += 1;
        kept <= REJECTIONS_KEPT || rejection.revision.hash == *declared
    });
}

/// The canary leaves, for whatever reason.
pub(super) fn begin(pass: &mut Pass<'_>, why: Why) {
    let had = pass.reach().most_canary();
    let Some(release) = pass.release() else { return };
    let canary = release.canary.clone();
    if why != Why::Failed {
        record::note_release(pass, None);
    }
    pass.state.stage = Stage::Leaving(Leaving { canary, why, since: pass.view.now, had, comparison: None });
    record::note_way_back(pass, why, had);
}

pub(super) fn leave(pass: &mut Pass<'_>) -> Next {
    let Stage::Leaving(Leaving { canary, why, .. }) = &pass.state.stage else { return Next::Rest };
    let (number, why) = (canary.number, *why);
    take_traffic_away(pass);
    let stable = pass.state.stable.hash.clone();
    let decided = pass.state.split.decided;
    if let Some(until) = overlap_until(pass).filter(|_| decided != Weight::ZERO) {
        return Next::Wait(Hold::Until { what: Timed::Overlapping, until });
    }
    if decided != Weight::ZERO {
        return Next::Wait(if pass.ready_stable() == 0 {
            pods::ask(pass, &stable);
            Hold::NoStablePods { words: pass.view.what_keeps(&stable) }
        } else {
            Hold::Route(format!("stable to take more than {}", decided.rest()))
        });
    }
    if pass.carrier() == Carrier::Service && pass.ready_stable() > 0 {
        // No user is sent to it: it follows at once.
        pass.decide_binding(Side::Canary, &stable);
    }
    if let Some(hold) = pass.wait_for_split(Weight::ZERO) {
        return Next::Wait(hold);
    }
    pass.decide_binding(Side::Canary, &stable);
    if let Some(hold) = pass.wait_for_binding(Side::Canary, &stable, 1) {
        return Next::Wait(hold);
    }
    pass.tell(Fact::Left { number, why });
    pass.state.stage = Stage::Resting;
    Next::Again
}

/// The part of leaving that protects users: both ways back.
pub(super) fn take_traffic_away(pass: &mut Pass<'_>) {
    let Stage::Leaving(leaving) = &pass.state.stage else { return };
    let lowest = lowest_now(pass, leaving);
    if lowest < pass.state.split.decided {
        pass.decide_split(lowest);
    }
    if let Some(until) = overlap_until(pass) {
        pass.wake_at(until);
    }
    take_second_way(pass);
}

/// I4: at once where half of stable is ready, or canary has nothing; else step by step, monotone, never zero progress.
fn lowest_now(pass: &Pass<'_>, leaving: &Leaving) -> Weight {
    let (split, replicas, stable) = (pass.state.split, pass.view.replicas(), pass.ready_stable());
    if pass.carrier() == Carrier::Pods || canary_is_gone(pass, leaving) {
        return Weight::ZERO;
    }
    if stable >= sizes::half_of_stable(replicas) && (stable > 0 || replicas == 0) {
        let overlaps = begins_to_overlap(pass, leaving) || overlap_until(pass).is_some();
        return if overlaps && !selects_stable_alone(pass) { Weight::HALF.min(split.decided) } else { Weight::ZERO };
    }
    if stable == 0 {
        return split.decided;
    }
    let settled = split.in_force == split.decided && pass.traffic_is_at(split.decided);
    let first = split.decided_at < leaving.since;
    if !(settled || first) {
        return split.decided;
    }
    let quarter = Weight::clamped(leaving.had.percent().div_ceil(4));
    Weight::carried_by(stable, replicas).rest().min(split.decided.less(quarter))
}

/// True when no pod of the canary answers any more.
fn canary_is_gone(pass: &Pass<'_>, leaving: &Leaving) -> bool {
    let canary = &leaving.canary.hash;
    match pass.carrier() {
        Carrier::Routes => pass.view.endpoints(Side::Canary, canary) == Some(0),
        Carrier::Service | Carrier::Pods => {
            pass.view.sets().is_some() && pass.view.set(canary).is_none_or(|set| set.ready == 0)
        }
    }
}

/// True for the first step back from a revision that was selected alone, where an overlap is declared: whoever registers
/// endpoints by himself has forgotten those of stable.
fn begins_to_overlap(pass: &Pass<'_>, leaving: &Leaving) -> bool {
    leaving.had == Weight::FULL && pass.state.split.decided == Weight::FULL && has_overlap(pass)
}

/// True when the Service selects stable alone already: our own way back, written while its intent could not be persisted.
fn selects_stable_alone(pass: &Pass<'_>) -> bool {
    let selection = pass.view.seen.stable_service.seen().and_then(|service| service.selection.as_ref());
    selection.is_some_and(|selection| selection.is_only(&pass.state.stable.hash))
}

/// While both are selected on the way back: until when.
fn overlap_until(pass: &Pass<'_>) -> Option<Timestamp> {
    let Stage::Leaving(leaving) = &pass.state.stage else { return None };
    let split = pass.state.split;
    if leaving.had != Weight::FULL || !split.decided.is_shared() || !has_overlap(pass) || canary_is_gone(pass, leaving)
    {
        return None;
    }
    // Until it is seen, nobody can say.
    let since = split.seen_since.unwrap_or(pass.view.now);
    Some(after(since, pass.state.timing.overlap)).filter(|until| pass.view.now < *until)
}

fn has_overlap(pass: &Pass<'_>) -> bool {
    pass.carrier() == Carrier::Service && pass.state.timing.overlap > pass.settle_time()
}

/// True when stable can carry everything, or something where the canary carries nothing.
fn can_carry_all(pass: &Pass<'_>) -> bool {
    let Stage::Leaving(leaving) = &pass.state.stage else { return false };
    let stable = pass.ready_stable();
    stable > 0 && (canary_is_gone(pass, leaving) || stable >= sizes::half_of_stable(pass.view.replicas()))
}

fn take_second_way(pass: &mut Pass<'_>) {
    if pass.carrier() != Carrier::Routes {
        return;
    }
    let (view, split) = (pass.view, pass.state.split);
    let stable = pass.state.stable.hash.clone();
    let reach = pass.reach();
    if reach.fixed() > Weight::ZERO && can_carry_all(pass) {
        // Such a rule sends to the canary for as long as canaryService is bound to it, whatever is written to the split.
        pass.state.bindings.canary.decide(stable);
        return;
    }
    if pass.routes_are_at(split.decided) || reach.is_out_of(Side::Canary) || !can_carry_all(pass) {
        return;
    }
    let broken = view.routes().any(|(_, route)| route.problem.is_some());
    let due = after(split.decided_at, SECOND_WAY_AFTER);
    if !broken && view.now < due {
        pass.wake_at(due);
    } else if !pass.state.bindings.canary.decided.is_only(&stable) {
        pass.tell(Fact::SecondWay { route: view.route_behind(split.decided) });
        pass.state.bindings.canary = Binding::decided(stable);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{Hash, Selection};
    use crate::plan::scene::Scene;
    use crate::traffic::Split;

    #[test]
    fn a_way_back_that_was_written_and_not_persisted_is_not_taken_back_for_an_overlap() {
        let mut scene = Scene::releasing();
        scene.carried_by(Carrier::Service);
        scene.rollout.spec.as_mut().unwrap().overlap = Duration::from_mins(1);
        let now = scene.seen.now;
        let canary = scene.release().canary.clone();
        let state = scene.state();
        state.stage =
            Stage::Leaving(Leaving { canary, why: Why::Failed, since: now, had: Weight::FULL, comparison: None });
        state.split = Split { seen_since: Some(now), ..Split::at_rest(Weight::HALF, now) };
        state.bindings.stable.decide(Selection::Any);
        scene.service(Side::Stable).selection = Some(Selection::Any);
        assert_eq!(scene.pass().state.unwrap().split.decided, Weight::HALF, "both are selected for a minute");
        scene.service(Side::Stable).selection = Some(Hash::from("old").into());
        let plan = scene.pass();
        assert_eq!((plan.state.as_ref().unwrap().split.decided, plan.told()), (Weight::ZERO, vec!["WeightWritten"]));
    }
}
