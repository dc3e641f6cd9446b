//! A whole release, a whole rollback and a command, end to end.

use std::collections::BTreeMap;
use std::time::Duration;

use leadsman_testkit::object::{list, number, text};
use leadsman_testkit::{Application, Name, Route, Verb, kind};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::bed::{Bed, NAMESPACE, condition, is_at_rest, seconds};

fn podinfo() -> Application {
    Application::new(NAMESPACE, "podinfo")
}

#[tokio::test(start_paused = true)]
async fn a_release_goes_through_its_steps_and_comes_to_rest_behind_every_kind_of_route() {
    let routes = [Route::HttpRoute, Route::GrpcRoute, Route::VirtualService];
    for application in routes.map(|route| podinfo().route(route)).into_iter().chain([podinfo().owning_its_route()]) {
        let bed = Bed::new();
        let operator = bed.operator("a");
        bed.declare(&application);
        bed.until_at_rest(&application).await;
        // What the first deployment still writes: its report, its event, and that the report is off the status.
        seconds(11).await;
        let (since, began, asked) = (bed.version(), Instant::now(), bed.server.requests().len());
        let passes_before = operator.passes();

        let new = application.version("v2");
        bed.release(&new);
        bed.until_at_rest(&new).await;

        assert_eq!(bed.weights(&application), [0, 25, 50, 100, 0]);
        assert_eq!(bed.breaches(since), []);
        bed.until_pods(&application, (0, 0)).await;
        assert_eq!(bed.pods(&new), (4, 4));
        assert_eq!(bed.events("Promoted").len(), 1);
        let took = began.elapsed();
        assert!(took < Duration::from_mins(1), "{took:?}");
        // The last report is off the status ten seconds after it was written.
        seconds(10).await;
        let requests = requests_by_kind(&bed, asked);
        let of = |what: &str| requests.get(what).copied().unwrap_or_default();
        // The beginning, three weights, two pauses and their ends, the promotion, the end, the report off it again, and that the
        // old pods are gone; where a route is made as well, one more.
        let statuses = of("UpdateStatus Rollout");
        assert!(statuses <= 13, "{statuses} of the status: {requests:?}");
        // The beginning, four steps, the promotion and its end.
        assert_eq!(of("Create Event"), 7, "{requests:?}");
        let is_read = |what: &str| what.starts_with("Get ") || what.starts_with("List ");
        let (reads, writes): (Vec<_>, Vec<_>) = requests.iter().partition(|(what, _)| is_read(what));
        let sum = |of: Vec<(&String, &usize)>| of.into_iter().map(|(_, number)| number).sum::<usize>();
        // 34 when this was written, and five reads: six more where something is waited for so long that it is looked at once.
        let (reads, writes) = (sum(reads), sum(writes));
        assert!(writes <= 36 && reads <= 10, "{writes} writes, {reads} reads: {requests:?}");
        let passes = operator.passes() - passes_before;
        // 39 when this was written; more, if what our own status says counts as news.
        assert!(passes <= 42, "{passes} passes");
    }
}

/// How many requests of each kind there were after the first ones, but for the lease and the watches.
fn requests_by_kind(bed: &Bed, first: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for request in bed.server.requests().into_iter().skip(first).filter(|it| it.verb != Verb::Watch) {
        let kind = request.kind.filter(|kind| *kind != &kind::LEASE);
        if let Some(kind) = kind {
            *counts.entry(format!("{:?} {}", request.verb, kind.kind)).or_default() += 1;
        }
    }
    counts
}

#[tokio::test(start_paused = true)]
async fn a_release_that_fails_its_analysis_goes_back_at_once_and_does_not_come_again() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    let application = podinfo().watched_by("errors{revision=\"{{canary.hash}}\"}");
    bed.prometheus.says_value(&application.hash(), 0.0);
    bed.declare(&application);
    bed.until_at_rest(&application).await;
    let since = bed.version();

    let bad = application.version("v2");
    bed.prometheus.says_value(&bad.hash(), 0.0);
    bed.release(&bad);
    bed.until_weight(&bad, 50).await;
    bed.prometheus.says_value(&bad.hash(), 0.3);
    bed.until_weight(&bad, 0).await;
    let rollout = bed.until(&bad, is_at_rest).await;

    assert_eq!(condition(&rollout, "Stalled").unwrap().1, "RolledBack");
    assert_eq!(rollout["status"]["rejected"][0]["hash"], bad.hash());
    assert_eq!(bed.breaches(since), []);
    bed.until_pods(&bad, (0, 0)).await;
    assert_eq!(bed.pods(&application), (4, 4));
    tokio::time::sleep(Duration::from_mins(30)).await;
    assert_eq!(bed.weights(&bad), [0, 25, 50, 0]);

    let report = bed.report(&application, 2);
    for (reason, number) in [("Deployed", 1), ("RollingBack", 2), ("RolledBack", 2)] {
        assert_eq!(bed.related(reason), [bed.report(&application, number)["metadata"]["name"].clone()], "{reason}");
    }
    assert_eq!(text(&report, "/spec/outcome"), "RolledBack");
    assert_eq!(text(&report, "/spec/reason"), "AnalysisFailed");
    assert_eq!(text(&report, "/metadata/labels/leadsman.dev~1outcome"), "RolledBack");
    let gate = list(&report, "/spec/gates").iter().find(|gate| gate["decided"] == true).expect("what decided it");
    assert_eq!((text(gate, "/metric"), text(gate, "/value"), text(gate, "/stable")), ("errors", "0.3", "0"));
    assert_eq!(text(gate, "/query"), format!("errors{{revision=\"{}\"}}", bad.hash()));
    assert_eq!(number(&report, "/spec/mostWeight"), 50);
    let change = &list(&report, "/spec/changes")[0];
    assert!(text(change, "/path").contains("image"), "{change}");
    for instant in ["decided", "written", "inForce"] {
        assert!(!text(&report, &format!("/spec/wayBack/{instant}")).is_empty(), "{instant}");
    }
    assert_eq!(text(&bed.report(&application, 1), "/spec/outcome"), "First");
}

#[tokio::test(start_paused = true)]
async fn as_many_reports_are_kept_as_are_declared() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    let application = podinfo().set("/spec/reportHistoryLimit", json!(2));
    bed.declare(&application);
    bed.until_at_rest(&application).await;
    for version in ["v2", "v3", "v4"] {
        let new = application.version(version);
        bed.release(&new);
        bed.until_at_rest(&new).await;
    }
    bed.until_gone(&Name::new(&kind::REPORT, NAMESPACE, "podinfo-2")).await;
    let kept = bed.server.list(&kind::REPORT, NAMESPACE, "");
    let mut kept: Vec<_> = kept.iter().map(|report| text(report, "/metadata/name").to_owned()).collect();
    kept.sort();
    assert_eq!(kept, ["podinfo-3", "podinfo-4"]);
}

#[tokio::test(start_paused = true)]
async fn who_gave_a_command_is_told_and_verified_only_where_the_operator_is_told_so() {
    for (arguments, verified) in [(&["--commanders-recorded"][..], true), (&[], false)] {
        let bed = Bed::new();
        let operator = bed.operator_with("a", arguments);
        let named = podinfo().set(
            "/metadata/annotations",
            json!({"leadsman.dev/command": "pause/h/1", "leadsman.dev/command-by": "alice"}),
        );
        bed.declare(&podinfo());
        bed.until_at_rest(&podinfo()).await;
        bed.release(&named);
        let answered = |it: &Value| text(it, "/status/lastCommand/id") == "1";
        let rollout = bed.until(&named, answered).await;
        assert_eq!(rollout.pointer("/status/lastCommand/by"), Some(&json!("alice")));
        assert_eq!(rollout.pointer("/status/lastCommand/verified"), Some(&json!(verified)));

        // What stands there as the status is lost may be older than whoever puts names down.
        operator.kill();
        bed.server.hand("person").edit_status(&named.name(), |it| it["status"] = json!({}));
        let _operator = bed.operator_with("b", arguments);
        let rollout = bed.until(&named, answered).await;
        assert_eq!(rollout.pointer("/status/lastCommand/verified"), Some(&json!(false)));
    }
}
