//! Two instances and one lease.

use std::time::Duration;

use leadsman_testkit::object::text;
use leadsman_testkit::{ApiServer, Application, Fault, Rule, Verb, kind};
use tokio::time::Instant;

use crate::bed::{Bed, NAMESPACE, seconds};

fn holder(server: &ApiServer) -> String {
    let lease = server.get(&kind::LEASE, "leadsman-system", "leadsman");
    lease.map(|lease| text(&lease, "/spec/holderIdentity").to_owned()).unwrap_or_default()
}

/// Waits until the lease has another holder than this one, and gives it.
async fn until_held_by_another(server: &ApiServer, holder_before: &str) -> String {
    let look = |server: &ApiServer| Some(holder(server)).filter(|it| !it.is_empty() && it != holder_before);
    tokio::time::timeout(Duration::from_mins(5), server.until(look)).await.expect("another holder")
}

#[tokio::test(start_paused = true)]
async fn one_that_stands_by_writes_nothing() {
    let bed = Bed::new();
    let application = Application::new(NAMESPACE, "podinfo");
    let _first = bed.operator("first");
    until_held_by_another(&bed.server, "").await;
    let second = bed.operator("second");
    bed.declare(&application);
    bed.until_at_rest(&application).await;
    assert_eq!(second.connection.writes(), 0);
    assert!(bed.server.requests().iter().any(|request| &*request.by == "second" && request.kind == Some(&kind::LEASE)));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_told_to_stop_gives_the_lease_back_and_the_other_leads_within_a_second() {
    let bed = Bed::new();
    let application = Application::new(NAMESPACE, "podinfo");
    let first = bed.operator("first");
    bed.declare(&application);
    bed.until_at_rest(&application).await;
    let before = holder(&bed.server);
    let _second = bed.operator("second");
    seconds(5).await;
    bed.release(&application.version("v2"));
    bed.until_weight(&application, 25).await;
    let began = Instant::now();
    first.stop.cancel();
    until_held_by_another(&bed.server, &before).await;
    let took = began.elapsed();
    assert!(took <= Duration::from_secs(1), "{took:?}");
    assert!(matches!(first.ended().await, Some(Ok(()))));
    bed.until_at_rest(&application.version("v2")).await;
    assert_eq!(bed.weights(&application), [0, 25, 50, 100, 0]);
}

#[tokio::test(start_paused = true)]
async fn who_cannot_renew_writes_nothing_more_before_another_can_lead_and_ends() {
    let bed = Bed::new();
    let application = Application::new(NAMESPACE, "podinfo");
    let first = bed.operator("first");
    bed.declare(&application);
    bed.until_at_rest(&application).await;
    let before = holder(&bed.server);
    let _second = bed.operator("second");
    // Its renewals get lost; everything else gets through.
    bed.server.inject(Rule::new(Fault::Gone).verbs(&[Verb::Update]).kind(&kind::LEASE).by("first"));
    seconds(9).await;
    // Something to write for, just when it must not any more.
    bed.release(&application.version("v2"));
    let outcome = first.ended().await.expect("not killed");
    assert!(matches!(outcome, Err(leadsman::Error::LeaseLost)), "{outcome:?}");
    let ended = Instant::now();
    until_held_by_another(&bed.server, &before).await;
    assert!(ended.elapsed() >= Duration::from_secs(4), "another led {:?} after the first had ended", ended.elapsed());
    bed.until_at_rest(&application.version("v2")).await;
    let by_first =
        bed.server.requests().into_iter().filter(|it| &*it.by == "first" && it.verb.is_write() && it.at > ended);
    assert_eq!(by_first.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_finds_another_name_in_the_lease_has_its_next_write_refused() {
    let bed = Bed::new();
    let application = Application::new(NAMESPACE, "podinfo");
    let first = bed.operator("first");
    bed.declare(&application);
    bed.until_at_rest(&application).await;
    let lease = leadsman_testkit::Name::new(&kind::LEASE, "leadsman-system", "leadsman");
    bed.server.hand("person").edit(&lease, |it| {
        leadsman_testkit::object::set(it, "/spec/holderIdentity", "somebody-else".into());
    });
    let outcome = first.ended().await.expect("not killed");
    assert!(matches!(outcome, Err(leadsman::Error::LeaseLost)), "{outcome:?}");
    let ended = Instant::now();
    bed.release(&application.version("v2"));
    seconds(120).await;
    let by_first =
        bed.server.requests().into_iter().filter(|it| &*it.by == "first" && it.at > ended && it.verb.is_write());
    assert_eq!(by_first.count(), 0);
}
