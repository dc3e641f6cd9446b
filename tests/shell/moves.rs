//! What Git moves at rest or in mid-release: names of Services, sizes, routes that may not be made.

use leadsman_testkit::object::{list, number, set, text, unset};
use leadsman_testkit::{Application, kind};
use serde_json::{Value, json};

use crate::bed::{Bed, NAMESPACE, condition, seconds};

fn podinfo() -> Application {
    Application::new(NAMESPACE, "podinfo")
}

/// The backends of the route that Git declares.
fn backends(bed: &Bed) -> Vec<(String, u64)> {
    let route = bed.server.get(&kind::HTTP_ROUTE, NAMESPACE, "podinfo").expect("the route");
    let backends = list(&route, "/spec/rules/0/backendRefs");
    backends.iter().map(|it| (text(it, "/name").to_owned(), number(it, "/weight"))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_renamed_canary_service_is_made_before_the_old_one_goes() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    bed.declare(&podinfo());
    bed.until_at_rest(&podinfo()).await;
    let since = bed.version();
    let name = "/spec/strategy/canary/traffic/canaryService";
    let renamed = podinfo().set(name, json!("podinfo-next"));
    bed.release(&renamed);
    bed.server.until(|server| server.get(&kind::SERVICE, NAMESPACE, "podinfo-next")).await;
    seconds(60).await;
    let old = bed.server.get(&kind::SERVICE, NAMESPACE, "podinfo-canary");
    assert!(old.is_some(), "the route still names it: {:?}", backends(&bed));
    bed.server.hand("git").edit(&podinfo().route_name(), |route| {
        set(route, "/spec/rules/0/backendRefs/1/name", json!("podinfo-next"));
    });
    bed.server.until(|server| server.get(&kind::SERVICE, NAMESPACE, "podinfo-canary").is_none().then_some(())).await;
    let new = renamed.version("v2");
    bed.release(&new);
    bed.until_at_rest(&new).await;
    assert_eq!(backends(&bed), [("podinfo-stable".to_owned(), 100), ("podinfo-next".to_owned(), 0)]);
    assert_eq!(bed.breaches(since), []);
}

#[tokio::test(start_paused = true)]
async fn replicas_that_leave_git_change_no_size() {
    let bed = Bed::new();
    let _operator = bed.operator("a");
    bed.declare(&podinfo());
    bed.until_at_rest(&podinfo()).await;
    let wanted = number(&bed.rollout(&podinfo()), "/spec/replicas");
    assert!(wanted > 1, "{wanted} is what would be left anyhow");
    let mut without = podinfo().rollout();
    unset(&mut without, "/spec/replicas");
    bed.server.hand("git").apply(&without).unwrap();
    let written = |rollout: &Value| number(rollout, "/spec/replicas") == wanted;
    bed.until(&podinfo(), written).await;
    seconds(60).await;
    let set = bed.server.get(&kind::REPLICA_SET, NAMESPACE, &podinfo().set_name().name).expect("the set");
    assert_eq!(number(&set, "/spec/replicas"), wanted);
}

#[tokio::test(start_paused = true)]
async fn no_route_is_made_where_the_operator_makes_none() {
    for made_before in [false, true] {
        let bed = Bed::new();
        let application = podinfo().owning_its_route();
        if made_before {
            let before = bed.operator("before");
            bed.declare(&application);
            bed.until_at_rest(&application).await;
            before.kill();
        } else {
            bed.declare(&application);
        }
        let _operator = bed.operator_with("a", &["--no-owned-routes"]);
        let refused = |rollout: &Value| condition(rollout, "Stalled").is_some_and(|it| it.0 == "True");
        let rollout = bed.until(&application, refused).await;
        assert!(
            text(&rollout, "/status/message").contains("--no-owned-routes"),
            "{}",
            text(&rollout, "/status/message")
        );
        seconds(60).await;
        let route = bed.server.get(&kind::HTTP_ROUTE, NAMESPACE, "podinfo");
        assert_eq!(route.is_some(), made_before, "one that serves is left as it is");
    }
}
