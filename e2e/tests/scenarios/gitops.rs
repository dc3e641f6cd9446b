//! Git brings everything: Flux applies it again every ten seconds, through releases, rollbacks and reverts, and asks whether
//! the Rollout is healthy.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use leadsman_api::{Phase, Rollout};
use leadsman_e2e::audit::seconds;
use leadsman_e2e::flux::{
    self, DELIVERY, HEALTH, Kstatus, Said, health_of_rollout, kstatus, until_delivered, until_said, weights_left_alone,
};
use leadsman_e2e::git::Repository;
use leadsman_e2e::metrics::{success_rate, template, with};
use leadsman_e2e::plugin::{Running, plugin};
use leadsman_e2e::routes::{APP, CANARY, STABLE};
use leadsman_e2e::status::{condition, is_current, message, phase, stable_hash, weight_in_force};
use leadsman_e2e::timeline::{Change, bindings, weights};
use leadsman_e2e::wait::wait_for;
use leadsman_e2e::{App, Load, Namespace, RolloutBuilder, RouteKind, figures, pause, pause_until_promoted, set_weight};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::{now, scenario};
use crate::people::command;

const FLUX: &str = "system:serviceaccount:flux-system:kustomize-controller";
/// Two intervals, and the time that a release's first steps take.
const SOON: Duration = Duration::from_mins(1);

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("gitops-release", |ns| async move { release(&ns).await }),
        scenario("gitops-rollback", |ns| async move { rollback(&ns).await }),
        scenario("gitops-that-resets-weights", |ns| async move { resets_weights(&ns).await }),
        scenario("gitops-that-waits-for-stable-alone", |ns| async move { waits_for_stable(&ns).await }),
    ]
}

/// What is in Git: a file for each object that belongs to the Rollout.
struct Declared<'a> {
    namespace: &'a Namespace,
    kind: RouteKind,
    repository: Repository,
}

impl<'a> Declared<'a> {
    /// A repository with the first version, and Flux on it.
    async fn start(namespace: &'a Namespace, kind: RouteKind, first: &RolloutBuilder, delivery: Value) -> Result<Self> {
        let name = &namespace.name;
        let declared = Self { namespace, kind, repository: Repository::create(namespace).await? };
        let service = |it: &str, selector: &[(&str, &str)]| App::service(name, it, selector);
        let note = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "health", "namespace": name},
        });
        let files = [
            ("delivery/service.yaml", service(APP, &[("app", APP)])),
            ("delivery/stable.yaml", service(STABLE, &[])),
            ("delivery/canary.yaml", service(CANARY, &[])),
            ("delivery/route.yaml", kind.manifest(name)),
            ("delivery/analysis.yaml", template(name, "success-rate", &[success_rate()])),
            ("delivery/autoscaler.yaml", autoscaler(name, 2)),
            ("delivery/rollout.yaml", manifest(first)),
            ("health/note.yaml", note),
        ];
        declared.repository.commit("first version", &files).await?;
        namespace.apply(&flux::source(name, &declared.repository)).await?;
        namespace.apply(&flux::kustomization(name, DELIVERY, delivery)).await?;
        Ok(declared)
    }

    async fn commit(&self, version: &RolloutBuilder) -> Result<String> {
        self.repository.commit(version.version_name(), &[("delivery/rollout.yaml", manifest(version))]).await
    }

    /// Kstatus of the Rollout and what a Kustomization says, for people to read beside each other.
    async fn note_health(&self, when: &str, kustomization: &str, wanted: Kstatus) -> Result<()> {
        let rollout = self.namespace.until(when, Duration::from_secs(5), |seen| kstatus(seen) == wanted).await?;
        let commit = self.repository.head().await?;
        let agrees = |said: &Said| match wanted {
            Kstatus::InProgress => said.healthy[0] == "Unknown" && said.progress.contains(&commit),
            Kstatus::Failed => said.ready[0] == "False" && said.ready[1] == "HealthCheckFailed",
            Kstatus::Current => said.ready[0] == "True" && said.healthy[0] == "True" && said.applied == commit,
        };
        let what = format!("to find it {wanted:?}: {when}");
        let said = until_said(self.namespace, kustomization, &what, SOON, agrees).await?;
        let told = json!({
            "kstatus": format!("{wanted:?}"),
            "Kustomization": said.describe(),
            "Rollout": format!("{:?}: {}", phase(&rollout), message(&rollout)),
        });
        figures::record(&self.namespace.scenario, &format!("health {when}"), told);
        Ok(())
    }
}

/// As it stands in Git: the size is the autoscaler's, the analysis is a template.
fn manifest(rollout: &RolloutBuilder) -> Value {
    let analysis = json!({"templates": [{"templateName": "success-rate"}]});
    let mut manifest = rollout.set("/spec/strategy/canary/analysis", analysis).manifest();
    if let Some(spec) = manifest.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("replicas");
    }
    manifest
}

/// Keeps the size between its limits; pods that request no cpu have no utilization that could ask for more than the least.
fn autoscaler(namespace: &str, least: u32) -> Value {
    json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": APP, "namespace": namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": "leadsman.dev/v1alpha1", "kind": "Rollout", "name": APP},
            "minReplicas": least,
            "maxReplicas": 6,
        },
    })
}

fn scaled_to(replicas: i32) -> impl Fn(&Rollout) -> bool {
    move |seen| {
        seen.spec.replicas == Some(replicas)
            && phase(seen) == Some(Phase::Healthy)
            && seen.status.as_ref().is_some_and(|it| it.stable.as_ref().is_some_and(|it| it.ready_replicas == replicas))
    }
}

/// Waits until the set of a revision has this many pods ready.
async fn until_ready(namespace: &Namespace, hash: &str, pods: i32) -> Result<()> {
    let name = format!("{APP}-{hash}");
    let ready = |set: Option<&ReplicaSet>| {
        set.and_then(|set| set.status.as_ref()).is_some_and(|it| it.ready_replicas.unwrap_or(0) == pods)
    };
    wait_for(namespace.api::<ReplicaSet>(), &name, &format!("to have {pods} ready"), SOON, ready).await.map(drop)
}

/// Waits until the autoscaler has read the selector of the scale subresource: only then does it ask for the pods' metrics,
/// and finds that there is no request of cpu to compare them with.
async fn until_selected(namespace: &Namespace) -> Result<()> {
    let asked = |scaler: Option<&HorizontalPodAutoscaler>| {
        let conditions = scaler.and_then(|it| it.status.as_ref()?.conditions.as_ref());
        conditions.is_some_and(|all| {
            all.iter().any(|it| it.type_ == "ScalingActive" && it.reason.as_deref() == Some("FailedGetResourceMetric"))
        })
    };
    wait_for(namespace.api::<HorizontalPodAutoscaler>(), APP, "to ask for metrics", SOON, asked).await.map(drop)
}

impl Declared<'_> {
    /// How often Flux looked at the route since an instant: each time it asks what applying it would change.
    fn syncs(&self, from: f64) -> Result<usize> {
        let place = format!("/{}/", self.kind.route_name().resource());
        let requests = self.namespace.requests()?;
        let looks = requests.iter().filter(|it| it.user() == FLUX && it.verb == "patch" && it.uri.contains(&place));
        let tried = looks.filter(|it| it.uri.contains("dryRun=All"));
        Ok(tried.filter(|it| seconds(it.request_received_timestamp) >= from).count())
    }

    /// Waits for more of Flux's syncs, which nobody announces but the audit log.
    async fn until_synced(&self, times: usize) -> Result<()> {
        let from = now();
        let mut look = tokio::time::interval(Duration::from_secs(1));
        let looking = async {
            while self.syncs(from)? < times {
                look.tick().await;
            }
            anyhow::Ok(())
        };
        let limit = Duration::from_secs(20) * u32::try_from(times)?;
        tokio::time::timeout(limit, looking).await.with_context(|| format!("not {times} syncs within {limit:?}"))?
    }

    fn weights(&self) -> Result<Vec<Change<f64>>> {
        Ok(weights(&self.namespace.requests()?, &self.kind.route_name()))
    }

    /// The changes of the weights by Flux, other than the first, which is the route's making.
    fn resets(&self) -> Result<Vec<Change<f64>>> {
        Ok(self.weights()?.into_iter().skip(1).filter(|it| it.by == FLUX).collect())
    }

    /// Fails when Flux wrote a weight or a selector.
    fn expect_left_alone(&self) -> Result<()> {
        let resets = self.resets()?;
        ensure!(resets.is_empty(), "Flux wrote weights that it is to leave alone: {resets:?}");
        for service in [STABLE, CANARY] {
            let bindings = bindings(&self.namespace.requests()?, service);
            ensure!(bindings.iter().all(|it| it.by != FLUX), "Flux wrote a selector of {service}: {bindings:?}");
        }
        figures::record(&self.namespace.scenario, "syncs", self.syncs(0.0)?);
        Ok(())
    }
}

/// `readyWhen: Serving` under one Kustomization that waits for all that it applies: it is done while the release waits for a
/// person, and so has its hands free for what Git says next.
async fn waits_for_stable(namespace: &Namespace) -> Result<()> {
    let kind = RouteKind::HttpRouteGateway;
    let rollout = RolloutBuilder::new(&namespace.name, kind)
        .drain("1s")
        .steps(&[set_weight(50), pause_until_promoted()])
        .set("/spec/readyWhen", json!("Serving"));
    let waiting = with(with(weights_left_alone(kind), "/wait", json!(true)), "/timeout", json!("60s"));
    let git = Declared::start(namespace, kind, &rollout, waiting).await?;
    namespace.until("to be of the autoscaler's size", SOON, scaled_to(2)).await?;
    let mut load = Load::through(namespace, kind, 60.0).await?;
    let next = rollout.version("v2");
    let commit = git.commit(&next).await?;
    namespace.until_weight(&next, 50).await?;
    let is_done = |said: &Said| said.ready[0] == "True" && said.applied == commit;
    until_said(namespace, DELIVERY, "to be done in mid-release", SOON, is_done).await?;
    namespace.until("to go on waiting", SOON, |seen| phase(seen) == Some(Phase::Paused)).await?;
    let began = now();
    git.commit(&rollout).await?;
    namespace.until_promoted(&rollout).await?;
    let weights = git.weights()?;
    let back = weights.last().filter(|it| it.to == 0.0 && it.received > began).context("the canary kept its share")?;
    let took = back.done - began;
    ensure!(took < 30.0, "the revert was in the cluster after {took:.1} s: the Kustomization was still waiting");
    figures::record(&namespace.scenario, "s from the revert in Git to weight 0", figures::rounded(took));
    git.expect_left_alone()?;
    namespace.close(&mut load, &[]).await.map(drop)
}

/// A release under an autoscaler, in which Git also changes the route and a Service in other ways; then another that Git
/// takes back in its middle. Weights are left to us by `spec.ignore`.
async fn release(namespace: &Namespace) -> Result<()> {
    let kind = RouteKind::HttpRouteGateway;
    let rollout = RolloutBuilder::new(&namespace.name, kind).steps(&[set_weight(50), pause_until_promoted()]);
    let git = Declared::start(namespace, kind, &rollout, weights_left_alone(kind)).await?;
    let health = flux::kustomization(&namespace.name, HEALTH, health_of_rollout(&namespace.name));
    namespace.until("to be of the autoscaler's size", SOON, scaled_to(2)).await?;
    namespace.apply(&health).await?;
    git.note_health("at rest", HEALTH, Kstatus::Current).await?;
    let mut load = Load::through(namespace, kind, 60.0).await?;

    let next = rollout.version("v2");
    let refused = plugin(&["set", "image", &format!("{}/{APP}", namespace.name), "app=localhost/app:v2"]).await?;
    ensure!(refused.code == 4 && refused.stderr.contains("Flux"), "{refused:?}");
    // A pipeline waits for what it has pushed: before Flux has seen it, and until somebody has to go on.
    let words = ["status", APP, "-n", &namespace.name, "--image", "app:v2", "--exit-on-pause"];
    let mut pipeline = Running::start(&words).await?;
    pipeline.until_says("waiting until app:v2 is declared", SOON).await?;
    git.commit(&next).await?;
    namespace.until_weight(&next, 50).await?;
    let told = pipeline.end(SOON).await?;
    ensure!(told.code == 7 && told.stdout.contains("declared: commit"), "{told:?}");
    git.note_health("in a release", HEALTH, Kstatus::InProgress).await?;
    let touched = with(App::service(&namespace.name, STABLE, &[]), "/metadata/annotations", json!({"team": "shop"}));
    let timeouts = with(kind.manifest(&namespace.name), "/spec/rules/0/timeouts", json!({"request": "10s"}));
    let changes = [
        ("delivery/autoscaler.yaml", autoscaler(&namespace.name, 4)),
        ("delivery/stable.yaml", touched),
        ("delivery/route.yaml", timeouts),
    ];
    until_delivered(namespace, &git.repository.commit("scale, and touch what we write to", &changes).await?).await?;
    until_ready(namespace, &next.hash(), 2).await?;
    until_ready(namespace, &rollout.hash(), 4).await?;
    git.until_synced(2).await?;
    let seen = namespace.until("to keep its share", Duration::from_secs(5), |it| weight_in_force(it) == 50).await?;
    ensure!(seen.spec.replicas == Some(4), "Flux took the size back: {:?}", seen.spec.replicas);
    until_selected(namespace).await?;
    command(namespace, "promote", &next).await?;
    namespace.until_promoted(&next).await?;
    git.note_health("promoted", HEALTH, Kstatus::Current).await?;

    let third = rollout.version("v3");
    git.commit(&third).await?;
    namespace.until_weight(&third, 50).await?;
    let reverted = git.repository.revert().await?;
    until_delivered(namespace, &reverted).await?;
    let delivered = now();
    let back = namespace.until_promoted(&next).await?;
    let rejected = back.status.as_ref().map(|it| it.rejected.len()).unwrap_or_default();
    ensure!(rejected == 0, "a revert is no failure: {:?}", back.status);
    git.note_health("reverted in a release", HEALTH, Kstatus::Current).await?;
    figures::record(&namespace.scenario, "revert to healthy s", figures::rounded(now() - delivered));

    load.until_more(60).await?;
    namespace.close(&mut load, &[]).await?;
    git.expect_left_alone()
}

/// A bad release, its revert in Git, and a good one, as seen by a Kustomization that waits for what it applied.
async fn rollback(namespace: &Namespace) -> Result<()> {
    let kind = RouteKind::VirtualService;
    let rollout = RolloutBuilder::new(&namespace.name, kind).steps(&[set_weight(30), pause("12s")]);
    let mut delivery = weights_left_alone(kind);
    if let Some(spec) = delivery.as_object_mut() {
        spec.extend([("wait".to_owned(), json!(true)), ("timeout".to_owned(), json!("5m"))]);
    }
    let git = Declared::start(namespace, kind, &rollout, delivery).await?;
    namespace.until("to be of the autoscaler's size", SOON, scaled_to(2)).await?;
    git.note_health("at rest", DELIVERY, Kstatus::Current).await?;
    let mut load = Load::through(namespace, kind, 60.0).await?;

    let bad = rollout.app(App { error_rate: 0.3, ..App::new("v2") });
    git.commit(&bad).await?;
    namespace.until_weight(&bad, 30).await?;
    git.note_health("in a bad release", DELIVERY, Kstatus::InProgress).await?;
    let rolled_back = namespace.until_rolled_back(SOON).await?;
    let stalled = condition(&rolled_back, "Stalled").context("not Stalled")?;
    ensure!((stalled.0, stalled.1) == ("True", "RolledBack"), "{stalled:?}");
    ensure!(stalled.2.contains("success-rate is"), "the reason is in the condition: {}", stalled.2);
    git.note_health("rolled back", DELIVERY, Kstatus::Failed).await?;
    // Applied again and again, it is not tried again.
    git.until_synced(2).await?;
    namespace.until_rolled_back(Duration::from_secs(5)).await?;

    let before = git.weights()?.len();
    git.repository.revert().await?;
    let back = namespace.until("to be Healthy", SOON, |it| is_current(it) && phase(it) == Some(Phase::Healthy)).await?;
    ensure!(stable_hash(&back) == Some(&rollout.hash()), "{:?}", back.status);
    git.note_health("reverted", DELIVERY, Kstatus::Current).await?;
    ensure!(before == git.weights()?.len(), "a revert after a rollback moves nothing");

    let good = rollout.version("v3");
    git.commit(&good).await?;
    namespace.until_weight(&good, 30).await?;
    git.note_health("in a good release", DELIVERY, Kstatus::InProgress).await?;
    namespace.until_promoted(&good).await?;
    git.note_health("promoted", DELIVERY, Kstatus::Current).await?;
    load.until_more(60).await?;
    let account = namespace.close(&mut load, &["v2"]).await?;
    ensure!(account.own_failures > 0, "the bad release failed nothing");
    git.expect_left_alone()
}

/// Flux as it is without `spec.ignore`: each sync writes Git's 100/0. Put back within a second, and no contention.
async fn resets_weights(namespace: &Namespace) -> Result<()> {
    let kind = RouteKind::HttpRouteGateway;
    let rollout = RolloutBuilder::new(&namespace.name, kind).steps(&[set_weight(40), pause("75s")]);
    let git = Declared::start(namespace, kind, &rollout, json!({})).await?;
    namespace.until("to be of the autoscaler's size", SOON, scaled_to(2)).await?;
    let mut load = Load::through(namespace, kind, 60.0).await?;
    let next = rollout.version("v2");
    git.commit(&next).await?;
    let promoted = namespace
        .until("to be promoted, and never contended", Duration::from_mins(3), |seen| {
            let contended = condition(seen, "Stalled").is_some_and(|it| it.1 == "RouteContended");
            contended || stable_hash(seen) == Some(&next.hash())
        })
        .await?;
    ensure!(
        stable_hash(&promoted) == Some(&next.hash()),
        "six syncs a minute are no contention: {}",
        message(&promoted)
    );
    namespace.until_promoted(&next).await?;
    load.until_more(60).await?;

    let (all, resets) = (git.weights()?, git.resets()?);
    // The last may have come when the release was over.
    let healed: Vec<_> = resets
        .iter()
        .filter_map(|reset| all.iter().find(|it| it.received > reset.received).map(|next| next.done - reset.received))
        .collect();
    let slowest = healed.iter().copied().fold(0.0, f64::max);
    figures::record(&namespace.scenario, "resets by Flux", resets.len());
    figures::record(&namespace.scenario, "slowest healing ms", (slowest * 1e3).round());
    ensure!(resets.len() >= 6, "Flux reset the weights only {} times: {all:?}", resets.len());
    ensure!(slowest < 1.0, "weights came back only after {slowest:.3} s: {all:?}");
    namespace.close(&mut load, &[]).await?;
    Ok(())
}
