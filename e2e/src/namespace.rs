//! A namespace for one scenario: made, filled, and removed at the end, or dumped when the scenario failed.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Namespace as KubernetesNamespace;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams};
use kube::{Resource, ResourceExt as _};
use leadsman_api::names::REVISION_LABEL;
use leadsman_api::{Phase, Rollout};
use leadsman_bed::Bed;
use serde_json::{Value, json};

use crate::account::{Account, Seen, account, shares};
use crate::audit::{AuditLog, Request};
use crate::cluster::{Cluster, RUN_LABEL};
use crate::dump::dump;
use crate::history::{Writers, judge};
use crate::load::Load;
use crate::objects::{apply, cluster_ip, is_cluster_wide, remove_finalizers};
use crate::proxy::Proxy;
use crate::rollout::{RolloutBuilder, SETTLE};
use crate::routes::{APP, RouteKind};
use crate::runtime::blocking;
use crate::status::{canary_hash, is_current, phase, stable_hash, weight_in_force};
use crate::timeline::{Entry, Margins, canary_weight, plateaus};
use crate::wait::{until_ready, wait_for};

/// Set to anything but 0: namespaces stay when their scenario ends.
pub const KEEP_VARIABLE: &str = "LEADSMAN_E2E_KEEP";
/// Annotation on namespaces that are to stay.
pub const KEEP_ANNOTATION: &str = "leadsman.dev/e2e-keep";

/// A namespace, with what was seen of it from outside since it was made.
pub struct Namespace {
    /// The cluster it is in.
    pub cluster: &'static Cluster,
    /// What it is for.
    pub scenario: String,
    /// Its name.
    pub name: String,
    /// In front of the cluster's Prometheus, for this namespace alone.
    pub proxy: Proxy,
    uid: String,
    audit: AuditLog,
}

/// Runs a scenario in a namespace of its own. When it fails, what there was goes to `target/e2e/<scenario>/`.
pub async fn with_namespace<F, S>(scenario: &str, body: F) -> Result<()>
where
    F: FnOnce(Arc<Namespace>) -> S,
    S: Future<Output = Result<()>> + Send + 'static,
{
    let namespace = Arc::new(Namespace::create(scenario).await?);
    // In a task of its own, so that even a panic is followed by what comes below.
    let ended = tokio::spawn(body(Arc::clone(&namespace))).await;
    let outcome = ended.unwrap_or_else(|error| Err(anyhow!("{error}")));
    let outcome = match outcome {
        Ok(()) => Ok(()),
        Err(error) => {
            let seen = dump(&namespace).await;
            // Beside what was dumped; that it fails must not hide why.
            let _ = std::fs::write(namespace.cluster.output.join(scenario).join("error.txt"), format!("{error:#}\n"));
            Err(anyhow!("{error:#}\n{seen}"))
        }
    };
    namespace.remove().await?;
    outcome
}

impl Namespace {
    /// Makes it. Whoever calls this calls [`Namespace::remove`] as well; [`with_namespace`] does both.
    pub async fn create(scenario: &str) -> Result<Self> {
        let cluster = Cluster::get().await?;
        let suffix = RandomState::new().hash_one(scenario) % (36_u64.pow(4));
        let name = format!("{scenario}-{}", base36(suffix));
        let upstream = cluster_ip(&cluster.client, "monitoring", "prometheus").await?;
        let proxy = Proxy::start(&format!("http://{upstream}:9090")).await?;
        let audit = AuditLog::from_now(&cluster.bed)?;
        let mut object = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": {RUN_LABEL: std::process::id().to_string()}},
        });
        if keeps() {
            object = crate::metrics::with(object, "/metadata/annotations", json!({KEEP_ANNOTATION: "true"}));
        }
        let made = apply(&cluster.client, &object).await?;
        let uid = made.uid().context("no uid")?;
        Ok(Self { cluster, scenario: scenario.to_owned(), name, proxy, uid, audit })
    }

    /// Removes it with everything in it, unless `LEADSMAN_E2E_KEEP` is set.
    pub async fn remove(&self) -> Result<()> {
        if keeps() {
            println!("{}: kept: namespace {}", self.scenario, self.name);
            return Ok(());
        }
        let api: Api<KubernetesNamespace> = Api::all(self.cluster.client.clone());
        api.delete(&self.name, &DeleteParams::background()).await?;
        // Only now: in a namespace that is on its way out nobody, such as Flux, can make a Rollout anew.
        remove_finalizers(&self.cluster.client, &self.name).await
    }

    /// The routes of a kind in it.
    pub fn route_api(&self, kind: RouteKind) -> Result<Api<DynamicObject>> {
        Ok(crate::objects::dynamic(&self.cluster.client, &kind.manifest(&self.name))?.0)
    }

    /// The objects of a kind in it.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.cluster.client.clone(), &self.name)
    }

    /// Brings what the bed makes for a namespace, and waits for these Deployments of it.
    pub(crate) async fn bring(&self, make: fn(&Bed, &str) -> Result<String>, deployments: &[&str]) -> Result<()> {
        let (bed, name) = (self.cluster.bed.clone(), self.name.clone());
        let manifests: Vec<Value> = serde_saphyr::from_multiple(&blocking(move || make(&bed, &name)).await?)?;
        self.apply_all(&manifests).await?;
        for deployment in deployments {
            until_ready(self.api(), deployment).await?;
        }
        Ok(())
    }

    /// Server-side apply, as whoever brings Git into the cluster.
    pub async fn apply(&self, object: &Value) -> Result<DynamicObject> {
        apply(&self.cluster.client, object).await
    }

    /// The same for several, in their order. What belongs to no namespace goes when this one goes.
    pub async fn apply_all(&self, objects: &[Value]) -> Result<()> {
        for object in objects {
            let mut object = object.clone();
            if is_cluster_wide(&object) {
                let owner = json!([{"apiVersion": "v1", "kind": "Namespace", "name": self.name, "uid": self.uid}]);
                object = crate::metrics::with(object, "/metadata/ownerReferences", owner);
            }
            self.apply(&object).await?;
        }
        Ok(())
    }

    /// The address of a Service anywhere.
    pub async fn cluster_service(&self, namespace: &str, name: &str) -> Result<String> {
        cluster_ip(&self.cluster.client, namespace, name).await
    }

    /// Declares the first version with all around it, and waits until it serves.
    pub async fn deploy(&self, rollout: &RolloutBuilder) -> Result<Rollout> {
        self.apply_all(&rollout.surroundings()).await?;
        self.apply(&rollout.manifest()).await?;
        self.until_promoted(rollout).await
    }

    /// Declares a version, and does not wait.
    pub async fn declare(&self, rollout: &RolloutBuilder) -> Result<()> {
        self.apply(&rollout.manifest()).await.map(drop)
    }

    /// Waits until what is declared is what serves, and nothing else is going on.
    pub async fn until_promoted(&self, rollout: &RolloutBuilder) -> Result<Rollout> {
        let hash = rollout.hash();
        let what = format!("to be Healthy on {} ({hash})", rollout.version_name());
        self.until(&what, Duration::from_mins(4), |seen| {
            is_current(seen) && phase(seen) == Some(Phase::Healthy) && stable_hash(seen) == Some(&hash)
        })
        .await
    }

    /// Waits until the declared version has been rolled back.
    pub async fn until_rolled_back(&self, limit: Duration) -> Result<Rollout> {
        self.until("to be RolledBack", limit, |seen| is_current(seen) && phase(seen) == Some(Phase::RolledBack)).await
    }

    /// Waits until the Rollout is as wanted.
    pub async fn until(
        &self,
        what: &str,
        limit: Duration,
        mut wanted: impl FnMut(&Rollout) -> bool,
    ) -> Result<Rollout> {
        let found = wait_for(self.api::<Rollout>(), APP, what, limit, |seen| seen.is_some_and(&mut wanted)).await?;
        found.context("the Rollout is gone")
    }

    /// Waits until the canary's share is in force in the present release.
    pub async fn until_weight(&self, rollout: &RolloutBuilder, percent: i32) -> Result<Rollout> {
        let hash = rollout.hash();
        self.until(&format!("to have {percent}% in force"), Duration::from_mins(1), |seen| {
            canary_hash(seen) == Some(&hash) && weight_in_force(seen) == percent
        })
        .await
    }

    /// Waits until a route gives the canary this share, whether or not it is in force.
    pub async fn until_written(&self, kind: RouteKind, percent: f64, limit: Duration) -> Result<()> {
        let names = kind.route_name();
        let gives = |route: Option<&DynamicObject>| {
            let route = route.and_then(|route| serde_json::to_value(route).ok()).unwrap_or_default();
            canary_weight(&route, &names.stable, &names.canary) == Some(percent)
        };
        let what = format!("to give the canary {percent}%");
        wait_for(self.route_api(kind)?, &names.name, &what, limit, gives).await.map(drop)
    }

    /// Every request about this namespace since it was made, or by accounts in it.
    pub fn requests(&self) -> Result<Vec<Request>> {
        self.audit.requests(&self.name)
    }

    /// Replays what happened here, and fails when the operator gave weight to what could not carry it, or took away what
    /// had some.
    pub async fn expect_sound_history(&self, operator: &str) -> Result<()> {
        let changes = self.cluster.recorder.history(&self.name).await?;
        let writers = Writers::of(&self.requests()?);
        if let Some(change) = writers.unknown(&changes) {
            bail!("nobody is known to have written {} {} at version {}", change.resource, change.name, change.version);
        }
        let verdict = judge(&changes, &writers, operator);
        crate::figures::record(&self.scenario, "moments", verdict.moments);
        crate::figures::record(&self.scenario, "moments short of pods", verdict.short);
        let broken = verdict.violations;
        ensure!(broken.is_empty(), "traffic was sent where nobody, or too few, answer:\n  {}", broken.join("\n  "));
        Ok(())
    }

    /// Version of the application by revision hash, for all ReplicaSets that there are.
    pub async fn versions(&self) -> Result<BTreeMap<String, String>> {
        let sets: Api<ReplicaSet> = self.api();
        let mut versions = BTreeMap::new();
        for set in sets.list(&ListParams::default().labels(REVISION_LABEL)).await? {
            let hash = set.labels().get(REVISION_LABEL).cloned().unwrap_or_default();
            let set = serde_json::to_value(&set)?;
            let env = set.pointer("/spec/template/spec/containers/0/env").and_then(Value::as_array);
            let is_version = |variable: &&Value| variable.get("name") == Some(&json!("VERSION"));
            let version = env.into_iter().flatten().find(is_version).and_then(|it| it.get("value")?.as_str());
            versions.insert(hash, version.unwrap_or_default().to_owned());
        }
        Ok(versions)
    }

    /// Stops a client, and holds its records to what was promised: nothing lost but by versions that may fail, and shares
    /// as the weights said, where a change has `settle` seconds to reach every proxy.
    pub async fn settle_accounts(
        &self,
        load: &mut Load,
        may_fail: &[&str],
        settle: f64,
    ) -> Result<(Account, Vec<Seen>)> {
        let client = load.name.clone();
        let entry = load.entry.clone();
        let records = load.finish().await?;
        let account = account(records, may_fail);
        account.expect_nothing_lost(&client)?;
        let end = records.iter().map(|record| record.sent).fold(0.0, f64::max);
        let names = match &entry {
            Entry::Route(name) => name.clone(),
            Entry::Service(_) => RouteKind::HttpRouteGateway.route_name(),
        };
        let plateaus = plateaus(&self.requests()?, &entry, &names, Margins::of_settle(settle), end);
        let seen = shares(records, &plateaus, &self.versions().await?).with_context(|| client)?;
        Ok((account, seen))
    }

    /// The same, with the usual figures kept.
    pub async fn close(&self, load: &mut Load, may_fail: &[&str]) -> Result<Account> {
        let (account, seen) = self.settle_accounts(load, may_fail, SETTLE).await?;
        let add = |name: &str, number: u64| crate::figures::add(&self.scenario, name, number);
        add("requests", account.requests);
        add("own failures", account.own_failures);
        add("lost", account.lost.len() as u64);
        let plateaus: Vec<_> = seen
            .iter()
            .map(
                |it| json!({"seconds": crate::figures::rounded(it.length), "expected": it.expected, "seen": it.counts}),
            )
            .collect();
        crate::figures::record(&self.scenario, &format!("plateaus seen by {}", load.name), plateaus);
        Ok(account)
    }
}

/// Whether what was made is to stay.
pub(crate) fn keeps() -> bool {
    std::env::var(KEEP_VARIABLE).is_ok_and(|value| !value.is_empty() && value != "0")
}

fn base36(mut number: u64) -> String {
    let mut digits = String::new();
    for _ in 0..4 {
        digits.extend(char::from_digit(u32::try_from(number % 36).unwrap_or_default(), 36));
        number /= 36;
    }
    digits
}

impl Debug for Namespace {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "namespace {}", self.name)
    }
}
