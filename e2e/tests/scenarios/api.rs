//! An API server that is slow, gone, or silent: a release is delayed, never harmed, and goes on by itself.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use leadsman_api::Rollout;
use leadsman_e2e::metrics::success_rate;
use leadsman_e2e::status::{canary_hash, phase, weight_in_force};
use leadsman_e2e::timeline::weights;
use leadsman_e2e::{App, Load, Namespace, RolloutBuilder, RouteKind, Wire, figures, pause, set_weight};
use libtest_mimic::Trial;

use crate::harness::{scenario_on_the_wire, zero_after};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario_on_the_wire("api-server-slow", 0, |ns, wire| async move { slow(&ns, &wire).await }),
        scenario_on_the_wire("api-server-gone-for-a-minute", 0, |ns, wire| async move { gone(&ns, &wire).await }),
        scenario_on_the_wire("watches-fall-silent", 0, |ns, wire| async move { silent(&ns, &wire).await }),
    ]
}

/// Every call takes two seconds: a good release is promoted, and a bad one has no traffic a few calls after the verdict.
async fn slow(namespace: &Namespace, wire: &Wire) -> Result<()> {
    let kind = RouteKind::HttpRouteGateway;
    let rollout = RolloutBuilder::new(&namespace.name, kind).background(&[success_rate()]).steps(&[
        set_weight(20),
        pause("3s"),
        set_weight(50),
        pause("3s"),
    ]);
    namespace.deploy(&rollout).await?;
    let mut load = Load::through(namespace, kind, 100.0).await?;
    wire.delay(Duration::from_secs(2));
    let good = rollout.version("v2");
    let began = Instant::now();
    namespace.declare(&good).await?;
    namespace.until_promoted(&good).await?;
    figures::record(&namespace.scenario, "seconds of a release at 2 s a call", began.elapsed().as_secs());

    let bad = rollout.app(App { error_rate: 0.4, ..App::new("v3") });
    namespace.declare(&bad).await?;
    namespace.until_rolled_back(Duration::from_mins(2)).await?;
    let hash = bad.hash();
    let answers = namespace.proxy.answers();
    let failing = answers.iter().find(|it| it.question.contains(&hash) && it.value().is_some_and(|it| it < 0.95));
    let failing = failing.context("Prometheus never said that it was bad")?;
    let latency = zero_after(namespace, &kind.route_name(), failing.at)?;
    figures::record(&namespace.scenario, "rollback latency at 2 s a call, ms", (latency * 1e3).round());
    // The intent is given two seconds, then weight 0 goes without it: two calls, and passes under way before them.
    ensure!(latency < 10.0, "weight 0 came {latency:.3} s after the failing answer");
    namespace.close(&mut load, &["v3"]).await?;
    Ok(())
}

/// In the middle of a release the API server cannot be reached for a minute. The lease is lost over it; the process that
/// comes next goes on where the release stood.
async fn gone(namespace: &Namespace, wire: &Wire) -> Result<()> {
    let kind = RouteKind::VirtualService;
    let rollout = RolloutBuilder::new(&namespace.name, kind).background(&[success_rate()]).steps(&[
        set_weight(20),
        pause("20s"),
        set_weight(50),
        pause("3s"),
    ]);
    namespace.deploy(&rollout).await?;
    let mut load = Load::through(namespace, kind, 200.0).await?;
    let next = rollout.version("v2");
    namespace.declare(&next).await?;
    namespace.until_weight(&next, 20).await?;
    wire.cut();
    tokio::time::sleep(Duration::from_mins(1)).await;
    let before = weights(&namespace.requests()?, &kind.route_name());
    ensure!(before.last().map(|last| last.to) == Some(20.0), "nothing moves meanwhile: {before:?}");
    let mended = Instant::now();
    wire.mend();
    namespace.until_weight(&next, 50).await?;
    figures::record(&namespace.scenario, "seconds until the next step", mended.elapsed().as_secs());
    namespace.until_promoted(&next).await?;
    let raised: Vec<_> = weights(&namespace.requests()?, &kind.route_name()).iter().map(|it| it.to).collect();
    ensure!(raised == [0.0, 20.0, 50.0, 100.0, 0.0], "no step twice, none skipped: {raised:?}");
    namespace.close(&mut load, &[]).await?;
    Ok(())
}

/// Connections of all watches stay open, and nothing comes on them any more: noticed, without harm.
async fn silent(namespace: &Namespace, wire: &Wire) -> Result<()> {
    let kind = RouteKind::HttpRouteGateway;
    let rollout = RolloutBuilder::new(&namespace.name, kind).background(&[success_rate()]).steps(&[
        set_weight(20),
        pause("3s"),
        set_weight(50),
        pause("3s"),
    ]);
    namespace.deploy(&rollout).await?;
    let mut load = Load::through(namespace, kind, 50.0).await?;
    wire.hush();
    let began = Instant::now();
    let next = rollout.version("v2");
    namespace.declare(&next).await?;
    let hash = next.hash();
    let begins = |seen: &Rollout| canary_hash(seen) == Some(&hash) && weight_in_force(seen) == 20;
    let seen = namespace.until("to begin the release", Duration::from_secs(100), begins).await?;
    figures::record(&namespace.scenario, "seconds until silence was noticed", began.elapsed().as_secs());
    ensure!(phase(&seen).is_some(), "{:?}", seen.status);
    namespace.until_promoted(&next).await?;
    namespace.close(&mut load, &[]).await?;
    Ok(())
}
