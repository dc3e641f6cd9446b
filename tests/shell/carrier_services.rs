//! The Service whose selector carries the traffic: which one can, whose it is, and what somebody else makes of it.

use leadsman_testkit::object::{list, set, text, unset};
use leadsman_testkit::{Application, Name, kind};
use serde_json::{Value, json};

use crate::bed::{Bed, NAMESPACE, condition, seconds};

fn podinfo() -> Application {
    Application::new(NAMESPACE, "podinfo").plain()
}

fn service() -> Name {
    Name::new(&kind::SERVICE, NAMESPACE, "podinfo")
}

fn get(bed: &Bed) -> Value {
    bed.server.get(&kind::SERVICE, NAMESPACE, "podinfo").map(|it| (*it).clone()).unwrap_or_default()
}

/// The Service that Git declares, with one field more.
fn declared(pointer: &str, value: &Value) -> Value {
    let mut service = podinfo().surroundings().remove(0);
    set(&mut service, pointer, value.clone());
    service
}

#[tokio::test(start_paused = true)]
async fn a_service_that_cannot_carry_traffic_is_left_alone_and_it_is_said_what_to_do() {
    for (pointer, value, words) in [
        ("/spec/selector", json!({"app": "podinfo"}), "remove spec.selector from its declaration"),
        ("/spec/clusterIP", json!("None"), "it is headless"),
        ("/spec/type", json!("ExternalName"), "ExternalName"),
        ("/spec/publishNotReadyAddresses", json!(true), "remove publishNotReadyAddresses"),
    ] {
        let bed = Bed::new();
        let _operator = bed.operator("a");
        let service = declared(pointer, &value);
        bed.server.hand("git").apply(&service).unwrap();
        bed.release(&podinfo());
        let stalled = |it: &Value| condition(it, "Stalled").is_some_and(|it| it.1 == "ServiceConflict");
        let rollout = bed.until(&podinfo(), stalled).await;
        assert!(text(&rollout, "/status/message").contains(words), "{}", text(&rollout, "/status/message"));
        seconds(60).await;
        assert_eq!(get(&bed).pointer("/spec"), service.pointer("/spec"));

        // Once that is mended it is taken on.
        bed.server.hand("git").apply(&podinfo().surroundings()[0]).unwrap();
        bed.server.hand("git").edit(&self::service(), |it| unset(it, pointer));
        bed.until_at_rest(&podinfo()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_exist_is_waited_for_and_not_invented() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    bed.release(&podinfo());
    let missing = |it: &Value| condition(it, "Stalled").is_some_and(|it| it.1 == "ServiceNotFound");
    let rollout = bed.until(&podinfo(), missing).await;
    let message = text(&rollout, "/status/message");
    assert!(message.contains("without a selector, or give spec.strategy.canary.traffic.ports"), "{message}");
    assert_eq!(get(&bed), Value::Null);
    bed.server.hand("git").apply(&podinfo().surroundings()[0]).unwrap();
    bed.until_at_rest(&podinfo()).await;
}

#[tokio::test(start_paused = true)]
async fn git_keeps_its_ports_and_may_apply_its_service_at_any_time() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    bed.declare(&podinfo());
    bed.until_at_rest(&podinfo()).await;
    let since = bed.version();
    let new = podinfo().version("v2");
    bed.release(&new);
    bed.until_selected(&service(), "any").await;
    let mut again = podinfo().surroundings().remove(0);
    set(&mut again, "/metadata/labels", json!({"team": "shop"}));
    bed.server.hand("git").apply(&again).unwrap();
    let seen = get(&bed);
    assert_eq!(
        seen.pointer("/spec/selector"),
        Some(&json!({"app": "podinfo"})),
        "every revision, and no leftover of one"
    );
    assert!(list(&seen, "/metadata/ownerReferences").is_empty(), "it is Git's");
    bed.until_at_rest(&new).await;
    assert_eq!(get(&bed).pointer("/spec/ports"), again.pointer("/spec/ports"));
    assert_eq!(bed.breaches(since), []);
}

#[tokio::test(start_paused = true)]
async fn a_selector_that_somebody_edits_is_put_back() {
    for to in [json!({"app": "podinfo"}), json!({"app": "other"})] {
        let bed = Bed::new();
        let _operator = bed.operator("a");
        bed.declare(&podinfo());
        bed.until_at_rest(&podinfo()).await;
        bed.server.hand("person").edit(&service(), |it| set(it, "/spec/selector", to.clone()));
        seconds(5).await;
        assert_eq!(text(&get(&bed), "/spec/selector/leadsman.dev~1revision"), podinfo().hash(), "{to}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_of_git_s_is_left_with_every_revision_when_its_rollout_goes() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    bed.declare(&podinfo());
    bed.until_at_rest(&podinfo()).await;
    bed.release(&podinfo().version("v2"));
    bed.until_selected(&service(), "any").await;
    assert!(bed.server.hand("person").delete(&podinfo().name(), "Background"));
    bed.until_gone(&podinfo().name()).await;
    let left = get(&bed);
    assert_eq!(left.pointer("/spec/selector"), Some(&json!({"app": "podinfo"})));
    assert_eq!(left.pointer("/metadata/labels/leadsman.dev~1revision"), None);
    bed.declare(&podinfo());
    bed.until_at_rest(&podinfo()).await;
}

#[tokio::test(start_paused = true)]
async fn connections_that_make_another_share_are_told_of_as_a_release_begins() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    let mut service = declared("/spec/sessionAffinity", &json!("ClientIP"));
    set(&mut service, "/spec/ports/0/appProtocol", json!("kubernetes.io/h2c"));
    bed.server.hand("git").apply(&service).unwrap();
    bed.release(&podinfo());
    bed.until_at_rest(&podinfo()).await;
    let new = podinfo().version("v2");
    bed.release(&new);
    bed.until_at_rest(&new).await;
    let told: Vec<String> =
        bed.server.list(&kind::EVENT, NAMESPACE, "").iter().map(|it| text(it, "/note").to_owned()).collect();
    for words in ["sessionAffinity: ClientIP", "port 80 of Service podinfo"] {
        assert_eq!(told.iter().filter(|note| note.contains(words)).count(), 1, "{words}: {told:?}");
    }
}
