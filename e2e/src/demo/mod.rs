//! The demo: a good release and a bad one on the cluster, under load, shown while they go on, with a picture at the end.
//!
//! What is declared are the files in `e2e/demo`, as a person would apply them.

mod live;
mod manifests;
mod outcome;
pub mod picture;
mod screen;
pub mod story;
mod view;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use k8s_openapi::api::core::v1::{Namespace as KubernetesNamespace, Pod};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams};
use leadsman_api::{Phase, Rollout};

use crate::account::account;
use crate::cluster::{Cluster, RUN_LABEL};
use crate::dump::dump;
use crate::load::Load;
use crate::namespace::{Namespace, keeps};
use crate::objects::remove_finalizers;
use crate::operator::Operator;
use crate::routes::RouteKind;
use crate::status::{canary_hash, is_current, phase, stable_hash};
use crate::timeline::weights;
use crate::wait::wait_for;

use live::Live;
use manifests::{Commit, surroundings};
use outcome::{Ended, captions, closing};
use screen::Screen;
use story::Version;

/// Requests per second.
const RATE: f64 = 200.0;
const ROUTE: RouteKind = RouteKind::HttpRouteGateway;
const FIRST: Commit = Commit { version: "v1", error_rate: 0.0, hash: "5c1f0aa" };
const GOOD: Commit = Commit { version: "v2", error_rate: 0.0, hash: "91be0aa" };
const BAD: Commit = Commit { version: "v3", error_rate: 0.3, hash: "3f2c9e1" };
/// No release takes longer than this when all is well.
const LIMIT: Duration = Duration::from_mins(2);

/// Runs it. True when both releases ended as they should and no request was lost. The picture goes to `picture`, or to
/// `target/demo/rollout.svg`.
pub async fn run(picture: Option<PathBuf>) -> Result<bool> {
    let cluster = Cluster::get_without_flux().await?;
    remove_earlier(cluster).await?;
    let picture = picture.unwrap_or_else(|| {
        let target = cluster.output.parent().unwrap_or(&cluster.output);
        target.join("demo/rollout.svg")
    });
    let namespace = Namespace::create("demo").await?;
    let performed = tokio::select! {
        performed = perform(&namespace, &picture) => Some(performed),
        _ = tokio::signal::ctrl_c() => None,
    };
    let outcome = match performed {
        Some(Ok(ended_well)) => Ok(ended_well),
        Some(Err(error)) => Err(anyhow!("{error:#}\n{}", dump(&namespace).await)),
        None => Err(anyhow!("interrupted")),
    };
    namespace.remove().await?;
    if keeps() {
        say_how_to_look_around(&namespace.name);
    } else {
        println!(
            "\nThe cluster is still up; cargo xtask cluster down ends it. With --keep the application stays, too."
        );
    }
    outcome
}

async fn perform(namespace: &Namespace, picture: &Path) -> Result<bool> {
    let began = Instant::now();
    let done = |what: &str| println!("{:>7.1}s  {what}", began.elapsed().as_secs_f64());
    Operator::install(namespace).await?;
    done("the operator is ready");
    namespace.apply_all(&surroundings(&namespace.name)?).await?;
    namespace.apply(&FIRST.rollout(&namespace.name)?).await?;
    let first = FIRST.revision()?;
    let limit = Duration::from_mins(1);
    namespace.until("to serve v1", limit, |it| is_current(it) && serves(it, &first)).await?;
    done("v1 serves with 4 pods");
    let load = Load::through(namespace, ROUTE, RATE).await?;
    done("200 requests/s through the gateway\n");

    let (good, bad) = (GOOD.revision()?, BAD.revision()?);
    let mut live = Live::start(namespace, Screen::new(), load, &[FIRST, GOOD, BAD], versions()).await?;
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
    let account = account(load.records(), &[BAD.version]);
    let written = weights(&namespace.requests()?, &ROUTE.route_name());
    story.weights = written.iter().map(|change| ((change.done - start).max(0.0), change.to)).collect();
    story.captions = captions(&bad, &story, &account);
    if let Some(folder) = picture.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let title = format!("A good release and a bad one under {RATE} requests/s");
    std::fs::write(picture, picture::draw(&story, &title)).with_context(|| picture.display().to_string())?;
    screen.line("");
    screen.line(&closing(&good, &bad, &story, &account, screen.width));
    screen.line(&format!("  {:<11}{}", "picture", picture.display()));
    account.expect_nothing_lost("load")?;
    if keeps() {
        send_again(namespace, &load).await?;
    }
    Ok(good.not_promoted().is_none() && bad.not_rolled_back(&good.revision).is_none())
}

/// The client has been stopped so that its account could be closed; another one takes its place.
async fn send_again(namespace: &Namespace, load: &Load) -> Result<()> {
    let pods: Api<Pod> = namespace.api();
    pods.delete(&load.name, &DeleteParams::default().grace_period(0)).await?;
    wait_for(pods, &load.name, "to be gone", Duration::from_secs(20), |pod| pod.is_none()).await?;
    Load::through(namespace, ROUTE, RATE).await.map(drop)
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

fn say_how_to_look_around(namespace: &str) {
    let kubectl = format!("cargo xtask cluster kubectl -- -n {namespace}");
    println!("\nAll of it goes on, under load. To look around:");
    println!("  {kubectl} get rollouts.leadsman.dev -o wide");
    println!("  {kubectl} get rollouts.leadsman.dev podinfo -o yaml");
    println!("  {kubectl} get httproute podinfo -o yaml");
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
        let mut rollout = GOOD.rollout("demo").unwrap();
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
