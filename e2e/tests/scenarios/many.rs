//! What many Rollouts cost: memory while they rest, and the processor's time to deploy them and to release each once.
//! `LEADSMAN_E2E_MANY` is their number. Without it there is no such scenario: the gateway's proxy is told of each Service, and
//! with two thousand of them it leaves too little to others. `LEADSMAN_E2E_OPERATOR_IMAGE` names the image that is measured.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::runtime::{WatchStreamExt as _, watcher};
use leadsman_api::{Phase, Rollout};
use leadsman_e2e::objects::apply;
use leadsman_e2e::routes::APP;
use leadsman_e2e::status::{phase, stable_hash};
use leadsman_e2e::{Namespace, Operator, RolloutBuilder, RouteKind, figures};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::scenario_without_operator;

const VARIABLE: &str = "LEADSMAN_E2E_MANY";
const LIMIT: Duration = Duration::from_mins(20);
/// Writes of the scenario's own that are under way at once.
const AT_ONCE: usize = 16;

pub fn trials() -> Vec<Trial> {
    let asked_for = std::env::var(VARIABLE).into_iter();
    // Its history is not judged: no pod, no request.
    asked_for.map(|number| scenario_without_operator("many", |ns| async move { many(&ns, &number).await })).collect()
}

async fn many(namespace: &Namespace, number: &str) -> Result<()> {
    let number = number.parse().context(VARIABLE)?;
    let operator = Operator::install(namespace).await?;
    let note = |name: &str, value: u64| figures::record(&namespace.scenario, name, value);
    note("memory of none KiB", operator.memory().await?.0);

    // Without pods: one node has no room for so many, and their own cost is not the operator's.
    let rollout = RolloutBuilder::new(&namespace.name, RouteKind::VirtualService).replicas(0).settle("1s");
    let spent = operator.processor_time().await?;
    declare(namespace, &rollout, number, true).await?;
    until_all_rest(namespace, &rollout, number).await?;
    note("deployed, processor ms", since(&operator, spent).await?);
    note("memory when deployed KiB", operator.memory().await?.0);

    let (next, spent) = (rollout.version("v2"), operator.processor_time().await?);
    declare(namespace, &next, number, false).await?;
    until_all_rest(namespace, &next, number).await?;
    note("released, processor ms", since(&operator, spent).await?);
    note("memory when released KiB", operator.memory().await?.0);
    note("peak memory KiB", operator.memory().await?.1);

    // Another process that begins with all of them.
    operator.scale(0).await?;
    operator.scale(1).await?;
    until_all_are_looked_at(&operator, number).await?;
    let (memory, peak) = operator.memory().await?;
    note("memory of a new process KiB", memory);
    note("peak memory of a new process KiB", peak);
    note("start, processor ms", u64::try_from(operator.processor_time().await?.as_millis())?);
    Ok(())
}

async fn since(operator: &Operator<'_>, before: Duration) -> Result<u64> {
    Ok(u64::try_from(operator.processor_time().await?.saturating_sub(before).as_millis())?)
}

/// Metrics tell of a Rollout once it has been looked at. They can be asked, and not watched.
async fn until_all_are_looked_at(operator: &Operator<'_>, number: usize) -> Result<()> {
    let looking = async {
        let mut next = tokio::time::interval(Duration::from_millis(200));
        while operator.metrics().await?.matches("leadsman_rollout_info{").count() < number {
            next.tick().await;
        }
        Ok(())
    };
    tokio::time::timeout(LIMIT, looking).await.context("a new process does not look at all of them")?
}

async fn declare(namespace: &Namespace, rollout: &RolloutBuilder, number: usize, routes: bool) -> Result<()> {
    // A gateway that there is not: no proxy is to have work with them.
    let unserved = |object: Value| match object.get("kind").and_then(Value::as_str) {
        Some("VirtualService") => leadsman_e2e::metrics::with(object, "/spec/gateways", json!(["nowhere/none"])),
        _ => object,
    };
    let mut objects = if routes { rollout.surroundings() } else { Vec::new() };
    objects.push(rollout.manifest());
    let objects: Vec<_> = objects.into_iter().map(unserved).collect();
    let all: Vec<_> = (0..number).flat_map(|index| objects.iter().map(move |object| named(object, index))).collect();
    stream::iter(all)
        .map(|object| async move { apply(&namespace.cluster.client, &object?).await.map(drop) })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// The same object for another application: whatever has its name in it has a number as well.
fn named(object: &Value, index: usize) -> Result<Value> {
    Ok(serde_json::from_str(&object.to_string().replace(APP, &format!("{APP}-{index:04}")))?)
}

async fn until_all_rest(namespace: &Namespace, rollout: &RolloutBuilder, number: usize) -> Result<()> {
    // Each template has another name in it, so that each has a hash of its own.
    let hashes: Vec<_> = (0..number)
        .map(|index| {
            let manifest = named(&rollout.manifest(), index)?;
            Ok(leadsman_api::pod_template_hash(manifest.pointer("/spec/template").context("no template")?))
        })
        .collect::<Result<_>>()?;
    let mut resting = BTreeSet::new();
    let waiting = async {
        let seen = watcher(namespace.api::<Rollout>(), watcher::Config::default()).default_backoff();
        let mut seen = std::pin::pin!(seen.applied_objects());
        while let Some(seen) = seen.next().await {
            let Ok(seen) = seen else { continue };
            let name = seen.metadata.name.clone().unwrap_or_default();
            let index = name.rsplit_once('-').and_then(|(_, index)| index.parse::<usize>().ok());
            let hash = index.and_then(|index| hashes.get(index));
            if phase(&seen) == Some(Phase::Healthy) && stable_hash(&seen) == hash {
                resting.insert(name);
            }
            if resting.len() == number {
                return Ok(());
            }
        }
        bail!("the watch ended")
    };
    let outcome = tokio::time::timeout(LIMIT, waiting).await;
    outcome.with_context(|| format!("{} of {number} are at rest", resting.len()))?
}
