//! Commands: written once, for the revision that was shown, and answered.

use std::time::Duration;

use leadsman_api::names::COMMANDER_ANNOTATION;
use leadsman_core::spec::Command;
use leadsman_testkit::{Rule, Verb, kind};
use serde_json::json;

use crate::bench::{Bench, application, healthy, moving, promoted};

fn in_a_release() -> Bench {
    let bench = Bench::new();
    bench.say(&healthy());
    bench.declare("v2");
    bench.say(&moving());
    bench
}

#[tokio::test(start_paused = true)]
async fn a_command_names_the_revision_that_was_shown_and_its_answer_is_printed() {
    let bench = in_a_release();
    let answer = bench.answer_commands(Duration::from_secs(1), "Executed", "the present step is ended");
    let ended = bench.run_while(&["promote", "cart"], answer).await;
    assert_eq!((ended.code, ended.out.as_str()), (0, "promote: the present step is ended\n"), "{}", ended.err);
    let command = bench.command().unwrap();
    assert!(command.starts_with(&format!("promote/{}/", application().version("v2").hash())), "{command}");
    let managers = bench.rollout()["metadata"]["managedFields"].to_string();
    assert!(managers.contains("leadsman-cli"), "{managers}");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_left_from_another_command_goes() {
    let bench = in_a_release();
    bench.server.hand("ann").edit(&crate::bench::name(), |rollout| {
        rollout["metadata"]["annotations"][COMMANDER_ANNOTATION] = json!("ann");
    });
    assert_eq!(bench.run(&["pause", "cart", "--no-wait"]).await.code, 0);
    assert!(bench.rollout()["metadata"]["annotations"][COMMANDER_ANNOTATION].is_null());
}

#[tokio::test(start_paused = true)]
async fn a_refused_command_ends_with_4() {
    let bench = in_a_release();
    let answer = bench.answer_commands(Duration::from_secs(1), "Refused", "there is no pause to end");
    let ended = bench.run_while(&["promote", "cart"], answer).await;
    assert_eq!((ended.code, ended.err.as_str()), (4, "error: promote refused: there is no pause to end\n"));
}

#[tokio::test(start_paused = true)]
async fn what_would_be_refused_is_not_even_written() {
    let bench = in_a_release();
    let mut status = moving();
    status["commands"] = json!([{"verb": "retry", "hash": "h", "refused": "h is not rejected"}]);
    bench.say(&status);
    let ended = bench.run(&["retry", "cart"]).await;
    assert_eq!((ended.code, ended.err.as_str()), (4, "error: retry refused: h is not rejected\n"));
    assert_eq!(bench.command(), None);
    assert_eq!(bench.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_under_way_is_a_refusal() {
    let bench = Bench::new();
    bench.say(&healthy());
    let ended = bench.run(&["abort", "cart"]).await;
    assert_eq!((ended.code, ended.err.as_str()), (4, "error: abort refused: no release is under way\n"));
}

#[tokio::test(start_paused = true)]
async fn somebody_who_is_faster_is_not_overwritten() {
    let bench = in_a_release();
    let faster = Rule::meanwhile(|server| {
        server.hand("git").edit(&crate::bench::name(), |rollout| rollout["spec"]["replicas"] = json!(7));
    });
    bench.server.inject(faster.verbs(&[Verb::Patch]).kind(&kind::ROLLOUT).times(1));
    assert_eq!(bench.run(&["abort", "cart", "--no-wait"]).await.code, 0);
    assert_eq!(bench.rollout()["spec"]["replicas"], json!(7));
    let patches: Vec<_> =
        bench.requests().iter().filter(|it| it.verb == Verb::Patch).filter_map(|it| it.code).collect();
    assert_eq!(patches, [409, 200]);
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_was_not_shown_is_not_commanded() {
    let bench = in_a_release();
    let newer = bench.clone();
    let faster = Rule::meanwhile(move |_| {
        newer.declare("v3");
        let mut status = moving();
        status["canary"] = crate::bench::revision("v3", 3);
        newer.say(&status);
    });
    bench.server.inject(faster.verbs(&[Verb::Patch]).kind(&kind::ROLLOUT).times(1));
    let ended = bench.run(&["promote", "cart"]).await;
    assert_eq!(ended.code, 4);
    assert!(ended.err.contains("changed meanwhile"), "{}", ended.err);
    assert_eq!(bench.command(), None);
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_is_waited_for_and_none_is_told_after_ten_seconds() {
    let bench = in_a_release();
    let answer = bench.answer_commands(Duration::from_secs(9), "Executed", "rolled back");
    assert_eq!(bench.run_while(&["abort", "cart"], answer).await.code, 0);

    let bench = in_a_release();
    let began = tokio::time::Instant::now();
    let ended = bench.run(&["abort", "cart"]).await;
    assert_eq!((ended.code, began.elapsed().as_secs()), (5, 10));
    assert!(ended.err.contains("the operator has not answered within 10s"), "{}", ended.err);
}

#[tokio::test(start_paused = true)]
async fn waiting_goes_on_until_the_release_has_ended() {
    let bench = in_a_release();
    let story = async {
        bench.answer_commands(Duration::from_secs(1), "Executed", "the present step is ended").await;
        tokio::time::sleep(Duration::from_mins(2)).await;
        bench.say(&promoted());
    };
    let ended = bench.run_while(&["promote", "cart", "--wait"], story).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.out.contains("PROMOTED  revision 2 serves"), "{}", ended.out);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_taken_back_is_asked_before() {
    let bench = in_a_release();
    let ended = bench.run(&["promote", "cart", "--full"]).await;
    assert_eq!(ended.code, 2, "nobody can be asked: {}", ended.err);
    assert_eq!(bench.run(&["promote", "cart", "--full", "-y", "--no-wait"]).await.code, 0);
    assert!(bench.command().unwrap().starts_with("promote-full/"));
    let asked = bench.run_with(&["promote", "cart", "--full", "--no-wait"], |screen| screen.can_ask = true).await;
    assert!(asked.code == 0 && asked.err.contains("[y/N]"), "{}", asked.err);
}

#[tokio::test(start_paused = true)]
async fn a_reason_goes_with_the_command() {
    let bench = in_a_release();
    let ended = bench.run(&["abort", "cart", "--no-wait", "--reason", "support calls: cart/checkout is slow"]).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    let command = Command::parse(&bench.command().unwrap()).unwrap();
    assert_eq!(command.reason.as_deref(), Some("support calls: cart/checkout is slow"));
}

#[tokio::test(start_paused = true)]
async fn a_rollback_says_what_it_does_and_names_what_serves() {
    let bench = Bench::new();
    bench.declare("v2");
    bench.say(&promoted());
    let ended = bench.run(&["undo", "cart", "-y", "--no-wait"]).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.err.contains("revision 2 is rejected until retry"), "{}", ended.err);
    assert!(bench.command().unwrap().starts_with(&format!("rollback/{}/", application().version("v2").hash())));
    let ended = bench.run(&["rollback", "cart", "--to", "7", "-y"]).await;
    assert_eq!(ended.code, 2, "{}", ended.err);
}

#[tokio::test(start_paused = true)]
async fn an_image_is_set_by_hand_and_not_against_git() {
    let bench = Bench::new();
    let ended = bench.run(&["set", "image", "cart", "app=cart:v2"]).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert_eq!(bench.rollout()["spec"]["template"]["spec"]["containers"][0]["image"], json!("cart:v2"));
    assert_eq!(bench.run(&["set", "image", "cart", "other=cart:v2"]).await.code, 2);

    bench.server.hand("flux").edit(&crate::bench::name(), |rollout| {
        rollout["metadata"]["labels"] = json!({"kustomize.toolkit.fluxcd.io/name": "shop"});
    });
    let ended = bench.run(&["set", "image", "cart", "app=cart:v3"]).await;
    assert_eq!(ended.code, 4);
    assert!(ended.err.contains("-   image: cart:v2") && ended.err.contains("+   image: cart:v3"), "{}", ended.err);
    assert_eq!(bench.run(&["set", "image", "cart", "app=cart:v3", "--anyway", "-y"]).await.code, 0);
    assert_eq!(bench.rollout()["spec"]["template"]["spec"]["containers"][0]["image"], json!("cart:v3"));
}

#[tokio::test(start_paused = true)]
async fn a_restart_is_no_new_revision() {
    let bench = Bench::new();
    assert_eq!(bench.run(&["restart", "cart", "--at", "2026-11-26T12:00:00Z"]).await.code, 0);
    assert_eq!(bench.rollout()["spec"]["restartAt"], json!("2026-11-26T12:00:00Z"));
    assert_eq!(bench.rollout()["spec"]["template"], application().rollout()["spec"]["template"]);
}
