//! A gateway as clouds have them: a route is accepted at once, its weights are in force 8 s later, and endpoints are known 20 s
//! later. With the times that `docs/gateways.md` gives for such a one nothing is lost.

use std::time::Duration;

use anyhow::{Result, ensure};
use leadsman_e2e::account::{Account, account};
use leadsman_e2e::beside::Slow;
use leadsman_e2e::metrics::success_rate;
use leadsman_e2e::status::message;
use leadsman_e2e::{App, Load, Namespace, RolloutBuilder, RouteKind, figures, pause, set_weight};
use libtest_mimic::Trial;
use serde_json::json;

use crate::harness::scenario;

const KIND: RouteKind = RouteKind::HttpRouteBeside;
const GATEWAY: Slow = Slow { routes: Duration::from_secs(8), endpoints: Duration::from_secs(20) };

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("slow-gateway", |ns| async move { with_its_times(&ns).await }),
        scenario("slow-gateway-with-the-times-of-a-fast-one", |ns| async move { with_the_defaults(&ns).await }),
    ]
}

fn rollout(namespace: &Namespace) -> RolloutBuilder {
    let steps = [set_weight(40), pause("3s")];
    RolloutBuilder::new(&namespace.name, KIND).background(&[success_rate()]).steps(&steps)
}

/// A good release and a bad one.
async fn with_its_times(namespace: &Namespace) -> Result<()> {
    GATEWAY.bring(namespace).await?;
    let rollout = rollout(namespace).settle("10s").set("/spec/strategy/canary/traffic/settleEndpoints", json!("25s"));
    namespace.deploy(&rollout).await?;
    let mut load = Load::through(namespace, KIND, 60.0).await?;
    let good = rollout.version("v2");
    namespace.declare(&good).await?;
    namespace.until_promoted(&good).await?;
    let bad = rollout.app(App { error_rate: 0.3, ..App::new("v3") });
    namespace.declare(&bad).await?;
    let rolled_back = namespace.until_rolled_back(Duration::from_mins(3)).await?;
    ensure!(message(&rolled_back).contains("AnalysisFailed: success-rate is"), "{}", message(&rolled_back));
    let account = settled(namespace, &mut load).await?;
    account.expect_nothing_lost("through the slow gateway")?;
    ensure!(account.versions.keys().eq(["v1", "v2", "v3"]), "{:?}", account.versions);
    Ok(())
}

/// What the right times are worth: with the defaults the same good release loses requests.
async fn with_the_defaults(namespace: &Namespace) -> Result<()> {
    GATEWAY.bring(namespace).await?;
    let rollout = rollout(namespace).settle("3s");
    namespace.deploy(&rollout).await?;
    let mut load = Load::through(namespace, KIND, 60.0).await?;
    let good = rollout.version("v2");
    namespace.declare(&good).await?;
    namespace.until_promoted(&good).await?;
    let account = settled(namespace, &mut load).await?;
    ensure!(!account.lost.is_empty(), "nothing was lost: the gateway is not slow");
    Ok(())
}

/// Once the gateway has come to know everything, what became of every request.
async fn settled(namespace: &Namespace, load: &mut Load) -> Result<Account> {
    load.until_more(25 * 60).await?;
    let account = account(load.finish().await?, &["v3"]);
    figures::record(&namespace.scenario, "requests", account.requests);
    figures::record(&namespace.scenario, "lost", account.lost.len());
    figures::record(&namespace.scenario, "own failures", account.own_failures);
    Ok(account)
}
