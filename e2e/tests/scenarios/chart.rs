//! The operator's own chart: installed, changed in the middle of a release, rolled back over older CRDs, removed, and
//! installed again.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use leadsman_api::{Phase, Rollout};
use leadsman_e2e::account::account;
use leadsman_e2e::cluster::workspace;
use leadsman_e2e::dashboards::Unanswered;
use leadsman_e2e::helm::{self, Helm};
use leadsman_e2e::metrics::{errors, success_rate};
use leadsman_e2e::status::{phase, weight_in_force};
use leadsman_e2e::{
    Load, Namespace, Operator, RolloutBuilder, RouteKind, figures, pause, pause_until_promoted, set_weight,
};
use libtest_mimic::Trial;

use crate::harness::scenario_without_operator;
use crate::people::command;

const KIND: RouteKind = RouteKind::HttpRouteGateway;
const CRD: &str = "rollouts.leadsman.dev";
const SCHEMA_VERSION: &str = "leadsman.dev/schema-version";

pub fn trials() -> Vec<Trial> {
    vec![scenario_without_operator("chart", |ns| async move { lifecycle(&ns).await })]
}

struct Chart<'a> {
    helm: Helm<'a>,
    values: Vec<String>,
}

impl<'a> Chart<'a> {
    async fn new(namespace: &'a Namespace) -> Result<Self> {
        Ok(Self { helm: Helm::new(namespace).await?, values: helm::values(namespace)? })
    }

    /// `helm upgrade --install --wait` of a chart. The CRDs are those of the cluster, which Helm did not bring.
    async fn upgrade(&self, chart: &Path, options: &[&str]) -> Result<()> {
        let chart = chart.display().to_string();
        let mut arguments =
            vec!["upgrade", "--install", "leadsman", &chart, "--wait", "--timeout", "60s", "--take-ownership"];
        arguments.extend(self.values.iter().map(String::as_str));
        arguments.extend(options);
        self.helm.run(&arguments).await.map(drop)
    }
}

/// The schema's version, and how often the spec of the CRD has changed.
async fn schema(namespace: &Namespace) -> Result<(Option<String>, Option<i64>)> {
    let all: Api<CustomResourceDefinition> = Api::all(namespace.cluster.client.clone());
    let crd = all.get(CRD).await?;
    Ok((crd.annotations().get(SCHEMA_VERSION).cloned(), crd.metadata.generation))
}

/// The chart as it may have been before: CRDs of an older schema, without a field that there is now.
fn older(namespace: &Namespace, chart: &Path) -> Result<PathBuf> {
    let folder = namespace.cluster.output.join("helm").join(&namespace.name).join("older");
    copy(chart, &folder)?;
    let mut changed = 0;
    for file in files(&folder)? {
        let text = std::fs::read_to_string(&file)?;
        if !text.contains(SCHEMA_VERSION) {
            continue;
        }
        let older: String = text
            .lines()
            .map(|line| if line.contains(&format!("{SCHEMA_VERSION}:")) { at_zero(line) } else { line.to_owned() })
            .map(|line| line.replace("restartAt:", "restartedOnceUponATime:") + "\n")
            .collect();
        changed += usize::from(older != text);
        std::fs::write(&file, older)?;
    }
    ensure!(changed > 0, "no CRD with {SCHEMA_VERSION} in {}", chart.display());
    Ok(folder)
}

fn at_zero(line: &str) -> String {
    let (key, _) = line.split_once(&format!("{SCHEMA_VERSION}:")).unwrap_or_default();
    format!("{key}{SCHEMA_VERSION}: \"0\"")
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    Ok(found)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    for file in files(from)? {
        let target = to.join(file.strip_prefix(from)?);
        std::fs::create_dir_all(target.parent().context("a file without a folder")?)?;
        std::fs::copy(&file, target)?;
    }
    Ok(())
}

fn waits_at_half(seen: &Rollout) -> bool {
    phase(seen) == Some(Phase::Paused) && weight_in_force(seen) == 50
}

async fn lifecycle(namespace: &Namespace) -> Result<()> {
    let (chart, path) = (Chart::new(namespace).await?, workspace().join("charts/leadsman"));
    let began = Instant::now();
    chart.upgrade(&path, &[]).await.context("install")?;
    let took = began.elapsed();
    ensure!(took < Duration::from_mins(1), "the operator runs only after {took:?}");
    figures::record(&namespace.scenario, "s from install to a running operator", figures::rounded(took.as_secs_f64()));
    chart.helm.run(&["test", "leadsman", "--timeout", "60s"]).await.context("test")?;
    let installed = schema(namespace).await?;

    let rollout = RolloutBuilder::new(&namespace.name, KIND).background(&[success_rate(), errors()]);
    let first = rollout.steps(&[set_weight(50), pause_until_promoted()]);
    namespace.deploy(&first).await?;
    let mut load = Load::through(namespace, KIND, 200.0).await?;
    let mut unanswered = Unanswered::of(&path.join("files/dashboards"), &namespace.proxy.url())?;
    changed_in_mid_release(namespace, &chart, &path, &first, &mut unanswered).await?;
    unanswered.ask(Duration::from_secs(30)).await?;
    unanswered.expect_none()?;
    figures::record(&namespace.scenario, "schema", format!("{installed:?}"));

    // Backwards, by an older chart and by Helm's own way: the schema in the cluster is newer and stays.
    chart.upgrade(&older(namespace, &path)?, &[]).await.context("an older chart")?;
    ensure!(
        schema(namespace).await? == installed,
        "an older chart took the schema back: {:?}",
        schema(namespace).await?
    );
    chart.helm.run(&["rollback", "leadsman", "1", "--wait", "--timeout", "60s"]).await.context("rollback")?;
    ensure!(schema(namespace).await? == installed, "a rollback took the schema back: {:?}", schema(namespace).await?);

    removed_and_back(namespace, &chart, &path, &first).await?;
    load.until_more(100).await?;
    let account = account(load.finish().await?, &[]);
    figures::record(&namespace.scenario, "requests", account.requests);
    figures::record(&namespace.scenario, "lost", account.lost.len());
    account.expect_nothing_lost("load")
}

/// Other pods of the operator take over in the middle of a release, which goes on where it was.
async fn changed_in_mid_release(
    namespace: &Namespace,
    chart: &Chart<'_>,
    path: &Path,
    first: &RolloutBuilder,
    dashboards: &mut Unanswered,
) -> Result<()> {
    let next = first.version("v2");
    namespace.declare(&next).await?;
    namespace.until("to wait for a person", Duration::from_mins(1), waits_at_half).await?;
    // What is told of a release under way.
    dashboards.ask(Duration::from_secs(10)).await?;
    let before = namespace.api::<Deployment>().get("leadsman").await?.metadata.generation;
    chart.upgrade(path, &["--set", "log.level=debug"]).await.context("upgrade in mid-release")?;
    let after = namespace.api::<Deployment>().get("leadsman").await?.metadata.generation;
    ensure!(after > before, "nothing of the operator changed");
    // One that cannot start: Helm waits for it in vain and takes it back.
    let broken = ["--set", "extraArgs={--no-such-argument}", "--rollback-on-failure", "--timeout", "15s"];
    ensure!(chart.upgrade(path, &broken).await.is_err(), "an operator with an unknown argument was installed");
    let restored = namespace.api::<Deployment>().get("leadsman").await?;
    let restored = serde_json::to_string(&restored.spec)?;
    ensure!(!restored.contains("--no-such-argument"), "the upgrade was not taken back: {restored}");
    namespace.until("to be where it was", Duration::from_secs(5), waits_at_half).await?;
    command(namespace, "promote", &next).await?;
    namespace.until_promoted(&next).await.map(drop)
}

/// Without the operator everything stays and serves; the next one finds it as it was.
async fn removed_and_back(namespace: &Namespace, chart: &Chart<'_>, path: &Path, first: &RolloutBuilder) -> Result<()> {
    let pods = || async {
        let sets = namespace.api::<ReplicaSet>().list(&ListParams::default()).await?;
        let ready = |set: &ReplicaSet| set.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or_default();
        let sizes = sets.iter().filter(|set| set.labels().contains_key(leadsman_api::names::REVISION_LABEL));
        anyhow::Ok(sizes.map(|set| (set.name_any(), set.uid(), ready(set))).collect::<Vec<_>>())
    };
    let there = pods().await?;
    // Helm takes the roles away while the last pod still gives its lease back.
    Operator::of(namespace).expect_nothing_forbidden()?;
    chart.helm.run(&["uninstall", "leadsman", "--wait"]).await.context("uninstall")?;
    ensure!(namespace.api::<Deployment>().get_opt("leadsman").await?.is_none(), "the operator is still there");
    schema(namespace).await.context("the CRDs are gone")?;
    ensure!(pods().await? == there, "the pods did not stay: {:?}", pods().await?);
    chart.upgrade(path, &[]).await.context("install again")?;
    let third = first.version("v3").steps(&[set_weight(50), pause("3s")]);
    namespace.declare(&third).await?;
    namespace.until_promoted(&third).await.map(drop)
}
