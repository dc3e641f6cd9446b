//! Mistakes that somebody could make anywhere: what each is called, and the law that has to catch it.

use super::mistakes::{
    any_slice_counts, background_ends_with_its_count, contention_is_fought, deletion_is_not_seen,
    deletion_leaves_routes, edits_stay, end_is_not_told, failure_is_ignored, first_pass_raises,
    fixed_rules_are_not_seen, missing_settle, names_follow_at_once, no_data_is_success, old_answers_count,
    owned_route_first, pods_before_their_service, ports_follow_at_once, promotion_without_a_gate,
    rejections_are_forgotten, rest_is_put_back, rest_is_restless, restart_restarts_the_step, restart_without_surge,
    rollback_a_pass_late, rollback_onto_nothing, rollback_waits_for_all, routes_are_forgotten, scale_before_weight,
    second_way_is_not_taken, second_way_onto_anything, selectors_stay, services_are_left_behind, share_without_pods,
    slot_rebound_under_traffic, stable_rebound_early, stale_is_absent, status_is_not_written_first,
    told_is_forgotten_early, unknown_is_no_service, unready_endpoints_count, wakes_are_lost, way_back_is_no_safety,
    weight_before_scale,
};
use super::{Mutant, all_are_caught};
use crate::sim::faults::Faults;

const MUTANTS: [Mutant; 44] = [
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
    ("a promotion takes its own way to rest for somebody else's", "I5", rest_is_put_back, |_| Faults::default()),
    ("rejections are forgotten", "I7", rejections_are_forgotten, |_| Faults::default()),
    ("no data is success", "I8", no_data_is_success, |_| Faults::default()),
    ("no data is success where a mesh spills", "M1", no_data_is_success, |_| Faults {
        spilling: true,
        pods_fail: true,
        ..Faults::default()
    }),
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
    ("what is told is forgotten before it was seen", "T", told_is_forgotten_early, |_| Faults {
        crashes: true,
        refusals: true,
        ..Faults::default()
    }),
    ("the end is not told", "T1", end_is_not_told, |_| Faults::default()),
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
