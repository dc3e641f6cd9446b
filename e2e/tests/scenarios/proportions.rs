//! Gates on counts: what is innocent is let pass, what is bad is found in the time that it takes, and an outage that hits both
//! revisions is held against neither.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use leadsman_api::{Phase, Rollout};
use leadsman_e2e::metrics::{errors, with};
use leadsman_e2e::routes::APP;
use leadsman_e2e::status::{message, phase, weight_in_force};
use leadsman_e2e::wait::stays;
use leadsman_e2e::{App, Load, Namespace, RolloutBuilder, RouteKind, figures, pause, set_weight};
use libtest_mimic::Trial;
use serde_json::json;

use crate::harness::scenario;

const KIND: RouteKind = RouteKind::HttpRouteGateway;
/// Twenty releases, which say how sure something is, and the one before.
const VERSIONS: [&str; 21] = [
    "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17",
    "v18", "v19", "v20",
];
/// Scrapes, a look's delay, and the way back itself, in seconds.
const KNOWN_AFTER: f64 = 5.0;
/// What fails of every revision: far from nothing, and within the limit of 1%.
const USUAL: f64 = 0.003;

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("proportion-good", |ns| async move { good(&ns).await }),
        scenario("proportion-bad", |ns| async move { bad(&ns).await }),
        scenario("proportion-outage-of-both", |ns| async move { outage(&ns).await }),
        scenario("proportion-twenty-good", |ns| async move { twenty_good(&ns).await }),
        scenario("proportion-twenty-with-5-percent", |ns| async move { twenty_bad(&ns, 0.05, 60.0).await }),
        scenario("proportion-twenty-with-10-percent", |ns| async move { twenty_bad(&ns, 0.1, 30.0).await }),
    ]
}

fn app(version: &str, error_rate: f64) -> App {
    App { error_rate, ..App::new(version) }
}

/// Some requests of stable, so that something is known of it.
async fn deployed(namespace: &Namespace, rollout: &RolloutBuilder) -> Result<Load> {
    namespace.deploy(rollout).await?;
    let mut load = Load::through(namespace, KIND, 200.0).await?;
    load.until_answered(2000).await?;
    Ok(load)
}

/// One after the other, as good as what is there already: each is promoted.
async fn twenty_good(namespace: &Namespace) -> Result<()> {
    let rollout = RolloutBuilder::new(&namespace.name, KIND)
        .app(app("v0", USUAL))
        .background(&[errors()])
        .steps(&[set_weight(20), set_weight(50)])
        .drain("1s")
        .set("/spec/revisionHistoryLimit", json!(VERSIONS.len()));
    let mut load = deployed(namespace, &rollout).await?;
    for version in VERSIONS.into_iter().skip(1) {
        let next = rollout.app(app(version, USUAL));
        namespace.declare(&next).await?;
        namespace.until_promoted(&next).await?;
        figures::add(&namespace.scenario, "promoted", 1);
    }
    namespace.close(&mut load, &VERSIONS).await.map(drop)
}

/// One after the other, at 5% of 200 requests a second: each is rolled back, the slowest within so many seconds of its first
/// traffic and of the time that its source takes to know.
async fn twenty_bad(namespace: &Namespace, error_rate: f64, limit: f64) -> Result<()> {
    let rollout = RolloutBuilder::new(&namespace.name, KIND)
        .app(app("v0", USUAL))
        .background(&[errors()])
        .steps(&[set_weight(5), pause("5m")])
        .drain("1s")
        // Clients' answers are told apart by the sets that are there at the end.
        .set("/spec/revisionHistoryLimit", json!(VERSIONS.len()));
    let mut load = deployed(namespace, &rollout).await?;
    let mut slowest = 0.0_f64;
    for version in VERSIONS.into_iter().skip(1) {
        namespace.declare(&rollout.app(app(version, error_rate))).await?;
        load.until_answered_by(version, Duration::from_mins(1)).await?;
        let began = Instant::now();
        namespace.until_rolled_back(Duration::from_mins(2)).await?;
        slowest = slowest.max(began.elapsed().as_secs_f64());
        figures::add(&namespace.scenario, "rolled back", 1);
    }
    figures::record(&namespace.scenario, "s until the slowest was rolled back", figures::rounded(slowest));
    ensure!(slowest <= limit + KNOWN_AFTER, "the slowest was rolled back after {slowest:.1} s");
    namespace.close(&mut load, &VERSIONS).await.map(drop)
}

/// Two releases as good as what is there already, with its usual errors: both are promoted.
async fn good(namespace: &Namespace) -> Result<()> {
    let rollout = RolloutBuilder::new(&namespace.name, KIND)
        .app(app("v1", USUAL))
        .background(&[errors()])
        .steps(&[set_weight(5), set_weight(20), set_weight(50)])
        .drain("1s");
    let mut load = deployed(namespace, &rollout).await?;
    for version in ["v2", "v3"] {
        let began = Instant::now();
        let next = rollout.app(app(version, USUAL));
        namespace.declare(&next).await?;
        namespace.until_promoted(&next).await?;
        let took = figures::rounded(began.elapsed().as_secs_f64());
        figures::record(&namespace.scenario, &format!("seconds to promote {version}"), took);
    }
    namespace.close(&mut load, &["v1", "v2", "v3"]).await.map(drop)
}

/// 5% and 10% errors at 5% of 200 requests a second. The second is certain to go back within half a minute; of the first, one
/// in a hundred takes longer than a whole one, so that its time is recorded, and twice as much is the limit.
async fn bad(namespace: &Namespace) -> Result<()> {
    let rollout = RolloutBuilder::new(&namespace.name, KIND)
        .app(app("v1", USUAL))
        .background(&[errors()])
        .steps(&[set_weight(5), pause("5m")])
        .drain("1s");
    let mut load = deployed(namespace, &rollout).await?;
    for (version, error_rate, limit) in [("v2", 0.05, 120), ("v3", 0.1, 30)] {
        namespace.declare(&rollout.app(app(version, error_rate))).await?;
        load.until_answered_by(version, Duration::from_mins(1)).await?;
        let began = Instant::now();
        let rolled_back = namespace.until_rolled_back(Duration::from_secs(limit)).await?;
        let words = message(&rolled_back);
        ensure!(words.contains("errors is") && words.contains("limit 1%: above it at 95%"), "{words}");
        let took = figures::rounded(began.elapsed().as_secs_f64());
        figures::record(&namespace.scenario, &format!("seconds to roll {version} back"), took);
    }
    namespace.close(&mut load, &["v1", "v2", "v3"]).await.map(drop)
}

/// For 50 seconds something fails that both revisions need: the release stands where it is, says so, and goes on.
async fn outage(namespace: &Namespace) -> Result<()> {
    let rollout = RolloutBuilder::new(&namespace.name, KIND)
        .background(&[with(errors(), "/patience", json!("2m"))])
        .steps(&[set_weight(20), pause("15s"), set_weight(60), pause("2s")])
        .drain("1s");
    let mut load = deployed(namespace, &rollout).await?;
    let next = rollout.version("v2");
    namespace.declare(&next).await?;
    namespace.until_weight(&next, 20).await?;
    let mut broken = Load::broken(namespace, KIND, 40.0).await?;
    let shared = |seen: &Rollout| message(seen).contains("nothing is held against the new revision");
    namespace.until("to see that both fail", Duration::from_secs(30), shared).await?;
    let stands = |seen: Option<&Rollout>| {
        seen.is_some_and(|seen| phase(seen) == Some(Phase::Progressing) && weight_in_force(seen) == 20)
    };
    stays(namespace.api::<Rollout>(), APP, "at 20%", Duration::from_secs(50), stands).await?;
    let failed = broken.finish().await?.iter().filter(|record| record.failed()).count();
    ensure!(failed > 1000, "only {failed} requests failed");
    figures::record(&namespace.scenario, "requests that failed in the outage", failed);
    let promoted = namespace.until_promoted(&next).await?;
    let rejected = promoted.status.context("no status")?.rejected;
    ensure!(rejected.is_empty(), "{rejected:?}");
    namespace.close(&mut load, &[]).await.map(drop)
}
