//! Objects of a shape that nobody reckons with: each is skipped and reported, and disturbs nobody else.

use leadsman_testkit::object::{set, text};
use leadsman_testkit::{Application, Name, Verb, kind};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::bed::{Bed, NAMESPACE, condition};

fn podinfo() -> Application {
    Application::new(NAMESPACE, "podinfo")
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_cannot_be_read_says_so_and_goes_on_when_it_can_be() {
    let bed = Bed::new();
    let operator = bed.operator("a");
    let strange = Application::new(NAMESPACE, "strange");
    bed.declare(&podinfo());
    bed.declare(&strange);
    bed.until_at_rest(&podinfo()).await;
    bed.until_at_rest(&strange).await;

    bed.server.hand("person").edit(&strange.name(), |it| set(it, "/spec/replicas", json!("four")));
    let rollout = bed.until(&strange, |it| condition(it, "Stalled").is_some()).await;
    let (_, reason, message) = condition(&rollout, "Stalled").unwrap();
    assert_eq!(reason, "InvalidSpec");
    assert!(message.contains("cannot read") && message.contains("four"), "{message}");
    assert_eq!(condition(&rollout, "Ready").unwrap().0, "False");
    assert!(rollout.pointer("/status/progress/stable").is_some(), "what was persisted is still there");
    bed.release(&podinfo().version("v2"));
    bed.until_at_rest(&podinfo().version("v2")).await;
    assert_eq!(bed.events("InvalidSpec").len(), 1);
    assert!(operator.metric("leadsman_objects_skipped_total{kind=\"Rollout\"}") >= 1.0);

    let new = strange.version("v2");
    bed.server.hand("git").apply(&new.rollout()).unwrap();
    bed.until_at_rest(&new).await;
    assert_eq!(bed.weights(&new), [0, 25, 50, 100, 0], "an ordinary release, not a first deployment");
    assert!(condition(&bed.rollout(&new), "Stalled").is_none());
}

#[tokio::test(start_paused = true)]
async fn an_analysis_template_that_cannot_be_read_holds_only_who_uses_it() {
    let bed = Bed::new();
    let operator = bed.operator("a");
    let template = json!({
        "kind": "AnalysisTemplate", "metadata": {"name": "broken", "namespace": NAMESPACE}, "spec": {"metrics": 7},
    });
    bed.server.hand("person").create(&template).unwrap();
    bed.declare(&podinfo());
    bed.until_at_rest(&podinfo()).await;
    let using = Application::new(NAMESPACE, "using")
        .set("/spec/strategy/canary/analysis", json!({"templates": [{"templateName": "broken"}]}));
    bed.declare(&using);
    let rollout = bed.until(&using, |it| condition(it, "Stalled").is_some()).await;
    assert!(condition(&rollout, "Stalled").unwrap().2.contains("broken"), "{:?}", condition(&rollout, "Stalled"));
    bed.release(&podinfo().version("v2"));
    bed.until_at_rest(&podinfo().version("v2")).await;
    assert!(operator.metric("leadsman_objects_skipped_total{kind=\"AnalysisTemplate\"}") >= 1.0);
}

#[tokio::test(start_paused = true)]
async fn strange_slices_sets_and_services_beside_a_release_change_nothing_of_it() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    let labels = json!({"leadsman.dev/rollout": "somebody", "leadsman.dev/revision": 7, "x": null});
    let beside = |kind: &str, body: Value| {
        let mut object =
            json!({"kind": kind, "metadata": {"name": "strange", "namespace": NAMESPACE, "labels": labels}});
        for (name, value) in body.as_object().unwrap() {
            object[name] = value.clone();
        }
        object
    };
    for object in [
        beside("EndpointSlice", json!({"addressType": 4, "endpoints": {"not": "a list"}})),
        beside("ReplicaSet", json!({"spec": {"replicas": "many", "selector": []}})),
        beside("Service", json!({"spec": {"selector": "all", "ports": [{"port": "http"}, 7]}})),
        beside("HTTPRoute", json!({"spec": {"rules": [{"backendRefs": "none"}, 3], "parentRefs": {}}})),
    ] {
        bed.server.hand("person").create(&object).unwrap();
    }
    bed.declare(&podinfo());
    bed.until_at_rest(&podinfo()).await;
    let began = Instant::now();
    bed.release(&podinfo().version("v2"));
    bed.until_at_rest(&podinfo().version("v2")).await;
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_route_that_becomes_strange_in_mid_release_holds_it_with_the_reason_and_a_rollback_still_works() {
    for strange in [json!([]), json!("none"), json!([{"backendRefs": [{"name": "podinfo-canary", "weight": 25}]}])] {
        let bed = Bed::new();
        let _operator = bed.operator("a");
        bed.declare(&podinfo());
        bed.until_at_rest(&podinfo()).await;
        let new = podinfo().version("v2");
        bed.release(&new);
        bed.until_weight(&new, 25).await;
        let route = Name::new(&kind::HTTP_ROUTE, NAMESPACE, "podinfo");
        bed.server.hand("person").edit(&route, |it| set(it, "/spec/rules", strange.clone()));
        let rollout = bed.until(&new, |it| condition(it, "Stalled").is_some()).await;
        assert_eq!(condition(&rollout, "Stalled").unwrap().1, "InvalidRoute", "{strange}");
        // Git goes back: with no route to write to, canaryService is bound to stable.
        bed.release(&podinfo());
        let canary = || bed.server.get(&kind::SERVICE, NAMESPACE, "podinfo-canary").unwrap();
        let stable = podinfo().hash();
        bed.until(&new, |_| text(&canary(), "/spec/selector/leadsman.dev~1revision") == stable).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_cannot_be_read_and_is_deleted_is_let_go_after_half_a_minute() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    let application = podinfo().steps(&json!([{"setWeight": 25}, {"pause": {}}]));
    bed.declare(&application);
    bed.until_at_rest(&application).await;
    let new = application.version("v2");
    bed.release(&new);
    bed.until_weight(&new, 25).await;
    bed.server.hand("person").edit(&new.name(), |it| {
        set(it, "/spec/replicas", json!("four"));
        set(it, "/metadata/finalizers", json!(["example.com/theirs", "leadsman.dev/routes"]));
    });
    bed.until(&new, |it| condition(it, "Stalled").is_some()).await;
    let deleted = Instant::now();
    bed.server.hand("person").delete(&new.name(), "Background");
    let only_theirs = |it: &Value| it["metadata"]["finalizers"] == json!(["example.com/theirs"]);
    bed.until(&new, only_theirs).await;
    // Times of deletion have whole seconds.
    assert!((29..33).contains(&deleted.elapsed().as_secs()), "{:?}", deleted.elapsed());
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(bed.events("LetGo").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_others_wrote_is_told_on_one_line_and_their_conditions_stay() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    bed.declare(&podinfo());
    bed.until_at_rest(&podinfo()).await;
    let theirs = json!({"type": "example.com/Scanned", "status": "True", "reason": "Clean", "message": "ok",
        "lastTransitionTime": "2026-01-01T00:00:00Z"});
    bed.server.hand("scanner").edit_status(&podinfo().name(), |it| {
        let mut conditions = it["status"]["conditions"].as_array().unwrap().clone();
        conditions.push(theirs.clone());
        set(it, "/status/conditions", json!(conditions));
    });
    let words = "denied:\n  image not signed\u{1b}[2J\r\n2026-01-01 INFO promoted";
    let create = leadsman_testkit::Rule::refusing(403, "Forbidden", words).verbs(&[Verb::Create]);
    bed.server.inject(create.kind(&kind::REPLICA_SET));
    let new = podinfo().version("v2");
    bed.release(&new);
    let told = "denied: image not signed\u{fffd}[2J 2026-01-01 INFO promoted";
    let rollout = bed.until(&new, |it| text(it, "/status/message").contains(told)).await;
    assert!(condition(&rollout, "Ready").unwrap().2.contains(told));
    assert_eq!(condition(&rollout, "example.com/Scanned"), Some(("True", "Clean", "ok")));
}
