//! What takes traffic away from harm waits for nothing that is slow, refused or always just changed by somebody else.

use std::time::Duration;

use leadsman_testkit::object::{number, set};
use leadsman_testkit::{Application, Fault, Route, Rule, Verb, kind};
use serde_json::json;
use tokio::time::Instant;

use crate::bed::{Bed, NAMESPACE, seconds};

fn watched(name: &str) -> Application {
    Application::new(NAMESPACE, name).watched_by("errors{revision=\"{{canary.hash}}\"}")
}

/// A cluster with a release of v2 at half of the traffic, which is fine so far.
async fn at_half(bed: &Bed, application: &Application) -> Application {
    let new = application.version("v2");
    bed.prometheus.says_value(&application.hash(), 0.0);
    bed.prometheus.says_value(&new.hash(), 0.0);
    bed.declare(application);
    bed.until_at_rest(application).await;
    bed.release(&new);
    bed.until(&new, |rollout| number(rollout, "/status/weight/inForce") == 50).await;
    new
}

/// From now on the canary fails. Gives how long after the first failing answer it has no more traffic.
async fn until_back(bed: &Bed, canary: &Application) -> Duration {
    let asked = bed.prometheus.asked().len();
    bed.prometheus.says_value(&canary.hash(), 0.5);
    bed.until_weight(canary, 0).await;
    let questions = bed.prometheus.asked().into_iter().skip(asked);
    let failing = questions.into_iter().find(|asked| asked.query.contains(&canary.hash())).expect("a question");
    Instant::now().duration_since(failing.at)
}

#[tokio::test(start_paused = true)]
async fn weight_0_does_not_wait_for_a_status_that_somebody_else_changes_before_it_can_be_written() {
    for offset in [0, 250, 500, 750] {
        let bed = Bed::new();
        let _operator = bed.operator("a");
        let application = watched("podinfo").steps(&json!([{"setWeight": 50}, {"pause": {}}]));
        let new = at_half(&bed, &application).await;
        tokio::time::sleep(Duration::from_millis(offset)).await;
        bed.server.inject(Rule::new(Fault::Slow(Duration::from_secs(1))));
        let (server, meddled) = (bed.server.clone(), application.name());
        let meddling = tokio::spawn(async move {
            for round in 0.. {
                let round = json!(round.to_string());
                server.hand("meddler").edit(&meddled, |it| set(it, "/metadata/annotations/round", round));
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let took = until_back(&bed, &new).await;
        // The 2 s that a status may take, and one call.
        assert!(took <= Duration::from_millis(3_200), "after {took:?}");
        meddling.abort();
        // And it has gone on trying.
        bed.server.heal();
        bed.until_phase(&new, "RolledBack").await;
    }
}

/// As with a conversion webhook that does not answer: nothing of the kind can be listed or read any more.
fn hang(bed: &Bed, kind: &'static leadsman_testkit::Kind) {
    bed.server.inject(Rule::new(Fault::AnswerNeverComes).verbs(&[Verb::Get]).kind(kind));
    let words = "conversion webhook for networking.istio.io/v1, Kind=VirtualService failed: context deadline exceeded";
    bed.server.inject(Rule::refusing(500, "InternalError", words).verbs(&[Verb::List, Verb::Watch]).kind(kind));
    bed.server.close_watches(kind);
}

#[tokio::test(start_paused = true)]
async fn a_kind_whose_reads_hang_holds_up_no_failing_verdict_behind_another_kind() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    let many: Vec<_> = (0..24)
        .map(|index| Application::new(NAMESPACE, &format!("istio-{index}")).route(Route::VirtualService))
        .map(|application| application.steps(&json!([{"setWeight": 50}, {"pause": {}}])))
        .collect();
    for application in &many {
        bed.declare(application);
    }
    for application in &many {
        bed.until_at_rest(application).await;
        bed.release(&application.version("v2"));
    }
    let application = watched("podinfo").steps(&json!([{"setWeight": 50}, {"pause": {}}]));
    let new = at_half(&bed, &application).await;
    for application in &many {
        bed.until(application, |rollout| number(rollout, "/status/weight/inForce") == 50).await;
    }
    hang(&bed, &kind::VIRTUAL_SERVICE);
    seconds(30).await;
    let took = until_back(&bed, &new).await;
    assert!(took < Duration::from_secs(1), "after {took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failing_verdict_goes_by_what_is_known_of_a_route_that_cannot_be_read() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    let application = watched("podinfo").route(Route::VirtualService).steps(&json!([{"setWeight": 50}, {"pause": {}}]));
    let new = at_half(&bed, &application).await;
    hang(&bed, &kind::VIRTUAL_SERVICE);
    seconds(30).await;
    let took = until_back(&bed, &new).await;
    assert!(took < Duration::from_secs(1), "after {took:?}");
}
