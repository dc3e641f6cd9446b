//! The demo: a good release and a bad one on the cluster, under load, shown while they go on, with a picture at the end.
//!
//! What is declared are the files in `e2e/demo`, as a person would apply them.

mod live;
mod manifests;
mod outcome;
pub mod picture;
mod screen;
pub mod story;
mod strategy;
mod view;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use k8s_openapi::api::core::v1::{Namespace as KubernetesNamespace, Pod};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams};
use leadsman_api::{Phase, Rollout};

use crate::account::account as account_of;
use crate::cluster::{Cluster, RUN_LABEL};
use crate::dump::dump;
use crate::load::Load;
use crate::namespace::{Namespace, keeps};
use crate::objects::remove_finalizers;
use crate::routes::{APP, RouteKind};
use crate::status::{canary_hash, is_current, phase, stable_hash};
use crate::timeline::{Change, selections, weights};
use crate::wait::wait_for;

use live::Live;
use manifests::{Commit, surroundings};
use outcome::{Ended, captions, closing};
use screen::Screen;
use story::Version;

pub use strategy::Strategy;

/// Requests per second.
const RATE: f64 = 200.0;
const ROUTE: RouteKind = RouteKind::HttpRouteGateway;
const FIRST: Commit = Commit { version: "v1", error_rate: 0.0, hash: "5c1f0aa" };
const GOOD: Commit = Commit { version: "v2", error_rate: 0.0, hash: "91be0aa" };
const BAD: Commit = Commit { version: "v3", error_rate: 0.3, hash: "3f2c9e1" };
/// No release takes longer than this when all is well.
const LIMIT: Duration = Duration::from_mins(2);

/// Runs it. True when both releases ended as they should and no request was lost. The picture goes to `picture`, or to
/// a file in `target/demo`.
pub async fn run(strategy: Strategy, picture: Option<PathBuf>) -> Result<bool> {
    let cluster = Cluster::get_without_flux().await?;
    remove_earlier(cluster).await?;
    let picture = picture.unwrap_or_else(|| {
        let target = cluster.output.parent().unwrap_or(&cluster.output);
        target.join("demo").join(strategy.picture())
    });
    let namespace = Namespace::create("demo").await?;
    let performed = tokio::select! {
        performed = perform(&namespace, strategy, &picture) => Some(performed),
        _ = tokio::signal::ctrl_c() => None,
    };
    let outcome = match performed {
        Some(Ok(ended_well)) => Ok(ended_well),
        Some(Err(error)) => Err(anyhow!("{error:#}\n{}", dump(&namespace).await)),
        None => Err(anyhow!("interrupted")),
    };
    namespace.remove().await?;
    if keeps() {
        say_how_to_look_around(strategy, &namespace.name);
    } else {
        println!(
            "\nThe cluster is still up; cargo xtask cluster down ends it. With --keep the application stays, too."
        );
    }
    outcome
}

async fn perform(namespace: &Namespace, strategy: Strategy, picture: &Path) -> Result<bool> {
    let began = Instant::now();
    let done = |what: &str| println!("{:>7.1}s  {what}", began.elapsed().as_secs_f64());
    crate::helm::install(namespace).await?;
    done("helm install leadsman charts/leadsman: the operator is ready");
    namespace.apply_all(&surroundings(strategy, &namespace.name)?).await?;
    namespace.apply(&FIRST.rollout(strategy, &namespace.name)?).await?;
    let first = FIRST.revision(strategy)?;
    let limit = Duration::from_mins(1);
    namespace.until("to serve v1", limit, |it| is_current(it) && serves(it, &first)).await?;
    done("v1 serves with 4 pods");
    let load = strategy.load(namespace).await?;
    let looks = strategy.looks(namespace).await?;
    done(&format!("{RATE} requests/s {}\n", strategy.way()));

    let (good, bad) = (GOOD.revision(strategy)?, BAD.revision(strategy)?);
    let revisions = [first, good.clone(), bad.clone()];
    let mut live = Live::start((namespace, strategy), Screen::new(), load, &[FIRST, GOOD, BAD], versions()).await?;
    live.linger(Duration::from_secs(3)).await?;
    let title = "release 1 of 2: v2, a good one";
    let (rollout, took) = live.release(title, &GOOD, LIMIT, |it| is_over(it, &good)).await?;
    let good = Ended { commit: GOOD, revision: good, rollout, took };
    if let Some(why) = good.not_promoted() {
        bail!("v2 should have been promoted, but: {why}");
    }
    live.linger(Duration::from_secs(6)).await?;
    let title = "release 2 of 2: v3, where 30% of the requests fail";
    let (rollout, took) = live.release(title, &BAD, LIMIT, |it| is_over(it, &bad)).await?;
    let bad = Ended { commit: BAD, revision: bad, rollout, took };
    // Long enough to see that no request comes to v3 any more.
    live.linger(Duration::from_secs(6)).await?;

    let (load, mut story, mut screen, start) = live.finish().await?;
    let account = account_of(load.records(), &[BAD.version]);
    let requests = namespace.requests()?;
    match strategy {
        Strategy::Canary => story.weights = since(start, weights(&requests, &ROUTE.route_name())),
        Strategy::BlueGreen | Strategy::Plain => story.select(&since(start, selections(&requests, APP)), &revisions),
    }
    story.captions = captions(&bad, &story, &account);
    if let Some(folder) = picture.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(picture, picture::draw(&story, &strategy.title())).with_context(|| picture.display().to_string())?;
    screen.line("");
    screen.line(&closing(&good, &bad, &story, &account, screen.width));
    screen.line(&format!("  {:<11}{}", "picture", picture.display()));
    account.expect_nothing_lost("load")?;
    if let Some(mut looks) = looks {
        let looked = account_of(looks.finish().await?, &[BAD.version]);
        screen.line(&format!("  {:<11}{} looks at it, {} lost", "preview", looked.requests, looked.lost.len()));
        looked.expect_nothing_lost("preview")?;
        go_on(namespace, &looks, strategy.looks(namespace)).await?;
    }
    go_on(namespace, &load, strategy.load(namespace)).await?;
    Ok(good.not_promoted().is_none() && bad.not_rolled_back(&good.revision).is_none())
}

/// What was written, in seconds since the story began.
fn since<T>(start: f64, changes: Vec<Change<T>>) -> Vec<(f64, T)> {
    changes.into_iter().map(|change| ((change.done - start).max(0.0), change.to)).collect()
}

/// A client has been stopped so that its account could be closed; where all of it is to go on, another one takes its place.
async fn go_on<T>(namespace: &Namespace, load: &Load, again: impl Future<Output = Result<T>>) -> Result<()> {
    if !keeps() {
        return Ok(());
    }
    let pods: Api<Pod> = namespace.api();
    pods.delete(&load.name, &DeleteParams::default().grace_period(0)).await?;
    wait_for(pods, &load.name, "to be gone", Duration::from_secs(20), |pod| pod.is_none()).await?;
    again.await.map(drop)
}

fn versions() -> Vec<Version> {
    let version = |name: &str, note: &str| Version { name: name.to_owned(), note: note.to_owned() };
    vec![version("v1", ""), version("v2", "good"), version("v3", "30% errors")]
}

fn serves(rollout: &Rollout, revision: &String) -> bool {
    phase(rollout) == Some(Phase::Healthy) && stable_hash(rollout) == Some(revision)
}

/// Whether the release of a revision has ended, in whatever way.
fn is_over(rollout: &Rollout, revision: &String) -> bool {
    let back = phase(rollout) == Some(Phase::RolledBack) && canary_hash(rollout) == Some(revision);
    is_current(rollout) && (serves(rollout, revision) || back)
}

/// What earlier runs were told to keep.
async fn remove_earlier(cluster: &Cluster) -> Result<()> {
    let api: Api<KubernetesNamespace> = Api::all(cluster.client.clone());
    for namespace in api.list(&ListParams::default().labels(RUN_LABEL)).await? {
        let kept = namespace.annotations().contains_key(crate::namespace::KEEP_ANNOTATION);
        let name = namespace.name_any();
        if kept && name.starts_with("demo-") && namespace.metadata.deletion_timestamp.is_none() {
            println!("removing {name}, which an earlier run kept");
            remove_finalizers(&cluster.client, &name).await?;
            api.delete(&name, &DeleteParams::background()).await?;
        }
    }
    Ok(())
}

fn say_how_to_look_around(strategy: Strategy, namespace: &str) {
    let kubectl = format!("cargo xtask cluster kubectl -- -n {namespace}");
    println!("\nAll of it goes on, under load. To look around:");
    println!("  {kubectl} get rollouts.leadsman.dev -o wide");
    println!("  {kubectl} get rollouts.leadsman.dev podinfo -o yaml");
    if strategy == Strategy::Canary {
        println!("  {kubectl} get httproute podinfo -o yaml");
    }
    println!("  {kubectl} get replicasets,pods,services -L leadsman.dev/revision");
    println!("  {kubectl} get events --field-selector involvedObject.kind=Rollout");
    println!("  {kubectl} logs deployment/leadsman");
    println!("To release something yourself, change VERSION or ERROR_RATE:");
    println!("  {kubectl} edit rollouts.leadsman.dev podinfo");
    println!("To remove it:");
    println!("  cargo xtask demo (without --keep), or cargo xtask cluster down");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rollout(status: &serde_json::Value) -> Rollout {
        let mut rollout = GOOD.rollout(Strategy::Canary, "demo").unwrap();
        rollout["metadata"]["generation"] = json!(2);
        rollout["status"] = status.clone();
        serde_json::from_value(rollout).unwrap()
    }

    #[test]
    fn a_status_of_the_declaration_before_is_not_the_end() {
        let revision = "b".to_owned();
        let healthy = |generation: u64| {
            rollout(
                &json!({"observedGeneration": generation, "phase": "Healthy", "stable": {"hash": "b", "revision": 1}}),
            )
        };
        assert!(!is_over(&healthy(1), &revision));
        assert!(is_over(&healthy(2), &revision));
    }
}
