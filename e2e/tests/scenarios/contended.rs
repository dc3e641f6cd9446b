//! Somebody who sets a route's weights back every second, for as long as he likes.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::api::{Patch, PatchParams};
use leadsman_api::{Phase, Rollout};
use leadsman_e2e::metrics::success_rate;
use leadsman_e2e::routes::{APP, CANARY};
use leadsman_e2e::status::{condition, phase};
use leadsman_e2e::timeline::{bindings, weights};
use leadsman_e2e::{
    Load, Namespace, Operator, RolloutBuilder, RouteKind, figures, pause, pause_until_promoted, set_weight,
};
use libtest_mimic::Trial;
use serde_json::json;
use tokio::task::AbortHandle;

use crate::harness::{now, scenario};
use crate::people::command;

pub fn trials() -> Vec<Trial> {
    vec![scenario("route-contended", |ns| async move { contended(&ns).await })]
}

/// In a release the operator gives way, says who is to be looked for, and goes on once that has stopped. In a rollback it
/// does not give way: the canary is out of traffic whatever the route says.
async fn contended(namespace: &Namespace) -> Result<()> {
    let kind = RouteKind::HttpRouteGateway;
    // Whoever sets weights every second may be held up for some on a busy machine: in less time the rollback would be over.
    let rollout = RolloutBuilder::new(&namespace.name, kind)
        .settle("5s")
        .background(&[success_rate()])
        .replicas(4)
        .steps(&[set_weight(50), pause("25s")]);
    namespace.deploy(&rollout).await?;
    let mut load = Load::through(namespace, kind, 100.0).await?;
    let next = rollout.version("v2");
    namespace.declare(&next).await?;
    namespace.until_weight(&next, 50).await?;

    let loop_of_zeros = Loop::setting(namespace, kind, 0);
    let is_contended = |seen: &Rollout| {
        condition(seen, "Stalled").is_some_and(|(status, reason, _)| (status, reason) == ("True", "RouteContended"))
    };
    namespace.until("to be Stalled: RouteContended", Duration::from_secs(30), is_contended).await?;
    let began = now();
    // What is counted is what happens in a while: there is nothing to wait for.
    tokio::time::sleep(Duration::from_secs(21)).await;
    let user = Operator::of(namespace).user();
    let changes = weights(&namespace.requests()?, &kind.route_name());
    let written = changes.iter().filter(|it| it.by == user && it.received > began).count();
    ensure!(written <= 3, "{written} writes against somebody who goes on, in 21 s");
    figures::record(&namespace.scenario, "writes in 21 s of contention", written);
    let set = format!("{APP}-{}", next.hash());
    let pods = namespace.api::<ReplicaSet>().get(&set).await?.spec.and_then(|spec| spec.replicas);
    ensure!(pods == Some(2), "the canary keeps the pods of its share: {pods:?}");
    drop(loop_of_zeros);
    namespace.until_promoted(&next).await?;

    let bad = rollout.version("v3").steps(&[set_weight(50), pause_until_promoted()]);
    namespace.declare(&bad).await?;
    namespace.until_weight(&bad, 50).await?;
    let loop_of_halves = Loop::setting(namespace, kind, 50);
    command(namespace, "abort", &bad).await?;
    let stable = next.hash();
    let re_bound = |seen: Option<&k8s_openapi::api::core::v1::Service>| {
        let selector = seen.and_then(|seen| seen.spec.as_ref()?.selector.as_ref());
        selector.and_then(|selector| selector.get("leadsman.dev/revision")) == Some(&stable)
    };
    leadsman_e2e::wait::wait_for(namespace.api(), CANARY, "to be bound to stable", Duration::from_secs(15), re_bound)
        .await?;
    let out_at = bindings(&namespace.requests()?, CANARY).last().context("no binding")?.done + 3.0;
    let is_against_it = |seen: &Rollout| phase(seen) == Some(Phase::RollingBack) && is_contended(seen);
    namespace.until("to go back against somebody", Duration::from_secs(30), is_against_it).await?;
    drop(loop_of_halves);
    namespace.until_rolled_back(Duration::from_secs(30)).await?;
    namespace.close(&mut load, &[]).await?;
    let late = load.records().iter().filter(|it| it.version == "v3" && it.sent > out_at).count();
    ensure!(late == 0, "{late} requests reached the canary after its Service was bound to stable");
    Ok(())
}

/// Sets the weights every second until it is dropped.
struct Loop(AbortHandle);

impl Loop {
    fn setting(namespace: &Namespace, kind: RouteKind, canary: u32) -> Self {
        let api = namespace.route_api(kind);
        let name = kind.route_name().name;
        let patch = json!([
            {"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": 100 - canary},
            {"op": "replace", "path": "/spec/rules/0/backendRefs/1/weight", "value": canary},
        ]);
        let task = tokio::spawn(async move {
            let (api, patch): (_, json_patch::Patch) = (api?, serde_json::from_value(patch)?);
            let mut every = tokio::time::interval(Duration::from_secs(1));
            loop {
                every.tick().await;
                api.patch(&name, &PatchParams::default(), &Patch::Json::<()>(patch.clone())).await?;
            }
            #[allow(unreachable_code, reason = "says what ends it early")]
            anyhow::Ok(())
        });
        Self(task.abort_handle())
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
