//! Pods that take their time, or wait for somebody else: they are waited for, and nothing is rejected for it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::ResourceExt as _;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use leadsman_api::Rollout;
use leadsman_e2e::routes::{APP, CANARY, STABLE};
use leadsman_e2e::status::{canary_hash, message, stable_hash};
use leadsman_e2e::timeline::weights;
use leadsman_e2e::{App, Load, Namespace, RolloutBuilder, RouteKind, figures, pause, set_weight};
use libtest_mimic::Trial;
use serde_json::json;

use crate::harness::scenario;

/// The condition that somebody outside sets, as the controllers of cloud load balancers do.
const GATE: &str = "example.com/behind-the-balancer";

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("readiness-gates", |ns| Box::pin(async move { gated(&ns).await })),
        scenario("slow-boots", |ns| async move { slow(&ns).await }),
        scenario("restarted-as-kubectl-does", |ns| async move { restarted(&ns).await }),
    ]
}

fn rollout(namespace: &Namespace) -> RolloutBuilder {
    let steps = [set_weight(50), pause("3s")];
    RolloutBuilder::new(&namespace.name, RouteKind::HttpRouteGateway).drain("1s").steps(&steps)
}

/// Pods become ready only after a Service selects them: canaryService is bound before they are.
async fn gated(namespace: &Namespace) -> Result<()> {
    let gates = json!([{"conditionType": GATE}]);
    let rollout = rollout(namespace).set("/spec/template/spec/readinessGates", gates);
    let opening = open_gates(namespace);
    let releasing = Box::pin(async {
        namespace.deploy(&rollout).await?;
        let mut load = Load::through(namespace, RouteKind::HttpRouteGateway, 60.0).await?;
        let next = rollout.version("v2");
        namespace.declare(&next).await?;
        namespace.until_promoted(&next).await?;
        let account = namespace.close(&mut load, &[]).await?;
        ensure!(account.versions.keys().eq(["v1", "v2"]), "{:?}", account.versions);
        Ok(())
    });
    tokio::select! {
        outcome = releasing => outcome,
        outcome = opening => outcome,
    }
}

/// Opens the gate of each pod that one of the two Services selects, and of no other.
async fn open_gates(namespace: &Namespace) -> Result<()> {
    let (services, pods): (Api<Service>, Api<Pod>) = (namespace.api(), namespace.api());
    let services_change = watcher(services.clone(), watcher::Config::default()).default_backoff().touched_objects();
    let pods_change = watcher(pods.clone(), watcher::Config::default()).default_backoff().touched_objects();
    let changes = futures::stream::select(services_change.map(|_| ()), pods_change.map(|_| ()));
    let mut changes = std::pin::pin!(changes);
    let mut opened = BTreeSet::new();
    while changes.next().await.is_some() {
        for name in [STABLE, CANARY] {
            let Some(service) = services.get_opt(name).await? else { continue };
            let selector = service.spec.and_then(|spec| spec.selector).unwrap_or_default();
            let labels: Vec<_> = selector.iter().map(|(label, value)| format!("{label}={value}")).collect();
            for pod in pods.list(&ListParams::default().labels(&labels.join(","))).await? {
                if !labels.is_empty() && opened.insert(pod.uid()) {
                    let condition = json!({"type": GATE, "status": "True"});
                    let patch = Patch::Strategic(json!({"status": {"conditions": [condition]}}));
                    pods.patch_status(&pod.name_any(), &PatchParams::default(), &patch).await?;
                }
            }
        }
    }
    anyhow::bail!("the watches ended")
}

/// A version whose container ends twice before its database answers, and then takes its time. Two restarts are no crash loop.
async fn slow(namespace: &Namespace) -> Result<()> {
    let rollout = rollout(namespace);
    namespace.deploy(&rollout).await?;
    let mut load = Load::through(namespace, RouteKind::HttpRouteGateway, 60.0).await?;
    let env = [("CRASH_TIMES", "2"), ("READY_AFTER_S", "10")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let next = rollout
        .app(App { env: env.into(), ..App::new("v2") })
        .set("/spec/template/spec/volumes", json!([{"name": "state", "emptyDir": {}}]))
        .set("/spec/template/spec/securityContext/fsGroup", json!(65534))
        .set("/spec/template/spec/containers/0/volumeMounts", json!([{"name": "state", "mountPath": "/state"}]));
    namespace.declare(&next).await?;
    let waits = |seen: &Rollout| canary_hash(seen) == Some(&next.hash()) && message(seen).contains("exit code 1");
    namespace.until("to say what its pods die of", Duration::from_mins(1), waits).await?;
    let promoted = namespace.until_promoted(&next).await?;
    let rejected = promoted.status.map(|status| status.rejected).unwrap_or_default();
    ensure!(rejected.is_empty(), "{rejected:?}");
    let restarts = restarts(namespace, &next.hash()).await?;
    ensure!(restarts >= 2, "its containers restarted only {restarts} times");
    figures::record(&namespace.scenario, "restarts before it came up", restarts);
    namespace.close(&mut load, &[]).await?;
    Ok(())
}

/// The most restarts that a container of a revision has.
async fn restarts(namespace: &Namespace, hash: &str) -> Result<i32> {
    let pods =
        namespace.api::<Pod>().list(&ListParams::default().labels(&format!("leadsman.dev/revision={hash}"))).await?;
    let statuses = pods.into_iter().filter_map(|pod| pod.status?.container_statuses).flatten();
    Ok(statuses.map(|container| container.restart_count).max().unwrap_or(0))
}

/// Every pod is replaced by one of the same revision, and none is missed: no release, no weight.
async fn restarted(namespace: &Namespace) -> Result<()> {
    let rollout = rollout(namespace);
    namespace.deploy(&rollout).await?;
    let mut load = Load::through(namespace, RouteKind::HttpRouteGateway, 60.0).await?;
    let before = pods(namespace).await?;
    let moved = weights(&namespace.requests()?, &RouteKind::HttpRouteGateway.route_name()).len();
    // What kubectl rollout restart writes, by the second.
    let at = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let annotations = json!({"kubectl.kubernetes.io/restartedAt": at});
    let patch = json!({"spec": {"template": {"metadata": {"annotations": annotations}}}});
    namespace.api::<Rollout>().patch(APP, &PatchParams::default(), &Patch::Merge(patch)).await?;
    let is_done = |seen: &Rollout| {
        let progress = seen.status.as_ref().and_then(|status| status.progress.as_ref());
        progress.and_then(|progress| progress.get("restartedAt")?.as_str()) == Some(&*at)
    };
    let seen = namespace.until("to have been restarted", Duration::from_mins(2), is_done).await?;
    ensure!(stable_hash(&seen) == Some(&rollout.hash()), "a restart is no release: {:?}", seen.status);
    // The one more that a restart takes goes last.
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut look = tokio::time::interval(Duration::from_millis(200));
    let mut now = pods(namespace).await?;
    while now.len() > before.len() && Instant::now() < deadline {
        look.tick().await;
        now = pods(namespace).await?;
    }
    ensure!(now.is_disjoint(&before) && now.len() == before.len(), "before {before:?}, now {now:?}");
    ensure!(
        weights(&namespace.requests()?, &RouteKind::HttpRouteGateway.route_name()).len() == moved,
        "weights were written"
    );
    namespace.close(&mut load, &[]).await?;
    Ok(())
}

/// The pods that are there to stay.
async fn pods(namespace: &Namespace) -> Result<BTreeSet<String>> {
    let pods = namespace.api::<Pod>().list(&ListParams::default().labels(&format!("app={APP}"))).await?;
    let stay = pods.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    Ok(stay.map(|pod| pod.name_any()).collect())
}
