//! Conditions as they are written: times are kept unless the status flips.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use leadsman_core::report;
use leadsman_core::text::one_line;

/// The API server takes one character more, which a cut text has.
const LONGEST_MESSAGE: usize = 32_767;
/// The types that we report. Any other is somebody else's.
const OURS: [&str; 7] = ["Ready", "Reconciling", "Stalled", "Available", "Promoted", "Paused", "TrafficApplied"];

/// What the status is to say, given what it said. A type of ours that is not reported is absent; what others wrote stays.
pub fn merge(before: &[Condition], reported: &[report::Condition], generation: i64, now: Timestamp) -> Vec<Condition> {
    let is_reported = |kind: &str| reported.iter().any(|reported| reported.kind == kind);
    let others = before.iter().filter(|it| !OURS.contains(&&*it.type_) && !is_reported(&it.type_)).cloned();
    let reported = reported.iter().map(|reported| one(before, reported, generation, now));
    let mut conditions: Vec<_> = others.chain(reported).collect();
    conditions.sort_by(|one, two| one.type_.cmp(&two.type_));
    conditions
}

fn one(before: &[Condition], reported: &report::Condition, generation: i64, now: Timestamp) -> Condition {
    let status = if reported.is_true { "True" } else { "False" };
    let same = before.iter().find(|before| before.type_ == reported.kind && before.status == status);
    // Whole seconds, as the API server keeps them: else each comparison with what was read would differ.
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    Condition {
        type_: reported.kind.to_owned(),
        status: status.to_owned(),
        reason: reported.reason.clone(),
        message: one_line(&reported.message, LONGEST_MESSAGE),
        observed_generation: Some(generation),
        last_transition_time: same.map_or(Time(now), |same| same.last_transition_time.clone()),
    }
}

/// The condition that tells whether traffic is shared as decided.
const TRAFFIC_APPLIED: &str = "TrafficApplied";

/// True when tools that wait would see a difference: a type, a status, a reason or a generation. That traffic has come to what
/// was decided, or is on its way there, can wait: something is decided on it within seconds, and written then.
pub fn differ(before: &[Condition], after: &[Condition]) -> bool {
    let moves = |it: &Condition| it.status == "True" || it.reason == "Pending";
    let is_on_its_way = after.iter().any(|it| it.type_ == TRAFFIC_APPLIED && moves(it));
    let essence = |conditions: &[Condition]| {
        let mut essence: Vec<_> = conditions
            .iter()
            .filter(|it| !is_on_its_way || it.type_ != TRAFFIC_APPLIED)
            .map(|it| (it.type_.clone(), it.status.clone(), it.reason.clone(), it.observed_generation))
            .collect();
        essence.sort();
        essence
    };
    essence(before) != essence(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(is_true: bool, message: &str) -> report::Condition {
        report::Condition { kind: "Ready", is_true, reason: "Healthy".to_owned(), message: message.to_owned() }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn times_are_kept_until_the_status_flips() {
        let first = merge(&[], &[reported(true, "a")], 1, at(10));
        let second = merge(&first, &[reported(true, "b")], 2, at(20));
        assert_eq!((second[0].last_transition_time.0, &*second[0].message), (at(10), "b"));
        let third = merge(&second, &[reported(false, "c")], 2, at(30));
        assert_eq!(third[0].last_transition_time.0, at(30));
    }

    #[test]
    fn what_others_wrote_stays_and_what_we_no_longer_say_goes() {
        let other = |kind: &str| report::Condition { kind: kind.to_owned().leak(), ..reported(true, "a") };
        let before = merge(&[], &[other("Stalled"), other("example.com/Scanned")], 1, at(10));
        let after = merge(&before, &[reported(true, "a")], 2, at(20));
        assert_eq!(after.iter().map(|it| &*it.type_).collect::<Vec<_>>(), ["Ready", "example.com/Scanned"]);
        assert_eq!(after[1], before[1]);
    }

    #[test]
    fn a_message_alone_makes_no_difference_to_who_waits() {
        let one = merge(&[], &[reported(true, "a")], 1, at(10));
        assert!(!differ(&one, &merge(&one, &[reported(true, "b")], 1, at(20))));
        assert!(differ(&one, &merge(&one, &[reported(true, "a")], 2, at(20))));
        assert!(differ(&one, &merge(&one, &[reported(false, "a")], 1, at(20))));
        assert!(differ(&one, &[]));
    }

    #[test]
    fn traffic_on_its_way_makes_no_difference_to_who_waits_and_a_route_that_is_refused_does() {
        let applied = |is_true, reason: &str| {
            let reason = reason.to_owned();
            merge(
                &[],
                &[report::Condition { kind: TRAFFIC_APPLIED, is_true, reason, message: String::new() }],
                1,
                at(10),
            )
        };
        let (came, moves, refused) =
            (applied(true, "Applied"), applied(false, "Pending"), applied(false, "RouteNotAccepted"));
        assert!(!differ(&came, &moves) && !differ(&moves, &came));
        assert!(differ(&moves, &refused) && differ(&came, &refused));
    }

    #[test]
    fn times_have_whole_seconds_as_the_api_server_keeps_them() {
        let now = Timestamp::from_millisecond(10_700).unwrap();
        assert_eq!(merge(&[], &[reported(true, "a")], 1, now)[0].last_transition_time.0, at(10));
    }
}
