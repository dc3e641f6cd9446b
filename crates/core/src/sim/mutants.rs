//! Deliberate mutations of `plan()`: each is a mistake that somebody could make, and each must break a law within the
//! default number of runs. They stand around the planner and not in it, so that the real one stays readable: a mutant
//! either is lied to about what was observed, or changes what was decided.

use std::time::Duration;

use super::faults::Faults;
use super::run::Run;
use super::world::{CANARY, STABLE};
use crate::analysis::Outcome;
use crate::names::{Hash, Selection, Side};
use crate::observed::{Endpoints, Look, Observed, RouteId};
use crate::plan::{Action, Persist, Plan, plan};
use crate::spec::Rollout;
use crate::state::{Release, Stage, State};
use crate::traffic::Weight;

/// A planner.
pub(super) type Planner = fn(&Rollout, Option<&State>, &Observed) -> Plan;

/// Name, the law that it breaks, planner, and what has to go wrong around it for the mistake to matter.
pub(super) type Mutant = (&'static str, &'static str, Planner, fn(u64) -> Faults);

const MUTANTS: [Mutant; 40] = [
    ("nothing is given time to settle", "I2", missing_settle, |_| Faults::default()),
    ("a stale cache counts as absence", "a lost status", stale_is_absent, everything),
    ("endpoints of any binding count", "I1", any_slice_counts, |_| Faults { lag: true, ..Faults::default() }),
    ("endpoints count before they are ready", "I1", unready_endpoints_count, |_| Faults {
        lag: true,
        ..Faults::default()
    }),
    ("weight before scale", "I1", weight_before_scale, |_| Faults::default()),
    ("scale before weight, going back", "I2", scale_before_weight, |_| Faults::default()),
    ("the slot is re-bound under traffic", "I2", slot_rebound_under_traffic, |_| Faults::default()),
    ("stable is re-bound before it is out of traffic", "I5", stable_rebound_early, |_| Faults::default()),
    ("the first pass heals in both directions", "I6", first_pass_raises, everything),
    ("actions precede the status", "I5", status_is_not_written_first, |_| Faults {
        crashes: true,
        ..Faults::default()
    }),
    ("rejections are forgotten", "I7", rejections_are_forgotten, |_| Faults::default()),
    ("no data is success", "I8", no_data_is_success, |_| Faults::default()),
    ("a failing verdict is not heeded", "I3", failure_is_ignored, |_| Faults::default()),
    ("a share without pods is kept", "I1", share_without_pods, |_| Faults { pods_fail: true, ..Faults::default() }),
    ("the next wake is forgotten", "liveness", wakes_are_lost, |_| Faults::default()),
    ("rest keeps a timer", "I10", rest_is_restless, |_| Faults::default()),
    ("a rollback is written one pass late", "I3", rollback_a_pass_late, |_| Faults::default()),
    ("the way back waits for the status", "I3", way_back_is_no_safety, |_| Faults::default()),
    ("a rollback lands on nothing", "I4", rollback_onto_nothing, |_| Faults { pods_fail: true, ..Faults::default() }),
    ("a rollback waits for all of stable", "I4", rollback_waits_for_all, |_| Faults {
        pods_fail: true,
        ..Faults::default()
    }),
    ("the second way is not taken", "I4", second_way_is_not_taken, |_| Faults { outages: true, ..Faults::default() }),
    ("whoever rewrites the weights is fought", "I9", contention_is_fought, |_| Faults {
        people: true,
        ..Faults::default()
    }),
    ("edits of the weights stay", "I9", edits_stay, |_| Faults { people: true, ..Faults::default() }),
    ("a deletion makes things", "I12", deletion_is_not_seen, |_| Faults { people: true, ..Faults::default() }),
    ("a deletion leaves routes as they are", "I12", deletion_leaves_routes, |_| Faults {
        people: true,
        ..Faults::default()
    }),
    ("a restart restarts the step", "I5", restart_restarts_the_step, |_| Faults { crashes: true, ..Faults::default() }),
    ("answers about another weight count", "I8", old_answers_count, |_| Faults { lag: true, ..Faults::default() }),
    ("a count ends the gate beside the steps", "I3", background_ends_with_its_count, |_| Faults::default()),
    ("names follow what is declared at once", "", names_follow_at_once, moves),
    ("ports follow what is declared at once", "P1", ports_follow_at_once, |_| Faults::default()),
    ("a route of ours is made before pods", "I1", owned_route_first, |_| Faults::default()),
    ("a route is forgotten where it stands", "F5", routes_are_forgotten, moves),
    ("what was a Service of ours is left behind", "F5", services_are_left_behind, moves),
    ("a deletion leaves Git's selectors as they are", "I12", selectors_stay, |_| Faults {
        people: true,
        ..Faults::default()
    }),
    ("the second way leads onto whatever there is", "I4", second_way_onto_anything, |_| Faults {
        pods_fail: true,
        ..Faults::default()
    }),
    ("an unknown Service lets the finalizer go", "I12", unknown_is_no_service, |_| Faults {
        people: true,
        lag: true,
        ..Faults::default()
    }),
    ("nothing is asked for at the last weight", "I8", promotion_without_a_gate, |_| Faults::default()),
    ("pods are made before their Service", "G1", pods_before_their_service, |_| Faults::default()),
    ("a restart does not wait for one more pod", "V1", restart_without_surge, |_| Faults {
        scaling: true,
        ..Faults::default()
    }),
    ("rules that are not split are not seen", "I2", fixed_rules_are_not_seen, |_| Faults {
        pods_fail: true,
        ..Faults::default()
    }),
];

fn moves(_: u64) -> Faults {
    Faults { moves: true, lag: true, ..Faults::default() }
}

fn everything(seed: u64) -> Faults {
    Faults::drawn(seed)
}

#[test]
fn every_mutant_is_caught() {
    all_are_caught(&MUTANTS);
}

/// Plays each mutant until a law is broken: the one that is named with it.
pub(super) fn all_are_caught(mutants: &[Mutant]) {
    let (mut survivors, mut all) = (Vec::new(), 0);
    for (name, law, mutant, faults) in mutants.iter().copied() {
        let mut events = 0;
        let caught = (0..super::RUNS).find_map(|seed| match Run::with(mutant, seed, faults(seed)).play() {
            Ok(end) => {
                events += end.events;
                None
            }
            Err(broken) => {
                events += broken.events;
                Some((seed, broken.law))
            }
        });
        match caught {
            Some((seed, broken)) => {
                all += events;
                println!("{name}: caught in run {seed} after {events} events: {broken}");
                assert!(broken.starts_with(law), "{name}: {law} should have caught it, not {broken}");
            }
            None => survivors.push(name),
        }
    }
    println!("{} mutants, {} not caught; the rest in {all} events in all", mutants.len(), survivors.len());
    assert!(survivors.is_empty(), "not caught: {survivors:?}");
}

fn missing_settle(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut rollout = rollout.clone();
    if let Ok(spec) = &mut rollout.spec {
        spec.settle = Duration::ZERO;
    }
    plan(&rollout, state, observed)
}

fn stale_is_absent(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
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

fn any_slice_counts(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
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

fn unready_endpoints_count(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
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

fn weight_before_scale(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
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

pub(super) fn scale_before_weight(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let there = |hash: &crate::names::Hash| observed.sets.seen().is_some_and(|sets| sets.contains_key(hash));
    with(rollout, state, observed, |state| match &state.stage {
        Stage::Leaving(leaving) if there(&leaving.canary.hash) => {
            vec![Action::ScaleSet { hash: leaving.canary.hash.clone(), from: 1, to: 0, safety: false }]
        }
        _ => Vec::new(),
    })
}

fn slot_rebound_under_traffic(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    with(rollout, state, observed, |state| match &state.stage {
        Stage::Leaving(leaving) if rollout.hash != leaving.canary.hash && rollout.hash != state.stable.hash => {
            vec![bind(Side::Canary, &rollout.hash)]
        }
        _ => Vec::new(),
    })
}

fn stable_rebound_early(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    with(rollout, state, observed, |state| match &state.stage {
        Stage::Releasing(release) if release.step > 0 => {
            vec![bind(Side::Stable, &release.canary.hash)]
        }
        _ => Vec::new(),
    })
}

fn first_pass_raises(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    plan(rollout, state, &Observed { first_pass: false, ..observed.clone() })
}

fn status_is_not_written_first(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut plan = plan(rollout, state, observed);
    if plan.persist == Persist::Now && !plan.actions.is_empty() {
        plan.persist = Persist::Nothing;
    }
    plan
}

fn rejections_are_forgotten(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
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

fn no_data_is_success(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut observed = observed.clone();
    for part in observed.answers.iter_mut().flat_map(|answer| &mut answer.parts) {
        if !matches!(part.outcome, Outcome::Samples(_)) {
            part.outcome = Outcome::Samples(vec![1.0]);
        }
    }
    plan(rollout, state, &observed)
}

fn failure_is_ignored(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut observed = observed.clone();
    for part in observed.answers.iter_mut().flat_map(|answer| &mut answer.parts) {
        if part.outcome == Outcome::Samples(vec![0.2]) {
            part.outcome = Outcome::Empty;
        }
    }
    plan(rollout, state, &observed)
}

fn share_without_pods(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
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

fn wakes_are_lost(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    Plan { next_wake: None, ..plan(rollout, state, observed) }
}

fn rest_is_restless(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let plan = plan(rollout, state, observed);
    Plan { next_wake: plan.next_wake.or(observed.now.checked_add(jiff::SignedDuration::from_secs(60)).ok()), ..plan }
}

fn rollback_a_pass_late(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut plan = plan(rollout, state, observed);
    let turned = |state: &State| matches!(state.stage, Stage::Releasing(_));
    if state.is_some_and(turned) && matches!(plan.state.as_ref().map(|it| &it.stage), Some(Stage::Leaving(_))) {
        plan.actions.clear();
    }
    plan
}

fn way_back_is_no_safety(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut plan = plan(rollout, state, observed);
    for action in &mut plan.actions {
        if let Action::Split { safety, .. } = action {
            *safety = false;
        }
    }
    plan
}

fn rollback_onto_nothing(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
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

fn rollback_waits_for_all(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
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

fn second_way_is_not_taken(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut plan = plan(rollout, state, observed);
    let away = observed.routes.iter().any(|(_, route)| route.seen().is_some_and(|route| route.most > Weight::ZERO));
    if away && matches!(plan.state.as_ref().map(|it| &it.stage), Some(Stage::Leaving(_))) {
        plan.actions.retain(|action| !matches!(action, Action::Bind { .. }));
    }
    plan
}

fn contention_is_fought(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let state = state.map(|state| State { foreign_edits: Vec::new(), ..state.clone() });
    plan(rollout, state.as_ref(), observed)
}

fn edits_stay(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
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

fn deletion_is_not_seen(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    plan(&Rollout { deleted_at: None, ..rollout.clone() }, state, observed)
}

fn deletion_leaves_routes(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut plan = plan(rollout, state, observed);
    if rollout.deleted_at.is_some() {
        plan.actions.retain(|action| !matches!(action, Action::Split { .. }));
    }
    plan
}

fn restart_restarts_the_step(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut plan = plan(rollout, state, observed);
    if let Some(State { stage: Stage::Releasing(release), .. }) = &mut plan.state
        && observed.first_pass
    {
        release.step_since = observed.now;
        plan.persist = Persist::Now;
    }
    plan
}

fn old_answers_count(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
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

fn background_ends_with_its_count(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
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

fn promotion_without_a_gate(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let at_full = |release: &Release| release.goal == Weight::FULL && release.goal_since.is_some();
    let mut rollout = rollout.clone();
    if let (Some(State { stage: Stage::Releasing(release), .. }), Ok(spec)) = (state, &mut rollout.spec)
        && at_full(release)
    {
        spec.background = None;
    }
    plan(&rollout, state, observed)
}

fn names_follow_at_once(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let state = state.map(|state| State { targets: Some(rollout.targets.clone()), ..state.clone() });
    plan(rollout, state.as_ref(), observed)
}

fn ports_follow_at_once(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut state = state.cloned();
    if let (Some(state), Some(ports)) = (&mut state, &observed.ports) {
        state.stable.ports.clone_from(ports);
    }
    plan(rollout, state.as_ref(), observed)
}

fn owned_route_first(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let missing = observed.routes.iter().filter(|(id, route)| id.created_by_us && *route == Look::Missing);
    with(rollout, state, observed, |_| {
        missing
            .clone()
            .map(|(id, _)| Action::Split { route: id.clone(), weight: Weight::ZERO, safety: false })
            .collect()
    })
}

fn routes_are_forgotten(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut state = state.cloned();
    if let Some(targets) = state.as_mut().and_then(|state| state.targets.as_mut()) {
        targets.routes.clone_from(&rollout.targets.routes);
    }
    let mut observed = observed.clone();
    observed.routes.retain(|(id, _)| rollout.targets.route(id).is_some());
    plan(rollout, state.as_ref(), &observed)
}

fn services_are_left_behind(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut plan = plan(rollout, state, observed);
    if let Some(state) = &mut plan.state {
        state.retired.clear();
    }
    plan
}

fn selectors_stay(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut plan = plan(rollout, state, observed);
    plan.actions.retain(|action| !matches!(action, Action::Loosen { .. }));
    plan
}

fn second_way_onto_anything(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
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

fn unknown_is_no_service(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
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

fn pods_before_their_service(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut told = observed.clone();
    if let Some(State { stage: Stage::Releasing(release), .. }) = state
        && release.recipe.bind_early
        && release.preflight.is_none()
        && let Look::Seen(service) = &mut told.canary_service
    {
        service.selection = Some(Selection::from(&release.canary.hash));
    }
    plan(rollout, state, &told)
}

fn restart_without_surge(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut plan = plan(rollout, state, observed);
    for (hash, pods) in observed.old_pods.iter().flat_map(|known| &known.revisions) {
        let evict = |pod: &String| Action::Evict { hash: hash.clone(), pod: pod.clone() };
        plan.actions.extend(pods.old.first().map(evict));
    }
    plan
}

fn fixed_rules_are_not_seen(rollout: &Rollout, state: Option<&State>, observed: &Observed) -> Plan {
    let mut told = observed.clone();
    for (_, route) in &mut told.routes {
        if let Look::Seen(view) = route {
            view.fixed = Weight::ZERO;
        }
    }
    plan(rollout, state, &told)
}
