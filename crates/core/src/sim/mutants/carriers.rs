//! Mistakes that somebody could make where stable may shrink, or where no proxy shares the traffic. They stand around the
//! planner, as those of [`super::mistakes`] do.

use super::mistakes::{bind, with};
use super::{Mutant, all_are_caught};
use crate::names::{Hash, Selection, Side};
use crate::observed::{Look, Observed};
use crate::plan::{Action, Persist, Plan, plan};
use crate::sim::faults::Faults;
use crate::spec::Rollout;
use crate::state::{Release, Stage, State};
use crate::time::after;
use crate::traffic::{Carrier, Weight};

const MUTANTS: [Mutant; 12] = [
    ("stable shrinks when a weight is written", "I2", stable_shrinks_early, routes),
    ("pods count before they are ready", "K1", wanted_pods_count, workers),
    ("a canary grows on its way out", "K3", canary_grows_while_leaving, service),
    ("a third revision is selected as well", "R3", third_is_not_seen, service),
    ("a preview is shown before it is ready", "B7", preview_shown_early, service),
    ("the way back asks for the new revision", "B5", way_back_asks_for_new, service_and_pods),
    ("the old revision goes as soon as the new one is selected", "B4", old_goes_at_once, service),
    ("nobody waits between two selections", "B9", overlap_is_skipped, service),
    ("what was rejected is drained", "B6", rejected_is_drained, service),
    ("the window begins with the overlap", "B8", window_begins_early, service),
    ("half of a revision takes over", "B3", part_takes_over, service),
    ("pods come before their share is decided", "R4", pods_come_early, service),
];

fn routes(_: u64) -> Faults {
    Faults::default()
}

fn service(_: u64) -> Faults {
    Faults::default().carried_by(Carrier::Service)
}

fn service_and_pods(_: u64) -> Faults {
    Faults { pods_fail: true, ..Faults::default() }.carried_by(Carrier::Service)
}

fn workers(_: u64) -> Faults {
    Faults::default().carried_by(Carrier::Pods)
}

#[test]
fn every_mutant_of_carriers_is_caught() {
    all_are_caught(&MUTANTS);
}

fn release(state: &State) -> Option<&Release> {
    match &state.stage {
        Stage::Releasing(release) => Some(release),
        _ => None,
    }
}

fn wanted(observed: &Observed, hash: &Hash) -> Option<u32> {
    observed.sets.seen()?.get(hash).map(|set| set.wanted)
}

fn scale(observed: &Observed, hash: &Hash, to: u32) -> Vec<Action> {
    let from = wanted(observed, hash).filter(|from| *from != to);
    from.map(|from| Action::ScaleSet { hash: hash.clone(), from, to, safety: false }).into_iter().collect()
}

fn stable_shrinks_early(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    with(rollout, state, observed, |state| {
        let smaller = release(state).filter(|release| release.recipe.keep_stable != Weight::FULL);
        let moving = smaller.filter(|_| state.split.decided != state.split.in_force);
        let to = state.split.decided.rest().needs(rollout.replicas).max(1);
        moving.map_or_else(Vec::new, |_| scale(observed, &state.stable.hash, to))
    })
}

fn wanted_pods_count(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut told = observed.clone();
    if let Look::Seen(sets) = &mut told.sets {
        for set in sets.values_mut() {
            (set.ready, set.available) = (set.wanted, set.wanted);
        }
    }
    plan(rollout, state, &told)
}

fn canary_grows_while_leaving(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    with(rollout, state, observed, |state| match &state.stage {
        Stage::Leaving(leaving) => {
            let hash = &leaving.canary.hash;
            wanted(observed, hash).map_or_else(Vec::new, |wanted| scale(observed, hash, wanted + 1))
        }
        _ => Vec::new(),
    })
}

fn third_is_not_seen(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut told = observed.clone();
    if let (Some(state), Look::Seen(sets)) = (state, &mut told.sets)
        && let Some(release) = release(state)
    {
        sets.retain(|hash, _| *hash == state.stable.hash || *hash == release.canary.hash);
    }
    plan(rollout, state, &told)
}

fn preview_shown_early(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut plan = plan(rollout, state, observed);
    if let Some(state) = &mut plan.state
        && let Some(release) = release(state).filter(|release| release.preflight.is_none())
        && !state.bindings.canary.decided.is_only(&release.canary.hash)
    {
        let hash = release.canary.hash.clone();
        state.bindings.canary.decide(&hash);
        plan.actions.push(bind(Side::Canary, &hash));
        plan.persist = Persist::Now;
    }
    plan
}

fn way_back_asks_for_new(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut plan = plan(rollout, state, observed);
    if let Some(State { stage: Stage::Leaving(leaving), .. }) = &plan.state {
        let ready = observed.sets.seen().and_then(|sets| sets.get(&leaving.canary.hash)).map_or(0, |set| set.ready);
        if ready < rollout.replicas {
            plan.actions.retain(|action| !matches!(action, Action::Bind { side: Side::Stable, .. }));
        }
    }
    plan
}

fn old_goes_at_once(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    with(rollout, state, observed, |state| {
        let goes = release(state).is_some() && state.split.decided == Weight::FULL;
        if goes { scale(observed, &state.stable.hash, 0) } else { Vec::new() }
    })
}

fn overlap_is_skipped(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut rollout = rollout.clone();
    if let Ok(spec) = &mut rollout.spec {
        spec.overlap = std::time::Duration::ZERO;
    }
    plan(&rollout, state, observed)
}

fn rejected_is_drained(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut plan = plan(rollout, state, observed);
    let Some(state) = &plan.state else { return plan };
    let is_early = |hash: &Hash| {
        let since = state.idle.get(hash).copied();
        since.is_none_or(|since| observed.now < after(since, state.timing.drain.max(std::time::Duration::from_secs(8))))
    };
    plan.actions.retain(|action| !matches!(action, Action::ScaleSet { hash, to: 0, .. } if is_early(hash)));
    let soon = after(observed.now, std::time::Duration::from_secs(1));
    if !state.idle.is_empty() {
        plan.next_wake = Some(plan.next_wake.map_or(soon, |wake| wake.min(soon)));
    }
    plan
}

fn window_begins_early(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut plan = plan(rollout, state, observed);
    if let Some(State { stage: Stage::Releasing(release), split, .. }) = &mut plan.state
        && release.goal == Weight::FULL
        && split.decided.is_shared()
        && release.goal_since.is_none()
    {
        release.goal_since = Some(observed.now);
        plan.persist = Persist::Now;
    }
    plan
}

fn part_takes_over(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut rollout = rollout.clone();
    if let Ok(spec) = &mut rollout.spec {
        spec.ready_threshold = Weight::HALF;
    }
    plan(&rollout, state, observed)
}

fn pods_come_early(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    with(rollout, state, observed, |state| {
        let shared = release(state).filter(|release| {
            let any = state.bindings.stable.decided == Selection::Any;
            any && release.goal.is_shared() && state.split.in_force == release.goal
        });
        shared.map_or_else(Vec::new, |release| scale(observed, &release.canary.hash, rollout.replicas + 2))
    })
}
