//! Linkerd's own HTTPRoute: the object and its API server are real, the word of Linkerd's policy controller is written by
//! hand, and the traffic goes through Istio, by another route that is kept on the same split.

use anyhow::{Result, ensure};
use kube::api::{Patch, PatchParams};
use leadsman_e2e::metrics::{success_rate, with};
use leadsman_e2e::objects::dynamic;
use leadsman_e2e::routes::APP;
use leadsman_e2e::timeline::weights;
use leadsman_e2e::{Namespace, RolloutBuilder, RouteKind};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::good::goes_through;
use crate::harness::scenario;

const GROUP: &str = "policy.linkerd.io";
const NAME: &str = "podinfo-linkerd";

pub fn trials() -> Vec<Trial> {
    vec![scenario("good-httproute-of-linkerd", |ns| async move { good(&ns).await })]
}

async fn good(namespace: &Namespace) -> Result<()> {
    let carries = RouteKind::HttpRouteService;
    let routes = json!([carries.reference(&namespace.name, false), {"httpRoute": {"name": NAME, "group": GROUP}}]);
    let rollout = RolloutBuilder::new(&namespace.name, carries)
        .background(&[success_rate()])
        .set("/spec/strategy/canary/traffic/routes", routes);
    bring_route(namespace, carries).await?;
    goes_through(namespace, carries, &rollout).await?;
    let mut route = carries.route_name();
    NAME.clone_into(&mut route.name);
    let written: Vec<_> = weights(&namespace.requests()?, &route).into_iter().map(|change| change.to).collect();
    ensure!(written.ends_with(&[20.0, 50.0, 100.0, 0.0]), "Linkerd's route went through {written:?}");
    Ok(())
}

/// The same route in Linkerd's group, and what its policy controller says of it: once, and without a generation.
async fn bring_route(namespace: &Namespace, like: RouteKind) -> Result<()> {
    let of_the_group = with(like.manifest(&namespace.name), "/apiVersion", json!(format!("{GROUP}/v1beta3")));
    let route = with(of_the_group, "/metadata/name", json!(NAME));
    namespace.apply(&route).await?;
    let is_true = |kind: &str| {
        json!({
            "type": kind, "status": "True", "reason": kind, "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    };
    let report = json!({
        "controllerName": "linkerd.io/policy-controller",
        "parentRef": {"group": "core", "kind": "Service", "name": APP, "namespace": namespace.name, "port": 80},
        "conditions": [is_true("Accepted"), is_true("ResolvedRefs")],
    });
    let said: Value = json!({"status": {"parents": [report]}});
    let (routes, name) = dynamic(&namespace.cluster.client, &route)?;
    routes.patch_status(&name, &PatchParams::default(), &Patch::Merge(&said)).await?;
    Ok(())
}
