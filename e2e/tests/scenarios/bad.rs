//! Releases that are bad: rolled back by themselves, at once, and not again.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use leadsman_api::{Phase, Rollout};
use leadsman_e2e::beside;
use leadsman_e2e::metrics::{p99, success_rate, with};
use leadsman_e2e::routes::APP;
use leadsman_e2e::status::{condition, message, phase};
use leadsman_e2e::timeline::weights;
use leadsman_e2e::wait::stays;
use leadsman_e2e::{App, Load, Namespace, RolloutBuilder, RouteKind, figures, pause, set_weight, step_analysis};
use libtest_mimic::Trial;
use serde_json::json;

use crate::harness::{now, scenario, zero_after};

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        scenario("crash-looping", |ns| async move { crash_looping(&ns).await }),
        scenario("bad-from-the-first-request", |ns| async move { bad_from_the_first(&ns).await }),
        scenario("slow", |ns| async move { slow(&ns).await }),
    ];
    trials.extend(
        RouteKind::MAIN
            .map(|kind| scenario(format!("bad-{}", kind.word()), move |ns| async move { bad(&ns, &[kind]).await })),
    );
    let both = [RouteKind::HttpRouteGateway, RouteKind::VirtualService];
    trials.push(scenario("bad-httproute-contour", |ns| async move {
        beside::bring_contour(&ns).await?;
        bad(&ns, &[RouteKind::HttpRouteBeside]).await
    }));
    trials.push(scenario("bad-in-every-route", move |ns| async move { bad(&ns, &both).await }));
    trials
}

/// 30% errors: the weight is back to 0 in every route within a second of the answer that said so first. The load goes
/// through the first route.
async fn bad(namespace: &Namespace, kinds: &[RouteKind]) -> Result<()> {
    let kind = *kinds.first().context("no route")?;
    let rollout = RolloutBuilder::new(&namespace.name, kind).routes(kinds).background(&[success_rate()]).steps(&[
        set_weight(20),
        pause("30s"),
        set_weight(50),
        pause("30s"),
    ]);
    namespace.deploy(&rollout).await?;
    let mut load = Load::through(namespace, kind, 200.0).await?;
    load.until_answered(400).await?;
    let bad = rollout.app(App { error_rate: 0.3, ..App::new("v2") });
    namespace.declare(&bad).await?;
    let rolled_back = namespace.until_rolled_back(Duration::from_mins(1)).await?;
    ensure!(message(&rolled_back).contains("AnalysisFailed: success-rate is"), "{}", message(&rolled_back));
    let stalled = condition(&rolled_back, "Stalled").context("not Stalled")?;
    ensure!((stalled.0, stalled.1) == ("True", "RolledBack"), "{stalled:?}");

    let hash = bad.hash();
    let answers = namespace.proxy.answers();
    let failing = answers.iter().find(|it| it.question.contains(&hash) && it.value().is_some_and(|it| it < 0.95));
    let failing = failing.context("Prometheus never said that it was bad")?;
    let mut slowest = 0.0_f64;
    for kind in kinds {
        let latency = zero_after(namespace, &kind.route_name(), failing.at)?;
        ensure!(latency < 1.0, "{}: weight 0 came {latency:.3} s after the failing answer", kind.word());
        slowest = slowest.max(latency);
    }
    figures::record(&namespace.scenario, "rollback latency ms", (slowest * 1e3).round());

    // In force again: from here not one request of the canary's.
    let quiet_from = now();
    load.until_more(400).await?;
    let own = namespace.close(&mut load, &["v2"]).await?.own_failures;
    ensure!(own > 0, "the bad release failed nothing");
    let late = load.records().iter().filter(|it| it.version == "v2" && it.sent > quiet_from).count();
    ensure!(late == 0, "{late} requests reached the canary after it was rolled back");

    // The same again is not tried again, whatever else changes around it.
    let touched = bad.set("/metadata/labels", json!({"touched": "yes"})).set("/spec/minReadySeconds", json!(1));
    namespace.declare(&touched).await?;
    namespace.until_rolled_back(Duration::from_secs(10)).await?;
    let still = |seen: Option<&Rollout>| seen.is_some_and(|seen| phase(seen) == Some(Phase::RolledBack));
    stays(namespace.api::<Rollout>(), APP, "rolled back", Duration::from_secs(4), still).await?;
    for kind in kinds {
        let weights = weights(&namespace.requests()?, &kind.route_name());
        ensure!(weights.iter().filter(|it| it.to > 0.0).count() == 1, "tried again: {weights:?}");
    }
    Ok(())
}

async fn bad_from_the_first(namespace: &Namespace) -> Result<()> {
    let kind = RouteKind::HttpRouteGateway;
    let rollout =
        RolloutBuilder::new(&namespace.name, kind).background(&[success_rate()]).steps(&[set_weight(10), pause("30s")]);
    namespace.deploy(&rollout).await?;
    let mut load = Load::through(namespace, kind, 60.0).await?;
    namespace.declare(&rollout.app(App { error_rate: 1.0, ..App::new("v2") })).await?;
    let rolled_back = namespace.until_rolled_back(Duration::from_mins(1)).await?;
    ensure!(message(&rolled_back).contains("success-rate is 0"), "{}", message(&rolled_back));
    let account = namespace.close(&mut load, &["v2"]).await?;
    ensure!(account.own_failures == account.versions.get("v2").copied().unwrap_or_default(), "{account:?}");
    Ok(())
}

/// Found by the analysis of a step, on the 99th percentile.
async fn slow(namespace: &Namespace) -> Result<()> {
    let kind = RouteKind::HttpRouteService;
    let rollout = RolloutBuilder::new(&namespace.name, kind).background(&[success_rate()]).steps(&[
        set_weight(20),
        step_analysis(&[with(p99(), "/count", json!(3))]),
        set_weight(60),
        pause("3s"),
    ]);
    namespace.deploy(&rollout).await?;
    let mut load = Load::through(namespace, kind, 60.0).await?;
    namespace.declare(&rollout.app(App { latency_ms: 400.0, ..App::new("v2") })).await?;
    let rolled_back = namespace.until_rolled_back(Duration::from_mins(1)).await?;
    ensure!(message(&rolled_back).contains("p99 is"), "{}", message(&rolled_back));
    ensure!(message(&rolled_back).contains("step analysis"), "{}", message(&rolled_back));
    // And a good one goes through the same gate.
    let good = rollout.version("v3");
    namespace.declare(&good).await?;
    namespace.until_promoted(&good).await?;
    namespace.close(&mut load, &[]).await?;
    Ok(())
}

/// It comes up, is never ready, and ends: no request may ever reach it.
async fn crash_looping(namespace: &Namespace) -> Result<()> {
    let kind = RouteKind::HttpRouteGateway;
    let rollout = RolloutBuilder::new(&namespace.name, kind);
    namespace.deploy(&rollout).await?;
    let mut load = Load::through(namespace, kind, 60.0).await?;
    let env = [("READY_AFTER_S", "600"), ("CRASH_AFTER_S", "1")];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    namespace.declare(&rollout.app(App { env, ..App::new("v2") })).await?;
    let rolled_back = namespace.until_rolled_back(Duration::from_mins(2)).await?;
    ensure!(message(&rolled_back).contains("CrashLooping"), "{}", message(&rolled_back));
    ensure!(message(&rolled_back).contains("exit code 42"), "its own words: {}", message(&rolled_back));
    let account = namespace.close(&mut load, &[]).await?;
    ensure!(!account.versions.contains_key("v2"), "the crash-looping release had traffic: {:?}", account.versions);
    Ok(())
}
