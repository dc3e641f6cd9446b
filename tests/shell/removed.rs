//! The CRD of Rollouts is removed, and put back: nobody restarts the operator for it.

use leadsman_testkit::object::{number, text};
use leadsman_testkit::{Application, kind};
use serde_json::json;

use crate::bed::{Bed, NAMESPACE, seconds};

fn podinfo() -> Application {
    Application::new(NAMESPACE, "podinfo").watched_by("errors{revision=\"{{canary.hash}}\"}")
}

/// What the API server does before a CRD is gone, and when it comes back some time later.
async fn remove_and_put_back(bed: &Bed, application: &Application, policy: &str) {
    bed.server.hand("crds").delete(&application.name(), policy);
    bed.until_gone(&application.name()).await;
    bed.server.withdraw(&kind::ROLLOUT);
    seconds(300).await;
    bed.server.install(&kind::ROLLOUT);
}

#[tokio::test(start_paused = true)]
async fn what_was_rejected_stays_rejected_where_the_sets_were_kept_and_no_old_command_is_executed() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    let (good, bad) = (podinfo(), podinfo().version("v2"));
    bed.prometheus.says_value(&good.hash(), 0.0);
    bed.prometheus.says_value(&bad.hash(), 0.5);
    bed.declare(&good);
    bed.until_at_rest(&good).await;
    bed.release(&bad);
    bed.until_phase(&bad, "RolledBack").await;
    seconds(30).await;
    let weights = bed.weights(&bad);

    remove_and_put_back(&bed, &bad, "Orphan").await;
    let command = format!("retry/{}/old", bad.hash());
    bed.release(&bad.set("/metadata/annotations", json!({"leadsman.dev/command": command})));
    let rollout = bed.until_phase(&bad, "RolledBack").await;
    assert_eq!(text(&rollout, "/status/stable/hash"), good.hash(), "stable is what stableService is bound to");
    seconds(120).await;
    assert_eq!(text(&bed.rollout(&bad), "/status/phase"), "RolledBack");
    assert_eq!(bed.weights(&bad), weights, "no traffic has moved");
    assert_eq!(bed.pods(&good), (4, 4));
    let acknowledged = bed.rollout(&bad).pointer("/status/lastCommand/outcome").cloned();
    assert_eq!(acknowledged, Some(json!("Refused")), "{:?}", bed.rollout(&bad).pointer("/status/lastCommand"));

    // And it goes on as ever.
    let fix = podinfo().version("v3");
    bed.prometheus.says_value(&fix.hash(), 0.0);
    bed.release(&fix);
    bed.until_at_rest(&fix).await;
}

#[tokio::test(start_paused = true)]
async fn a_release_ends_with_the_definition_and_what_is_declared_anew_is_deployed() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    let (old, new) = (podinfo(), podinfo().version("v2"));
    for version in [&old, &new] {
        bed.prometheus.says_value(&version.hash(), 0.0);
    }
    bed.declare(&old);
    bed.until_at_rest(&old).await;
    bed.release(&new);
    bed.until_weight(&new, 25).await;

    remove_and_put_back(&bed, &new, "Background").await;
    assert_eq!(bed.weight(&new), 0, "the route is as Git has it");
    assert!(bed.server.list(&kind::REPLICA_SET, NAMESPACE, "").is_empty(), "what was the Rollout's went with it");
    bed.release(&new);
    bed.until_at_rest(&new).await;
    assert_eq!(bed.pods(&new), (4, 4));
}

/// A Service of Git's selects every revision by then, so it does not say which one is stable.
#[tokio::test(start_paused = true)]
async fn what_was_rejected_does_not_serve_where_no_service_says_what_is_stable() {
    let query = "errors{revision=\"{{canary.hash}}\"}";
    let bare = || Application::new(NAMESPACE, "podinfo");
    let watched = [bare().plain(), bare().plain_and_made(), bare().worker()].map(|it| it.watched_by(query));
    let blue_green = bare().plain().blue_green().measured_after_promotion(query);
    for good in watched.into_iter().chain([blue_green]) {
        let bed = Bed::new();
        let _operator = bed.operator("a");
        let bad = good.version("v2");
        bed.prometheus.says_value(&good.hash(), 0.0);
        bed.prometheus.says_value(&bad.hash(), 0.5);
        bed.declare(&good);
        bed.until_at_rest(&good).await;
        bed.release(&bad);
        bed.until_phase(&bad, "RolledBack").await;
        seconds(30).await;
        let since = bed.version();

        remove_and_put_back(&bed, &bad, "Orphan").await;
        bed.release(&bad);
        let rollout = bed.until_phase(&bad, "RolledBack").await;
        assert_eq!(text(&rollout, "/status/stable/hash"), good.hash());
        seconds(120).await;
        assert_eq!((bed.pods(&good), bed.pods(&bad)), ((4, 4), (0, 0)));
        assert_eq!(bed.breaches(since), []);
    }
}

#[tokio::test(start_paused = true)]
async fn workers_that_a_release_left_behind_begin_anew() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    let old = Application::new(NAMESPACE, "podinfo").worker().steps(&json!([{"setWeight": 50}, {"pause": {}}]));
    let new = old.version("v2");
    bed.declare(&old);
    bed.until_at_rest(&old).await;
    bed.release(&new);
    bed.until_phase(&new, "Paused").await;
    assert_eq!((bed.pods(&old), bed.pods(&new)), ((4, 4), (4, 4)));

    remove_and_put_back(&bed, &new, "Orphan").await;
    bed.release(&new);
    let rollout = bed.until_phase(&new, "Paused").await;
    assert_eq!(text(&rollout, "/status/stable/hash"), old.hash());
    assert_eq!((bed.pods(&old), bed.pods(&new)), ((4, 4), (4, 4)));
    let sizes = bed.server.look_back(|history| {
        let changes = history.iter().filter(|change| change.name == new.set_name());
        let mut sizes: Vec<u64> = changes.map(|change| number(change.object(), "/spec/replicas")).collect();
        sizes.dedup();
        sizes
    });
    assert_eq!(sizes, [4, 0, 4], "the share is given, not found");
}
