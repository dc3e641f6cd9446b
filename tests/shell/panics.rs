//! A fault of the operator itself in the pass over one Rollout.

use leadsman_testkit::{Application, Rule, Verb};
use tokio::time::Instant;

use crate::bed::{Bed, NAMESPACE, seconds};

fn application(name: &str) -> Application {
    Application::new(NAMESPACE, name)
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_panics_ends_alone_and_is_made_again_and_the_release_ends_well() {
    let bed = Bed::new();
    let operator = bed.operator("a");
    bed.declare(&application("podinfo"));
    bed.until_at_rest(&application("podinfo")).await;
    let since = bed.version();
    let status = Rule::meanwhile(|_| panic!("boom")).verbs(&[Verb::UpdateStatus]).name("podinfo");
    bed.server.inject(status.after(3).times(3));
    let new = application("podinfo").version("v2");
    bed.release(&new);
    bed.until_at_rest(&new).await;
    assert_eq!(bed.weights(&new), [0, 25, 50, 100, 0]);
    assert_eq!(bed.breaches(since), []);
    assert!((operator.metric("leadsman_panics_total{what=\"pass\"}") - 3.0).abs() < 0.5);
    assert!(!operator.has_ended());
}

#[tokio::test(start_paused = true)]
async fn a_rollout_whose_every_pass_panics_is_tried_later_and_later_and_disturbs_nobody() {
    let bed = Bed::new();
    // One worker: it has to survive.
    let operator = bed.operator_with("a", &["--workers", "1"]);
    for name in ["good", "bad"] {
        bed.declare(&application(name));
        bed.until_at_rest(&application(name)).await;
    }
    bed.server.inject(Rule::meanwhile(|_| panic!("boom")).verbs(&[Verb::UpdateStatus]).name("bad"));
    bed.release(&application("bad").version("v2"));
    seconds(10).await;
    let began = Instant::now();
    bed.release(&application("good").version("v2"));
    bed.until_at_rest(&application("good").version("v2")).await;
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
    let before = operator.metric("leadsman_panics_total{what=\"pass\"}");
    seconds(60).await;
    let panics = operator.metric("leadsman_panics_total{what=\"pass\"}") - before;
    assert!((8.0..20.0).contains(&panics), "{panics} in a minute");
    bed.server.heal();
    bed.until_at_rest(&application("bad").version("v2")).await;
}
