//! A release under an autoscaler that follows the load.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::ReplicaSet;
use leadsman_api::{Phase, Rollout};
use leadsman_e2e::account::account;
use leadsman_e2e::autoscaler::{AUTOSCALER, autoscaler, until_scaling};
use leadsman_e2e::routes::APP;
use leadsman_e2e::status::{is_current, phase, weight_in_force};
use leadsman_e2e::wait::wait_for;
use leadsman_e2e::{
    Connections, Load, Namespace, RolloutBuilder, RouteKind, figures, pause_until_promoted, set_weight,
};
use libtest_mimic::Trial;
use serde_json::json;

use crate::harness::{now, scenario};
use crate::people::command;

/// Requests per second that the autoscaler wants on each pod.
const PER_POD: u32 = 20;
/// For these two pods are enough, also with another tenth.
const AT_FIRST: f64 = 30.0;
/// With these as well it takes four. The autoscaler counts the canary's pods too, and leaves a size alone where the average
/// is within a tenth of the target: that is so for neither of the sizes on the way, with their canary of half of them.
const MORE: f64 = 42.0;
const SOON: Duration = Duration::from_mins(1);

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("hpa-canary", |ns| async move { canary(&ns).await }),
        scenario("hpa-plain", |ns| async move { plain(&ns).await }),
        scenario("hpa-blue-green", |ns| async move { blue_green(&ns).await }),
    ]
}

/// In the middle of a release the load grows: the autoscaler makes the Rollout larger, and stable and canary follow.
async fn canary(namespace: &Namespace) -> Result<()> {
    let kind = RouteKind::HttpRouteGateway;
    let rollout =
        RolloutBuilder::new(&namespace.name, kind).without_replicas().steps(&[set_weight(50), pause_until_promoted()]);
    namespace.deploy(&rollout).await?;
    namespace.apply(&autoscaler(&namespace.name, 2, 8, PER_POD)).await?;
    let mut load = Load::through(namespace, kind, AT_FIRST).await?;
    until_scaling(namespace).await?;
    until_pods(namespace, &rollout, 2).await?;

    let next = rollout.version("v2");
    namespace.declare(&next).await?;
    until_paused(namespace, 2).await?;
    until_pods(namespace, &next, 1).await?;

    let grew_at = now();
    let mut more = Load::through_as(namespace, "load-more", kind, MORE).await?;
    until_pods(namespace, &rollout, 4).await?;
    until_pods(namespace, &next, 2).await?;
    figures::record(
        &namespace.scenario,
        "seconds from more load to both sets' size",
        figures::rounded(now() - grew_at),
    );
    until_paused(namespace, 4).await?;
    load.until_more(150).await?;

    command(namespace, "promote", &next).await?;
    namespace.until_promoted(&next).await?;
    until_pods(namespace, &next, 4).await?;
    load.until_more(60).await?;
    expect_sizes_of_the_autoscaler(namespace)?;
    namespace.close(&mut more, &[]).await?;
    namespace.close(&mut load, &[]).await?;
    Ok(())
}

/// The same without a proxy: stable follows, and the canary has the pods that the share takes.
async fn plain(namespace: &Namespace) -> Result<()> {
    let steps = [set_weight(25), pause_until_promoted()];
    let rollout = RolloutBuilder::plain(&namespace.name).without_replicas().steps(&steps);
    grows_behind_one_service(namespace, &rollout, 1).await
}

/// The same with a preview, which stands idle beside what serves: it is neither averaged nor scaled.
async fn blue_green(namespace: &Namespace) -> Result<()> {
    let fields = json!({"previewReplicas": 1, "autoPromotion": false});
    let rollout = RolloutBuilder::blue_green(&namespace.name, fields).without_replicas();
    grows_behind_one_service(namespace, &rollout, 1).await
}

/// More load while a person is waited for: what serves grows to four pods, and the new revision has so many meanwhile.
async fn grows_behind_one_service(namespace: &Namespace, rollout: &RolloutBuilder, new: i32) -> Result<()> {
    namespace.deploy(rollout).await?;
    namespace.apply(&autoscaler(&namespace.name, 2, 8, PER_POD)).await?;
    let mut load = Load::direct(namespace, APP, Connections::New, AT_FIRST).await?;
    until_scaling(namespace).await?;
    until_pods(namespace, rollout, 2).await?;

    let next = rollout.version("v2");
    namespace.declare(&next).await?;
    let paused = |seen: &Rollout| is_current(seen) && phase(seen) == Some(Phase::Paused);
    namespace.until("to wait for a person", SOON, paused).await?;
    let mut more = Load::direct(namespace, APP, Connections::KeepAlive, MORE).await?;
    until_pods(namespace, rollout, 4).await?;
    until_pods(namespace, &next, new).await?;

    command(namespace, "promote", &next).await?;
    namespace.until_promoted(&next).await?;
    until_pods(namespace, &next, 4).await?;
    load.until_more(60).await?;
    expect_sizes_of_the_autoscaler(namespace)?;
    for load in [&mut more, &mut load] {
        let name = load.name.clone();
        account(load.finish().await?, &[]).expect_nothing_lost(&name)?;
    }
    Ok(())
}

/// Waits until a version has this many pods, all ready.
async fn until_pods(namespace: &Namespace, rollout: &RolloutBuilder, pods: i32) -> Result<()> {
    let name = format!("{APP}-{}", rollout.hash());
    let there = |set: Option<&ReplicaSet>| {
        let ready = set.and_then(|set| set.status.as_ref()?.ready_replicas);
        set.and_then(|set| set.spec.as_ref()?.replicas) == Some(pods) && ready == Some(pods)
    };
    let what = format!("to have {pods} pods ready");
    wait_for(namespace.api::<ReplicaSet>(), &name, &what, SOON, there).await.map(drop)
}

async fn until_paused(namespace: &Namespace, size: i32) -> Result<()> {
    let paused = |seen: &Rollout| {
        is_current(seen)
            && phase(seen) == Some(Phase::Paused)
            && weight_in_force(seen) == 50
            && seen.spec.replicas == Some(size)
    };
    namespace.until(&format!("to be paused at 50% of {size}"), SOON, paused).await.map(drop)
}

/// Fails when the autoscaler did not scale, or when somebody else did.
fn expect_sizes_of_the_autoscaler(namespace: &Namespace) -> Result<()> {
    let requests = namespace.requests()?;
    let scalings: Vec<_> = requests
        .iter()
        .filter(|it| it.is_done_write() && it.object_ref.resource == "rollouts" && it.object_ref.subresource == "scale")
        .collect();
    ensure!(scalings.len() >= 2, "scaled {} times, at the start and in the release", scalings.len());
    ensure!(scalings.iter().all(|it| it.user() == AUTOSCALER), "scaled by others: {scalings:?}");
    figures::record(&namespace.scenario, "scaled", scalings.len());
    Ok(())
}
