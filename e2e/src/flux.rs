//! Flux: what brings a Git repository into a namespace, what it says about that, and what it thinks of a Rollout.

use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::api::{Api, DynamicObject};
use leadsman_api::Rollout;
use leadsman_bed::Bed;
use serde_json::{Value, json};

use crate::git::{BRANCH, Repository};
use crate::namespace::Namespace;
use crate::objects::dynamic;
use crate::routes::{APP, RouteKind};
use crate::status::condition;
use crate::wait::wait_for;

/// Folder of the repository with everything that Git declares, and the Kustomization that applies it without waiting.
pub const DELIVERY: &str = "delivery";
/// Folder of the repository with next to nothing in it, and the Kustomization that says whether the Rollout is healthy.
pub const HEALTH: &str = "health";
/// How often Flux looks, and applies again.
pub const INTERVAL: &str = "10s";

/// What `kstatus` makes of an object, as Flux, Helm and others ask it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kstatus {
    /// On the way.
    InProgress,
    /// Will not get there by itself.
    Failed,
    /// There.
    Current,
}

/// The rules of kstatus for a kind that it does not know by name.
pub fn kstatus(rollout: &Rollout) -> Kstatus {
    let is = |kind: &str| condition(rollout, kind).is_some_and(|it| it.0 == "True");
    let observed = rollout.status.as_ref().and_then(|status| status.observed_generation);
    if observed != rollout.metadata.generation || is("Reconciling") {
        Kstatus::InProgress
    } else if is("Stalled") {
        Kstatus::Failed
    } else if is("Ready") {
        Kstatus::Current
    } else {
        Kstatus::InProgress
    }
}

/// The repository as a source.
pub fn source(namespace: &str, repository: &Repository) -> Value {
    json!({
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "GitRepository",
        "metadata": {"name": APP, "namespace": namespace},
        "spec": {"interval": INTERVAL, "url": repository.url(), "ref": {"branch": BRANCH}},
    })
}

/// A Kustomization of a folder of the source. What it made is left to the namespace's end.
pub fn kustomization(namespace: &str, name: &str, spec: Value) -> Value {
    let mut object = json!({
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "interval": INTERVAL,
            "retryInterval": INTERVAL,
            "path": format!("./{name}"),
            "prune": true,
            "deletionPolicy": "Orphan",
            "sourceRef": {"kind": "GitRepository", "name": APP},
        },
    });
    if let (Some(Value::Object(spec)), Value::Object(more)) = (object.get_mut("spec"), spec) {
        spec.extend(more);
    }
    object
}

/// A `HelmRelease` of the chart in a folder of the source, which puts back whatever is not as the chart has it, but for what
/// is left alone: see [`weights_left_alone`].
pub fn helm_release(namespace: &str, folder: &str, left_alone: &Value) -> Value {
    json!({
        "apiVersion": "helm.toolkit.fluxcd.io/v2",
        "kind": "HelmRelease",
        "metadata": {"name": APP, "namespace": namespace},
        "spec": {
            "interval": INTERVAL,
            "timeout": "90s",
            "chart": {"spec": {
                "chart": format!("./{folder}"),
                "interval": INTERVAL,
                "reconcileStrategy": "Revision",
                "sourceRef": {"kind": "GitRepository", "name": APP},
            }},
            "driftDetection": {"mode": "enabled", "ignore": left_alone.get("ignore")},
        },
    })
}

/// Flux's helm-controller, for a namespace alone.
pub async fn bring_helm_controller(namespace: &Namespace) -> Result<()> {
    namespace.bring(Bed::helm_controller, &["helm-controller"]).await
}

/// Waits until the `HelmRelease` is ready with the chart of a commit. The chart's version ends in the commit's first digits.
pub async fn until_upgraded(namespace: &Namespace, commit: &str) -> Result<Said> {
    let (_, digits) = commit.rsplit_once(':').context("a commit without a digest")?;
    let short = digits.get(..12).context("a short digest")?;
    let (api, name) = dynamic(&namespace.cluster.client, &helm_release(&namespace.name, "", &json!({})))?;
    let is_there = |seen: Option<&DynamicObject>| {
        seen.is_some_and(|seen| {
            let chart = seen.data.pointer("/status/lastAttemptedRevision").and_then(Value::as_str);
            Said::of(seen).ready[0] == "True" && chart.is_some_and(|chart| chart.contains(short))
        })
    };
    let what = format!("to be Ready with the chart of {commit}");
    let seen = wait_for(api, &name, &what, Duration::from_mins(1), is_there).await?;
    Ok(Said::of(&seen.context("the HelmRelease is gone")?))
}

/// `ignore` with which the weights of a route are left to whoever writes them.
pub fn weights_left_alone(kind: RouteKind) -> Value {
    let (object, list) = match kind {
        RouteKind::VirtualService => ("VirtualService", "/spec/http/0/route"),
        RouteKind::GrpcRouteGateway => ("GRPCRoute", "/spec/rules/0/backendRefs"),
        RouteKind::HttpRouteGateway | RouteKind::HttpRouteBeside | RouteKind::HttpRouteService => {
            ("HTTPRoute", "/spec/rules/0/backendRefs")
        }
    };
    json!({"ignore": [{
        "target": {"kind": object, "name": kind.route_name().name},
        "paths": [format!("{list}/0/weight"), format!("{list}/1/weight")],
    }]})
}

/// `spec.healthChecks` of the Rollout.
pub fn health_of_rollout(namespace: &str) -> Value {
    json!({
        "timeout": "5m",
        "healthChecks": [{"apiVersion": "leadsman.dev/v1alpha1", "kind": "Rollout", "name": APP, "namespace": namespace}],
    })
}

/// What an object of Flux says of itself.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// `Ready`: status, reason, message.
    pub ready: [String; 3],
    /// `Healthy`, where it is asked for.
    pub healthy: [String; 3],
    /// What it is at, if anything.
    pub progress: String,
    /// The commit that it has applied, and found healthy where it is to look.
    pub applied: String,
}

impl Said {
    fn of(object: &DynamicObject) -> Self {
        let text = |pointer: &str| object.data.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let words = |kind: &str| {
            let all = object.data.pointer("/status/conditions").and_then(Value::as_array);
            let found = all.into_iter().flatten().find(|it| it.get("type").and_then(Value::as_str) == Some(kind));
            ["status", "reason", "message"].map(|key| {
                let word = found.and_then(|it| it.get(key)?.as_str());
                word.unwrap_or_default().to_owned()
            })
        };
        let [.., progress] = words("Reconciling");
        Self {
            ready: words("Ready"),
            healthy: words("Healthy"),
            progress,
            applied: text("/status/lastAppliedRevision"),
        }
    }

    /// For people and figures.
    pub fn describe(&self) -> String {
        let [ready, reason, message] = &self.ready;
        let [healthy, ..] = &self.healthy;
        let message = if ready == "Unknown" { &self.progress } else { message };
        format!("Ready={ready} ({reason}) Healthy={healthy}: {message}")
    }
}

/// Waits until a Kustomization says what is wanted.
pub async fn until_said(
    namespace: &Namespace,
    kustomization: &str,
    what: &str,
    limit: Duration,
    wanted: impl Fn(&Said) -> bool,
) -> Result<Said> {
    let api = api(namespace, kustomization)?;
    let wanted = |seen: Option<&DynamicObject>| seen.is_some_and(|seen| wanted(&Said::of(seen)));
    let seen = wait_for(api, kustomization, what, limit, wanted).await?;
    Ok(Said::of(&seen.context("the Kustomization is gone")?))
}

/// Waits until a commit has been applied. It may take two intervals, one of the source's and one of the Kustomization's.
pub async fn until_delivered(namespace: &Namespace, commit: &str) -> Result<()> {
    let what = format!("to deliver {commit}");
    until_said(namespace, DELIVERY, &what, Duration::from_secs(40), |said| said.applied == commit).await.map(drop)
}

fn api(namespace: &Namespace, name: &str) -> Result<Api<DynamicObject>> {
    Ok(dynamic(&namespace.cluster.client, &kustomization(&namespace.name, name, json!({})))?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rollout(observed: i64, conditions: &[(&str, &str)]) -> Rollout {
        let conditions: Vec<_> = conditions
            .iter()
            .map(|(kind, status)| {
                json!({"type": kind, "status": status, "reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"})
            })
            .collect();
        let mut object = crate::rollout::RolloutBuilder::new("shop", RouteKind::HttpRouteGateway).manifest();
        object["metadata"]["generation"] = json!(2);
        object["status"] = json!({"observedGeneration": observed, "conditions": conditions});
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn an_old_generation_is_in_progress_whatever_its_conditions_say() {
        assert_eq!(kstatus(&rollout(1, &[("Ready", "True")])), Kstatus::InProgress);
        assert_eq!(kstatus(&rollout(2, &[("Ready", "True")])), Kstatus::Current);
    }

    #[test]
    fn only_stalled_is_failed() {
        assert_eq!(kstatus(&rollout(2, &[("Ready", "False")])), Kstatus::InProgress);
        assert_eq!(kstatus(&rollout(2, &[("Ready", "False"), ("Stalled", "True")])), Kstatus::Failed);
    }
}
