//! Every end that something deployed can come to, as stories of successive Rollouts.

use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use super::*;

const OLD: &str = "registry.example/cart:1.4.1";
const NEW: &str = "registry.example/cart:1.4.2";
const OTHER: &str = "registry.example/cart:1.4.3";

fn template(image: &str) -> Value {
    json!({"metadata": {"labels": {"app": "cart"}}, "spec": {"containers": [{"name": "cart", "image": image}]}})
}

fn hash(image: &str) -> String {
    leadsman_api::pod_template_hash(&template(image))
}

/// A Rollout that declares this image at this generation, with this status.
fn rollout(image: &str, generation: i64, status: &Value) -> Rollout {
    serde_json::from_value(json!({
        "apiVersion": "leadsman.dev/v1alpha1", "kind": "Rollout",
        "metadata": {"name": "cart", "namespace": "shop", "generation": generation,
            "annotations": {"leadsman.dev/commit": if image == NEW { "3f2c9e1aa" } else { "91be0aabb" }}},
        "spec": {"selector": {"matchLabels": {"app": "cart"}}, "template": template(image), "strategy": {"canary": {"steps": []}}},
        "status": status,
    }))
    .unwrap()
}

fn revision(image: &str, number: i64) -> Value {
    json!({"hash": hash(image), "revision": number, "replicas": 1, "readyReplicas": 1})
}

/// What the operator has said at this generation: `OLD` serves as revision 4.
fn status(generation: i64, phase: &str, rest: &Value) -> Value {
    let mut status = json!({"observedGeneration": generation, "phase": phase, "stable": revision(OLD, 4)});
    status.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    status
}

fn condition(kind: &str, reason: &str) -> Value {
    json!([{"type": kind, "status": "True", "reason": reason, "message": "as it is",
        "lastTransitionTime": "2026-11-26T12:00:00Z"}])
}

fn before() -> Rollout {
    rollout(OLD, 1, &status(1, "Healthy", &json!({"conditions": condition("Promoted", "DeclaredIsStable")})))
}

fn moving(rest: &Value) -> Rollout {
    let mut rest = rest.clone();
    rest.as_object_mut().unwrap().insert("canary".to_owned(), revision(NEW, 5));
    rollout(NEW, 2, &status(2, "Progressing", &rest))
}

fn waiting_for_a_person() -> Rollout {
    let rest = json!({"canary": revision(NEW, 5), "waiting": {"reason": "Person", "for": "until promoted"}});
    rollout(NEW, 2, &status(2, "Paused", &rest))
}

fn rejected(phase: &str) -> Rollout {
    let rejection = json!({"hash": hash(NEW), "revision": 5, "reason": "AnalysisFailed", "message": "93.06%",
        "at": "2026-11-26T12:03:31Z"});
    let rest = json!({"canary": revision(NEW, 5), "rejected": [rejection]});
    rollout(NEW, 2, &status(2, phase, &rest))
}

fn promoted() -> Rollout {
    let rest = json!({"stable": revision(NEW, 5), "conditions": condition("Promoted", "DeclaredIsStable")});
    rollout(NEW, 2, &status(2, "Healthy", &rest))
}

fn stalled(reason: &str, phase: &str) -> Rollout {
    let rest = json!({"canary": revision(NEW, 5), "conditions": condition("Stalled", reason)});
    rollout(NEW, 2, &status(2, phase, &rest))
}

fn report(image: &str, number: i64, outcome: &str) -> RolloutReport {
    let spec = json!({"rollout": "cart", "revision": number, "outcome": outcome, "reason": "AnalysisFailed",
        "beganAt": "2026-11-26T12:00:31Z",
        "canary": {"hash": hash(image), "revision": number, "commit": "3f2c9e1aa"}});
    serde_json::from_value(json!({
        "apiVersion": "leadsman.dev/v1alpha1", "kind": "RolloutReport",
        "metadata": {"name": format!("cart-{number}")}, "spec": spec}))
    .unwrap()
}

fn start() -> Timestamp {
    "2026-11-26T12:00:00Z".parse().unwrap()
}

fn fate(pin: impl Into<Option<Pin>>, goal: Goal) -> Fate {
    Fate::new(pin.into(), goal, start() + 10.minutes(), start() + 30.minutes())
}

fn new_image() -> Pin {
    Pin::image("cart:1.4.2")
}

/// The end that a story comes to, with the number of the look that showed it.
fn end_of(mut fate: Fate, story: &[Rollout], reports: &[RolloutReport]) -> Option<(usize, u8, String)> {
    story.iter().enumerate().find_map(|(index, rollout)| {
        let end = fate.look(rollout, reports)?;
        Some((index, end.exit.code(), format!("{} {}", end.word, end.why)))
    })
}

fn code(fate: Fate, story: &[Rollout]) -> Option<(usize, u8)> {
    end_of(fate, story, &[]).map(|(index, code, _)| (index, code))
}

#[test]
fn what_was_deployed_is_followed_from_before_it_is_declared_to_its_end() {
    for (end, expected) in [(promoted(), 0), (rejected("RolledBack"), 3)] {
        let story = [before(), before(), moving(&json!({})), waiting_for_a_person(), end];
        assert_eq!(code(fate(new_image(), Goal::Promoted), &story), Some((4, expected)));
    }
}

#[test]
fn every_way_to_name_it_finds_it() {
    for pin in [Pin::image("cart=cart:1.4.2"), Pin::Commit("3f2c9e1".to_owned()), Pin::Revision(5)] {
        let story = [before(), moving(&json!({})), promoted()];
        assert_eq!(code(fate(Some(pin.clone()), Goal::Promoted), &story), Some((2, 0)), "{pin:?}");
    }
    assert_eq!(code(fate(None, Goal::Promoted), &[moving(&json!({})), promoted()]), Some((1, 0)));
}

#[test]
fn a_status_of_the_generation_before_says_nothing() {
    let unseen =
        rollout(NEW, 2, &status(1, "Healthy", &json!({"conditions": condition("Promoted", "DeclaredIsStable")})));
    assert_eq!(code(fate(new_image(), Goal::Promoted), &[unseen.clone(), promoted()]), Some((1, 0)));
    assert_eq!(code(fate(new_image(), Goal::Promoted), &[rollout(NEW, 1, &json!(null))]), None);
    let never_seen = rollout(NEW, 1, &json!({"observedGeneration": -1}));
    assert_eq!(code(fate(None, Goal::Promoted), &[never_seen]), None);
}

#[test]
fn a_rollback_ends_only_when_traffic_is_back() {
    let story = [moving(&json!({})), rejected("RollingBack"), rejected("RollingBack"), rejected("RolledBack")];
    let (index, code, words) = end_of(fate(new_image(), Goal::Promoted), &story, &[]).unwrap();
    assert_eq!((index, code), (3, 3));
    assert_eq!(words, "ROLLED BACK AnalysisFailed: 93.06%");
}

#[test]
fn a_revision_that_was_rejected_before_is_told_at_once() {
    let (_, code, words) = end_of(fate(new_image(), Goal::Promoted), &[rejected("RolledBack")], &[]).unwrap();
    assert_eq!((code, words.as_str()), (3, "ROLLED BACK AnalysisFailed: rejected before: 93.06%"));
    // While stable is short of pods, the phase says so instead.
    assert_eq!(self::code(fate(new_image(), Goal::Promoted), &[rejected("Degraded")]), Some((0, 3)));
    // Somebody let it run again.
    assert_eq!(self::code(fate(new_image(), Goal::Promoted), &[moving(&json!({})), promoted()]), Some((1, 0)));
}

#[test]
fn a_newer_template_supersedes_it_and_is_not_watched_instead() {
    let newer = rollout(OTHER, 3, &status(2, "Progressing", &json!({"canary": revision(NEW, 5)})));
    let (index, code, words) = end_of(fate(new_image(), Goal::Promoted), &[moving(&json!({})), newer], &[]).unwrap();
    assert_eq!((index, code), (1, 6));
    assert_eq!(words, format!("SUPERSEDED {} is declared now", hash(OTHER)));
}

#[test]
fn git_that_goes_back_is_told() {
    let back = rollout(OLD, 3, &status(2, "Progressing", &json!({"canary": revision(NEW, 5)})));
    let (_, code, words) = end_of(fate(new_image(), Goal::Promoted), &[moving(&json!({})), back], &[]).unwrap();
    assert_eq!((code, words.as_str()), (6, "SUPERSEDED Git went back to what serves"));
}

#[test]
fn what_ended_while_nobody_looked_is_told_by_its_report() {
    let newer = || rollout(OTHER, 3, &status(3, "Progressing", &json!({"canary": revision(OTHER, 6)})));
    for (outcome, expected) in [("Promoted", 0), ("First", 0), ("RolledBack", 3), ("Aborted", 3), ("Superseded", 6)] {
        let story = [moving(&json!({})), newer()];
        let reports = [report(NEW, 5, outcome), report(OTHER, 6, "Progressing")];
        let end = end_of(fate(new_image(), Goal::Promoted), &story, &reports);
        assert_eq!(end.map(|(index, code, _)| (index, code)), Some((1, expected)), "{outcome}");
        // A commit or a number comes only once, so that its end may be older than the first look.
        for pin in [Pin::Commit("3f2c9e1".to_owned()), Pin::Revision(5)] {
            let end = end_of(fate(Some(pin), Goal::Promoted), &[newer()], &reports[..1]);
            assert_eq!(end.map(|(_, code, _)| code), Some(expected), "{outcome}");
        }
    }
    // An image may come again.
    assert_eq!(end_of(fate(new_image(), Goal::Promoted), &[newer()], &[report(NEW, 5, "Promoted")]), None);
}

#[test]
fn without_a_report_the_status_tells_what_became_of_it() {
    let promoted_and_gone = rollout(OTHER, 3, &status(2, "Progressing", &json!({"stable": revision(NEW, 5)})));
    assert_eq!(code(fate(new_image(), Goal::Promoted), &[moving(&json!({})), promoted_and_gone]), Some((1, 0)));
    let mut gone = rejected("Progressing");
    gone.spec.template = rollout(OTHER, 3, &json!(null)).spec.template;
    assert_eq!(code(fate(new_image(), Goal::Promoted), &[moving(&json!({})), gone]), Some((1, 3)));
}

#[test]
fn what_will_not_go_on_by_itself_is_told() {
    assert_eq!(code(fate(new_image(), Goal::Promoted), &[stalled("RouteNotFound", "Progressing")]), Some((0, 4)));
    assert_eq!(code(fate(new_image(), Goal::Promoted), &[stalled("InvalidSpec", "Invalid")]), Some((0, 4)));
    assert_eq!(
        code(fate(new_image(), Goal::Promoted), &[rollout(NEW, 2, &status(2, "Invalid", &json!({})))]),
        Some((0, 4))
    );
}

#[test]
fn a_persons_turn_is_an_end_only_where_that_was_asked_for() {
    let story = [moving(&json!({})), waiting_for_a_person(), promoted()];
    assert_eq!(code(fate(new_image(), Goal::Promoted), &story), Some((2, 0)));
    let mut impatient = fate(new_image(), Goal::Promoted);
    impatient.exit_on_pause = true;
    assert_eq!(code(impatient, &story), Some((1, 7)));
    assert_eq!(code(fate(new_image(), Goal::Paused), &story), Some((1, 0)));
}

#[test]
fn goals_on_the_way_are_reached_by_what_was_deployed_and_by_nothing_else() {
    let at = |index: i32, weight: i32| {
        moving(&json!({"step": {"index": index, "of": 7, "display": format!("{}/7", index + 1)},
            "weight": {"desired": weight, "written": weight, "inForce": weight}}))
    };
    let story = [at(0, 0), at(1, 5), at(2, 20)];
    assert_eq!(code(fate(new_image(), Goal::Step(3)), &story), Some((2, 0)));
    assert_eq!(code(fate(new_image(), Goal::Weight(5)), &story), Some((1, 0)));
    assert_eq!(code(fate(new_image(), Goal::Weight(50)), &[at(2, 20), promoted()]), Some((1, 0)));
    assert_eq!(code(fate(new_image(), Goal::Weight(50)), &[at(2, 20), rejected("RolledBack")]), Some((1, 3)));
    let mut others = at(3, 50);
    others.status.as_mut().unwrap().canary.as_mut().unwrap().hash = "another".to_owned();
    assert_eq!(code(fate(new_image(), Goal::Step(1)), &[others]), None);
}

#[test]
fn drills_and_any_end_turn_the_codes_around() {
    let went_back = [moving(&json!({})), rejected("RolledBack")];
    assert_eq!(code(fate(new_image(), Goal::RolledBack), &went_back), Some((1, 0)));
    assert_eq!(code(fate(new_image(), Goal::RolledBack), &[moving(&json!({})), promoted()]), Some((1, 4)));
    assert_eq!(code(fate(new_image(), Goal::Settled), &went_back), Some((1, 0)));
    let newer = rollout(OTHER, 3, &status(3, "Progressing", &json!({})));
    assert_eq!(code(fate(new_image(), Goal::Settled), &[moving(&json!({})), newer]), Some((1, 0)));
}

#[test]
fn serving_is_what_stable_does_once_the_declaration_is_accepted() {
    let available = moving(&json!({"conditions": condition("Available", "StableServes")}));
    assert_eq!(code(fate(new_image(), Goal::Serving), &[moving(&json!({})), available]), Some((1, 0)));
    assert_eq!(code(fate(new_image(), Goal::Serving), &[stalled("InvalidSpec", "Invalid")]), Some((0, 4)));
}

#[test]
fn a_first_deployment_ends_when_it_serves() {
    let first = |conditions: Value| {
        let status = json!({"observedGeneration": 1, "phase": "Progressing", "stable": revision(NEW, 1),
            "conditions": conditions});
        rollout(NEW, 1, &status)
    };
    let story = [first(json!([])), first(condition("Promoted", "DeclaredIsStable"))];
    assert_eq!(code(fate(new_image(), Goal::Promoted), &story), Some((1, 0)));
}

#[test]
fn what_is_declared_late_has_the_whole_time_and_what_never_is_does_not() {
    let mut late = fate(new_image(), Goal::Promoted);
    assert_eq!(late.look(&before(), &[]), None);
    assert_eq!(late.time_up(start() + 9.minutes(), Some(&before())), None);
    let up = late.clone().time_up(start() + 10.minutes(), Some(&before())).unwrap();
    assert_eq!((up.exit, up.why.as_str()), (Exit::TimeUp, "cart:1.4.2 was not declared in time"));
    assert_eq!(late.look(&moving(&json!({})), &[]), None);
    assert_eq!(late.time_up(start() + 10.minutes(), None), None);
    let moving = moving(&json!({"message": "step 1/7: waits for pods"}));
    let up = late.time_up(start() + 30.minutes(), Some(&moving)).unwrap();
    assert_eq!((up.exit, up.why.as_str()), (Exit::TimeUp, "step 1/7: waits for pods"));
}
