//! A rollback while stable is weak: it lost one pod, half of them, all but one, and each takes 15 s to be ready again.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};
use leadsman_e2e::account::account;
use leadsman_e2e::routes::APP;
use leadsman_e2e::runtime::blocking;
use leadsman_e2e::timeline::weights;
use leadsman_e2e::wait::wait_for;
use leadsman_e2e::{
    App, Load, Namespace, RolloutBuilder, RouteKind, figures, pause_until_promoted, process, set_weight,
};
use libtest_mimic::Trial;

use crate::harness::{now, scenario};
use crate::people::command;

/// Full size.
const REPLICAS: i32 = 4;
/// The canary's share when it is aborted.
const SHARE: i32 = 40;
/// From the end of a process until its address is withdrawn everywhere: requests to it are its own loss.
const UNNOTICED: f64 = 5.0;

/// How stable loses its pods.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// They are deleted, and serve until they are out of traffic.
    Deleted,
    /// Their processes end from one moment to the next.
    Crashed,
}

pub fn trials() -> Vec<Trial> {
    vec![
        scenario(
            "weak-stable-deleted",
            |ns| async move { weak(&ns, Loss::Deleted, RouteKind::HttpRouteGateway).await },
        ),
        scenario("weak-stable-crashed", |ns| async move { weak(&ns, Loss::Crashed, RouteKind::VirtualService).await }),
    ]
}

async fn weak(namespace: &Namespace, loss: Loss, kind: RouteKind) -> Result<()> {
    let slow_start = App { env: vec![("READY_AFTER_S".to_owned(), "15".to_owned())], ..App::new("v1") };
    let rollout = RolloutBuilder::new(&namespace.name, kind)
        .replicas(4)
        .drain("1s")
        .app(slow_start)
        .steps(&[set_weight(40), pause_until_promoted()]);
    namespace.deploy(&rollout).await?;
    let mut load = Load::through(namespace, kind, if loss == Loss::Deleted { 200.0 } else { 100.0 }).await?;
    let mut crashes = Vec::new();
    // What is lost, and the way back: at once where half is left, else by a quarter of the canary's share at a time.
    let cases = [(1, vec![0.0]), (2, vec![0.0]), (3, vec![30.0, 20.0, 10.0, 0.0])];
    for (number, (lost, way)) in cases.into_iter().enumerate() {
        let bad = rollout.version(&format!("v{}", number + 2));
        namespace.declare(&bad).await?;
        namespace.until_weight(&bad, SHARE).await?;
        // A busy machine takes its time from the first process to the last.
        let from = now();
        lose(namespace, &rollout.hash(), loss, lost).await?;
        crashes.push((from, now()));
        until_ready(namespace, &rollout.hash(), REPLICAS - lost).await?;
        let aborted_at = now();
        command(namespace, "abort", &bad).await?;
        namespace.until_rolled_back(Duration::from_secs(30)).await?;
        let changes = weights(&namespace.requests()?, &kind.route_name());
        let back: Vec<_> = changes.iter().filter(|it| it.received > aborted_at).collect();
        let shares: Vec<_> = back.iter().map(|it| it.to).collect();
        ensure!(shares == way, "with {lost} of {REPLICAS} stable pods gone, the way back was {shares:?}, not {way:?}");
        let took = back.last().context("no way back")?.done - aborted_at;
        figures::record(&namespace.scenario, &format!("seconds back with {lost} gone"), figures::rounded(took));
        ensure!(took < 14.0, "{took:.1} s: it waited for pods instead of going on with those that were ready");
        until_ready(namespace, &rollout.hash(), REPLICAS).await?;
    }
    if loss == Loss::Deleted {
        namespace.close(&mut load, &[]).await?;
        return Ok(());
    }
    // Nobody can answer for a process that was killed while it worked, before anybody could know.
    let records = load.finish().await?;
    let in_time = |sent: f64| crashes.iter().any(|(from, to)| sent > from - 1.0 && sent < to + UNNOTICED);
    let excused: Vec<_> = records.iter().filter(|it| it.failed() && !it.is_answered() && in_time(it.sent)).collect();
    figures::record(&namespace.scenario, "requests that died with the processes", excused.len());
    ensure!(!excused.is_empty(), "processes that serve were killed, and no request noticed: were they?");
    let rest: Vec<_> =
        records.iter().filter(|it| !(it.failed() && !it.is_answered() && in_time(it.sent))).cloned().collect();
    let account = account(&rest, &[]);
    figures::record(&namespace.scenario, "requests", account.requests);
    account.expect_nothing_lost("load")
}

async fn until_ready(namespace: &Namespace, hash: &str, number: i32) -> Result<()> {
    let ready = |set: Option<&ReplicaSet>| {
        set.and_then(|set| set.status.as_ref())
            .is_some_and(|status| status.ready_replicas.unwrap_or_default() == number)
    };
    let (name, what) = (format!("{APP}-{hash}"), format!("to have {number} pods ready"));
    wait_for(namespace.api::<ReplicaSet>(), &name, &what, Duration::from_mins(1), ready).await.map(drop)
}

/// Takes so many of a revision's pods.
async fn lose(namespace: &Namespace, hash: &str, loss: Loss, number: i32) -> Result<()> {
    let pods = namespace.api::<Pod>();
    let of_revision = ListParams::default().labels(&format!("leadsman.dev/revision={hash}"));
    let found = pods.list(&of_revision).await?;
    for pod in found.iter().take(usize::try_from(number)?) {
        match loss {
            Loss::Deleted => drop(pods.delete(&pod.name_any(), &DeleteParams::default()).await?),
            Loss::Crashed => {
                let uid = pod.uid().context("no uid")?;
                blocking(move || process::kill(process::of_pod(&uid, "app")?)).await?;
            }
        }
    }
    Ok(())
}
