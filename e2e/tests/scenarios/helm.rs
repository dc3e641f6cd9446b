//! Helm 4 brings everything: it applies on the server's side without force, and waits until all of it is Current.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use kube::api::{DynamicObject, Patch, PatchParams};
use leadsman_api::{Phase, Rollout};
use leadsman_e2e::git::Repository;
use leadsman_e2e::helm::Helm;
use leadsman_e2e::metrics::{success_rate, with};
use leadsman_e2e::status::{canary_hash, phase, stable_hash, weight_in_force};
use leadsman_e2e::timeline::weights;
use leadsman_e2e::wait::wait_for;
use leadsman_e2e::{
    App, Load, Namespace, RolloutBuilder, RouteKind, figures, flux, pause, pause_until_promoted, set_weight,
};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::scenario;
use crate::people::command;

const KIND: RouteKind = RouteKind::HttpRouteGateway;

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("helm-upgrade-in-mid-release", |ns| async move { upgraded(&ns).await }),
        scenario("helm-waits-for-the-release", |ns| async move { waited_for(&ns).await }),
        scenario("helm-release-of-flux", |ns| async move { released_by_flux(&ns).await }),
    ]
}

/// A chart of plain manifests.
struct Chart<'a> {
    helm: Helm<'a>,
    folder: PathBuf,
}

impl<'a> Chart<'a> {
    async fn new(namespace: &'a Namespace) -> Result<Self> {
        let helm = Helm::new(namespace).await?;
        let folder = namespace.cluster.output.join("helm").join(&namespace.name);
        std::fs::create_dir_all(folder.join("templates"))?;
        std::fs::write(folder.join("Chart.yaml"), "apiVersion: v2\nname: podinfo\nversion: 1.0.0\n")?;
        Ok(Self { helm, folder })
    }

    /// `helm upgrade --install --wait`; what it says, where it fails, is the error.
    async fn upgrade(&self, objects: &[Value], options: &[&str]) -> Result<()> {
        for (index, object) in objects.iter().enumerate() {
            let text = serde_json::to_string(&as_template(object))?;
            std::fs::write(self.folder.join(format!("templates/{index}.yaml")), text)?;
        }
        let folder = self.folder.display().to_string();
        let install = ["upgrade", "--install", "podinfo", folder.as_str(), "--wait", "--timeout", "90s"];
        self.helm.run(&[&install[..], options].concat()).await.map(drop)
    }
}

/// What stands in the chart: the route with a timeout of so many seconds for its requests.
fn chart(namespace: &Namespace, rollout: &RolloutBuilder, timeout: u32) -> Vec<Value> {
    let route =
        with(KIND.manifest(&namespace.name), "/spec/rules/0/timeouts", json!({"request": format!("{timeout}s")}));
    let mut objects = rollout.surroundings();
    objects.retain(|object| object.get("kind") == Some(&json!("Service")));
    objects.extend([route, rollout.manifest()]);
    objects
}

/// `readyWhen: Serving`: Helm is done while the release waits for a person. What it brings meanwhile conflicts with the
/// weights, and forced, is put right at once; at rest it conflicts with nobody.
async fn upgraded(namespace: &Namespace) -> Result<()> {
    let rollout = RolloutBuilder::new(&namespace.name, KIND)
        .steps(&[set_weight(50), pause_until_promoted()])
        .drain("1s")
        .set("/spec/readyWhen", json!("Serving"));
    let helm = Chart::new(namespace).await?;
    helm.upgrade(&chart(namespace, &rollout, 30), &[]).await.context("the first version")?;
    namespace.until_promoted(&rollout).await?;
    let mut load = Load::through(namespace, KIND, 60.0).await?;

    let next = rollout.version("v2");
    let began = Instant::now();
    helm.upgrade(&chart(namespace, &next, 30), &[]).await.context("the second version")?;
    figures::record(&namespace.scenario, "seconds of helm upgrade --wait", began.elapsed().as_secs());
    let is_under_way = |seen: &Rollout| canary_hash(seen) == Some(&next.hash());
    namespace.until("to be in its release when Helm is done", Duration::from_secs(2), is_under_way).await?;
    let waits = |seen: &Rollout| phase(seen) == Some(Phase::Paused) && weight_in_force(seen) == 50;
    namespace.until("to wait for a person", Duration::from_mins(1), waits).await?;

    let labelled = next.set("/metadata/labels", json!({"team": "shop"}));
    let all = chart(namespace, &labelled, 30);
    // Helm applies the route as well, although nothing of it changed, and would take the weights back.
    let refused = helm.upgrade(&all, &[]).await.err().context("Helm overwrote the weights of a release")?.to_string();
    ensure!(refused.contains("conflict with \"leadsman\"") && refused.contains(".spec.rules"), "{refused}");
    helm.upgrade(&all, &["--force-conflicts"]).await.context("a label in mid-release")?;
    namespace.until_written(KIND, 50.0, Duration::from_secs(5)).await?;
    namespace.until("to be where it was", Duration::from_secs(5), waits).await?;
    command(namespace, "promote", &next).await?;
    namespace.until_promoted(&next).await?;
    helm.upgrade(&chart(namespace, &labelled, 20), &[]).await.context("the route at rest")?;
    namespace.until_promoted(&next).await?;
    let account = namespace.close(&mut load, &[]).await?;
    ensure!(account.versions.keys().eq(["v1", "v2"]), "{:?}", account.versions);
    Ok(())
}

/// Without `readyWhen` Helm is done when the release is, and fails with it; what it takes back then is what serves.
async fn waited_for(namespace: &Namespace) -> Result<()> {
    let smallest = RolloutBuilder::new(&namespace.name, KIND).steps(&[set_weight(50), pause("2s")]).drain("1s");
    let rollout = smallest.background(&[success_rate()]);
    let helm = Chart::new(namespace).await?;
    helm.upgrade(&chart(namespace, &rollout, 30), &[]).await.context("the first version")?;
    let mut load = Load::through(namespace, KIND, 60.0).await?;

    let good = rollout.version("v2");
    helm.upgrade(&chart(namespace, &good, 30), &[]).await.context("the second version")?;
    let is_stable = |seen: &Rollout| phase(seen) == Some(Phase::Healthy) && stable_hash(seen) == Some(&good.hash());
    namespace.until("to be promoted when Helm is done", Duration::from_secs(1), is_stable).await?;

    let bad = good.app(App { error_rate: 0.5, ..App::new("v3") });
    let began = Instant::now();
    let failed = helm.upgrade(&chart(namespace, &bad, 30), &["--rollback-on-failure"]).await;
    figures::record(&namespace.scenario, "seconds until Helm has taken a bad release back", began.elapsed().as_secs());
    let words = failed.err().context("Helm took a release that was rolled back for a success")?.to_string();
    ensure!(words.contains("rolled back") || words.contains("rollback"), "{words}");
    namespace.until("to be as it was", Duration::from_secs(5), is_stable).await?;
    let rejected = |seen: &Rollout| {
        seen.status.as_ref().is_some_and(|status| status.rejected.iter().any(|it| it.hash == bad.hash()))
    };
    namespace.until("to have rejected it", Duration::from_secs(1), rejected).await?;

    // At rest the route is the chart's again.
    helm.upgrade(&chart(namespace, &good, 20), &[]).await.context("the route at rest")?;
    namespace.close(&mut load, &["v3"]).await.map(drop)
}

/// Flux's helm-controller waits as Helm 3 does, which does not know what a Rollout waits for. It puts back what differs from
/// the chart, and leaves weights alone where it is told to.
async fn released_by_flux(namespace: &Namespace) -> Result<()> {
    let steps = [set_weight(50), pause_until_promoted()];
    let rollout = RolloutBuilder::new(&namespace.name, KIND).background(&[success_rate()]).steps(&steps);
    flux::bring_helm_controller(namespace).await?;
    let repository = Repository::create(namespace).await?;
    let about = json!({"apiVersion": "v2", "name": "podinfo", "version": "1.0.0"});
    let commit = async |version: &RolloutBuilder| {
        let objects = chart(namespace, version, 30);
        let files: Vec<_> = (0..).map(|index| format!("chart/templates/{index}.yaml")).zip(objects.iter()).collect();
        let files = files.iter().map(|(file, object)| (file.as_str(), as_template(object)));
        let all: Vec<_> = files.chain([("chart/Chart.yaml", about.clone())]).collect();
        repository.commit(version.version_name(), &all).await
    };
    let first = commit(&rollout).await?;
    namespace.apply(&flux::source(&namespace.name, &repository)).await?;
    namespace.apply(&flux::helm_release(&namespace.name, "chart", &flux::weights_left_alone(KIND))).await?;
    flux::until_upgraded(namespace, &first).await?;
    namespace.until_promoted(&rollout).await?;
    let mut load = Load::through(namespace, KIND, 60.0).await?;

    let next = rollout.version("v2");
    let upgraded = commit(&next).await?;
    let said = flux::until_upgraded(namespace, &upgraded).await?;
    figures::record(&namespace.scenario, "HelmRelease in a release", said.describe());
    let waits = |seen: &Rollout| phase(seen) == Some(Phase::Paused) && weight_in_force(seen) == 50;
    namespace.until("to wait for a person", Duration::from_mins(1), waits).await?;
    // That it puts a timeout back shows that it has looked at the route, whose weights are not the chart's either.
    let (routes, route) = (namespace.route_api(KIND)?, KIND.route_name());
    let by_hand = json!([{"op": "replace", "path": "/spec/rules/0/timeouts/request", "value": "7s"}]);
    let by_hand = Patch::Json::<()>(serde_json::from_value(by_hand)?);
    routes.patch(&route.name, &PatchParams::default(), &by_hand).await?;
    let is_put_back = |seen: Option<&DynamicObject>| {
        seen.is_some_and(|seen| seen.data.pointer("/spec/rules/0/timeouts/request") == Some(&json!("30s")))
    };
    wait_for(routes, &route.name, "to have the chart's timeout again", Duration::from_mins(1), is_put_back).await?;
    namespace.until("to keep its share", Duration::from_secs(5), waits).await?;
    command(namespace, "promote", &next).await?;
    namespace.until_promoted(&next).await?;
    let written: Vec<_> = weights(&namespace.requests()?, &route).into_iter().map(|change| change.to).collect();
    ensure!(written.ends_with(&[50.0, 100.0, 0.0]), "somebody put weights back: {written:?}");

    let bad = rollout.app(App { error_rate: 0.5, ..App::new("v3") });
    let broken = commit(&bad).await?;
    namespace.until_rolled_back(Duration::from_mins(1)).await?;
    let said = flux::until_upgraded(namespace, &broken).await?;
    figures::record(&namespace.scenario, "HelmRelease after a rollback", said.describe());
    let account = namespace.close(&mut load, &["v3"]).await?;
    ensure!(account.versions.keys().eq(["v1", "v2", "v3"]), "{:?}", account.versions);
    Ok(())
}

/// As a template of a chart: what looks like one stands in a string.
fn as_template(object: &Value) -> Value {
    match object {
        Value::String(text) => Value::String(text.replace("{{", "{{`{{`}}")),
        Value::Array(items) => items.iter().map(as_template).collect(),
        Value::Object(members) => members.iter().map(|(name, member)| (name.clone(), as_template(member))).collect(),
        other => other.clone(),
    }
}
