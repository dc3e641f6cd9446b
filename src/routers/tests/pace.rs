//! Implementations that follow slowly.

use std::time::Duration;

use serde_json::json;

use super::super::{RouteKind, RouteRef, Settle, view};
use super::{BACKENDS, http_route, route, split};

fn warnings(controller: &str, weights: u64, endpoints: u64) -> Vec<String> {
    let mut object = http_route(&json!([split(100, 0)]));
    object["status"]["parents"][0]["controllerName"] = json!(controller);
    let settle = Settle { weights: Duration::from_secs(weights), endpoints: Duration::from_secs(endpoints) };
    view(&RouteRef { settle, ..route(RouteKind::HttpRoute) }, &object, &BACKENDS).warnings
}

#[test]
fn a_gateway_that_is_known_to_be_slow_is_told_with_what_to_set() {
    for controller in
        ["networking.gke.io/gateway", "gateway.k8s.aws/alb", "application-networking.k8s.aws/gateway-api-controller"]
    {
        let said = warnings(controller, 3, 3);
        assert_eq!(said.len(), 1, "{controller}");
        assert!(
            said[0].starts_with(&format!("Gateway infra/public is served by {controller}, which needs about ")),
            "{said:?}"
        );
        assert!(said[0].ends_with("set traffic.settleEndpoints and traffic.settle"), "{said:?}");
    }
    assert_eq!(warnings("istio.io/gateway-controller", 3, 3), [""; 0]);
}

#[test]
fn who_gives_the_time_that_is_needed_is_told_nothing() {
    assert_eq!(warnings("networking.gke.io/gateway", 60, 60), [""; 0]);
    assert_eq!(warnings("networking.gke.io/gateway", 60, 3).len(), 1);
    assert_eq!(warnings("networking.gke.io/gateway", 3, 60).len(), 1);
}
