//! The mistakes themselves, each around the real planner.

use std::time::Duration;

use crate::analysis::Outcome;
use crate::names::{Hash, Side};
use crate::observed::{Endpoints, Look, Observed, RouteId};
use crate::plan::{Action, Persist, Plan, plan};
use crate::sim::world::{CANARY, STABLE};
use crate::spec::{Rollout, Spec};
use crate::state::{Release, Stage, State};
use crate::traffic::Weight;

pub(super) fn missing_settle(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut rollout = rollout.clone();
    if let Ok(spec) = &mut rollout.spec {
        spec.settle = Duration::ZERO;
    }
    plan(&rollout, state, observed)
}

pub(super) fn stale_is_absent(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut observed = observed.clone();
    if state.is_none() {
        observed.sets = Look::Seen(std::collections::BTreeMap::new());
        observed.live = true;
    }
    if observed.sets == Look::Stale {
        observed.sets = Look::Seen(std::collections::BTreeMap::new());
    }
    for (_, route) in &mut observed.routes {
        if *route == Look::Stale {
            *route = Look::Missing;
        }
    }
    plan(rollout, state, &observed)
}

pub(super) fn any_slice_counts(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut observed = observed.clone();
    if let Some(state) = state {
        relabel(&mut observed.stable_endpoints, state, Side::Stable);
        relabel(&mut observed.canary_endpoints, state, Side::Canary);
    }
    plan(rollout, state, &observed)
}

fn relabel(endpoints: &mut Endpoints, state: &State, side: Side) {
    for slice in &mut endpoints.slices {
        slice.selection = Some(state.bindings.of(side).decided.clone());
    }
}

pub(super) fn unready_endpoints_count(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut observed = observed.clone();
    for slice in &mut observed.canary_endpoints.slices {
        slice.ready = rollout.replicas;
    }
    if let Look::Seen(sets) = &mut observed.sets {
        for set in sets.values_mut() {
            set.ready = set.wanted;
            set.available = set.wanted;
        }
    }
    plan(rollout, state, &observed)
}

pub(super) fn bind(side: Side, hash: &Hash) -> Action {
    let service = if side == Side::Stable { STABLE } else { CANARY }.to_owned();
    Action::Bind { side, service, selection: hash.into(), ports: Vec::new(), safety: false }
}

/// Adds actions to what the real planner decides.
pub(super) fn with(
    rollout: &Rollout,
    state: Option<&State>,
    observed: &Observed,
    more: impl Fn(&State) -> Vec<Action>,
) -> Plan {
    let mut plan = plan(rollout, state, observed);
    let extra = plan.state.as_ref().map(more).unwrap_or_default();
    plan.actions.extend(extra);
    plan
}

pub(super) fn weight_before_scale(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    with(rollout, state, observed, |state| match &state.stage {
        Stage::Releasing(release)
            if state.split.decided == Weight::ZERO && state.bindings.canary.decided.is_only(&release.canary.hash) =>
        {
            observed
                .routes
                .iter()
                .map(|(id, _)| Action::Split { route: id.clone(), weight: Weight::clamped(20), safety: false })
                .collect()
        }
        _ => Vec::new(),
    })
}

pub(in crate::sim) fn scale_before_weight(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let there = |hash: &crate::names::Hash| observed.sets.seen().is_some_and(|sets| sets.contains_key(hash));
    with(rollout, state, observed, |state| match &state.stage {
        Stage::Leaving(leaving) if there(&leaving.canary.hash) => {
            vec![Action::ScaleSet { hash: leaving.canary.hash.clone(), from: 1, to: 0, safety: false }]
        }
        _ => Vec::new(),
    })
}

pub(super) fn slot_rebound_under_traffic(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    with(rollout, state, observed, |state| match &state.stage {
        Stage::Leaving(leaving) if rollout.hash != leaving.canary.hash && rollout.hash != state.stable.hash => {
            vec![bind(Side::Canary, &rollout.hash)]
        }
        _ => Vec::new(),
    })
}

pub(super) fn stable_rebound_early(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    with(rollout, state, observed, |state| match &state.stage {
        Stage::Releasing(release) if release.step > 0 => {
            vec![bind(Side::Stable, &release.canary.hash)]
        }
        _ => Vec::new(),
    })
}

pub(super) fn first_pass_raises(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    plan(rollout, state, &Observed { first_pass: false, ..observed.clone() })
}

pub(super) fn status_is_not_written_first(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut plan = plan(rollout, state, observed);
    if plan.persist == Persist::Now && !plan.actions.is_empty() {
        plan.persist = Persist::Nothing;
    }
    plan
}

/// A split at rest that is not persisted yet is taken for somebody else's.
pub(super) fn rest_is_put_back(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut plan = plan(rollout, state, observed);
    let Some(State { stage: Stage::Promoting(_), split, .. }) = state else { return plan };
    for (route, view) in &observed.routes {
        if split.decided == Weight::FULL && view.seen().is_some_and(|view| view.is_at(Weight::ZERO)) {
            plan.actions.push(Action::Split { route: route.clone(), weight: Weight::FULL, safety: false });
        }
    }
    plan
}

pub(super) fn rejections_are_forgotten(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut plan = plan(rollout, state, observed);
    if let Some(state) = &mut plan.state
        && matches!(state.stage, Stage::Resting)
        && !state.rejected.is_empty()
    {
        state.rejected.clear();
        plan.persist = Persist::Now;
    }
    plan
}

pub(super) fn no_data_is_success(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut observed = observed.clone();
    for part in observed.answers.iter_mut().flat_map(|answer| &mut answer.parts) {
        if !matches!(part.outcome, Outcome::Samples(_)) {
            part.outcome = Outcome::Samples(vec![1.0]);
        }
    }
    plan(rollout, state, &observed)
}

pub(super) fn failure_is_ignored(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut observed = observed.clone();
    for part in observed.answers.iter_mut().flat_map(|answer| &mut answer.parts) {
        if part.outcome == Outcome::Samples(vec![0.2]) {
            part.outcome = Outcome::Empty;
        }
    }
    plan(rollout, state, &observed)
}

pub(super) fn share_without_pods(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut observed = observed.clone();
    if let Some(State { stage: Stage::Releasing(release), .. }) = state
        && release.goal_since.is_some()
    {
        for slice in &mut observed.canary_endpoints.slices {
            slice.ready = slice.ready.max(release.goal.needs(rollout.replicas));
        }
    }
    plan(rollout, state, &observed)
}

pub(super) fn wakes_are_lost(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    Plan { next_wake: None, ..plan(rollout, state, observed) }
}

pub(super) fn rest_is_restless(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let plan = plan(rollout, state, observed);
    Plan { next_wake: plan.next_wake.or(observed.now.checked_add(jiff::SignedDuration::from_secs(60)).ok()), ..plan }
}

pub(super) fn rollback_a_pass_late(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut plan = plan(rollout, state, observed);
    let turned = |state: &State| matches!(state.stage, Stage::Releasing(_));
    if state.is_some_and(turned) && matches!(plan.state.as_ref().map(|it| &it.stage), Some(Stage::Leaving(_))) {
        plan.actions.clear();
    }
    plan
}

pub(super) fn way_back_is_no_safety(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut plan = plan(rollout, state, observed);
    for action in &mut plan.actions {
        if let Action::Split { safety, .. } = action {
            *safety = false;
        }
    }
    plan
}

pub(super) fn rollback_onto_nothing(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut plan = plan(rollout, state, observed);
    if let Some(State { stage: Stage::Leaving(_), split, .. }) = &mut plan.state
        && split.decided != Weight::ZERO
    {
        split.decided = Weight::ZERO;
        plan.persist = Persist::Now;
        let all = observed.routes.iter().map(|(id, _)| id.clone());
        plan.actions.extend(all.map(|route| Action::Split { route, weight: Weight::ZERO, safety: true }));
    }
    plan
}

pub(super) fn rollback_waits_for_all(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut observed = observed.clone();
    let ready: u32 = observed.stable_endpoints.slices.iter().map(|slice| slice.ready).sum();
    if matches!(state.map(|state| &state.stage), Some(Stage::Releasing(_) | Stage::Leaving(_)))
        && ready < rollout.replicas
    {
        for slice in &mut observed.stable_endpoints.slices {
            slice.ready = 0;
        }
        if let (Look::Seen(sets), Some(state)) = (&mut observed.sets, state) {
            sets.entry(state.stable.hash.clone()).or_default().ready = 0;
        }
    }
    plan(rollout, state, &observed)
}

pub(super) fn second_way_is_not_taken(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut plan = plan(rollout, state, observed);
    let away = observed.routes.iter().any(|(_, route)| route.seen().is_some_and(|route| route.most > Weight::ZERO));
    if away && matches!(plan.state.as_ref().map(|it| &it.stage), Some(Stage::Leaving(_))) {
        plan.actions.retain(|action| !matches!(action, Action::Bind { .. }));
    }
    plan
}

pub(super) fn contention_is_fought(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let state = state.map(|state| State { foreign_edits: Vec::new(), ..state.clone() });
    plan(rollout, state.as_ref(), observed)
}

pub(super) fn edits_stay(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut plan = plan(rollout, state, observed);
    if state.is_some_and(|state| state.split.decided == state.split.in_force) {
        let decided = |weight: &Weight| plan.state.as_ref().is_some_and(|it| it.split.in_force == *weight);
        let of_git = |route: &RouteId| !route.created_by_us;
        plan.actions.retain(
            |action| !matches!(action, Action::Split { route, weight, .. } if decided(weight) && of_git(route)),
        );
    }
    plan
}

pub(super) fn deletion_is_not_seen(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    plan(&Rollout { deleted_at: None, ..rollout.clone() }, state, observed)
}

pub(super) fn deletion_leaves_routes(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut plan = plan(rollout, state, observed);
    if rollout.deleted_at.is_some() {
        plan.actions.retain(|action| !matches!(action, Action::Split { .. }));
    }
    plan
}

pub(super) fn restart_restarts_the_step(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut plan = plan(rollout, state, observed);
    if let Some(State { stage: Stage::Releasing(release), .. }) = &mut plan.state
        && observed.first_pass
    {
        release.step_since = observed.now;
        plan.persist = Persist::Now;
    }
    plan
}

pub(super) fn old_answers_count(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut observed = observed.clone();
    if let Some(State { stage: Stage::Releasing(release), .. }) = state {
        for answer in &mut observed.answers {
            answer.token.since = release.window_start();
        }
    }
    plan(rollout, state, &observed)
}

/// The state with another release in it, where one is under way.
fn released(state: Option<&State>, change: impl Fn(&mut Release)) -> Option<State> {
    let mut state = state.cloned();
    if let Some(State { stage: Stage::Releasing(release), .. }) = &mut state {
        change(release);
    }
    state
}

pub(super) fn background_ends_with_its_count(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let counted = |release: &mut Release| {
        if release.background.values().any(|tally| tally.measurements >= 2) {
            release.recipe.background = None;
        }
    };
    let ended = released(state, counted);
    let mut rollout = rollout.clone();
    if let (Some(State { stage: Stage::Releasing(release), .. }), Ok(spec)) = (&ended, &mut rollout.spec) {
        spec.background.clone_from(&release.recipe.background);
    }
    plan(&rollout, ended.as_ref(), observed)
}

pub(super) fn promotion_without_a_gate(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let at_full = |release: &Release| release.goal == Weight::FULL && release.goal_since.is_some();
    let mut rollout = rollout.clone();
    if let (Some(State { stage: Stage::Releasing(release), .. }), Ok(spec)) = (state, &mut rollout.spec)
        && at_full(release)
    {
        spec.background = None;
    }
    plan(&rollout, state, observed)
}

pub(super) fn names_follow_at_once(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let state = state.map(|state| State { targets: Some(rollout.targets.clone()), ..state.clone() });
    plan(rollout, state.as_ref(), observed)
}

pub(super) fn ports_follow_at_once(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut state = state.cloned();
    if let (Some(state), Some(ports)) = (&mut state, &observed.ports) {
        state.stable.ports.clone_from(ports);
    }
    plan(rollout, state.as_ref(), observed)
}

pub(super) fn owned_route_first(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let missing = observed.routes.iter().filter(|(id, route)| id.created_by_us && *route == Look::Missing);
    with(rollout, state, observed, |_| {
        missing
            .clone()
            .map(|(id, _)| Action::Split { route: id.clone(), weight: Weight::ZERO, safety: false })
            .collect()
    })
}

pub(super) fn routes_are_forgotten(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut state = state.cloned();
    if let Some(targets) = state.as_mut().and_then(|state| state.targets.as_mut()) {
        targets.routes.clone_from(&rollout.targets.routes);
    }
    let mut observed = observed.clone();
    observed.routes.retain(|(id, _)| rollout.targets.route(id).is_some());
    plan(rollout, state.as_ref(), &observed)
}

pub(super) fn services_are_left_behind(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut plan = plan(rollout, state, observed);
    if let Some(state) = &mut plan.state {
        state.retired.clear();
    }
    plan
}

pub(super) fn selectors_stay(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut plan = plan(rollout, state, observed);
    plan.actions.retain(|action| !matches!(action, Action::Loosen { .. }));
    plan
}

pub(super) fn second_way_onto_anything(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut plan = plan(rollout, state, observed);
    let away = observed.routes.iter().any(|(_, route)| route.seen().is_some_and(|route| route.most > Weight::ZERO));
    if let Some(State { stage: Stage::Leaving(_), bindings, stable, .. }) = &mut plan.state
        && away
        && !bindings.canary.decided.is_only(&stable.hash)
    {
        bindings.canary = crate::traffic::Binding::decided(&stable.hash);
        let hash = stable.hash.clone();
        plan.actions.push(bind(Side::Canary, &hash));
        plan.persist = Persist::Now;
    }
    plan
}

pub(super) fn unknown_is_no_service(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut told = observed.clone();
    let unknown = [Side::Stable, Side::Canary].iter().any(|side| *observed.service_of(*side) == Look::Stale);
    if unknown && matches!(state.map(|state| &state.stage), Some(Stage::Resting)) {
        (told.stable_service, told.canary_service) = (Look::Missing, Look::Missing);
        let mut plan = plan(rollout, state, &told);
        plan.actions.retain(|action| !matches!(action, Action::Bind { .. }));
        return plan;
    }
    plan(rollout, state, observed)
}

pub(super) fn pods_before_their_service(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    fn recipe(state: &mut State) -> Option<&mut Spec> {
        let Stage::Releasing(release) = &mut state.stage else { return None };
        Some(&mut release.recipe)
    }
    let (mut rollout, mut late) = (rollout.clone(), state.cloned());
    let early = late.as_mut().and_then(recipe).is_some_and(|it| std::mem::take(&mut it.bind_early));
    if let Ok(spec) = &mut rollout.spec {
        spec.bind_early &= !early;
    }
    let mut plan = plan(&rollout, late.as_ref(), observed);
    if let Some(recipe) = plan.state.as_mut().and_then(recipe).filter(|_| early) {
        recipe.bind_early = true;
    }
    plan
}

pub(super) fn restart_without_surge(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut plan = plan(rollout, state, observed);
    for (hash, pods) in observed.old_pods.iter().flat_map(|known| &known.revisions) {
        let evict = |pod: &String| Action::Evict { hash: hash.clone(), pod: pod.clone() };
        plan.actions.extend(pods.old.first().map(evict));
    }
    plan
}

pub(super) fn fixed_rules_are_not_seen(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut told = observed.clone();
    for (_, route) in &mut told.routes {
        if let Look::Seen(view) = route {
            view.fixed = Weight::ZERO;
        }
    }
    plan(rollout, state, &told)
}

pub(super) fn told_is_forgotten_early(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut plan = plan(rollout, state, observed);
    let written = |number: u64| {
        plan.actions.iter().any(|it| matches!(it, Action::Report { record, .. } if record.canary.number == number))
    };
    let numbers: Vec<_> = observed.reports.keys().copied().chain(1..20).filter(|number| written(*number)).collect();
    if let Some(state) = &mut plan.state {
        state.records.retain(|record| record.end.is_none() || !numbers.contains(&record.canary.number));
        for record in state.records.iter_mut().filter(|record| numbers.contains(&record.canary.number)) {
            record.entries.clear();
        }
    }
    plan
}

pub(super) fn end_is_not_told(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut plan = plan(rollout, state, observed);
    plan.actions.retain(|action| !matches!(action, Action::Report { record, .. } if record.end.is_some()));
    if let Some(state) = &mut plan.state {
        state.records.retain(|record| record.end.is_none());
    }
    plan
}
