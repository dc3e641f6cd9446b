//! An operator of a namespace's own: in that namespace, for that namespace, under an account that the audit log tells
//! apart from all others.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, LogParams, Patch, PatchParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use leadsman_bed::http;
use serde_json::{Value, json};

use crate::audit::Request;
use crate::cluster::workspace;
use crate::metrics::with;
use crate::namespace::Namespace;
use crate::process;
use crate::runtime::blocking;
use crate::wait::{until_ready, wait_for};
use crate::wire::{Victim, Wire};

/// A pod that is told to end has ended by then.
const ENDED: Duration = Duration::from_mins(1);

/// Name of its Deployment, its account, its container and its lease.
pub(crate) const NAME: &str = "leadsman";
/// The manifest, with `{{name}}`, `{{namespace}}`, `{{image}}` and `{{args}}` to be filled in.
pub(crate) const MANIFEST: &str = "e2e/manifests/operator.yaml";

/// How an operator is installed.
#[derive(Clone, Copy, Default)]
pub struct Setup<'a> {
    /// Pods beside the one that leads.
    pub standbys: i32,
    /// The namespace that it works for, where that is not its own.
    pub watches: Option<&'a str>,
    /// The way to the API server, where that is not the pods' own.
    pub wire: Option<&'a Wire>,
    /// Whether it is told that the API server puts down who gives a command.
    pub commanders_recorded: bool,
}

/// The operator of a namespace.
#[derive(Debug)]
pub struct Operator<'a> {
    namespace: &'a Namespace,
}

impl<'a> Operator<'a> {
    /// Installs it, and waits until it is ready. Metrics without an address are asked of Prometheus through the
    /// namespace's proxy.
    pub async fn install(namespace: &'a Namespace) -> Result<Self> {
        Self::install_as(namespace, Setup::default()).await
    }

    /// The same with standbys, or with another way to the API server.
    pub async fn install_as(namespace: &'a Namespace, setup: Setup<'_>) -> Result<Self> {
        let manifest = std::fs::read_to_string(workspace().join(MANIFEST)).with_context(|| MANIFEST.to_owned())?;
        let mut arguments = vec![
            format!("--namespace={}", setup.watches.unwrap_or(&namespace.name)),
            format!("--prometheus-address={}", namespace.proxy.url()),
        ];
        arguments.extend(setup.commanders_recorded.then(|| "--commanders-recorded".to_owned()));
        let values = [
            ("{{name}}", NAME),
            ("{{namespace}}", &namespace.name),
            ("{{image}}", &namespace.cluster.image),
            ("{{args}}", &json!(arguments).to_string()),
        ];
        let manifest = values.iter().fold(manifest, |text, (placeholder, value)| text.replace(placeholder, value));
        ensure!(!manifest.contains("{{"), "{MANIFEST} has a placeholder that is not known here");
        let mut objects: Vec<Value> = serde_saphyr::from_multiple(&manifest).context(MANIFEST)?;
        for deployment in objects.iter_mut().filter(|object| object.get("kind") == Some(&json!("Deployment"))) {
            *deployment = with(deployment.take(), "/spec/replicas", json!(setup.standbys + 1));
            if setup.wire.is_some() {
                *deployment = through_wire(deployment.take());
            }
        }
        if let Some(wire) = setup.wire {
            objects.insert(0, kubeconfig(namespace, wire));
        }
        namespace.apply_all(&objects).await?;
        let operator = Self { namespace };
        operator.until_ready().await?;
        Ok(operator)
    }

    /// The one that was installed before.
    pub fn of(namespace: &'a Namespace) -> Self {
        Self { namespace }
    }

    /// The account that it asks the API server as.
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{}:{NAME}", self.namespace.name)
    }

    /// As many pods of it as this, from none on. With none, its pod has ended as well: until then it works on.
    pub async fn scale(&self, replicas: i32) -> Result<()> {
        let ends = if replicas == 0 { Some(self.pod().await?.name_any()) } else { None };
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        self.namespace.api::<Deployment>().patch(NAME, &PatchParams::default(), &patch).await?;
        self.until_ready().await?;
        if let Some(pod) = ends {
            wait_for(self.namespace.api::<Pod>(), &pod, "to have ended", ENDED, |seen| seen.is_none()).await?;
        }
        Ok(())
    }

    /// Waits until the pods that there are now are ready.
    pub async fn until_ready(&self) -> Result<()> {
        until_ready(self.namespace.api(), NAME).await
    }

    /// Its pod: the first that is there to stay.
    pub async fn pod(&self) -> Result<Pod> {
        let looking = async {
            let config = watcher::Config::default().labels(&format!("app={NAME}"));
            let mut seen = watcher(self.namespace.api::<Pod>(), config).default_backoff().applied_objects().boxed();
            while let Some(pod) = seen.next().await {
                if let Ok(pod) = pod
                    && pod.metadata.deletion_timestamp.is_none()
                {
                    return Ok(pod);
                }
            }
            bail!("the watch ended")
        };
        tokio::time::timeout(Duration::from_secs(30), looking).await.context("the operator has no pod")?
    }

    /// Kills the leader's process as a crash would, has another pod take its place at once (the kubelet would wait longer
    /// before each restart of the same pod), and waits until that is ready. It leads when the lease has expired: see
    /// [`Operator::until_led_by_another`].
    pub async fn crash(&self) -> Result<String> {
        let pods: Api<Pod> = self.namespace.api();
        let (client, namespace) = (self.namespace.cluster.client.clone(), self.namespace.name.clone());
        let crashed = Victim { client, namespace }.kill().await?;
        // The Deployment's status is still that from before.
        let next = self.pod().await?.name_any();
        let ready = |pod: Option<&Pod>| {
            let conditions = pod.and_then(|pod| pod.status.as_ref()?.conditions.as_ref());
            conditions.is_some_and(|all| all.iter().any(|it| it.type_ == "Ready" && it.status == "True"))
        };
        wait_for(pods, &next, "to be ready", Duration::from_mins(1), ready).await?;
        Ok(crashed)
    }

    /// Waits until the lease has another holder.
    pub async fn until_led_by_another(&self, holder_before: &str) -> Result<()> {
        let taken = |lease: Option<&Lease>| {
            lease.is_some_and(|lease| !holder(lease).is_empty() && holder(lease) != holder_before)
        };
        let leases = self.namespace.api::<Lease>();
        wait_for(leases, NAME, "to be taken over", Duration::from_mins(1), taken).await.map(drop)
    }

    /// Resident memory in KiB: now, and the most there ever was.
    pub async fn memory(&self) -> Result<(u64, u64)> {
        self.of_process(process::resident).await
    }

    /// What it has allocated, in KiB.
    pub async fn allocated(&self) -> Result<u64> {
        self.of_process(process::allocated).await
    }

    /// The processor's time that it has used.
    pub async fn processor_time(&self) -> Result<Duration> {
        self.of_process(process::processor_time).await
    }

    async fn of_process<T: Send + 'static>(&self, read: fn(u32) -> Result<T>) -> Result<T> {
        let uid = self.pod().await?.uid().context("no uid")?;
        blocking(move || read(process::of_pod(&uid, NAME)?)).await
    }

    /// What it says on `/metrics`.
    pub async fn metrics(&self) -> Result<String> {
        pod_says(&self.pod().await?, 8080, "/metrics").await
    }

    /// How often its container was started anew.
    pub async fn restarts(&self) -> Result<i32> {
        let statuses = self.pod().await?.status.and_then(|status| status.container_statuses).unwrap_or_default();
        Ok(statuses.iter().map(|container| container.restart_count).sum())
    }

    /// The end of its log.
    pub async fn log(&self, lines: i64) -> Result<String> {
        let pod = self.pod().await?.name_any();
        let params = LogParams { tail_lines: Some(lines), ..LogParams::default() };
        Ok(self.namespace.api::<Pod>().logs(&pod, &params).await?)
    }

    /// What it asked the API server since the namespace was made.
    pub fn requests(&self) -> Result<Vec<Request>> {
        let user = self.user();
        Ok(self.namespace.requests()?.into_iter().filter(|request| request.user() == user).collect())
    }

    /// Fails when another operator wrote about a Rollout of this namespace: nothing that was seen would mean anything.
    pub fn expect_to_be_alone(&self) -> Result<()> {
        let user = self.user();
        let is_foreign = |it: &&Request| {
            it.is_done_write()
                && it.object_ref.resource == "rollouts"
                && it.object_ref.subresource == "status"
                && it.user().starts_with("system:serviceaccount:")
                && it.user() != user
        };
        let foreign = self.namespace.requests()?.iter().find(is_foreign).map(Request::describe);
        ensure!(foreign.is_none(), "another operator works in this cluster: {}", foreign.unwrap_or_default());
        Ok(())
    }

    /// Fails when it asked for anything that its role does not allow.
    pub fn expect_nothing_forbidden(&self) -> Result<()> {
        let requests = self.requests()?;
        crate::rights::note(&requests);
        let forbidden: Vec<_> = requests.iter().filter(|it| it.is_forbidden()).map(Request::describe).collect();
        ensure!(forbidden.is_empty(), "the operator's role lacks what it asks for:\n{}", forbidden.join("\n"));
        Ok(())
    }
}

/// What a pod answers to `GET <path>`.
pub async fn pod_says(pod: &Pod, port: u16, path: &'static str) -> Result<String> {
    let ip = pod.status.as_ref().and_then(|status| status.pod_ip.as_ref()).context("no address")?;
    let address = std::net::SocketAddr::new(ip.parse()?, port);
    Ok(blocking(move || http::get(address, path)).await?.body)
}

pub(crate) fn holder(lease: &Lease) -> String {
    lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone()).unwrap_or_default()
}

/// The Deployment with its pods' way to the API server in a file.
fn through_wire(deployment: Value) -> Value {
    let volumes = json!([{"name": "wire", "configMap": {"name": "wire"}}]);
    let mounts = json!([{"name": "wire", "mountPath": "/etc/wire", "readOnly": true}]);
    let env = json!([{"name": "KUBECONFIG", "value": "/etc/wire/kubeconfig"}]);
    let deployment = with(deployment, "/spec/template/spec/volumes", volumes);
    let deployment = with(deployment, "/spec/template/spec/containers/0/volumeMounts", mounts);
    with(deployment, "/spec/template/spec/containers/0/env", env)
}

fn kubeconfig(namespace: &Namespace, wire: &Wire) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "wire", "namespace": namespace.name},
        "data": {"kubeconfig": wire.kubeconfig().to_string()},
    })
}
