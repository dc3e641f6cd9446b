//! A settled Rollout costs nothing: for five minutes the operator asks the API server for nothing but its lease and its
//! watches.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use leadsman_api::Rollout;
use leadsman_e2e::audit::{Request, seconds};
use leadsman_e2e::metrics::success_rate;
use leadsman_e2e::routes::APP;
use leadsman_e2e::wait::stays;
use leadsman_e2e::{Load, Namespace, Operator, RolloutBuilder, RouteKind, figures};
use libtest_mimic::Trial;

use crate::harness::{now, scenario};

/// How long is looked at.
const PERIOD: Duration = Duration::from_mins(5);
/// The most memory that the operator may have allocated, in KiB.
const MOST_ALLOCATED: u64 = 10 * 1024;

pub fn trials() -> Vec<Trial> {
    vec![scenario("settled-costs-nothing", |ns| async move { idle(&ns).await })]
}

async fn idle(namespace: &Namespace) -> Result<()> {
    let kind = RouteKind::HttpRouteGateway;
    let rollout = RolloutBuilder::new(&namespace.name, kind).background(&[success_rate()]);
    namespace.deploy(&rollout).await?;
    let mut load = Load::through(namespace, kind, 40.0).await?;
    let next = rollout.version("v2");
    namespace.declare(&next).await?;
    namespace.until_promoted(&next).await?;
    namespace.close(&mut load, &[]).await?;
    let drained = |seen: &Rollout| {
        let idle = seen.status.as_ref().and_then(|status| status.progress.as_ref()?.get("idle"));
        idle.and_then(|idle| idle.as_object()).is_none_or(serde_json::Map::is_empty)
    };
    let settled = namespace.until("to have drained v1", Duration::from_mins(1), drained).await?;
    let sets: Api<ReplicaSet> = namespace.api();
    for set in sets.list(&ListParams::default().labels(&format!("leadsman.dev/revision={}", rollout.hash()))).await? {
        let gone = |set: Option<&ReplicaSet>| {
            set.is_some_and(|set| set.status.as_ref().is_some_and(|status| status.replicas == 0))
        };
        let name = set.name_any();
        leadsman_e2e::wait::wait_for(sets.clone(), &name, "to have no pods", Duration::from_mins(1), gone).await?;
    }

    let began = now();
    let version = settled.resource_version();
    let same = |seen: Option<&Rollout>| seen.is_some_and(|seen| seen.resource_version() == version);
    stays(namespace.api::<Rollout>(), APP, "untouched", PERIOD, same).await?;
    let is_free = |it: &Request| it.verb == "watch" || it.object_ref.resource == "leases";
    let requests = Operator::of(namespace).requests()?;
    let during: Vec<_> = requests.iter().filter(|it| seconds(it.request_received_timestamp) > began).collect();
    let costs: Vec<_> = during.iter().filter(|it| !is_free(it)).map(|it| it.describe()).collect();
    ensure!(costs.is_empty(), "a settled Rollout caused {} requests:\n{}", costs.len(), costs.join("\n"));
    let renewals = during.iter().filter(|it| it.object_ref.resource == "leases").count();
    ensure!(renewals > 10, "only {renewals} renewals of the lease: was the operator there, and the log read?");

    let allocated = Operator::of(namespace).allocated().await?;
    let (memory, most) = Operator::of(namespace).memory().await?;
    figures::record(&namespace.scenario, "allocated KiB", allocated);
    figures::record(&namespace.scenario, "memory KiB", memory);
    figures::record(&namespace.scenario, "peak memory KiB", most);
    figures::record(&namespace.scenario, "lease requests", renewals);
    ensure!(allocated < MOST_ALLOCATED, "the operator has allocated {allocated} KiB");
    Operator::of(namespace).pod().await.map(drop).context("the operator is gone")
}
