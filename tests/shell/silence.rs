//! What cannot succeed, and what has succeeded, costs nothing for ever after.

use std::time::Duration;

use leadsman_testkit::object::{list, number, set, text, unset};
use leadsman_testkit::{ApiServer, Application, Name, Route, Rule, Verb, kind};
use serde_json::json;
use tokio::time::Instant;

use crate::bed::{Bed, NAMESPACE, Running, seconds};

fn podinfo() -> Application {
    Application::new(NAMESPACE, "podinfo")
}

fn service(name: &str) -> Name {
    Name::new(&kind::SERVICE, NAMESPACE, name)
}

/// For an hour nothing is asked or written but the lease and the watches, and no pass is made.
async fn is_silent(bed: &Bed, operator: &Running, what: &str) {
    let (began, passes) = (Instant::now(), operator.passes());
    seconds(3600).await;
    let requests = bed.server.requests().into_iter().filter(|it| it.at >= began);
    let others: Vec<_> = requests.filter(|it| it.verb != Verb::Watch && it.kind != Some(&kind::LEASE)).collect();
    assert!(others.is_empty(), "{what}: {others:?}");
    assert_eq!(operator.passes(), passes, "{what}");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_a_webhook_changes_back_is_written_once() {
    let bed = Bed::new();
    let operator = bed.operator("a");
    bed.declare(&podinfo());
    bed.until_at_rest(&podinfo()).await;
    seconds(5).await;
    // A policy that wants another target port than Git.
    bed.server.admit(&kind::SERVICE, |service| {
        if text(service, "/metadata/name").ends_with("-canary") {
            set(service, "/spec/ports/0/targetPort", json!(9999));
        }
    });
    let before = bed.server.requests().len();
    bed.server.hand("person").edit(&service("podinfo-canary"), |it| set(it, "/metadata/annotations/a", json!("b")));
    seconds(10).await;
    let requests = bed.server.requests().into_iter().skip(before);
    let writes = requests.filter(|it| it.verb.is_write() && it.kind == Some(&kind::SERVICE)).count();
    assert_eq!(writes, 1);
    let rollout = bed.rollout(&podinfo());
    assert!(text(&rollout, "/status/message").contains("no effect"), "{}", text(&rollout, "/status/message"));
    is_silent(&bed, &operator, "a Service").await;
    // Something new is tried again.
    let parent = service("podinfo");
    bed.server.hand("git").edit(&parent, |it| {
        let mut ports = list(it, "/spec/ports").to_vec();
        ports.push(json!({"name": "admin", "port": 8081, "targetPort": 8081, "protocol": "TCP"}));
        set(it, "/spec/ports", json!(ports));
    });
    let follows = |server: &ApiServer| {
        let canary = server.get(&kind::SERVICE, NAMESPACE, "podinfo-canary")?;
        (text(&canary, "/spec/ports/1/name") == "admin").then_some(())
    };
    bed.server.until(follows).await;
}

#[tokio::test(start_paused = true)]
async fn an_owned_route_that_a_webhook_changes_back_is_written_once() {
    for route in [Route::HttpRoute, Route::VirtualService] {
        let bed = Bed::new();
        let operator = bed.operator("a");
        let application = podinfo().route(route).owning_its_route();
        bed.server.admit(route.kind(), |route| {
            let hosts = if route.pointer("/spec/hosts").is_some() { "/spec/hosts" } else { "/spec/hostnames" };
            set(route, hosts, json!(["policy.example.com"]));
        });
        let hosts = if route == Route::VirtualService { "hosts" } else { "hostnames" };
        let mut declared = application.rollout();
        let pointer = format!("/spec/strategy/canary/traffic/routes/0/{}/spec/{hosts}", member(route));
        set(&mut declared, &pointer, json!(["shop.example.com"]));
        for object in application.surroundings() {
            bed.server.hand("git").apply(&object).unwrap();
        }
        bed.server.hand("git").apply(&declared).unwrap();
        bed.until_phase(&application, "Healthy").await;
        seconds(60).await;
        is_silent(&bed, &operator, &format!("{route:?}")).await;
    }
}

fn member(route: Route) -> &'static str {
    match route {
        Route::HttpRoute => "httpRoute",
        Route::GrpcRoute => "grpcRoute",
        Route::VirtualService => "virtualService",
    }
}

#[tokio::test(start_paused = true)]
async fn a_definition_that_drops_a_new_field_of_the_status_is_written_to_no_more_than_once() {
    let bed = Bed::new();
    bed.server.admit(&kind::ROLLOUT, |rollout| unset(rollout, "/status/selector"));
    let operator = bed.operator("a");
    bed.declare(&podinfo());
    bed.until_at_rest(&podinfo()).await;
    bed.release(&podinfo().version("v2"));
    bed.until_at_rest(&podinfo().version("v2")).await;
    seconds(60).await;
    is_silent(&bed, &operator, "a status").await;
}

#[tokio::test(start_paused = true)]
async fn what_was_expected_of_a_service_that_is_named_no_more_wakes_nobody() {
    let bed = Bed::new();
    let operator = bed.operator("a");
    bed.declare(&podinfo());
    bed.until_at_rest(&podinfo()).await;
    seconds(5).await;
    // Renamed just while it is written.
    let renamed = |server: &ApiServer| {
        let canary = "/spec/strategy/canary/traffic/canaryService";
        server.hand("git").edit(&podinfo().name(), |it| set(it, canary, json!("podinfo-next")));
        let route = Name::new(&kind::HTTP_ROUTE, NAMESPACE, "podinfo");
        server.hand("git").edit(&route, |it| set(it, "/spec/rules/0/backendRefs/1/name", json!("podinfo-next")));
    };
    bed.server.inject(Rule::meanwhile(renamed).writes().name("podinfo-canary").times(1));
    bed.server.hand("person").edit(&service("podinfo-canary"), |it| unset(it, "/spec/selector"));
    bed.server.until(|server| server.get(&kind::SERVICE, NAMESPACE, "podinfo-next")).await;
    seconds(60).await;
    is_silent(&bed, &operator, "a Service of old").await;
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_is_tried_at_once_when_its_cause_is_gone() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    for mut object in podinfo().surroundings() {
        if text(&object, "/kind") == "Service" {
            set(&mut object, "/spec/ports", json!([]));
        }
        bed.server.hand("git").apply(&object).unwrap();
    }
    bed.release(&podinfo());
    seconds(300).await;
    assert!(bed.server.get(&kind::SERVICE, NAMESPACE, "podinfo-stable").is_none());
    let mended = Instant::now();
    let ports = json!([{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]);
    bed.server.hand("git").edit(&service("podinfo"), |it| set(it, "/spec/ports", ports));
    bed.server.until(|server| server.get(&kind::SERVICE, NAMESPACE, "podinfo-stable")).await;
    assert!(mended.elapsed() < Duration::from_secs(1), "{:?}", mended.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_port_that_git_moves_together_with_the_route_is_there_before_the_next_release() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    for mut object in podinfo().surroundings() {
        if text(&object, "/kind") == "Service" {
            set(&mut object, "/spec/ports", json!([{"port": 80, "targetPort": 8080, "protocol": "TCP"}]));
        }
        bed.server.hand("git").apply(&object).unwrap();
    }
    bed.release(&podinfo());
    bed.until_at_rest(&podinfo()).await;
    let ports = json!([{"name": "http", "port": 8080, "targetPort": 8080, "protocol": "TCP"}]);
    bed.server.hand("git").edit(&service("podinfo"), |it| set(it, "/spec/ports", ports));
    seconds(60).await;
    let of_stable = |server: &ApiServer| -> Vec<(u64, String)> {
        let stable = server.get(&kind::SERVICE, NAMESPACE, "podinfo-stable").unwrap();
        list(&stable, "/spec/ports").iter().map(|it| (number(it, "/port"), text(it, "/name").to_owned())).collect()
    };
    assert_eq!(
        of_stable(&bed.server),
        [(80, String::new())],
        "no route needs another one, and it would need a new name"
    );
    let route = Name::new(&kind::HTTP_ROUTE, NAMESPACE, "podinfo");
    bed.server.hand("git").edit(&route, |it| set(it, "/spec/rules/0/backendRefs/0/port", json!(8080)));
    let both = [(80, "port-80-tcp".to_owned()), (8080, "http".to_owned())];
    bed.server.until(|server| (of_stable(server) == both).then_some(())).await;
}
