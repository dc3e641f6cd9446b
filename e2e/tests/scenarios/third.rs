//! A third version while the second has half of the traffic: the second leaves, then the third goes through every step.

use anyhow::{Result, ensure};
use leadsman_e2e::metrics::success_rate;
use leadsman_e2e::{Load, Namespace, RolloutBuilder, RouteKind, pause, pause_until_promoted, set_weight};
use libtest_mimic::Trial;

use crate::harness::scenario;

pub fn trials() -> Vec<Trial> {
    let trial = |kind: RouteKind| {
        scenario(format!("third-version-{}", kind.word()), move |ns| async move { third(&ns, kind).await })
    };
    RouteKind::MAIN.map(trial).into()
}

async fn third(namespace: &Namespace, kind: RouteKind) -> Result<()> {
    let rollout = RolloutBuilder::new(&namespace.name, kind).background(&[success_rate()]);
    namespace.deploy(&rollout).await?;
    let mut load = Load::through(namespace, kind, 60.0).await?;
    let second = rollout.version("v2").steps(&[set_weight(50), pause_until_promoted()]);
    namespace.declare(&second).await?;
    namespace.until_weight(&second, 50).await?;
    load.until_more(120).await?;
    let third = rollout.version("v3").steps(&[set_weight(30), pause("3s"), set_weight(50), pause("3s")]);
    namespace.declare(&third).await?;
    let promoted = namespace.until_promoted(&third).await?;
    let rejected = promoted.status.map(|status| status.rejected).unwrap_or_default();
    ensure!(rejected.is_empty(), "a version that was superseded is not rejected: {rejected:?}");
    let account = namespace.close(&mut load, &[]).await?;
    ensure!(account.versions.keys().eq(["v1", "v2", "v3"]), "all versions answered: {:?}", account.versions);
    Ok(())
}
