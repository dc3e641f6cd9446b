//! Rows of the table "What happens when": Git changes its mind, pods come and go, things are deleted in mid-release.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use leadsman_api::{AnalysisTemplate, CommandOutcome, Phase, Rollout};
use leadsman_e2e::metrics::{success_rate, template, with};
use leadsman_e2e::routes::{APP, CANARY, STABLE};
use leadsman_e2e::status::{is_current, message, phase, stable_hash, weight_in_force};
use leadsman_e2e::timeline::{bindings, weights};
use leadsman_e2e::wait::{stays, wait_for};
use leadsman_e2e::{App, Load, Namespace, RolloutBuilder, RouteKind, figures, pause, pause_until_promoted, set_weight};
use libtest_mimic::Trial;
use serde_json::json;

use crate::harness::{now, scenario};
use crate::people::{answered, command};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("pods-come-and-go", |ns| async move { pods(&ns).await }),
        scenario("git-changes-its-mind", |ns| async move { git(&ns).await }),
        scenario("deleted-under-way", |ns| async move { things(&ns).await }),
    ]
}

/// The shares that were written since then.
fn shares(namespace: &Namespace, kind: RouteKind, since: f64) -> Result<Vec<f64>> {
    let changes = weights(&namespace.requests()?, &kind.route_name());
    Ok(changes.iter().filter(|it| it.received > since).map(|it| it.to).collect())
}

async fn until_paused(namespace: &Namespace, percent: i32) -> Result<Rollout> {
    let waits =
        |seen: &Rollout| is_current(seen) && phase(seen) == Some(Phase::Paused) && weight_in_force(seen) == percent;
    namespace.until(&format!("to be paused at {percent}%"), Duration::from_mins(1), waits).await
}

async fn git(namespace: &Namespace) -> Result<()> {
    let kind = RouteKind::HttpRouteGateway;
    let rollout = RolloutBuilder::new(&namespace.name, kind)
        .drain("1s")
        .steps(&[set_weight(50), pause_until_promoted()])
        .set("/spec/revisionHistoryLimit", json!(9));
    namespace.deploy(&rollout).await?;
    let mut load = Load::through(namespace, kind, 60.0).await?;
    reverted(namespace, &rollout).await?;
    let stable = steps_changed(namespace, kind, &rollout).await?;
    let stable = paused_by_command(namespace, &stable).await?;
    let stable = fixed_while_rolling_back(namespace, kind, &stable).await?;
    retried(namespace, kind, &stable).await?;
    namespace.close(&mut load, &[]).await?;
    Ok(())
}

/// Back to stable in mid-release: Healthy, and no failure.
async fn reverted(namespace: &Namespace, stable: &RolloutBuilder) -> Result<()> {
    namespace.declare(&stable.version("v2")).await?;
    until_paused(namespace, 50).await?;
    namespace.declare(stable).await?;
    let seen = namespace.until_promoted(stable).await?;
    let rejected = seen.status.map(|status| status.rejected).unwrap_or_default();
    ensure!(rejected.is_empty(), "a revert is no failure: {rejected:?}");
    Ok(())
}

/// Other steps: on after the last setWeight that is not above the weight in force, with the pause that follows it.
async fn steps_changed(namespace: &Namespace, kind: RouteKind, stable: &RolloutBuilder) -> Result<RolloutBuilder> {
    let since = now();
    let next = stable.version("v3");
    let before = next.clone().steps(&[set_weight(20), pause_until_promoted(), set_weight(50), pause_until_promoted()]);
    namespace.declare(&before).await?;
    until_paused(namespace, 20).await?;
    let after = next.steps(&[set_weight(10), pause_until_promoted(), set_weight(30), pause_until_promoted()]);
    namespace.declare(&after).await?;
    let seen = until_paused(namespace, 20).await?;
    let step = seen.status.as_ref().and_then(|status| status.step.as_ref()).map(|step| step.index);
    ensure!(step == Some(1), "it goes on at {step:?}");
    command(namespace, "promote", &after).await?;
    until_paused(namespace, 30).await?;
    command(namespace, "promote-full", &after).await?;
    namespace.until_promoted(&after).await?;
    let shares = shares(namespace, kind, since)?;
    ensure!(shares == [20.0, 30.0, 100.0, 0.0], "{shares:?}");
    Ok(after)
}

/// `pause` outlasts the pause of the step, a command about another revision is refused, `resume` goes on.
async fn paused_by_command(namespace: &Namespace, stable: &RolloutBuilder) -> Result<RolloutBuilder> {
    let next = stable.version("v4").steps(&[set_weight(20), pause("3s"), set_weight(50), pause("1s")]);
    namespace.declare(&next).await?;
    namespace.until_weight(&next, 20).await?;
    command(namespace, "pause", &next).await?;
    let still =
        |seen: Option<&Rollout>| seen.is_some_and(|it| weight_in_force(it) == 20 && phase(it) == Some(Phase::Paused));
    until_paused(namespace, 20).await?;
    stays(namespace.api::<Rollout>(), APP, "paused", Duration::from_secs(5), still).await?;
    let (_, outcome, message) = answered(namespace, "resume", &stable.hash()).await?;
    ensure!(outcome == CommandOutcome::Refused && message.contains(&next.hash()), "{message}");
    command(namespace, "resume", &next).await?;
    namespace.until_promoted(&next).await?;
    Ok(next)
}

/// A fix arrives while the bad one is on its way out: traffic is on stable first.
async fn fixed_while_rolling_back(
    namespace: &Namespace,
    kind: RouteKind,
    stable: &RolloutBuilder,
) -> Result<RolloutBuilder> {
    let since = now();
    let bad = stable.version("v5").steps(&[set_weight(50), pause_until_promoted()]);
    namespace.declare(&bad).await?;
    until_paused(namespace, 50).await?;
    command(namespace, "abort", &bad).await?;
    let fix = stable.version("v6").steps(&[set_weight(50), pause("1s")]);
    namespace.declare(&fix).await?;
    namespace.until_promoted(&fix).await?;
    let shares = shares(namespace, kind, since)?;
    ensure!(shares == [50.0, 0.0, 50.0, 100.0, 0.0], "{shares:?}");
    Ok(fix)
}

/// Rolled back: a revert moves nothing, the same again and a commit that keeps the template start nothing, `retry` does.
async fn retried(namespace: &Namespace, kind: RouteKind, stable: &RolloutBuilder) -> Result<()> {
    let bad = stable.version("v7").steps(&[set_weight(50), pause_until_promoted()]);
    namespace.declare(&bad).await?;
    until_paused(namespace, 50).await?;
    command(namespace, "abort", &bad).await?;
    namespace.until_rolled_back(Duration::from_secs(30)).await?;
    let quiet_from = now();
    namespace.declare(stable).await?;
    namespace.until_promoted(stable).await?;
    namespace.declare(&bad).await?;
    namespace.until_rolled_back(Duration::from_secs(10)).await?;
    let same = bad.set("/metadata/annotations", json!({"leadsman.dev/commit": "another-commit"}));
    namespace.declare(&same).await?;
    let still = |seen: Option<&Rollout>| {
        seen.is_some_and(|seen| weight_in_force(seen) == 0 && phase(seen) != Some(Phase::Progressing))
    };
    stays(namespace.api::<Rollout>(), APP, "as it is", Duration::from_secs(4), still).await?;
    let seen = namespace.until_rolled_back(Duration::from_secs(10)).await?;
    ensure!(message(&seen).contains("retry"), "it says how to go on: {}", message(&seen));
    let moved = shares(namespace, kind, quiet_from)?;
    let requests = namespace.requests()?;
    let re_bound =
        [STABLE, CANARY].iter().flat_map(|name| bindings(&requests, name)).filter(|it| it.received > quiet_from);
    ensure!(moved.is_empty() && re_bound.count() == 0, "something moved: {moved:?}");
    let attempt = |seen: &Rollout| seen.status.as_ref().and_then(|status| status.canary.as_ref()).map(|it| it.revision);
    let first = attempt(&seen);
    command(namespace, "retry", &bad).await?;
    let seen = until_paused(namespace, 50).await?;
    ensure!(attempt(&seen) > first, "a new attempt has a new number: {:?} after {first:?}", attempt(&seen));
    command(namespace, "promote", &bad).await?;
    namespace.until_promoted(&bad).await.map(drop)
}

/// Pods of the canary are lost, some and all, and people scale: shares follow pods, pods follow shares.
async fn pods(namespace: &Namespace) -> Result<()> {
    let kind = RouteKind::VirtualService;
    let rollout =
        RolloutBuilder::new(&namespace.name, kind).replicas(4).steps(&[set_weight(50), pause_until_promoted()]);
    namespace.deploy(&rollout).await?;
    let mut load = Load::through(namespace, kind, 100.0).await?;
    let slow = App { env: vec![("READY_AFTER_S".to_owned(), "6".to_owned())], ..App::new("v2") };
    let next = rollout.app(slow);
    namespace.declare(&next).await?;
    until_paused(namespace, 50).await?;

    let since = now();
    let gone_at = lose(namespace, &next.hash(), 1).await?;
    until_paused_again(namespace, 25).await?;
    until_paused(namespace, 50).await?;
    let some = shares(namespace, kind, since)?;
    ensure!(some == [25.0, 50.0], "{some:?}");
    let changes = weights(&namespace.requests()?, &kind.route_name());
    let reduced = changes.iter().find(|it| it.received > since).context("never reduced")?.done - gone_at;
    figures::record(&namespace.scenario, "share reduced, ms after the pod's deletion", (reduced * 1e3).round());
    ensure!(reduced < 3.0, "{reduced:.1} s until the share was reduced");

    for (wanted, canary) in [(8, 4), (2, 1), (4, 2)] {
        scale(namespace, wanted).await?;
        until_size(namespace, &next.hash(), canary).await?;
        until_size(namespace, &rollout.hash(), wanted).await?;
        until_paused(namespace, 50).await?;
    }

    let all_at = lose(namespace, &next.hash(), 2).await?;
    until_paused_again(namespace, 0).await?;
    let empty = weights(&namespace.requests()?, &kind.route_name());
    let out_at = empty.last().filter(|it| it.to == 0.0).context("the canary still has a share")?.done;
    until_paused(namespace, 50).await?;
    command(namespace, "promote", &next).await?;
    namespace.until_promoted(&next).await?;

    // Between the last ready pod and weight 0 nobody can answer for the canary's share: a second at the most.
    let records = load.finish().await?;
    let excused = |sent: f64| sent > all_at && sent < out_at + 1.0;
    let rest: Vec<_> = records.iter().filter(|it| !(it.failed() && excused(it.sent))).cloned().collect();
    figures::record(&namespace.scenario, "requests lost with the canary's last pods", records.len() - rest.len());
    figures::record(&namespace.scenario, "requests", records.len());
    leadsman_e2e::account::account(&rest, &[]).expect_nothing_lost("load")
}

/// With less than its step asks for it is not paused but waits for pods.
async fn until_paused_again(namespace: &Namespace, percent: i32) -> Result<()> {
    let shrunk = |seen: &Rollout| weight_in_force(seen) == percent && message(seen).contains("waiting for pods");
    namespace.until(&format!("to have {percent}% for want of pods"), Duration::from_secs(20), shrunk).await.map(drop)
}

async fn lose(namespace: &Namespace, hash: &str, number: usize) -> Result<f64> {
    let pods: Api<Pod> = namespace.api();
    let at = now();
    for pod in
        pods.list(&ListParams::default().labels(&format!("leadsman.dev/revision={hash}"))).await?.iter().take(number)
    {
        pods.delete(&pod.name_any(), &DeleteParams::default()).await?;
    }
    Ok(at)
}

async fn scale(namespace: &Namespace, replicas: i32) -> Result<()> {
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    namespace.api::<Rollout>().patch_scale(APP, &PatchParams::default(), &patch).await?;
    Ok(())
}

async fn until_size(namespace: &Namespace, hash: &str, pods: i32) -> Result<()> {
    let there = |set: Option<&ReplicaSet>| {
        let ready = set.and_then(|set| set.status.as_ref()?.ready_replicas).unwrap_or_default();
        set.and_then(|set| set.spec.as_ref()?.replicas) == Some(pods) && ready == pods
    };
    let (name, what) = (format!("{APP}-{hash}"), format!("to have {pods} pods"));
    wait_for(namespace.api::<ReplicaSet>(), &name, &what, Duration::from_secs(45), there).await.map(drop)
}

/// The Service that clients call, a route, a template: held with the reason, and gone on from when they are back. The way
/// back needs none of them.
async fn things(namespace: &Namespace) -> Result<()> {
    let (kind, other) = (RouteKind::HttpRouteGateway, RouteKind::VirtualService);
    let gate = template(&namespace.name, "gate", &[with(success_rate(), "/initialDelay", json!("12s"))]);
    namespace.apply(&gate).await?;
    let rollout = RolloutBuilder::new(&namespace.name, kind)
        .routes(&[kind, other])
        .steps(&[set_weight(40), pause_until_promoted()])
        .set("/spec/strategy/canary/analysis", json!({"templates": [{"templateName": "gate"}]}));
    namespace.deploy(&rollout).await?;
    let mut load = Load::through(namespace, kind, 60.0).await?;
    let next = rollout.version("v2");
    namespace.declare(&next).await?;
    until_paused(namespace, 40).await?;

    let held = |words: &'static str| {
        move |seen: &Rollout| {
            weight_in_force(seen) == 40 && message(seen).contains(words) && phase(seen) != Some(Phase::Paused)
        }
    };
    let limit = Duration::from_secs(15);
    namespace.api::<Service>().delete(APP, &DeleteParams::default()).await?;
    namespace.until("to miss the Service", limit, held("Service podinfo")).await?;
    namespace.apply(&App::service(&namespace.name, APP, &[("app", APP)])).await?;
    until_paused(namespace, 40).await?;
    namespace.route_api(other)?.delete(&other.route_name().name, &DeleteParams::default()).await?;
    let seen = namespace.until("to miss the route", limit, held("VirtualService podinfo-vs")).await?;
    ensure!(stable_hash(&seen) == Some(&rollout.hash()), "{:?}", seen.status);
    namespace.apply(&other.manifest(&namespace.name)).await?;
    until_paused(namespace, 40).await?;
    command(namespace, "promote", &next).await?;
    namespace.until_promoted(&next).await?;

    let bad = rollout.app(App { error_rate: 0.4, ..App::new("v3") });
    namespace.declare(&bad).await?;
    until_paused(namespace, 40).await?;
    namespace.declare(&bad.set("/spec/paused", json!(true))).await?;
    namespace.api::<AnalysisTemplate>().delete("gate", &DeleteParams::default()).await?;
    namespace.until("to miss the template", limit, held("gate")).await?;
    let rolled_back = |seen: &Rollout| {
        let rejected = seen.status.iter().flat_map(|status| &status.rejected).any(|it| it.hash == bad.hash());
        rejected && weight_in_force(seen) == 0
    };
    namespace.until("to be rolled back all the same", Duration::from_mins(1), rolled_back).await?;
    namespace.close(&mut load, &["v3"]).await?;
    Ok(())
}
