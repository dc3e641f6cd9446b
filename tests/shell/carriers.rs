//! Releases without routes: one Service's selector carries the traffic, or nothing does.

use std::time::Duration;

use leadsman_testkit::object::{list, number, text, unset};
use leadsman_testkit::{Application, Verb, kind};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::bed::{Bed, NAMESPACE, is_at_rest, seconds};

fn podinfo() -> Application {
    Application::new(NAMESPACE, "podinfo")
}

fn blue_green(application: &Application) -> Application {
    application.plain().blue_green()
}

fn selector(rollout: &Value) -> String {
    text(rollout, "/status/selector").to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_blue_green_release_goes_over_at_once_and_keeps_the_old_revision_warm() {
    for old in [podinfo().plain().blue_green(), podinfo().plain_and_made().blue_green()] {
        let bed = Bed::new();
        let _operator = bed.operator("a");
        let old = old.set("/spec/strategy/blueGreen/scaleDownDelay", json!("60s"));
        bed.declare(&old);
        bed.until_at_rest(&old).await;
        let ([active, preview], since) = (old.services(), bed.version());
        let serving = |of: &Application| format!("app=podinfo,leadsman.dev/revision={}", of.hash());
        assert_eq!(selector(&bed.rollout(&old)), serving(&old));

        let new = old.version("v2");
        bed.release(&new);
        bed.until_selected(&preview, &new.hash()).await;
        bed.until_pods(&new, (1, 1)).await;
        assert_eq!(bed.selections(&active), [old.hash()], "nobody is sent to a preview");
        assert_eq!(selector(&bed.rollout(&new)), serving(&old), "an idle preview is not averaged");
        bed.until_selected(&active, &new.hash()).await;
        assert_eq!(bed.pods(&new), (4, 4));
        bed.until_phase(&new, "Healthy").await;
        assert_eq!(bed.pods(&old), (4, 4), "the old revision is warm");
        let warm_until = Instant::now() + Duration::from_secs(50);
        bed.until_at_rest(&new).await;
        assert!(Instant::now() > warm_until, "it was kept for as long as was said");

        assert_eq!(bed.selections(&active), [old.hash(), "any".to_owned(), new.hash()]);
        assert_eq!(bed.selections(&preview), [old.hash(), new.hash()]);
        assert_eq!(bed.breaches(since), []);
        bed.until_pods(&old, (0, 0)).await;
        assert_eq!(bed.events("Promoted").len(), 1);
        assert_eq!(selector(&bed.rollout(&new)), serving(&new));
        assert_eq!(number(&bed.rollout(&new), "/status/weight/inForce"), 0);
    }
}

/// Behind a load balancer that registers pods by itself the old ones have to be registered again before they get all of it.
#[tokio::test(start_paused = true)]
async fn a_blue_green_release_that_fails_after_its_promotion_goes_back_at_once_or_begins_to() {
    let metric = json!({
        "name": "errors", "interval": "5s", "minWindow": "4s", "count": 10, "successCondition": "value < 0.05",
        "provider": {"prometheus": {"address": "http://prometheus:9090", "query": "errors{revision=\"{{canary.hash}}\"}"}},
    });
    let old = blue_green(&podinfo())
        .set("/spec/strategy/blueGreen/postPromotionAnalysis", json!({"metrics": [metric]}))
        .set("/spec/strategy/blueGreen/scaleDownDelay", json!("60s"));
    let ([active, preview], bad) = (old.services(), old.version("v2"));
    let any = || "any".to_owned();
    for (overlap, back) in [("2s", vec![old.hash()]), ("10s", vec![any(), old.hash()])] {
        let bed = Bed::new();
        let _operator = bed.operator("a");
        let [old, bad] = [&old, &bad].map(|it| it.set("/spec/strategy/blueGreen/overlap", json!(overlap)));
        for version in [&old, &bad] {
            bed.prometheus.says_value(&version.hash(), 0.0);
        }
        bed.declare(&old);
        bed.until_at_rest(&old).await;
        let since = bed.version();
        bed.release(&bad);
        bed.until_selected(&active, &bad.hash()).await;
        seconds(8).await;
        bed.prometheus.says_value(&bad.hash(), 0.3);
        let failed = Instant::now();
        bed.until_selected(&active, &back[0]).await;
        assert!(failed.elapsed() < Duration::from_secs(6), "{:?}", failed.elapsed());
        bed.until(&bad, |it| text(it, "/status/phase") == "RolledBack" && is_at_rest(it)).await;
        assert_eq!(bed.selections(&active), [vec![old.hash(), any(), bad.hash()], back].concat());
        bed.until_pods(&bad, (0, 0)).await;
        assert_eq!(bed.pods(&old), (4, 4));
        assert_eq!(bed.breaches(since), []);
        bed.until_selected(&preview, &old.hash()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_blue_green_release_behind_routes_moves_them_at_once() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    let old = podinfo().blue_green();
    bed.declare(&old);
    bed.until_at_rest(&old).await;
    let since = bed.version();
    let new = old.version("v2");
    bed.release(&new);
    bed.until_at_rest(&new).await;
    assert_eq!(bed.weights(&new), [0, 100, 0]);
    assert_eq!(bed.breaches(since), []);
    bed.until_pods(&old, (0, 0)).await;
}

#[tokio::test(start_paused = true)]
async fn a_preview_waits_for_a_person_where_it_is_told_to() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    let mut old = blue_green(&podinfo()).set("/spec/strategy/blueGreen/autoPromotion", json!(false));
    old = old.set("/spec/strategy/blueGreen/autoPromotionAfter", Value::Null);
    let declare = |application: &Application, command: Option<String>| {
        let mut rollout = application.rollout();
        unset(&mut rollout, "/spec/strategy/blueGreen/autoPromotionAfter");
        if let Some(command) = command {
            rollout["metadata"]["annotations"] = json!({"leadsman.dev/command": command});
        }
        bed.server.hand("git").apply(&rollout).unwrap();
    };
    old.surroundings().iter().for_each(|object| drop(bed.server.hand("git").apply(object).unwrap()));
    declare(&old, None);
    bed.until_at_rest(&old).await;
    let new = old.version("v2");
    declare(&new, None);
    bed.until_phase(&new, "Paused").await;
    seconds(120).await;
    let [active, _] = new.services();
    assert_eq!(bed.selections(&active), [old.hash()]);
    declare(&new, Some(format!("promote/{}/1", new.hash())));
    bed.until_at_rest(&new).await;
}

#[tokio::test(start_paused = true)]
async fn a_canary_without_routes_gets_a_share_of_the_pods() {
    for old in [podinfo().plain(), podinfo().plain_and_made()] {
        let bed = Bed::new();
        let _operator = bed.operator("a");
        bed.declare(&old);
        bed.until_at_rest(&old).await;
        let ([service, canary], since) = (old.services(), bed.version());
        let new = old.version("v2");
        bed.release(&new);
        bed.until_selected(&service, "any").await;
        assert_eq!((bed.pods(&old), bed.pods(&new)), ((4, 4), (1, 1)));
        bed.until_pods(&new, (4, 4)).await;
        assert_eq!(bed.selections(&service).last().map(String::as_str), Some("any"), "50%");
        bed.until(&new, |rollout| number(rollout, "/status/weight/inForce") == 50).await;
        bed.until_at_rest(&new).await;
        assert_eq!(bed.selections(&service), [old.hash(), "any".to_owned(), new.hash()]);
        assert_eq!(bed.selections(&canary), [old.hash(), new.hash()]);
        assert_eq!(bed.breaches(since), []);
        bed.until_pods(&old, (0, 0)).await;
        assert_eq!(selector(&bed.rollout(&new)), "app=podinfo");
    }
}

#[tokio::test(start_paused = true)]
async fn a_canary_without_routes_that_fails_is_not_selected_any_more_and_ends() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    let old = podinfo().plain().watched_by("errors{revision=\"{{canary.hash}}\"}");
    let (bad, [service, _]) = (old.version("v2"), old.services());
    for version in [&old, &bad] {
        bed.prometheus.says_value(&version.hash(), 0.0);
    }
    bed.declare(&old);
    bed.until_at_rest(&old).await;
    let since = bed.version();
    bed.release(&bad);
    bed.until_selected(&service, "any").await;
    bed.prometheus.says_value(&bad.hash(), 0.3);
    bed.until_selected(&service, &old.hash()).await;
    bed.until(&bad, |it| text(it, "/status/phase") == "RolledBack" && is_at_rest(it)).await;
    bed.until_pods(&bad, (0, 0)).await;
    assert_eq!(bed.pods(&old), (4, 4));
    assert_eq!(bed.breaches(since), []);
}

#[tokio::test(start_paused = true)]
async fn workers_share_the_work_by_their_number_and_nothing_of_services_is_asked_or_written() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    let old = podinfo().worker();
    bed.declare(&old);
    bed.until_at_rest(&old).await;
    let new = old.version("v2");
    bed.release(&new);
    bed.until_pods(&new, (1, 1)).await;
    assert_eq!(bed.pods(&old), (4, 4));
    bed.until_pods(&new, (4, 4)).await;
    bed.until_at_rest(&new).await;
    bed.until_pods(&old, (0, 0)).await;
    assert!(bed.server.list(&kind::SERVICE, NAMESPACE, "").is_empty());
    let is_watching = |verb| matches!(verb, Verb::List | Verb::Watch);
    let asked = bed.server.requests().into_iter().filter(|it| it.kind == Some(&kind::SERVICE) && !is_watching(it.verb));
    assert_eq!(asked.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_promoted_is_taken_back_by_command_and_does_not_come_again() {
    let apps = [podinfo(), podinfo().plain(), blue_green(&podinfo()), podinfo().worker()];
    for old in apps {
        let bed = Bed::new();
        let _operator = bed.operator("a");
        bed.declare(&old);
        bed.until_at_rest(&old).await;
        let (new, since) = (old.version("v2"), bed.version());
        bed.release(&new);
        bed.until_at_rest(&new).await;
        let command = json!({"leadsman.dev/command": format!("rollback/{}/1", new.hash())});
        bed.release(&new.set("/metadata/annotations", command));
        let back = |it: &Value| text(it, "/status/stable/hash") == old.hash() && is_at_rest(it);
        let rollout = bed.until(&new, back).await;
        assert_eq!(text(&rollout, "/status/phase"), "RolledBack");
        assert_eq!(text(&rollout, "/status/lastCommand/outcome"), "Executed");
        let rejected = list(&rollout, "/status/rejected");
        assert_eq!((rejected.len(), text(&rejected[0], "/hash")), (1, &*new.hash()));
        bed.until_pods(&old, (4, 4)).await;
        bed.until_pods(&new, (0, 0)).await;
        seconds(300).await;
        assert_eq!(text(&bed.rollout(&new), "/status/stable/hash"), old.hash());
        assert_eq!(bed.breaches(since), []);
    }
}
