//! Writes and reads that are refused, throttled, slow, lost, or that nobody answers.

use std::time::Duration;

use leadsman_testkit::object::{label, number, set, text};
use leadsman_testkit::{Application, Fault, Kind, Name, Refusal, Rule, Verb, kind};
use serde_json::json;
use tokio::time::Instant;

use crate::bed::{Bed, NAMESPACE, condition, seconds};

fn podinfo() -> Application {
    Application::new(NAMESPACE, "podinfo")
}

/// A cluster with an application at rest, and an operator.
async fn at_rest() -> (Bed, crate::bed::Running, u64) {
    let bed = Bed::new();
    let operator = bed.operator("a");
    bed.declare(&podinfo());
    bed.until_at_rest(&podinfo()).await;
    let since = bed.version();
    (bed, operator, since)
}

/// The release of v2 ends well, after the steps that it is meant to have.
async fn ends_well(bed: &Bed, since: u64, what: &str) -> Duration {
    let (new, began) = (podinfo().version("v2"), Instant::now());
    bed.until_at_rest(&new).await;
    assert_eq!(bed.weights(&new), [0, 25, 50, 100, 0], "{what}");
    assert_eq!(bed.breaches(since), [], "{what}");
    began.elapsed()
}

/// What a release writes.
fn written() -> [(Verb, &'static Kind); 5] {
    [
        (Verb::UpdateStatus, &kind::ROLLOUT),
        (Verb::Create, &kind::REPLICA_SET),
        (Verb::Patch, &kind::REPLICA_SET),
        (Verb::Patch, &kind::SERVICE),
        (Verb::Patch, &kind::HTTP_ROUTE),
    ]
}

#[tokio::test(start_paused = true)]
async fn any_write_may_be_refused_lost_or_hang_twice_and_the_release_ends_well() {
    let faults: [(&str, Fault); 6] = [
        ("a conflict", Fault::Refused(Refusal::new(409, "Conflict", "the object has been modified"))),
        ("a server error", Fault::Refused(Refusal::new(500, "InternalError", "etcdserver: request timed out"))),
        ("invalid", Fault::Refused(Refusal::new(422, "Invalid", "admission webhook denied the request"))),
        ("lost", Fault::AnswerLost),
        ("hanging", Fault::AnswerNeverComes),
        ("gone", Fault::Gone),
    ];
    for (words, fault) in faults {
        for (verb, kind) in written() {
            let what = format!("{verb:?} {kind}: {words}");
            let (bed, _operator, since) = at_rest().await;
            bed.server.inject(Rule::new(fault.clone()).verbs(&[verb]).kind(kind).after(1).times(2));
            bed.server.inject(Rule::new(fault.clone()).verbs(&[verb]).kind(kind).after(3).times(1));
            bed.release(&podinfo().version("v2"));
            let took = ends_well(&bed, since, &what).await;
            assert!(took < Duration::from_secs(90), "{what}: {took:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_that_somebody_else_has_just_written_loses_no_intent() {
    let (bed, _operator, since) = at_rest().await;
    let name = podinfo().name();
    // Somebody who touches the Rollout each time that anything happens to it, ten times in a row.
    let (server, meddled) = (bed.server.clone(), name.clone());
    let meddling = tokio::spawn(async move {
        let mut changed = server.subscribe();
        for round in 0..200 {
            let _ = changed.changed().await;
            tokio::time::sleep(Duration::from_millis(7)).await;
            server
                .hand("meddler")
                .edit(&meddled, |it| set(it, "/metadata/annotations/round", json!(round.to_string())));
        }
    });
    bed.release(&podinfo().version("v2"));
    ends_well(&bed, since, "conflicts").await;
    meddling.abort();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_for_patience_is_left_alone_for_that_long() {
    let (bed, _operator, since) = at_rest().await;
    let throttled = Refusal::new(429, "TooManyRequests", "please try again later").retry_after(Duration::from_secs(7));
    bed.server.inject(Rule::new(Fault::Refused(throttled)).verbs(&[Verb::Create]).kind(&kind::REPLICA_SET).times(3));
    bed.release(&podinfo().version("v2"));
    ends_well(&bed, since, "throttled").await;
    let creates: Vec<_> = bed
        .server
        .requests()
        .into_iter()
        .filter(|it| it.verb == Verb::Create && it.kind == Some(&kind::REPLICA_SET))
        .collect();
    let refused: Vec<_> = creates.iter().filter(|it| it.code == Some(429)).collect();
    assert_eq!(refused.len(), 3);
    for pair in creates.windows(2).skip(1) {
        let pause = pair[1].at.duration_since(pair[0].at);
        assert!(pause >= Duration::from_secs(7) && pause < Duration::from_secs(20), "{pause:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_for_an_hour_or_for_ever_is_asked_again_after_a_minute() {
    for asked in [Duration::from_hours(1), Duration::from_secs(u64::MAX)] {
        let (bed, _operator, since) = at_rest().await;
        let throttled = Refusal::new(429, "TooManyRequests", "please try again later").retry_after(asked);
        for (verb, kind) in written() {
            let rule = Rule::new(Fault::Refused(throttled.clone())).verbs(&[verb]).kind(kind).times(1);
            bed.server.inject(rule);
        }
        bed.release(&podinfo().set("/spec/progressDeadlineSeconds", json!(3600)).version("v2"));
        let took = ends_well(&bed, since, "throttled").await;
        assert!(took < Duration::from_mins(7), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_again_and_again_is_tried_later_and_later_and_holds_nobody_else_up() {
    let (bed, _operator, _) = at_rest().await;
    bed.server.inject(Rule::refusing(500, "InternalError", "boom").verbs(&[Verb::Create]).kind(&kind::REPLICA_SET));
    let began = Instant::now();
    let patient = podinfo().set("/spec/progressDeadlineSeconds", json!(3600)).version("v2");
    bed.release(&patient);
    seconds(120).await;
    let creates = || {
        let requests = bed.server.requests().into_iter();
        let creates = requests.filter(|it| it.verb == Verb::Create && it.kind == Some(&kind::REPLICA_SET));
        creates.filter(|it| it.at > began).map(|it| it.at).collect::<Vec<_>>()
    };
    let pauses: Vec<_> = creates().windows(2).map(|pair| pair[1].duration_since(pair[0])).collect();
    assert!((5..=12).contains(&pauses.len()), "{pauses:?}");
    assert!(pauses.last().unwrap() >= &Duration::from_secs(15), "{pauses:?}");
    assert!(pauses.iter().all(|pause| *pause <= Duration::from_secs(75)), "{pauses:?}");
    bed.server.heal();
    bed.until_at_rest(&patient).await;
}

#[tokio::test(start_paused = true)]
async fn a_set_that_may_not_be_created_is_a_condition_in_the_server_s_words() {
    for (code, reason, words) in [
        (422, "Invalid", "admission webhook \"policy.example.com\" denied the request: image not signed"),
        (403, "Forbidden", "replicasets.apps \"podinfo\" is forbidden: exceeded quota: sets, used: 4, limited: 4"),
    ] {
        let (bed, _operator, since) = at_rest().await;
        bed.server.inject(Rule::refusing(code, reason, words).verbs(&[Verb::Create]).kind(&kind::REPLICA_SET));
        let new = podinfo().version("v2");
        let began = Instant::now();
        bed.release(&new);
        let told =
            |rollout: &serde_json::Value| condition(rollout, "Reconciling").is_some_and(|it| it.2.contains(words));
        let rollout = bed.until(&new, told).await;
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
        assert!(text(&rollout, "/status/message").contains(words), "{}", rollout["status"]["message"]);
        assert_eq!(condition(&rollout, "Available").unwrap().0, "True");
        bed.server.heal();
        ends_well(&bed, since, words).await;
    }
}

#[tokio::test(start_paused = true)]
async fn pods_that_a_quota_refuses_are_a_condition_in_the_server_s_words() {
    let (bed, _operator, since) = at_rest().await;
    let words = "pods \"podinfo\" is forbidden: exceeded quota: pods, requested: 1, used: 4, limited: 4";
    bed.controllers.change(|habits| habits.refuses_pods = Some(words.to_owned()));
    let new = podinfo().version("v2");
    bed.release(&new);
    bed.until(&new, |rollout| text(rollout, "/status/message").contains(words)).await;
    bed.controllers.change(|habits| habits.refuses_pods = None);
    bed.server.hand("person").edit(&new.set_name(), |it| set(it, "/metadata/annotations/again", json!("now")));
    ends_well(&bed, since, "quota").await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_two_seconds_for_everything_delays_and_does_not_corrupt() {
    for delay in [Duration::from_secs(2), Duration::from_millis(2_500)] {
        let (bed, operator, since) = at_rest().await;
        bed.server.inject(Rule::new(Fault::Slow(delay)));
        bed.release(&podinfo().version("v2"));
        let took = ends_well(&bed, since, &format!("{delay:?} a call")).await;
        assert!(took < Duration::from_mins(5), "{delay:?} a call: {took:?}");
        assert!(!operator.has_ended());
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_gone_for_a_minute_delays_and_does_not_corrupt() {
    for weight in [25, 50, 100] {
        let (bed, operator, since) = at_rest().await;
        let second = bed.operator("b");
        let new = podinfo().version("v2");
        bed.release(&new);
        bed.until_weight(&new, weight).await;
        bed.server.inject(Rule::new(Fault::Gone));
        for kind in kind::ALL {
            bed.server.close_watches(kind);
        }
        let before = bed.server.requests().len();
        seconds(60).await;
        let tries = bed.server.requests().len() - before;
        assert!(tries < 2_000, "{tries} requests of two instances in a minute");
        bed.server.heal();
        // Who led has lost the lease, and ends to be started anew; whoever is left goes on.
        assert!(operator.has_ended());
        let took = ends_well(&bed, since, "gone for a minute").await;
        assert!(took < Duration::from_mins(2), "{took:?}");
        assert!(!second.has_ended());
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollback_is_written_to_the_route_although_the_status_cannot_be_written() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    let application = podinfo().watched_by("errors{revision=\"{{canary.hash}}\"}");
    let bad = application.version("v2");
    bed.prometheus.says_value(&application.hash(), 0.0);
    bed.prometheus.says_value(&bad.hash(), 0.0);
    bed.declare(&application);
    bed.until_at_rest(&application).await;
    bed.release(&bad);
    bed.until(&bad, |rollout| number(rollout, "/status/weight/inForce") == 50).await;
    bed.server.inject(Rule::refusing(500, "InternalError", "boom").verbs(&[Verb::UpdateStatus]));
    bed.prometheus.says_value(&bad.hash(), 0.5);
    let began = Instant::now();
    bed.until_weight(&bad, 0).await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    bed.server.heal();
    let rollout = bed.until_phase(&bad, "RolledBack").await;
    assert_eq!(text(&rollout, "/status/rejected/0/hash"), bad.hash());
}

#[tokio::test(start_paused = true)]
async fn a_killed_operator_is_followed_by_another_that_knows_what_was_rejected() {
    let (bed, operator, _) = at_rest().await;
    let new = podinfo().version("v2");
    bed.release(&new);
    bed.until_weight(&new, 25).await;
    operator.kill();
    assert!(operator.ended().await.is_none());
    let _next = bed.operator("next");
    bed.until_at_rest(&new).await;
    let stable = bed.server.get(&kind::SERVICE, NAMESPACE, "podinfo-stable").unwrap();
    assert_eq!(label(&stable, "leadsman.dev/revision"), Some(&*new.hash()));
    let lease = Name::new(&kind::LEASE, "leadsman-system", "leadsman");
    let lease = bed.server.get(lease.kind, &lease.namespace, &lease.name).unwrap();
    assert_eq!(number(&lease, "/spec/leaseTransitions"), 1);
}
