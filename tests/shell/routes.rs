//! Routes as others write them and report on them, and routes of our own.

use std::sync::Arc;
use std::time::Duration;

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use leadsman_api::names::REVISION_LABEL;
use leadsman_testkit::object::{label, list, number, set, text, unset};
use leadsman_testkit::{Application, Fault, Habits, Name, Route, Rule, Verb, kind};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::bed::{Bed, NAMESPACE, condition, seconds};

fn podinfo() -> Application {
    Application::new(NAMESPACE, "podinfo")
}

fn route(bed: &Bed) -> Arc<Value> {
    bed.server.get(&kind::HTTP_ROUTE, NAMESPACE, "podinfo").expect("the route")
}

fn edit_route(bed: &Bed, by: &str, change: impl FnOnce(&mut Value)) {
    assert!(bed.server.hand(by).edit(&podinfo().route_name(), change));
}

/// Git applies its route, as a tool that does not force does.
async fn apply_without_force(bed: &Bed, route: &Value) -> Result<DynamicObject, String> {
    let gvk = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
    let kind = ApiResource::from_gvk_with_plural(&gvk, "httproutes");
    let routes: Api<DynamicObject> = Api::namespaced_with(bed.server.connect("git").client(), NAMESPACE, &kind);
    let params = PatchParams { force: false, ..PatchParams::apply("git") };
    routes.patch("podinfo", &params, &Patch::Apply(route)).await.map_err(|error| error.to_string())
}

/// The route that Git declares, with a timeout.
fn in_git(timeout: &str) -> Value {
    let mut route = podinfo().surroundings().remove(1);
    set(&mut route, "/spec/rules/0/timeouts", json!({"request": timeout}));
    route
}

/// A cluster with Linkerd, in which the route's parent is the Service that clients call.
async fn with_linkerd(bed: &Bed, application: &Application) {
    bed.declare(application);
    edit_route(bed, "git", |route| {
        let parent = json!({"group": "", "kind": "Service", "name": "podinfo", "port": 80});
        set(route, "/spec/parentRefs", json!([parent]));
    });
    bed.until_at_rest(application).await;
}

fn linkerd() -> Habits {
    Habits { linkerd: true, ..Habits::default() }
}

#[tokio::test(start_paused = true)]
async fn a_release_goes_through_where_linkerd_reports_in_its_own_spelling() {
    let bed = Bed::with(linkerd());
    let _operator = bed.operator("a");
    with_linkerd(&bed, &podinfo()).await;
    let since = bed.version();
    let new = podinfo().version("v2");
    bed.release(&new);
    bed.until_at_rest(&new).await;
    assert_eq!(bed.weights(&new), [0, 25, 50, 100, 0]);
    assert_eq!(bed.breaches(since), []);
    assert_eq!(list(&route(&bed), "/status/parents")[0]["parentRef"]["group"], "core");
}

#[tokio::test(start_paused = true)]
async fn a_stable_without_pods_is_told_where_linkerd_gives_its_share_to_the_canary() {
    let bed = Bed::with(linkerd());
    let _operator = bed.operator("a");
    with_linkerd(&bed, &podinfo()).await;
    let new = podinfo().set("/spec/strategy/canary/steps", json!([{"setWeight": 25}, {"pause": {}}])).version("v2");
    bed.release(&new);
    bed.until_weight(&new, 25).await;
    let of_stable = |pod: &Value| label(pod, REVISION_LABEL) == Some(&podinfo().hash());
    for pod in bed.server.list(&kind::POD, NAMESPACE, "").into_iter().filter(|pod| of_stable(pod)) {
        bed.server.hand("kubelet").edit_status(&Name::of(&pod).unwrap(), |pod| {
            set(pod, "/status/conditions", json!([{"type": "Ready", "status": "False"}]));
        });
    }
    seconds(60).await;
    let told = bed.events("MeshSpills");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("which has all requests instead of 25%"), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_the_rollout_does_not_list_is_never_written() {
    for by_name in [true, false] {
        let bed = Bed::new();
        let _operator = bed.operator("a");
        let backend =
            |side: &str, weight: u32| json!({"name": format!("podinfo-{side}"), "port": 80, "weight": weight});
        // By name, a rule fixed at 0 to 100; without names, one that names the canary alone.
        let fixed =
            if by_name { json!([backend("stable", 0), backend("canary", 100)]) } else { json!([backend("canary", 1)]) };
        let listed = podinfo().set("/spec/strategy/canary/traffic/routes/0/httpRoute/rules", json!(["main"]));
        let application = if by_name { listed } else { podinfo() };
        let mut declared = application.surroundings();
        set(&mut declared[1], "/spec/rules/0/name", json!("main"));
        declared[1]["spec"]["rules"].as_array_mut().unwrap().push(json!({"name": "testers", "backendRefs": fixed}));
        for object in declared {
            bed.server.hand("git").apply(&object).unwrap();
        }
        bed.release(&application);
        bed.until_at_rest(&application).await;
        let new = application.version("v2");
        bed.release(&new);
        bed.until_at_rest(&new).await;
        assert_eq!(bed.weights(&new), [0, 25, 50, 100, 0], "by name {by_name}");
        let rules = bed.server.history().into_iter().filter(|change| change.name == podinfo().route_name());
        assert!(rules.map(|change| change.object()["spec"]["rules"][1]["backendRefs"].clone()).all(|it| it == fixed));
    }
}

#[tokio::test(start_paused = true)]
async fn a_third_backend_keeps_its_share_through_a_whole_release() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    let application = podinfo().set(
        "/spec/strategy/canary/steps",
        json!([{"setWeight": 1}, {"pause": {"duration": "1s"}}, {"setWeight": 25}, {"pause": {"duration": "1s"}}]),
    );
    let mut declared = application.surroundings();
    set(&mut declared[1], "/spec/rules/0/backendRefs/0/weight", json!(80));
    let legacy = json!({"name": "legacy", "port": 80, "weight": 20});
    declared[1]["spec"]["rules"][0]["backendRefs"].as_array_mut().unwrap().push(legacy);
    for object in declared {
        bed.server.hand("git").apply(&object).unwrap();
    }
    bed.release(&application);
    bed.until_at_rest(&application).await;
    let new = application.version("v2");
    bed.release(&new);
    bed.until_at_rest(&new).await;
    let routes = bed.server.history().into_iter().filter(|change| change.name == podinfo().route_name());
    let mut splits: Vec<Vec<u64>> = routes
        .map(|change| {
            list(change.object(), "/spec/rules/0/backendRefs").iter().map(|it| it["weight"].as_u64().unwrap()).collect()
        })
        .collect();
    splits.dedup();
    // Stable, canary, legacy: the third has a fifth throughout.
    assert_eq!(splits, [[80, 0, 20], [99, 1, 25], [75, 25, 25], [0, 100, 25], [100, 0, 25]]);
}

#[tokio::test(start_paused = true)]
async fn a_route_that_git_creates_a_moment_before_us_stays_git_s() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    let application = podinfo().owning_its_route();
    bed.server.inject(
        Rule::new(Fault::Slow(Duration::from_secs(1))).verbs(&[Verb::Create, Verb::Apply]).kind(&kind::HTTP_ROUTE),
    );
    bed.declare(&application);
    let on_its_way = |server: &leadsman_testkit::ApiServer| {
        server.requests().iter().any(|it| it.verb.is_write() && it.kind == Some(&kind::HTTP_ROUTE)).then_some(())
    };
    let waited = tokio::time::timeout(Duration::from_mins(1), bed.server.until(on_its_way)).await;
    assert!(waited.is_ok(), "it was never created");
    let git_s = podinfo().surroundings().remove(1);
    bed.server.hand("git").create(&git_s).unwrap();
    let told = |rollout: &Value| condition(rollout, "Stalled").is_some_and(|it| it.1 == "InvalidRoute");
    let rollout = bed.until(&application, told).await;
    assert!(text(&rollout, "/status/message").contains("exists and is not the Rollout's own"));
    let route = route(&bed);
    assert_eq!(list(&route, "/metadata/ownerReferences"), &[] as &[Value], "it would go with the Rollout");
    assert_eq!(label(&route, "leadsman.dev/rollout"), None);
}

#[tokio::test(start_paused = true)]
async fn a_route_of_our_own_becomes_what_is_declared_and_keeps_what_others_added() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    let at = "/spec/strategy/canary/traffic/routes/0/httpRoute/spec";
    let hostnames = format!("{at}/hostnames");
    let application = podinfo().owning_its_route();
    let public = application.set(&hostnames, json!(["shop.example.com"]));
    bed.declare(&public);
    bed.until_at_rest(&public).await;
    assert_eq!(route(&bed)["spec"]["hostnames"], json!(["shop.example.com"]));

    // As an earlier version applied it: no longer declared, a field has to go all the same.
    let mut applied = (*route(&bed)).clone();
    unset(&mut applied, "/metadata/resourceVersion");
    bed.server.hand("leadsman").apply(&applied).unwrap();
    edit_route(&bed, "person", |route| set(route, "/metadata/labels/team", json!("a")));
    bed.release(&application);
    let private = |server: &leadsman_testkit::ApiServer| {
        let route = server.get(&kind::HTTP_ROUTE, NAMESPACE, "podinfo")?;
        route.pointer("/spec/hostnames").is_none().then_some(route)
    };
    let route =
        tokio::time::timeout(Duration::from_mins(1), bed.server.until(private)).await.expect("it is still public");
    assert_eq!(label(&route, "team"), Some("a"));
    assert_eq!(list(&route, "/metadata/ownerReferences").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_route_of_our_own_that_lost_its_label_or_owner_gets_it_back() {
    let edits: [fn(&mut Value); 3] = [
        |route| unset(route, "/metadata/labels/leadsman.dev~1rollout"),
        |route| set(route, "/metadata/labels/leadsman.dev~1rollout", json!("another")),
        |route| set(route, "/metadata/ownerReferences", json!([])),
    ];
    for edit in edits {
        let bed = Bed::new();
        let _operator = bed.operator("a");
        let application = podinfo().owning_its_route();
        bed.declare(&application);
        bed.until_at_rest(&application).await;
        edit_route(&bed, "person", edit);
        let healed = |server: &leadsman_testkit::ApiServer| {
            let route = server.get(&kind::HTTP_ROUTE, NAMESPACE, "podinfo")?;
            let is_ours = label(&route, "leadsman.dev/rollout") == Some("podinfo");
            (is_ours && list(&route, "/metadata/ownerReferences").len() == 1).then_some(())
        };
        let began = Instant::now();
        let waited = tokio::time::timeout(Duration::from_mins(1), bed.server.until(healed)).await;
        assert!(waited.is_ok() && began.elapsed() < Duration::from_secs(2), "{:?}", route(&bed));
    }
}

#[tokio::test(start_paused = true)]
async fn a_declared_spec_that_cannot_be_split_any_more_does_not_hold_up_the_way_back() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    let application = podinfo().owning_its_route().watched_by("errors{revision=\"{{canary.hash}}\"}");
    bed.prometheus.says_value(&application.hash(), 0.0);
    bed.declare(&application);
    bed.until_at_rest(&application).await;
    let bad = application.version("v2");
    bed.prometheus.says_value(&bad.hash(), 0.0);
    bed.release(&bad);
    bed.until(&bad, |rollout| number(rollout, "/status/step/index") == 3).await;
    let broken = bad.set("/spec/strategy/canary/traffic/routes/0/httpRoute/spec/rules", json!([]));
    bed.release(&broken);
    bed.until(&broken, |rollout| condition(rollout, "Stalled").is_some()).await;
    bed.prometheus.says_value(&bad.hash(), 0.3);
    let began = Instant::now();
    bed.until_weight(&bad, 0).await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_a_release_wrote_to_a_route_of_git_is_given_up_so_that_nobody_meets_a_conflict() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    bed.declare(&podinfo());
    bed.until_at_rest(&podinfo()).await;
    let new = podinfo().version("v2");
    bed.release(&new);
    bed.until_weight(&new, 25).await;
    let refused = apply_without_force(&bed, &in_git("5s")).await.unwrap_err();
    assert!(refused.contains("conflict with \"leadsman\": .spec.rules"), "{refused}");
    bed.until_at_rest(&new).await;

    let managers = |route: &Value| -> Vec<String> {
        list(route, "/metadata/managedFields").iter().map(|it| text(it, "/manager").to_owned()).collect()
    };
    bed.server.until(|_| (managers(&route(&bed)) == ["git"]).then_some(())).await;
    let before = route(&bed);
    seconds(600).await;
    assert_eq!(route(&bed), before, "nothing is left to give up");
    let applied = apply_without_force(&bed, &in_git("5s")).await.unwrap();
    assert_eq!(applied.data["spec"]["rules"][0]["timeouts"]["request"], "5s");
}

#[tokio::test(start_paused = true)]
async fn a_route_of_our_own_that_is_not_declared_any_more_is_deleted_and_others_are_left_alone() {
    let other = json!([{"httpRoute": {"name": "other"}}]);
    let as_git_s = json!([{"httpRoute": {"name": "podinfo"}}]);
    for (routes, is_anothers, stays) in [(&other, false, false), (&other, true, true), (&as_git_s, false, true)] {
        let bed = Bed::new();
        let operator = bed.operator("a");
        let application = podinfo().owning_its_route();
        bed.declare(&application);
        bed.until_at_rest(&application).await;
        let mut present = (*route(&bed)).clone();
        if is_anothers {
            operator.kill();
            edit_route(&bed, "git", |route| set(route, "/metadata/ownerReferences/0/uid", json!("another")));
        }
        let spec = present["spec"].clone();
        for pointer in ["/metadata/resourceVersion", "/metadata/uid", "/metadata/ownerReferences", "/metadata/labels"] {
            unset(&mut present, pointer);
        }
        set(&mut present, "/metadata/name", json!("other"));
        bed.server.hand("git").create(&present).unwrap();
        bed.server
            .hand("git")
            .edit(&application.name(), |it| set(it, "/spec/strategy/canary/traffic/routes", routes.clone()));
        let _operator = bed.operator("b");
        seconds(120).await;
        let left = bed.server.get(&kind::HTTP_ROUTE, NAMESPACE, "podinfo");
        assert_eq!(left.is_some(), stays, "{routes} {is_anothers}");
        if let Some(left) = left {
            assert_eq!(left["spec"], spec);
            let owners = list(&left, "/metadata/ownerReferences").len();
            let marked = label(&left, "leadsman.dev/rollout").is_some();
            assert_eq!((owners, marked), if is_anothers { (1, true) } else { (0, false) });
        }
        let began = Instant::now();
        seconds(3600).await;
        let asked = bed.server.requests().into_iter().filter(|it| it.at >= began && it.name == "podinfo");
        let asked: Vec<_> = asked.filter(|it| it.kind == Some(&kind::HTTP_ROUTE)).collect();
        assert!(asked.is_empty(), "{asked:?}");
    }
}

fn profile(spec: &Value) -> Value {
    json!({
        "apiVersion": "linkerd.io/v1alpha2",
        "kind": "ServiceProfile",
        "metadata": {"name": "podinfo.shop.svc.cluster.local", "namespace": NAMESPACE},
        "spec": spec,
    })
}

/// How often ServiceProfiles were listed.
fn lists(bed: &Bed) -> usize {
    bed.server.requests().iter().filter(|it| it.kind == Some(&kind::SERVICE_PROFILE)).count()
}

#[tokio::test(start_paused = true)]
async fn a_service_profile_that_wins_over_the_route_holds_a_release_until_it_is_gone() {
    let bed = Bed::with(linkerd());
    let _operator = bed.operator("a");
    with_linkerd(&bed, &podinfo()).await;
    seconds(600).await;
    assert_eq!(lists(&bed), 0, "nobody asks while nothing is to be released");
    bed.server.hand("git").create(&profile(&json!({"routes": [{"name": "all"}]}))).unwrap();
    let new = podinfo().version("v2");
    bed.release(&new);
    let rollout =
        bed.until(&new, |rollout| condition(rollout, "Stalled").is_some_and(|it| it.1 == "InvalidRoute")).await;
    let message = text(&rollout, "/status/message");
    assert!(message.contains("ServiceProfile podinfo.shop.svc.cluster.local has routes or dstOverrides"), "{message}");
    seconds(600).await;
    assert!((15..=25).contains(&lists(&bed)), "{}", lists(&bed));
    assert_eq!(bed.weights(&new), [0]);

    let name = Name::new(&kind::SERVICE_PROFILE, NAMESPACE, "podinfo.shop.svc.cluster.local");
    assert!(bed.server.hand("git").delete(&name, ""));
    let began = Instant::now();
    bed.until_weight(&new, 25).await;
    assert!(began.elapsed() < Duration::from_secs(45), "{:?}", began.elapsed());
    bed.until_at_rest(&new).await;
    let before = lists(&bed);
    seconds(3600).await;
    assert_eq!(lists(&bed), before, "and nobody asks any more");
}

#[tokio::test(start_paused = true)]
async fn where_there_are_no_service_profiles_or_they_cannot_be_listed_a_release_goes_on() {
    for forbidden in [false, true] {
        let bed = Bed::with(linkerd());
        if forbidden {
            bed.server
                .inject(Rule::refusing(403, "Forbidden", "serviceprofiles is forbidden").kind(&kind::SERVICE_PROFILE));
        } else {
            bed.server.withdraw(&kind::SERVICE_PROFILE);
        }
        let _operator = bed.operator("a");
        with_linkerd(&bed, &podinfo()).await;
        let new = podinfo().version("v2");
        bed.release(&new);
        bed.until_at_rest(&new).await;
        assert!((1..=3).contains(&lists(&bed)), "{}", lists(&bed));
    }
}

#[tokio::test(start_paused = true)]
async fn a_grpc_route_on_the_same_service_holds_a_release_where_linkerd_reports() {
    let bed = Bed::with(linkerd());
    let _operator = bed.operator("a");
    let mut other = podinfo().route(Route::GrpcRoute).surroundings().remove(1);
    set(&mut other, "/metadata/name", json!("podinfo-grpc"));
    set(&mut other, "/spec/parentRefs", json!([{"group": "", "kind": "Service", "name": "podinfo"}]));
    // Before the application: the operator has certainly heard of it once that is at rest.
    bed.server.hand("git").apply(&other).unwrap();
    with_linkerd(&bed, &podinfo()).await;
    let new = podinfo().version("v2");
    bed.release(&new);
    let rollout =
        bed.until(&new, |rollout| condition(rollout, "Stalled").is_some_and(|it| it.1 == "InvalidRoute")).await;
    let message = text(&rollout, "/status/message");
    assert!(message.contains("GRPCRoute podinfo-grpc has the same parent, Service podinfo"), "{message}");
    seconds(600).await;
    assert_eq!((bed.weights(&new), lists(&bed)), (vec![0], 0));
    assert!(bed.server.hand("git").delete(&Name::new(&kind::GRPC_ROUTE, NAMESPACE, "podinfo-grpc"), ""));
    let began = Instant::now();
    bed.until_weight(&new, 25).await;
    assert!(began.elapsed() < Duration::from_secs(45), "{:?}", began.elapsed());
}
