//! The reading verbs: few requests, and what is said where something cannot be read.

use leadsman_testkit::{Application, Fault, Rule, Verb, kind};
use serde_json::{Value, json};

use crate::bench::{Bench, healthy, moving};

fn in_a_release() -> Bench {
    let bench = Bench::new();
    bench.declare("v2");
    bench.say(&moving());
    bench
}

#[tokio::test(start_paused = true)]
async fn one_release_is_four_requests_and_all_but_the_first_are_selected_by_label() {
    let bench = in_a_release();
    let ended = bench.run(&["get", "cart", "-o", "json"]).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    let release: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((&release["kind"], &release["name"]), (&json!("Release"), &json!("cart")));
    assert_eq!(bench.requests().len(), 4, "{:?}", bench.requests());
}

#[tokio::test(start_paused = true)]
async fn explain_history_and_diff_are_as_few() {
    for (words, most) in [(["explain", "cart"], 4), (["history", "cart"], 2), (["diff", "cart"], 3)] {
        let bench = in_a_release();
        bench.server.hand("leadsman").create(&set("v1")).unwrap();
        let ended = bench.run(&words).await;
        assert_eq!(ended.code, 0, "{words:?}: {}", ended.err);
        assert_eq!(bench.requests().len(), most, "{words:?}");
    }
}

fn set(version: &str) -> Value {
    let application = crate::bench::application().version(version);
    json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": application.set_name().name, "namespace": "shop",
            "labels": {"leadsman.dev/rollout": "cart", "leadsman.dev/revision": application.hash()}},
        "spec": {"selector": {"matchLabels": {"app": "cart"}},
            "template": application.rollout()["spec"]["template"].clone()}})
}

#[tokio::test(start_paused = true)]
async fn a_difference_is_an_exit_code_where_that_was_asked_for() {
    let bench = in_a_release();
    bench.server.hand("leadsman").create(&set("v1")).unwrap();
    let ended = bench.run(&["diff", "cart", "--exit-code", "-o", "json"]).await;
    assert_eq!(ended.code, 1, "{}", ended.err);
    let difference: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(difference["changes"][0]["path"], json!("containers[app].image"));
    let ended = bench.run(&["diff", "cart", "1", "1", "--exit-code"]).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    let ended = bench.run(&["diff", "cart", "9"]).await;
    assert!(ended.code == 1 && ended.err.contains("revision 9 is not kept any more"), "{}", ended.err);
}

#[tokio::test(start_paused = true)]
async fn a_list_is_one_request_and_one_odd_object_does_not_hide_the_others() {
    let bench = Bench::new();
    bench.say(&healthy());
    bench.server.hand("git").create(&Application::new("pay", "till").rollout()).unwrap();
    let mut odd = Application::new("shop", "odd").rollout();
    odd["spec"]["strategy"] = json!(7);
    bench.server.hand("git").create(&odd).unwrap();
    let ended = bench.run(&["list", "-A", "-o", "name"]).await;
    let mut names: Vec<_> = ended.out.lines().collect();
    names.sort_unstable();
    assert_eq!(names, ["rollout.leadsman.dev/pay/till", "rollout.leadsman.dev/shop/cart"]);
    assert!(ended.err.contains("1 Rollouts cannot be read"), "{}", ended.err);
    assert_eq!(bench.requests().len(), 1);
    assert_eq!(bench.run(&["list", "-o", "name", "--phase", "healthy"]).await.out, "rollout.leadsman.dev/cart\n");
    assert_eq!(bench.run(&["list", "--phase", "lively"]).await.code, 2);
}

#[tokio::test(start_paused = true)]
async fn a_list_is_in_the_order_that_was_asked_for() {
    let bench = Bench::new();
    bench.say(&healthy());
    bench.server.hand("git").create(&Application::new("pay", "till").rollout()).unwrap();
    let names = async |order: &str| bench.run(&["list", "-A", "-o", "name", "--sort-by", order]).await.out;
    let (cart, till) = ("rollout.leadsman.dev/shop/cart\n", "rollout.leadsman.dev/pay/till\n");
    assert_eq!(names("name").await, [till, cart].concat());
    // Nothing is known of till.
    assert_eq!(names("since").await, [cart, till].concat());
}

#[tokio::test(start_paused = true)]
async fn an_attempt_is_explained_in_full_and_as_a_picture_where_that_was_asked_for() {
    let bench = in_a_release();
    let usual = bench.run(&["explain", "cart"]).await;
    let all = bench.run(&["explain", "cart", "--all"]).await;
    assert_eq!((usual.code, all.code), (0, 0), "{}{}", usual.err, all.err);
    assert!(all.out.lines().count() >= usual.out.lines().count(), "{}", all.out);
    let picture = bench.run(&["explain", "cart", "-o", "svg"]).await;
    assert!(picture.out.starts_with("<svg ") && picture.out.trim_end().ends_with("</svg>"), "{}", picture.out);
    assert_eq!(bench.run(&["get", "cart", "-o", "svg"]).await.code, 2);
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_read_pods_the_rest_is_shown() {
    let bench = in_a_release();
    bench.server.inject(Rule::refusing(403, "Forbidden", "pods is forbidden").kind(&kind::POD));
    let ended = bench.run(&["get", "cart", "-o", "json"]).await;
    assert_eq!(ended.code, 0);
    assert!(ended.err.contains("cannot list Pods: forbidden"), "{}", ended.err);
    assert_eq!(bench.run(&["get", "cart", "-q", "-o", "name"]).await.err, "");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_found_out_ends_with_1_and_says_why() {
    let bench = Bench::new();
    let ended = bench.run(&["get", "nobody"]).await;
    assert_eq!((ended.code, ended.err.lines().next()), (1, Some("error: there is no Rollout shop/nobody")));
    for (rule, words) in [
        (Rule::refusing(403, "Forbidden", "not for you"), "forbidden: not for you"),
        (Rule::refusing(401, "Unauthorized", "Unauthorized"), "does not know you"),
        (Rule::new(Fault::Gone), "connection refused"),
        (Rule::new(Fault::AnswerNeverComes), "no answer within 5s"),
    ] {
        bench.server.heal();
        bench.server.inject(rule.verbs(&[Verb::Get, Verb::List]));
        for verb in [&["get", "cart"][..], &["list"], &["explain", "cart"], &["status", "cart"], &["promote", "cart"]] {
            let ended = bench.run(verb).await;
            assert_eq!(ended.code, 1, "{verb:?} {words}");
            assert!(ended.err.contains(words), "{verb:?}: {}", ended.err);
            assert!(ended.err.lines().count() <= 2, "one line what, one line what to do: {}", ended.err);
        }
    }
    bench.server.heal();
    bench.server.withdraw(&kind::ROLLOUT);
    let ended = bench.run(&["list"]).await;
    assert!(ended.code == 1 && ended.err.contains("does not know the kind"), "{}", ended.err);
}
