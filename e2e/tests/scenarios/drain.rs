//! The spare node is drained while a bad release goes back: stable loses pods, and others take a quarter of a minute to be
//! ready in their place. With `--full`, the node is lost without a word.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ListParams};
use leadsman_api::names::REVISION_LABEL;
use leadsman_bed::{Bed, SPARE_NODE};
use leadsman_e2e::account::account;
use leadsman_e2e::metrics::success_rate;
use leadsman_e2e::rollout::SETTLE;
use leadsman_e2e::routes::{APP, STABLE};
use leadsman_e2e::runtime::blocking;
use leadsman_e2e::timeline::{Change, weights};
use leadsman_e2e::wait::wait_for;
use leadsman_e2e::{App, Load, Namespace, RolloutBuilder, RouteKind, figures, pause, pause_until_promoted, set_weight};
use libtest_mimic::Trial;
use serde_json::json;
use tokio::sync::Mutex;

use crate::harness::{full, now, scenario};
use crate::people::command;

const KIND: RouteKind = RouteKind::HttpRouteGateway;
const REPLICAS: u32 = 4;
const WEIGHT: u32 = 50;
const TEMPLATE: &str = "/spec/template/spec";
/// Whoever drains the node has it alone.
static NODE: Mutex<()> = Mutex::const_new(());

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        scenario("rollback-while-a-node-drains-half-of-stable", |ns| async move { drained(&ns, 2).await }),
        scenario("rollback-while-a-node-drains-most-of-stable", |ns| async move { drained(&ns, 3).await }),
    ];
    if full() {
        trials.push(scenario("rollback-after-a-node-was-lost", |ns| async move { lost(&ns).await }));
    }
    trials
}

/// Pods that may be on the spare node, and take 15 s to be ready. Of four of a revision, `on_spare` come to be there.
fn spread(rollout: &RolloutBuilder, on_spare: u32) -> RolloutBuilder {
    let skew = on_spare * 2 - REPLICAS;
    let spread = json!([{
        "maxSkew": skew.max(1),
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": APP}},
        "matchLabelKeys": [REVISION_LABEL],
        // A node that is being drained is no place to keep pods for.
        "nodeTaintsPolicy": "Honor",
    }]);
    let prefers = json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{
        "weight": 100,
        "preference": {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [SPARE_NODE]}]},
    }]}});
    rollout
        .set(&format!("{TEMPLATE}/tolerations"), json!([{"key": "leadsman.dev/spare", "operator": "Exists"}]))
        .set(&format!("{TEMPLATE}/topologySpreadConstraints"), spread)
        .set(&format!("{TEMPLATE}/affinity"), prefers)
}

fn version(rollout: &RolloutBuilder, app: App) -> RolloutBuilder {
    let slow = ("READY_AFTER_S".to_owned(), "15".to_owned());
    rollout.app(App { env: vec![slow], ..app })
}

async fn drained(namespace: &Namespace, on_spare: u32) -> Result<()> {
    let _alone = NODE.lock().await;
    let rollout = RolloutBuilder::new(&namespace.name, KIND)
        .replicas(REPLICAS)
        .background(&[success_rate()])
        .steps(&[set_weight(WEIGHT), pause("60s")]);
    // The bad release stays off that node: it is to go because it is bad, not because it is drained.
    let bad = version(&rollout, App { error_rate: 0.3, ..App::new("v2") });
    let rollout = version(&spread(&rollout, on_spare), App::new("v1"));
    node(namespace, "uncordon").await?;
    namespace.deploy(&rollout).await?;
    let lost = pods_on_spare(namespace, &rollout.hash()).await?;
    ensure!(lost == on_spare as usize, "{lost} of stable are on the spare node, not {on_spare}");
    let mut load = Load::through(namespace, KIND, 100.0).await?;
    namespace.declare(&bad).await?;
    namespace.until_weight(&bad, i32::try_from(WEIGHT)?).await?;
    // The verdict is some seconds away; what is evicted is unready at once, and ready elsewhere after 15 s.
    let drained_at = now();
    node(namespace, "drain").await?;
    let after = goes_back(namespace, drained_at).await;
    node(namespace, "uncordon").await?;
    after?;
    load.until_more(200).await?;
    let account = namespace.close(&mut load, &["v2"]).await?;
    ensure!(account.own_failures > 0, "the bad release failed nothing");
    judge(namespace, on_spare, drained_at)
}

async fn goes_back(namespace: &Namespace, drained_at: f64) -> Result<()> {
    let ready = ready_of_stable(namespace).await?;
    figures::record(&namespace.scenario, "stable ready when it goes back", ready);
    namespace.until_rolled_back(Duration::from_mins(2)).await?;
    figures::record(&namespace.scenario, "drained to rolled back s", figures::rounded(now() - drained_at));
    Ok(())
}

/// Monotone; at once where half of stable was ready, in steps of at least a quarter where it was less.
fn judge(namespace: &Namespace, on_spare: u32, drained_at: f64) -> Result<()> {
    let all = weights(&namespace.requests()?, &KIND.route_name());
    let raised = all.iter().position(|it| it.to > 0.0).context("the canary never had a weight")?;
    let back: Vec<&Change<f64>> = all.iter().skip(raised).collect();
    let told: Vec<_> = back.iter().map(|it| (figures::rounded(it.done - drained_at), it.to)).collect();
    figures::record(&namespace.scenario, "weights after the drain", json!(told));
    ensure!(back.is_sorted_by(|a, b| a.to > b.to), "not monotone: {told:?}");
    ensure!(back.last().is_some_and(|last| last.to == 0.0), "not back: {told:?}");
    let steps = back.len() - 1;
    figures::record(&namespace.scenario, "steps back", steps);
    if on_spare * 2 <= REPLICAS {
        ensure!(steps == 1, "half of stable was ready, so that it goes back at once: {told:?}");
    } else {
        ensure!((2..=4).contains(&steps), "a quarter at least at each step, and not all at once: {told:?}");
    }
    Ok(())
}

/// `kubectl drain` of this namespace's pods on the spare node, or `cordon`, or `uncordon`.
async fn node(namespace: &Namespace, verb: &str) -> Result<()> {
    let mut kubectl: Command = namespace.cluster.bed.kubectl_command();
    kubectl.args([verb, SPARE_NODE]);
    if verb == "drain" {
        // Evicts, and does not wait until they are gone.
        kubectl.args(["--ignore-daemonsets", "--delete-emptydir-data", "--timeout=60s"]);
    }
    let verb = verb.to_owned();
    blocking(move || {
        let output = kubectl.output()?;
        ensure!(output.status.success(), "kubectl {verb}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    })
    .await
}

/// Half of stable is on a node that loses its power. Until Kubernetes knows, requests to it are lost, whoever sends them;
/// from then on none is, and the way back is as after a drain.
async fn lost(namespace: &Namespace) -> Result<()> {
    let _alone = NODE.lock().await;
    let rollout = RolloutBuilder::new(&namespace.name, KIND)
        .replicas(REPLICAS)
        .steps(&[set_weight(WEIGHT), pause_until_promoted()]);
    let next = rollout.version("v2");
    node(namespace, "uncordon").await?;
    let rollout = spread(&rollout, 2);
    namespace.deploy(&rollout).await?;
    ensure!(pods_on_spare(namespace, &rollout.hash()).await? == 2, "half of stable is to be on the spare node");
    let mut load = Load::through(namespace, KIND, 100.0).await?;
    namespace.declare(&next).await?;
    namespace.until_weight(&next, i32::try_from(WEIGHT)?).await?;

    let bed = namespace.cluster.bed.clone();
    blocking(move || bed.lose_spare_node()).await?;
    let lost_at = now();
    let after = goes_back_after_the_loss(namespace, &next, lost_at).await;
    blocking(|| Bed::up().map(drop)).await?;
    let known_at = after?;
    load.until_more(200).await?;
    let account = account(load.finish().await?, &[]);
    let late = account.lost.iter().filter(|it| !(lost_at - 1.0..known_at).contains(&it.sent)).count();
    ensure!(late == 0, "{late} requests were lost while the node was there, or after it was known to be gone");
    figures::record(&namespace.scenario, "lost with the node", account.lost.len());
    judge(namespace, 2, lost_at)
}

/// Gives the instant from which nothing is sent to the node any more.
async fn goes_back_after_the_loss(namespace: &Namespace, next: &RolloutBuilder, lost_at: f64) -> Result<f64> {
    let nodes: Api<Node> = Api::all(namespace.cluster.client.clone());
    let unready = |node: Option<&Node>| {
        let conditions = node.and_then(|it| it.status.as_ref()?.conditions.as_ref());
        conditions.is_some_and(|all| all.iter().any(|it| it.type_ == "Ready" && it.status != "True"))
    };
    wait_for(nodes, SPARE_NODE, "to be known to be gone", Duration::from_secs(90), unready).await?;
    let mut look = tokio::time::interval(Duration::from_millis(200));
    while ready_of_stable(namespace).await? > 2 {
        look.tick().await;
    }
    // As long as a change is given to reach every proxy.
    let known_at = now() + SETTLE;
    figures::record(&namespace.scenario, "lost to known s", figures::rounded(known_at - lost_at));
    command(namespace, "abort", next).await?;
    goes_back(namespace, lost_at).await?;
    Ok(known_at)
}

async fn pods_on_spare(namespace: &Namespace, hash: &str) -> Result<usize> {
    let of_revision = ListParams::default().labels(&format!("{REVISION_LABEL}={hash}"));
    let pods = namespace.api::<Pod>().list(&of_revision.fields(&format!("spec.nodeName={SPARE_NODE}"))).await?;
    Ok(pods.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).count())
}

async fn ready_of_stable(namespace: &Namespace) -> Result<usize> {
    let of_stable = ListParams::default().labels(&format!("kubernetes.io/service-name={STABLE}"));
    let slices = namespace.api::<EndpointSlice>().list(&of_stable).await?;
    let ready = slices.into_iter().flat_map(|slice| slice.endpoints);
    Ok(ready.filter(|it| it.conditions.as_ref().is_some_and(|it| it.ready == Some(true))).count())
}
