//! Verbs that ask for more than Rollouts: doctor, version, logs, and who gives a command.

use std::sync::Arc;

use leadsman_api::names::COMMANDER_ANNOTATION;
use serde_json::{Value, json};

use crate::bench::{Bench, moving, revision};
use crate::beyond::sound;

fn bench(change: impl FnOnce(&mut Vec<(&'static str, Value)>)) -> Bench {
    let mut answers = sound();
    change(&mut answers);
    let mut bench = Bench::new();
    bench.answers = Arc::new(answers);
    bench.declare("v2");
    bench.say(&moving());
    bench
}

fn set(answers: &mut [(&'static str, Value)], path: &str, pointer: &str, value: Value) {
    let answer = answers.iter_mut().find(|(end, _)| *end == path).unwrap();
    *answer.1.pointer_mut(pointer).unwrap() = value;
}

#[tokio::test(start_paused = true)]
async fn who_gives_a_command_is_what_the_api_server_says() {
    let bench = bench(|_| {});
    assert_eq!(bench.run(&["pause", "cart", "--no-wait"]).await.code, 0);
    assert_eq!(bench.rollout()["metadata"]["annotations"][COMMANDER_ANNOTATION], json!("ann"));
}

#[tokio::test(start_paused = true)]
async fn a_sound_cluster_has_no_problem() {
    let ended = bench(|_| {}).run(&["doctor"]).await;
    assert_eq!(ended.code, 0, "{} {}", ended.out, ended.err);
    for words in [
        "Kubernetes v1.36.3",
        "2 of 2 ready",
        "leader leadsman-a",
        "11 of 11",
        "Gateway API is here",
        "problems: 0, warnings: 0",
    ] {
        assert!(ended.out.contains(words), "{words}: {}", ended.out);
    }
}

#[tokio::test(start_paused = true)]
async fn each_problem_is_found_and_ends_with_4() {
    let version = "/metadata/annotations/leadsman.dev~1schema-version";
    for (path, pointer, value, words) in [
        ("/customresourcedefinitions/rollouts.leadsman.dev", version, json!("1"), "CRDs are of schema 1"),
        ("/deployments", "/items", json!([]), "no Deployment"),
        ("/deployments", "/items/0/status/readyReplicas", json!(1), "1 of 2 ready"),
        ("/leases/leadsman", "/spec/holderIdentity", json!(""), "nobody holds"),
        ("/selfsubjectaccessreviews", "/status/allowed", json!(false), "missing: get rollouts"),
    ] {
        let ended = bench(|answers| set(answers, path, pointer, value)).run(&["doctor"]).await;
        assert_eq!(ended.code, 4, "{words}: {}", ended.out);
        assert!(ended.out.contains(words) && ended.out.contains("problems: 1,"), "{words}: {}", ended.out);
    }
    let newer =
        bench(|answers| set(answers, "/customresourcedefinitions/rollouts.leadsman.dev", version, json!("999")));
    let ended = newer.run(&["doctor"]).await;
    assert_eq!(ended.code, 0, "what is newer is a warning: {}", ended.out);
    assert!(ended.out.contains("warnings: 1"), "{}", ended.out);
}

#[tokio::test(start_paused = true)]
async fn versions_are_those_of_all_parts() {
    let ended = bench(|_| {}).run(&["version", "-o", "json"]).await;
    let versions: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(versions["kubernetes"], json!("v1.36.3"));
    assert_eq!(versions["operators"], json!(["leadsman:1"]));
    assert_eq!(versions["schema"], versions["pluginSchema"]);
}

#[tokio::test(start_paused = true)]
async fn logs_are_of_the_new_revision_with_the_pod_before_each_line() {
    let bench = bench(|_| {});
    for (name, version) in [("cart-a", "v2"), ("cart-b", "v2"), ("cart-c", "v1")] {
        let labels = json!({"leadsman.dev/rollout": "cart", "leadsman.dev/revision": revision(version, 0)["hash"]});
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "app"}]},
            "metadata": {"name": name, "namespace": "shop", "labels": labels}});
        bench.server.hand("kubelet").create(&pod).unwrap();
    }
    let ended = bench.run(&["logs", "cart"]).await;
    let mut lines: Vec<_> = ended.out.lines().collect();
    lines.sort_unstable();
    assert_eq!((ended.code, lines), (0, vec!["cart-a  one", "cart-a  two", "cart-b  three"]), "{}", ended.err);
}
