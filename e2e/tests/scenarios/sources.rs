//! Metric sources that fail: nothing goes forward on their silence, and nothing goes back but by the deadline.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, Patch, PatchParams};
use leadsman_api::{Phase, Rollout};
use leadsman_e2e::metrics::{asked_at, metric, success_rate, with};
use leadsman_e2e::routes::APP;
use leadsman_e2e::status::{condition, message, phase, weight_in_force};
use leadsman_e2e::timeline::weights;
use leadsman_e2e::wait::{stays, until_ready};
use leadsman_e2e::{Load, Namespace, RolloutBuilder, RouteKind, pause, set_weight};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::harness::scenario;
use crate::people::command;

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("prometheus-stopped-for-a-minute", |ns| async move { stopped(&ns).await }),
        scenario("source-that-never-answers", |ns| async move { silent(&ns).await }),
        scenario("source-without-data", |ns| async move { empty(&ns).await }),
    ]
}

/// A Prometheus of its own, stopped in the middle of an analysis: the release stands where it is, says so, and goes on.
async fn stopped(namespace: &Namespace) -> Result<()> {
    let manifests: Vec<Value> = serde_saphyr::from_multiple(&leadsman_bed::prometheus_manifest(&namespace.name))?;
    namespace.apply_all(&manifests).await?;
    until_ready(namespace.api(), "prometheus").await?;
    let kind = RouteKind::HttpRouteGateway;
    let address = format!("http://prometheus.{}:9090", namespace.name);
    let rollout = RolloutBuilder::new(&namespace.name, kind)
        .background(&[asked_at(success_rate(), &address)])
        .steps(&[set_weight(30), pause("8s"), set_weight(60), pause("3s")]);
    namespace.deploy(&rollout).await?;
    let mut load = Load::through(namespace, kind, 60.0).await?;
    let next = rollout.version("v2");
    namespace.declare(&next).await?;
    namespace.until_weight(&next, 30).await?;
    scale(namespace, 0).await?;
    until_ready(namespace.api(), "prometheus").await?;
    let holds = |seen: Option<&Rollout>| {
        seen.is_some_and(|seen| phase(seen) == Some(Phase::Progressing) && weight_in_force(seen) == 30)
    };
    stays(namespace.api::<Rollout>(), APP, "at 30%", Duration::from_mins(1), holds).await?;
    let held = namespace.until("to be there", Duration::from_secs(5), |_| true).await?;
    ensure!(message(&held).contains("success-rate"), "it says what it waits for: {}", message(&held));
    scale(namespace, 1).await?;
    namespace.until_promoted(&next).await?;
    namespace.close(&mut load, &[]).await?;
    Ok(())
}

async fn scale(namespace: &Namespace, replicas: i32) -> Result<()> {
    let api: Api<Deployment> = namespace.api();
    let patch = json!({"spec": {"replicas": replicas}});
    api.patch("prometheus", &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(())
}

/// A port that takes questions and never says a word.
async fn silent(namespace: &Namespace) -> Result<()> {
    let listener = TcpListener::bind((leadsman_bed::HOST_IP, 0)).await.context("no port")?;
    let address = format!("http://{}", listener.local_addr()?);
    let silence = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            open.push(connection);
        }
    });
    let metric = with(asked_at(success_rate(), &address), "/provider/prometheus/timeout", json!("2s"));
    without_evidence(namespace, metric, "NoAnswer").await?;
    silence.abort();
    Ok(())
}

/// A query that is sound and matches nothing.
async fn empty(namespace: &Namespace) -> Result<()> {
    let query = r#"sum(rate(requests_of_nobody_total{revision="{{canary.hash}}"}[{{window}}]))"#;
    without_evidence(namespace, metric("success-rate", query, "value >= 0.95"), "StableWithoutData").await
}

/// The release does not start of itself. Started by a command, it stays at its first weight, and is rolled back when its
/// deadline passes.
async fn without_evidence(namespace: &Namespace, metric: Value, reason: &str) -> Result<()> {
    let kind = RouteKind::HttpRouteService;
    let rollout = RolloutBuilder::new(&namespace.name, kind).deadline(15).background(&[metric]).steps(&[
        set_weight(20),
        pause("2s"),
        set_weight(60),
        pause("2s"),
    ]);
    namespace.deploy(&rollout).await?;
    let mut load = Load::through(namespace, kind, 60.0).await?;
    let next = rollout.version("v2");
    namespace.declare(&next).await?;
    let stopped = namespace
        .until("not to start", Duration::from_mins(1), |seen| {
            condition(seen, "Paused").is_some_and(|it| (it.0, it.1) == ("True", reason))
        })
        .await?;
    for words in ["success-rate", "leadsman.dev/command=promote/"] {
        ensure!(message(&stopped).contains(words), "{words}: {}", message(&stopped));
    }
    let moved = weights(&namespace.requests()?, &kind.route_name());
    ensure!(moved.iter().all(|it| it.to == 0.0), "nothing is moved without an answer: {moved:?}");
    command(namespace, "promote", &next).await?;
    let held = namespace
        .until("to hold at 20%", Duration::from_mins(1), |seen| {
            weight_in_force(seen) == 20 && message(seen).contains("holding: success-rate")
        })
        .await?;
    ensure!(phase(&held) == Some(Phase::Progressing), "{:?}", phase(&held));
    let rolled_back = namespace.until_rolled_back(Duration::from_mins(1)).await?;
    ensure!(message(&rolled_back).contains("NoEvidence"), "{}", message(&rolled_back));
    let account = namespace.close(&mut load, &[]).await?;
    ensure!(account.versions.contains_key("v2"), "{:?}", account.versions);
    let most = weights(&namespace.requests()?, &kind.route_name());
    ensure!(most.iter().all(|it| it.to <= 20.0), "went forward without evidence: {most:?}");
    Ok(())
}
