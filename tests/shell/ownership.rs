//! Whose an object is: what Git declares stays Git's, what is ours is healed, and nobody is fought for ever.

use std::time::Duration;

use leadsman_api::names::{FIELD_MANAGER, MANAGED_BY_LABEL, REVISION_LABEL, ROLLOUT_LABEL};
use leadsman_testkit::object::{label, list, number, set, text, unset};
use leadsman_testkit::{ApiServer, Application, Name, Rule, Verb, kind};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::bed::{Bed, NAMESPACE, condition, seconds};

const SELECTED: &str = "/spec/selector/leadsman.dev~1revision";

fn podinfo() -> Application {
    Application::new(NAMESPACE, "podinfo")
}

fn service(side: &str) -> Name {
    Name::new(&kind::SERVICE, NAMESPACE, &format!("podinfo-{side}"))
}

fn get(server: &ApiServer, name: &Name) -> Value {
    server.get(name.kind, &name.namespace, &name.name).map(|object| (*object).clone()).unwrap_or_default()
}

/// As docs/gitops.md has it: no selector, and the ports of the Service that clients call.
fn declared_in_git(side: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": service(side).name, "namespace": NAMESPACE},
        "spec": {"type": "ClusterIP", "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]},
    })
}

fn port(name: &str, port: u16) -> Value {
    json!({"name": name, "port": port, "targetPort": 8080, "protocol": "TCP"})
}

/// Requests of the operator that wrote to an object since an instant.
fn writes(bed: &Bed, name: &Name, since: Instant) -> usize {
    let requests = bed.server.requests().into_iter();
    requests
        .filter(|it| it.verb.is_write() && it.kind == Some(name.kind) && it.name == name.name && it.at >= since)
        .count()
}

#[tokio::test(start_paused = true)]
async fn a_service_that_git_creates_a_moment_before_us_stays_git_s() {
    for side in ["stable", "canary"] {
        let bed = Bed::new();
        let _operator = bed.operator("a");
        let faster = move |server: &ApiServer| drop(server.hand("git").apply(&declared_in_git(side)).unwrap());
        bed.server.inject(Rule::meanwhile(faster).verbs(&[Verb::Create, Verb::Apply]).kind(&kind::SERVICE).times(1));
        bed.declare(&podinfo());
        bed.until_at_rest(&podinfo()).await;
        let made = get(&bed.server, &service(side));
        assert_eq!(text(&made, SELECTED), podinfo().hash());
        assert_eq!(list(&made, "/metadata/ownerReferences"), &[] as &[Value], "{side}: it would go with the Rollout");
        assert_eq!(label(&made, MANAGED_BY_LABEL), None, "{side}");
    }
}

#[tokio::test(start_paused = true)]
async fn services_of_an_earlier_version_that_applied_them_go_on_and_follow_the_ports() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    bed.declare(&podinfo());
    bed.until_at_rest(&podinfo()).await;
    for side in ["stable", "canary"] {
        let mut applied = get(&bed.server, &service(side));
        unset(&mut applied, "/metadata/resourceVersion");
        bed.server.hand(FIELD_MANAGER).apply(&applied).unwrap();
    }
    let since = bed.version();
    let ports = json!([port("http", 80), port("grpc", 9090)]);
    let parent = Name::new(&kind::SERVICE, NAMESPACE, "podinfo");
    bed.server.hand("git").edit(&parent, |it| set(it, "/spec/ports", ports.clone()));
    for side in ["stable", "canary"] {
        bed.server.until(|server| (get(server, &service(side))["spec"]["ports"] == ports).then_some(())).await;
    }
    let new = podinfo().version("v2");
    bed.release(&new);
    bed.until_at_rest(&new).await;
    assert_eq!(bed.weights(&new), [0, 25, 50, 100, 0]);
    assert_eq!(bed.breaches(since), []);
}

#[tokio::test(start_paused = true)]
async fn what_others_add_to_a_service_of_ours_stays_and_costs_no_write() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    bed.declare(&podinfo());
    bed.until_at_rest(&podinfo()).await;
    seconds(5).await;
    let began = Instant::now();
    bed.server.hand("person").edit(&service("canary"), |it| {
        let mut ports = list(it, "/spec/ports").to_vec();
        ports.push(port("debug", 6060));
        set(it, "/spec/ports", json!(ports));
        set(it, "/metadata/labels/team", json!("a"));
    });
    seconds(600).await;
    assert_eq!(writes(&bed, &service("canary"), began), 0);
    let new = podinfo().version("v2");
    bed.release(&new);
    bed.until_at_rest(&new).await;
    assert_eq!(label(&get(&bed.server, &service("canary")), "team"), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn a_service_of_ours_that_lost_its_labels_or_selector_gets_them_back() {
    type Edit = fn(&mut Value);
    let edits: [(&str, Edit); 5] = [
        ("the Rollout's label", |it| unset(it, &format!("/metadata/labels/{}", ROLLOUT_LABEL.replace('/', "~1")))),
        ("the revision's label", |it| unset(it, &format!("/metadata/labels/{}", REVISION_LABEL.replace('/', "~1")))),
        ("all labels", |it| unset(it, "/metadata/labels")),
        ("another Rollout's label", |it| set(it, "/metadata/labels/leadsman.dev~1rollout", json!("cart"))),
        ("another selector", |it| set(it, "/spec/selector", json!({"app": "cart"}))),
    ];
    for (what, edit) in edits {
        for git in [false, true] {
            if git && what.starts_with("another") {
                // What Git declares and labels for another Rollout, or with a selector, is a conflict.
                continue;
            }
            let bed = Bed::new();
            let _operator = bed.operator("a");
            if git {
                bed.server.hand("git").apply(&declared_in_git("canary")).unwrap();
            }
            bed.declare(&podinfo());
            bed.until_at_rest(&podinfo()).await;
            let edited = Instant::now();
            bed.server.hand("person").edit(&service("canary"), edit);
            let healed = |server: &ApiServer| {
                let service = get(server, &service("canary"));
                let bound = text(&service, SELECTED) == podinfo().hash();
                let labelled = label(&service, REVISION_LABEL) == Some(&*podinfo().hash());
                let ours = label(&service, ROLLOUT_LABEL) == Some("podinfo");
                let alone = service["spec"]["selector"].as_object().is_some_and(|selector| selector.len() == 2);
                (bound && labelled && ours && alone).then_some(())
            };
            let waited = tokio::time::timeout(Duration::from_mins(1), bed.server.until(healed)).await;
            assert!(waited.is_ok(), "{what}, git {git}: {}", get(&bed.server, &service("canary")));
            assert!(edited.elapsed().as_secs() < 2, "{what}: {:?}", edited.elapsed());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_rollout_leaves_git_s_services_with_its_pods_labels_and_the_next_one_takes_them_up() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    for side in ["stable", "canary"] {
        bed.server.hand("git").apply(&declared_in_git(side)).unwrap();
    }
    bed.declare(&podinfo());
    bed.until_at_rest(&podinfo()).await;
    assert!(bed.server.hand("person").delete(&podinfo().name(), "Background"));
    bed.until_gone(&podinfo().name()).await;
    bed.until_gone(&podinfo().set_name()).await;
    for side in ["stable", "canary"] {
        let left = get(&bed.server, &service(side));
        assert_eq!(left["spec"]["selector"], json!({"app": "podinfo"}), "{side}");
        assert_eq!(label(&left, REVISION_LABEL), None, "{side}");
    }
    bed.server
        .until(|server| {
            let slices = server.list(&kind::SLICE, NAMESPACE, "");
            slices.iter().all(|slice| list(slice, "/endpoints").is_empty()).then_some(())
        })
        .await;
    bed.release(&podinfo());
    let rollout = bed.until_at_rest(&podinfo()).await;
    assert_eq!(condition(&rollout, "Stalled"), None);
    assert_eq!(text(&get(&bed.server, &service("stable")), SELECTED), podinfo().hash());
}

#[tokio::test(start_paused = true)]
async fn sets_in_use_follow_min_ready_seconds_and_others_do_not() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    bed.declare(&podinfo());
    bed.until_at_rest(&podinfo()).await;
    let new = podinfo().version("v2");
    bed.release(&new);
    bed.until_at_rest(&new).await;
    bed.until_pods(&podinfo(), (0, 0)).await;
    let slower = new.set("/spec/minReadySeconds", json!(20));
    let began = Instant::now();
    bed.release(&slower);
    let seconds_of = |server: &ApiServer, set: &Name| number(&get(server, set), "/spec/minReadySeconds");
    bed.server.until(|server| (seconds_of(server, &new.set_name()) == 20).then_some(())).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    seconds(60).await;
    assert_eq!(seconds_of(&bed.server, &podinfo().set_name()), 0, "it has no pods");
    assert_eq!(writes(&bed, &new.set_name(), began), 1);
}

#[tokio::test(start_paused = true)]
async fn an_orphan_gets_its_owner_back_beside_the_owners_that_others_gave_it() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    bed.declare(&podinfo());
    bed.until_at_rest(&podinfo()).await;
    let theirs = json!({"apiVersion": "example.com/v1", "kind": "Budget", "name": "team-a", "uid": "budget"});
    let objects = [podinfo().set_name(), service("stable"), service("canary")];
    for name in &objects {
        bed.server.hand("person").edit(name, |it| {
            let mut owners = list(it, "/metadata/ownerReferences").to_vec();
            owners.push(theirs.clone());
            set(it, "/metadata/ownerReferences", json!(owners));
        });
    }
    bed.server.hand("person").delete(&podinfo().name(), "Orphan");
    bed.until_gone(&podinfo().name()).await;
    bed.release(&podinfo());
    let rollout = bed.until_phase(&podinfo(), "Healthy").await;
    seconds(5).await;
    for name in &objects {
        let object = get(&bed.server, name);
        let owners: Vec<_> = list(&object, "/metadata/ownerReferences").iter().map(|it| text(it, "/uid")).collect();
        assert_eq!(owners, ["budget", text(&rollout, "/metadata/uid")], "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_sets_with_one_revision_label_ours_is_the_one_that_the_rollout_owns() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    bed.declare(&podinfo());
    bed.until_at_rest(&podinfo()).await;
    // The last by name, and with more pods.
    let mut twin = get(&bed.server, &podinfo().set_name());
    for pointer in ["/metadata/resourceVersion", "/metadata/uid", "/metadata/ownerReferences"] {
        unset(&mut twin, pointer);
    }
    set(&mut twin, "/metadata/name", json!("zzz"));
    set(&mut twin, "/spec/replicas", json!(9));
    set(&mut twin, "/spec/selector/matchLabels/app", json!("zzz"));
    set(&mut twin, "/spec/template/metadata/labels/app", json!("zzz"));
    bed.server.hand("person").create(&twin).unwrap();
    seconds(30).await;
    bed.release(&podinfo().set("/spec/replicas", json!(6)));
    bed.until_pods(&podinfo(), (6, 6)).await;
    let twin = get(&bed.server, &Name::new(&kind::REPLICA_SET, NAMESPACE, "zzz"));
    assert_eq!(number(&twin, "/spec/replicas"), 9);
}
