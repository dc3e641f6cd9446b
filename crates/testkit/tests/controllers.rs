//! The controllers: pods come and go, slices follow with the labels of their Service, owners take along what they own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of it is tests"
)]

use std::time::Duration;

use leadsman_testkit::object::{label, list, number, set, text};
use leadsman_testkit::{ApiServer, Controllers, Habits, Kind, Name, Route, kind};
use serde_json::{Value, json};

fn set_of_two() -> Value {
    let labels = json!({"app": "a", "leadsman.dev/revision": "r1"});
    json!({
        "kind": "ReplicaSet",
        "metadata": {"name": "a-r1", "namespace": "shop"},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": "a:v1"}]},
        }},
    })
}

fn service() -> Value {
    json!({
        "kind": "Service",
        "metadata": {"name": "s", "namespace": "shop", "labels": {"leadsman.dev/revision": "r1"}},
        "spec": {"selector": {"leadsman.dev/revision": "r1"}},
    })
}

async fn later(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn ready(server: &ApiServer) -> u64 {
    server.get(&kind::REPLICA_SET, "shop", "a-r1").map_or(0, |set| number(&set, "/status/readyReplicas"))
}

fn endpoints(server: &ApiServer) -> usize {
    let slices = server.list(&kind::SLICE, "shop", "kubernetes.io/service-name=s");
    let ready = |slice: &Value| list(slice, "/endpoints").iter().filter(|it| it["conditions"]["ready"] == true).count();
    slices.iter().map(|slice| ready(slice)).sum()
}

#[tokio::test(start_paused = true)]
async fn pods_get_ready_after_a_while_and_are_endpoints_then() {
    let server = ApiServer::new();
    let _controllers = Controllers::start(&server, Habits::default());
    server.hand("test").create(&service()).unwrap();
    server.hand("test").create(&set_of_two()).unwrap();
    later(2).await;
    assert_eq!((ready(&server), endpoints(&server)), (0, 0));
    later(2).await;
    assert_eq!((ready(&server), endpoints(&server)), (2, 2));
    server.hand("test").edit(&Name::new(&kind::REPLICA_SET, "shop", "a-r1"), |it| set(it, "/spec/replicas", json!(1)));
    later(1).await;
    assert_eq!((ready(&server), endpoints(&server)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_bound_anew_has_old_slices_for_a_moment() {
    let server = ApiServer::new();
    let _controllers = Controllers::start(&server, Habits::default());
    server.hand("test").create(&service()).unwrap();
    server.hand("test").create(&set_of_two()).unwrap();
    later(5).await;
    server.hand("test").edit(&Name::new(&kind::SERVICE, "shop", "s"), |it| {
        set(it, "/metadata/labels", json!({"leadsman.dev/revision": "r2"}));
        set(it, "/spec/selector", json!({"leadsman.dev/revision": "r2"}));
    });
    let revision = || label(&server.list(&kind::SLICE, "shop", "")[0], "leadsman.dev/revision").unwrap().to_owned();
    assert_eq!((revision(), endpoints(&server)), ("r1".to_owned(), 2));
    later(1).await;
    assert_eq!((revision(), endpoints(&server)), ("r2".to_owned(), 0));
}

#[tokio::test(start_paused = true)]
async fn pods_that_may_not_be_created_are_a_condition_and_broken_ones_never_get_ready() {
    let server = ApiServer::new();
    let habits = Habits { refuses_pods: Some("exceeded quota: pods".to_owned()), ..Habits::default() };
    let controllers = Controllers::start(&server, habits);
    server.hand("test").create(&set_of_two()).unwrap();
    later(1).await;
    let set_now = server.get(&kind::REPLICA_SET, "shop", "a-r1").unwrap();
    assert_eq!(text(&set_now, "/status/conditions/0/message"), "exceeded quota: pods");
    controllers.change(|habits| {
        habits.refuses_pods = None;
        habits.crashing_images = vec!["a:v1".to_owned()];
    });
    server.hand("test").edit(&Name::new(&kind::REPLICA_SET, "shop", "a-r1"), |it| set(it, "/spec/replicas", json!(1)));
    later(20).await;
    let pods = server.list(&kind::POD, "shop", "app=a");
    assert_eq!((pods.len(), ready(&server)), (1, 0));
    assert!(number(&pods[0], "/status/containerStatuses/0/restartCount") >= 2);
}

#[tokio::test(start_paused = true)]
async fn routes_are_accepted_in_the_generation_that_they_have() {
    let server = ApiServer::new();
    let _controllers = Controllers::start(&server, Habits::default());
    let application = leadsman_testkit::Application::new("shop", "a").route(Route::GrpcRoute);
    for object in application.surroundings() {
        server.hand("git").apply(&object).unwrap();
    }
    later(1).await;
    let observed = || {
        let route = server.get(&kind::GRPC_ROUTE, "shop", "a").unwrap();
        number(&route, "/status/parents/0/conditions/0/observedGeneration")
    };
    assert_eq!(observed(), 1);
    server.hand("test").edit(&application.route_name(), |it| set(it, "/spec/rules/0/backendRefs/0/weight", json!(7)));
    later(1).await;
    assert_eq!(observed(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_owned_goes_with_its_owner_before_it_or_without_it() {
    for (policy, left_over) in [("Background", 0), ("Foreground", 0), ("Orphan", 2)] {
        let server = ApiServer::new();
        let _controllers = Controllers::start(&server, Habits::default());
        server.hand("test").create(&set_of_two()).unwrap();
        later(5).await;
        let count = |kind: &'static Kind| server.list(kind, "shop", "").len();
        assert_eq!(count(&kind::POD), 2);
        assert!(server.hand("test").delete(&Name::new(&kind::REPLICA_SET, "shop", "a-r1"), policy));
        assert_eq!(count(&kind::REPLICA_SET), usize::from(policy != "Background"), "{policy}");
        later(5).await;
        assert_eq!((count(&kind::REPLICA_SET), count(&kind::POD)), (0, left_over), "{policy}");
    }
}
