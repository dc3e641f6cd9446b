//! The server as its clients see it: what the operator's tests rely on, through kube's own client.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of it is tests"
)]

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client};
use leadsman_testkit::object::{set, text};
use leadsman_testkit::{ApiServer, Fault, Kind, Moment, Name, Rule, Verb, kind};
use serde_json::{Value, json};
use tokio::time::Instant;

fn api(client: Client, kind: &Kind) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk(kind.group, kind.version, kind.kind);
    Api::namespaced_with(client, "shop", &ApiResource::from_gvk_with_plural(&gvk, kind.plural))
}

fn services(server: &ApiServer) -> Api<DynamicObject> {
    api(server.connect("test").client(), &kind::SERVICE)
}

fn service(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"}, "spec": {"type": "ClusterIP"}})
}

fn object(value: Value) -> DynamicObject {
    serde_json::from_value(value).unwrap()
}

fn code<T: std::fmt::Debug>(result: kube::Result<T>) -> (u16, String) {
    match result.unwrap_err() {
        kube::Error::Api(status) => (status.code, status.message.clone()),
        other => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_with_an_old_version_is_a_conflict() {
    let server = ApiServer::new();
    let services = services(&server);
    let first = services.create(&PostParams::default(), &object(service("a"))).await.unwrap();
    let mut second = first.clone();
    second.data["spec"]["type"] = json!("NodePort");
    services.replace("a", &PostParams::default(), &second).await.unwrap();
    let (code, message) = code(services.replace("a", &PostParams::default(), &second).await);
    assert_eq!(code, 409);
    assert!(message.contains("the object has been modified"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn what_is_there_cannot_be_created_and_what_is_not_cannot_be_patched() {
    let server = ApiServer::new();
    let services = services(&server);
    services.create(&PostParams::default(), &object(service("a"))).await.unwrap();
    let again = services.create(&PostParams::default(), &object(service("a"))).await;
    assert_eq!(code(again), (409, "services \"a\" already exists".to_owned()));
    let patch = services.patch("b", &PatchParams::default(), &Patch::Merge(json!({}))).await;
    assert_eq!(code(patch), (404, "services \"b\" not found".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_failed_test_of_a_json_patch_changes_nothing() {
    let server = ApiServer::new();
    let services = services(&server);
    let before = services.create(&PostParams::default(), &object(service("a"))).await.unwrap();
    let operations = json!([
        {"op": "replace", "path": "/spec/type", "value": "NodePort"},
        {"op": "test", "path": "/metadata/uid", "value": "another"},
    ]);
    let patch: Patch<()> = Patch::Json(serde_json::from_value(operations).unwrap());
    let refused = services.patch("a", &PatchParams::default(), &patch).await;
    assert_eq!(code(refused), (422, "the server rejected our request due to an error in our request".to_owned()));
    assert_eq!(services.get("a").await.unwrap(), before);
}

#[tokio::test(start_paused = true)]
async fn a_patch_for_another_uid_is_invalid_and_one_for_an_old_version_a_conflict() {
    let server = ApiServer::new();
    let services = services(&server);
    services.create(&PostParams::default(), &object(service("a"))).await.unwrap();
    let params = PatchParams::apply("us").force();
    for (patch, wanted, words) in [
        (Patch::Merge(json!({"metadata": {"uid": "x"}})), 422, "metadata.uid: Invalid value"),
        (Patch::Merge(json!({"metadata": {"resourceVersion": "3"}})), 409, "has been modified"),
        (Patch::Apply(json!({"metadata": {"name": "a", "uid": "x"}})), 422, "metadata.uid: Invalid value"),
        (Patch::Apply(json!({"metadata": {"name": "a", "resourceVersion": "3"}})), 409, "has been modified"),
        (Patch::Apply(json!({"metadata": {"name": "a", "uid": "x"}})), 422, "metadata.uid: Invalid value"),
    ] {
        let params = if matches!(patch, Patch::Merge(_)) { PatchParams::default() } else { params.clone() };
        let (code, message) = code(services.patch("a", &params, &patch).await);
        assert_eq!(code, wanted, "{message}");
        assert!(message.contains(words), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_generation_counts_what_is_declared_and_nothing_else_and_the_status_is_its_own() {
    let server = ApiServer::new();
    let rollouts = api(server.connect("test").client(), &kind::ROLLOUT);
    let declared = json!({"apiVersion": "leadsman.dev/v1alpha1", "kind": "Rollout",
        "metadata": {"name": "a", "namespace": "shop"}, "spec": {"replicas": 1}, "status": {"phase": "Healthy"}});
    let mut rollout = rollouts.create(&PostParams::default(), &object(declared)).await.unwrap();
    assert_eq!((rollout.metadata.generation, rollout.data.get("status")), (Some(1), None));
    rollout.data["status"] = json!({"phase": "Paused"});
    rollout.data["spec"]["replicas"] = json!(9);
    let mut rollout = rollouts.replace_subresource("status", "a", &PostParams::default(), &rollout).await.unwrap();
    assert_eq!((rollout.metadata.generation, &rollout.data["spec"]["replicas"]), (Some(1), &json!(1)));
    rollout.metadata.annotations = Some([("a".to_owned(), "b".to_owned())].into());
    let mut rollout = rollouts.replace("a", &PostParams::default(), &rollout).await.unwrap();
    assert_eq!((rollout.metadata.generation, &rollout.data["status"]["phase"]), (Some(1), &json!("Paused")));
    rollout.data["spec"]["replicas"] = json!(2);
    let changed = rollouts.replace("a", &PostParams::default(), &rollout).await.unwrap();
    assert_eq!(changed.metadata.generation, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_changes_nothing_makes_no_version() {
    let server = ApiServer::new();
    let services = services(&server);
    let created = services.create(&PostParams::default(), &object(service("a"))).await.unwrap();
    let patch = Patch::Merge(json!({"spec": {"type": "ClusterIP"}}));
    let patched = services.patch("a", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(patched.metadata.resource_version, created.metadata.resource_version);
}

#[tokio::test(start_paused = true)]
async fn what_a_finalizer_holds_goes_with_its_last_finalizer() {
    let server = ApiServer::new();
    let services = services(&server);
    let mut held = service("a");
    set(&mut held, "/metadata/finalizers", json!(["example.com/x"]));
    let created = services.create(&PostParams::default(), &object(held)).await.unwrap();
    let wrong = kube::api::Preconditions { uid: Some("x".to_owned()), resource_version: None };
    let refused = services.delete("a", &DeleteParams::default().preconditions(wrong)).await;
    assert_eq!(
        refused.map(drop).map_err(|error| matches!(error, kube::Error::Api(status) if status.code == 409)),
        Err(true)
    );
    services.delete("a", &DeleteParams::default()).await.unwrap();
    let marked = services.get("a").await.unwrap();
    assert!(marked.metadata.deletion_timestamp.is_some());
    assert_eq!(marked.metadata.uid, created.metadata.uid);
    let let_go = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    services.patch("a", &PatchParams::default(), &let_go).await.unwrap();
    assert!(services.get_opt("a").await.unwrap().is_none());
}

async fn events(api: &Api<DynamicObject>, params: &WatchParams, version: &str) -> Vec<String> {
    let watch = api.watch(params, version).await.unwrap();
    let word = |event: WatchEvent<DynamicObject>| match event {
        WatchEvent::Added(object) => format!("added {}", object.metadata.name.unwrap()),
        WatchEvent::Modified(object) => format!("modified {}", object.metadata.name.unwrap()),
        WatchEvent::Deleted(object) => format!("deleted {}", object.metadata.name.unwrap()),
        WatchEvent::Bookmark(bookmark) => format!("bookmark {}", bookmark.metadata.resource_version),
        WatchEvent::Error(status) => format!("error {}", status.code),
    };
    watch.map_ok(word).try_collect().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_watch_goes_on_where_it_is_told_to_and_ends_with_a_bookmark_when_it_is_asked_to() {
    let server = ApiServer::new();
    let services = services(&server);
    let first = services.create(&PostParams::default(), &object(service("a"))).await.unwrap();
    let hand = server.hand("test");
    hand.create(&service("b")).unwrap();
    hand.delete(&Name::new(&kind::SERVICE, "shop", "a"), "");
    let began = Instant::now();
    let params = WatchParams::default().timeout(60);
    let seen = events(&services, &params, &first.metadata.resource_version.unwrap()).await;
    assert_eq!(seen, ["added b", "deleted a", "bookmark 1003"]);
    assert_eq!(began.elapsed().as_secs(), 60);
    assert_eq!(events(&services, &params, "1003").await, ["bookmark 1003"]);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_was_compacted_away_has_to_be_listed_anew() {
    let server = ApiServer::new();
    let services = services(&server);
    let first = services.create(&PostParams::default(), &object(service("a"))).await.unwrap();
    server.hand("test").create(&service("b")).unwrap();
    server.compact();
    let old = first.metadata.resource_version.unwrap();
    assert_eq!(events(&services, &WatchParams::default().timeout(10), &old).await, ["error 410"]);
}

#[tokio::test(start_paused = true)]
async fn an_object_whose_labels_change_comes_into_a_watch_and_leaves_it() {
    let server = ApiServer::new();
    let services = services(&server);
    let hand = server.hand("test");
    hand.create(&service("a")).unwrap();
    let name = Name::new(&kind::SERVICE, "shop", "a");
    hand.edit(&name, |it| set(it, "/metadata/labels", json!({"x": "1"})));
    hand.edit(&name, |it| set(it, "/spec/type", json!("NodePort")));
    hand.edit(&name, |it| set(it, "/metadata/labels", json!({"x": "2"})));
    let params = WatchParams::default().labels("x=1").timeout(10).disable_bookmarks();
    assert_eq!(events(&services, &params, "1000").await, ["added a", "modified a", "deleted a"]);
    assert_eq!(services.list(&ListParams::default().labels("x")).await.unwrap().items.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn kube_s_watcher_lists_in_pages_follows_relists_and_survives_what_breaks() {
    let server = ApiServer::new();
    let hand = server.hand("test");
    for index in 0..7 {
        hand.create(&service(&format!("s{index}"))).unwrap();
    }
    let config = watcher::Config::default().timeout(60).page_size(3);
    let mut events = watcher(services(&server), config).boxed();
    let mut seen = Vec::new();
    while seen.last().is_none_or(|word| word != "done") {
        seen.push(word(events.next().await.unwrap().unwrap()));
    }
    assert_eq!(seen.len(), 9, "{seen:?}");
    hand.delete(&Name::new(&kind::SERVICE, "shop", "s3"), "");
    assert_eq!(word(events.next().await.unwrap().unwrap()), "deleted s3");
    server.close_watches(&kind::SERVICE);
    hand.create(&service("t")).unwrap();
    assert_eq!(word(events.next().await.unwrap().unwrap()), "applied t");
    // Told that its version is too old, it lists anew.
    server.close_watches(&kind::SERVICE);
    hand.create(&service("u")).unwrap();
    hand.create(&service("v")).unwrap();
    server.compact();
    let mut relisted = Vec::new();
    while relisted.last().is_none_or(|word| word != "done") {
        relisted.extend(events.next().await.unwrap().ok().map(word));
    }
    assert_eq!(relisted.len(), 11, "{relisted:?}");
    // A connection that died without a word is given up after the time that the watch should have taken.
    let mut next = tokio::spawn(async move { events.next().await.unwrap().unwrap() });
    assert!(tokio::time::timeout(Duration::from_secs(1), &mut next).await.is_err());
    server.silence_watches(&kind::SERVICE);
    hand.create(&service("w")).unwrap();
    let began = Instant::now();
    assert_eq!(word(next.await.unwrap()), "applied w");
    assert!(began.elapsed() >= Duration::from_mins(1), "{:?}", began.elapsed());
}

fn word(event: watcher::Event<DynamicObject>) -> String {
    match event {
        watcher::Event::Init => "init".to_owned(),
        watcher::Event::InitApply(object) => format!("listed {}", object.metadata.name.unwrap()),
        watcher::Event::InitDone => "done".to_owned(),
        watcher::Event::Apply(object) => format!("applied {}", object.metadata.name.unwrap()),
        watcher::Event::Delete(object) => format!("deleted {}", object.metadata.name.unwrap()),
    }
}

#[tokio::test(start_paused = true)]
async fn faults_strike_the_requests_that_they_are_for_and_as_often_as_they_say() {
    let server = ApiServer::new();
    let services = services(&server);
    server.inject(Rule::refusing(500, "InternalError", "etcd").verbs(&[Verb::Create]).kind(&kind::SERVICE).times(1));
    assert_eq!(code(services.create(&PostParams::default(), &object(service("a"))).await).0, 500);
    server.inject(Rule::new(Fault::AnswerLost).verbs(&[Verb::Create]).times(1));
    let lost = services.create(&PostParams::default(), &object(service("a"))).await;
    assert!(matches!(lost, Err(kube::Error::Service(_))), "{lost:?}");
    assert!(services.get("a").await.is_ok(), "it was done");
    server.inject(Rule::new(Fault::Slow(Duration::from_secs(2))).verbs(&[Verb::Get]).after(1).times(1));
    let began = Instant::now();
    services.get("a").await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 0);
    services.get("a").await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 2);
    server.inject(Rule::new(Fault::Gone));
    assert!(matches!(services.get("a").await, Err(kube::Error::Service(_))));
    server.heal();
    assert!(services.get("a").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_cut_at_a_write_has_done_it_or_not_and_never_hears_of_it() {
    for (moment, is_there) in [(Moment::Before, false), (Moment::After, true)] {
        let server = ApiServer::new();
        let connection = server.connect("test");
        let services = api(connection.client(), &kind::SERVICE);
        services.create(&PostParams::default(), &object(service("a"))).await.unwrap();
        connection.cut_at_write(1, moment);
        let params = PostParams::default();
        let second = object(service("b"));
        let create = services.create(&params, &second);
        assert!(tokio::time::timeout(Duration::from_hours(1), create).await.is_err());
        assert!(connection.is_cut());
        assert_eq!(server.get(&kind::SERVICE, "shop", "b").is_some(), is_there);
        assert!(tokio::time::timeout(Duration::from_hours(1), services.get("a")).await.is_err());
        assert_eq!(text(&server.history().last().unwrap().object().clone(), "/kind"), "Service");
    }
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_withdrawn_is_not_found_until_it_is_installed() {
    let server = ApiServer::new();
    let client = server.connect("test").client();
    let routes = api(client.clone(), &kind::HTTP_ROUTE);
    server.withdraw(&kind::HTTP_ROUTE);
    assert_eq!(code(routes.list(&ListParams::default()).await).0, 404);
    let resources = async || {
        let list = client.list_api_group_resources("gateway.networking.k8s.io/v1").await.unwrap();
        list.resources.into_iter().map(|resource| resource.name).collect::<Vec<_>>()
    };
    assert_eq!(resources().await, ["grpcroutes"]);
    server.install(&kind::HTTP_ROUTE);
    assert!(routes.list(&ListParams::default()).await.is_ok());
    assert_eq!(resources().await, ["httproutes", "grpcroutes"]);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_gives_what_would_be_stored_and_stores_nothing() {
    let server = ApiServer::new();
    let services = services(&server);
    server.admit(&kind::SERVICE, |service| set(service, "/spec/type", json!("NodePort")));
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let would_be = services.create(&dry, &object(service("a"))).await.unwrap();
    assert_eq!(would_be.data["spec"]["type"], "NodePort");
    assert!(server.get(&kind::SERVICE, "shop", "a").is_none());
    services.create(&PostParams::default(), &object(service("a"))).await.unwrap();
    assert_eq!(code(services.create(&dry, &object(service("a"))).await).0, 409);
    assert_eq!(server.requests().iter().filter(|request| request.verb == Verb::DryRun).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_a_webhook_takes_back_makes_no_version() {
    let server = ApiServer::new();
    let services = services(&server);
    let before = services.create(&PostParams::default(), &object(service("a"))).await.unwrap();
    server.admit(&kind::SERVICE, |service| set(service, "/spec/type", json!("ClusterIP")));
    let patch = Patch::Merge(json!({"spec": {"type": "NodePort"}}));
    let after = services.patch("a", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(after, before);
}

#[tokio::test(start_paused = true)]
async fn somebody_may_be_faster_than_a_request_that_is_on_its_way() {
    let server = ApiServer::new();
    let services = services(&server);
    let faster = |server: &ApiServer| drop(server.hand("git").create(&service("a")).unwrap());
    server.inject(Rule::meanwhile(faster).verbs(&[Verb::Create]).kind(&kind::SERVICE).times(1));
    assert_eq!(code(services.create(&PostParams::default(), &object(service("a"))).await).0, 409);
}

#[tokio::test(start_paused = true)]
async fn events_are_found_by_what_they_are_about() {
    let server = ApiServer::new();
    for (name, uid) in [("one", "u1"), ("two", "u2")] {
        let event =
            json!({"kind": "Event", "metadata": {"name": name, "namespace": "shop"}, "involvedObject": {"uid": uid}});
        server.hand("kubelet").create(&event).unwrap();
    }
    let events = api(server.connect("test").client(), &kind::CORE_EVENT);
    let about = ListParams::default().fields("involvedObject.uid=u2");
    let found = events.list(&about).await.unwrap();
    assert_eq!(found.items.iter().map(|it| it.metadata.name.as_deref()).collect::<Vec<_>>(), [Some("two")]);
}
