//! Watches that fail, close, fall silent or have to be listed anew.

use std::time::Duration;

use leadsman_testkit::object::{set, text};
use leadsman_testkit::{Application, Kind, Name, Route, Rule, Verb, kind};
use serde_json::json;
use tokio::time::Instant;

use crate::bed::{Bed, NAMESPACE, condition, seconds};

fn podinfo() -> Application {
    Application::new(NAMESPACE, "podinfo")
}

/// What the operator watches for a release behind an HTTPRoute.
fn watched() -> [&'static Kind; 5] {
    [&kind::ROLLOUT, &kind::REPLICA_SET, &kind::SERVICE, &kind::SLICE, &kind::HTTP_ROUTE]
}

#[tokio::test(start_paused = true)]
async fn a_mesh_that_is_not_installed_disturbs_nothing_and_is_found_when_it_comes() {
    let bed = Bed::new();
    for absent in [&kind::VIRTUAL_SERVICE, &kind::GRPC_ROUTE] {
        bed.server.withdraw(absent);
    }
    let _operator = bed.operator("a");
    bed.declare(&podinfo());
    bed.until_at_rest(&podinfo()).await;

    let later = Application::new(NAMESPACE, "later").route(Route::VirtualService);
    bed.release(&later);
    let rollout = bed.until(&later, |rollout| condition(rollout, "Stalled").is_some()).await;
    assert_eq!(condition(&rollout, "Stalled").unwrap().1, "KindNotInstalled");
    bed.server.install(&kind::VIRTUAL_SERVICE);
    bed.declare(&later);
    let began = Instant::now();
    bed.until_at_rest(&later).await;
    assert!(began.elapsed() < Duration::from_mins(1), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_may_not_be_listed_stops_no_release_that_does_not_need_it() {
    for forbidden in [&kind::VIRTUAL_SERVICE, &kind::GRPC_ROUTE, &kind::TEMPLATE, &kind::CLUSTER_TEMPLATE] {
        let bed = Bed::new();
        let words = format!("{} is forbidden: User \"leadsman\" cannot list resource", forbidden.plural);
        bed.server.inject(Rule::refusing(403, "Forbidden", &words).kind(forbidden));
        let operator = bed.operator("a");
        bed.declare(&podinfo());
        bed.until_at_rest(&podinfo()).await;
        let new = podinfo().version("v2");
        let began = Instant::now();
        bed.release(&new);
        bed.until_at_rest(&new).await;
        assert!(began.elapsed() < Duration::from_mins(1), "{forbidden}: {:?}", began.elapsed());
        let failures = operator.metric(&format!("leadsman_watch_errors_total{{kind=\"{forbidden}\"}}"));
        assert!(failures > 0.0, "{forbidden}: {}", operator.operator.metrics());
    }
}

#[tokio::test(start_paused = true)]
async fn watches_that_close_fall_silent_or_are_too_old_in_mid_release_change_nothing_of_it() {
    type Disturbance = fn(&Bed, &'static Kind);
    let disturbances: [(&str, Disturbance); 3] = [
        ("closed", |bed, kind| bed.server.close_watches(kind)),
        ("silent", |bed, kind| bed.server.silence_watches(kind)),
        ("too old", |bed, kind| {
            bed.server.close_watches(kind);
            // Something happens to the kind while nobody watches, and the version to go on from is forgotten.
            let objects = bed.server.list(kind, NAMESPACE, "");
            let name = objects.first().and_then(|object| Name::of(object)).unwrap();
            bed.server.hand("person").edit(&name, |it| set(it, "/metadata/annotations/touched", json!("yes")));
            bed.server.compact();
        }),
    ];
    for (what, disturb) in disturbances {
        for kind in watched() {
            let bed = Bed::new();
            let _operator = bed.operator("a");
            bed.declare(&podinfo());
            bed.until_at_rest(&podinfo()).await;
            let since = bed.version();
            let new = podinfo().version("v2");
            bed.release(&new);
            bed.until_weight(&new, 25).await;
            disturb(&bed, kind);
            let began = Instant::now();
            bed.until_at_rest(&new).await;
            assert_eq!(bed.weights(&new), [0, 25, 50, 100, 0], "{kind} {what}");
            assert_eq!(bed.breaches(since), [], "{kind} {what}");
            // A connection that died without a word is noticed after 65 seconds; no other disturbance may cost anything.
            let patience = if what == "silent" { 120 } else { 45 };
            assert!(began.elapsed() < Duration::from_secs(patience), "{kind} {what}: {:?}", began.elapsed());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollback_does_not_wait_for_a_watch_that_is_silent() {
    for kind in watched() {
        let bed = Bed::new();
        let _operator = bed.operator("a");
        let application = podinfo().watched_by("errors{revision=\"{{canary.hash}}\"}");
        let bad = application.version("v2");
        bed.prometheus.says_value(&application.hash(), 0.0);
        bed.prometheus.says_value(&bad.hash(), 0.0);
        bed.declare(&application);
        bed.until_at_rest(&application).await;
        bed.release(&bad);
        bed.until_weight(&bad, 25).await;
        bed.server.silence_watches(kind);
        bed.prometheus.says_value(&bad.hash(), 0.5);
        let began = Instant::now();
        bed.until_weight(&bad, 0).await;
        // What is waited for is looked at after five seconds, the split settles for two, and a measurement takes five.
        assert!(began.elapsed() < Duration::from_secs(20), "{kind}: {:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_settled_rollout_costs_nothing_for_an_hour_but_the_lease_and_the_watches() {
    let bed = Bed::new();
    // What is not installed, and named by nobody, is not asked for either.
    bed.server.withdraw(&kind::VIRTUAL_SERVICE);
    let _operator = bed.operator("a");
    bed.declare(&podinfo());
    bed.until_at_rest(&podinfo()).await;
    bed.release(&podinfo().version("v2"));
    bed.until_at_rest(&podinfo().version("v2")).await;
    seconds(5).await;
    let (began, version) = (Instant::now(), bed.version());
    seconds(3600).await;
    let requests: Vec<_> = bed.server.requests().into_iter().filter(|request| request.at >= began).collect();
    let leases = requests.iter().filter(|request| request.kind == Some(&kind::LEASE)).count();
    let others: Vec<_> = requests.iter().filter(|it| it.verb != Verb::Watch && it.kind != Some(&kind::LEASE)).collect();
    assert_eq!(others.len(), 0, "{others:?}");
    assert!((700..=740).contains(&leases), "{leases} requests for the lease");
    // Eight kinds, a minute each.
    let watches = requests.iter().filter(|request| request.verb == Verb::Watch).count();
    assert!((440..=500).contains(&watches), "{watches} watches");
    let changed = bed.server.history_from(0).into_iter().filter(|change| change.version > version);
    let changed: Vec<_> = changed.filter(|change| change.name.kind != &kind::LEASE).collect();
    assert!(changed.is_empty(), "{changed:?}");
    assert_eq!(text(&bed.rollout(&podinfo()), "/status/phase"), "Healthy");
}
