//! A cluster of processes on loopback: etcd, API server, controller manager, and kwok, which plays nodes and pods. It is
//! there for one controller, and gone when it is dropped.

mod ports;
pub mod process;
mod users;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, stream};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, ResourceExt as _};
use leadsman_e2e::audit::AuditLog;
use leadsman_e2e::cluster::until_established;
use leadsman_e2e::objects::apply;
use serde_json::{Value, json};

use crate::application::{NAMESPACES, NODES};
use crate::contender::{NAMESPACE, definitions_in};
use crate::delay::Delay;
use crate::progress::{Count, say};
pub use ports::free as free_ports;
use process::Process;
use users::Users;

/// Files of the cluster's folder.
const FILES: [(&str, &str); 2] =
    [("audit-policy.yaml", include_str!("../../audit-policy.yaml")), ("kwok.yaml", include_str!("../../kwok.yaml"))];
/// The kinds of Istio and of the Gateway API that are used; each one more is work for the API server.
const DEFINITIONS: [&str; 4] = [
    "virtualservices.networking.istio.io",
    "destinationrules.networking.istio.io",
    "httproutes.gateway.networking.k8s.io",
    "grpcroutes.gateway.networking.k8s.io",
];
/// Go's `GOGC` for them: heaps of gigabytes are collected more rarely. There is memory enough, and it is not what is measured.
const COLLECT_AT: &str = "400";
/// How long a component may take to answer.
const LIMIT: Duration = Duration::from_mins(2);

/// Writes of the bench's own that are under way at once.
pub const AT_ONCE: usize = 16;

/// Brings many objects in, and counts them.
pub async fn bring_in(client: &Client, objects: impl IntoIterator<Item = Value>, mut count: Count) -> Result<()> {
    let writes = objects.into_iter().map(|object| async move { apply(client, &object).await });
    let mut applied = stream::iter(writes).buffered(AT_ONCE).enumerate();
    while let Some((index, outcome)) = applied.next().await {
        outcome?;
        count.at(index + 1);
    }
    Ok(())
}

/// A running cluster.
pub struct Cluster {
    /// As its administrator.
    pub client: Client,
    folder: PathBuf,
    users: Users,
    port: u16,
    /// What makes the controller's calls take longer, where that is wanted.
    delay: Option<Delay>,
    // In the order in which they end.
    processes: Vec<Process>,
}

impl Cluster {
    /// Starts one with its files in `folder`, which is there. Calls of the controller take longer by `latency`.
    pub async fn start(folder: &Path, latency: Duration) -> Result<Self> {
        let [etcd, peer, api, manager, kwok] = free_ports()?;
        leadsman_bed::certificates(&folder.join("pki"))?;
        for (name, text) in FILES {
            std::fs::write(folder.join(name), text)?;
        }
        let users = Users::write(folder)?;
        let hyperkube = leadsman_bed::hyperkube()?;
        let run = |name: &str, words: &str| {
            let words = format!("{name} {words}");
            Process::start(name, &hyperkube, &split(&words), &[("GOGC", Path::new(COLLECT_AT))], folder)
        };
        say("starting etcd, API server, controller manager and kwok");
        let mut processes = vec![run("etcd", &etcd_flags(etcd, peer))?, run("kube-apiserver", &api_flags(api, etcd))?];
        let client = client(&users.kubeconfig("admin", api)?).await?;
        until_ready(&client, &processes).await?;
        users.kubeconfig("controller-manager", api)?;
        processes.push(run("kube-controller-manager", &manager_flags(manager))?);
        users.kubeconfig("kwok", api)?;
        processes.push(Process::start("kwok", &leadsman_bed::kwok()?, &split(&kwok_flags(kwok)), &[], folder)?);
        let delay = if latency.is_zero() { None } else { Some(Delay::start(api, latency).await?) };
        // The first to be started is the last to end.
        processes.reverse();
        let cluster = Self { client, folder: folder.to_owned(), users, port: api, delay, processes };
        cluster.furnish().await?;
        Ok(cluster)
    }

    /// Namespaces, nodes, and the definitions that every controller needs.
    async fn furnish(&self) -> Result<()> {
        let namespace = |name: String| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let namespaces = (0..NAMESPACES).map(|index| format!("bench-{index}")).chain([NAMESPACE.to_owned()]);
        let mut objects: Vec<_> = namespaces.map(namespace).collect();
        objects.extend((0..NODES).map(|index| {
            let metadata = json!({"name": format!("node-{index}"), "annotations": {"kwok.x-k8s.io/node": "fake"}});
            json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata})
        }));
        let known = |it: &Value| DEFINITIONS.iter().any(|name| it.pointer("/metadata/name") == Some(&json!(name)));
        let definitions: Vec<_> =
            definitions_in(&leadsman_bed::mesh_definitions()?)?.into_iter().filter(known).collect();
        ensure!(definitions.len() == DEFINITIONS.len(), "not all of {DEFINITIONS:?} are in the cache");
        objects.extend(definitions);
        self.install(&objects).await
    }

    /// Brings objects in, and waits until those of each definition among them can be.
    pub async fn install(&self, objects: &[Value]) -> Result<()> {
        let mut defined = Vec::new();
        for object in objects {
            let applied = apply(&self.client, object).await?;
            if object.get("kind") == Some(&json!("CustomResourceDefinition")) {
                defined.push(applied.name_any());
            }
        }
        for name in defined {
            until_established(&self.client, &name).await?;
        }
        Ok(())
    }

    /// How the controller reaches the API server.
    pub fn kubeconfig(&self) -> Result<PathBuf> {
        let port = self.delay.as_ref().map_or(self.port, Delay::port);
        self.users.kubeconfig("contender", port)
    }

    /// How one of the cluster's [users](users) reaches the API server, without delay.
    pub fn kubeconfig_of(&self, user: &str) -> Result<PathBuf> {
        self.users.kubeconfig(user, self.port)
    }

    /// What is written of the controller's and of the reader's requests from now on.
    pub fn audit_log(&self) -> Result<AuditLog> {
        AuditLog::at(self.folder.join("audit.jsonl"))
    }

    /// Fails when a process of it has ended; goes on until then.
    pub async fn fails(&self) -> anyhow::Error {
        loop {
            if let Err(error) = self.processes.iter().try_for_each(Process::expect_alive) {
                return error;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

async fn client(kubeconfig: &Path) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Client::try_from(config).context("no client for the cluster")
}

async fn until_ready(client: &Client, processes: &[Process]) -> Result<()> {
    let waiting = async {
        loop {
            processes.iter().try_for_each(Process::expect_alive)?;
            let request = http::Request::get("/readyz").body(Vec::new())?;
            if client.request_text(request).await.is_ok_and(|said| said == "ok") {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(LIMIT, waiting).await.context("the API server does not become ready")?
}

fn split(words: &str) -> Vec<String> {
    words.split_whitespace().map(str::to_owned).collect()
}

fn etcd_flags(port: u16, peer: u16) -> String {
    let (own, peers) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer}"));
    format!(
        "--data-dir=etcd --unsafe-no-fsync --log-level=warn --quota-backend-bytes=8000000000 \
         --listen-client-urls={own} --advertise-client-urls={own} --listen-peer-urls={peers} \
         --initial-advertise-peer-urls={peers} --initial-cluster=default={peers}"
    )
}

fn api_flags(port: u16, etcd: u16) -> String {
    format!(
        "--etcd-servers=http://127.0.0.1:{etcd} --bind-address=127.0.0.1 --advertise-address=127.0.0.1 \
         --secure-port={port} --endpoint-reconciler-type=none \
         --tls-cert-file=pki/api.crt --tls-private-key-file=pki/api.key \
         --service-account-key-file=pki/sa.pub --service-account-signing-key-file=pki/sa.key \
         --service-account-issuer=https://kubernetes.default.svc --token-auth-file=tokens.csv \
         --authorization-mode=Node,RBAC --service-cluster-ip-range=10.96.0.0/12 \
         --audit-policy-file=audit-policy.yaml --audit-log-path=audit.jsonl --audit-log-maxsize=10000"
    )
}

/// The controllers that applications depend on, with limits that are not what is measured.
fn manager_flags(port: u16) -> String {
    format!(
        "--kubeconfig=controller-manager.kubeconfig --leader-elect=false --bind-address=127.0.0.1 --secure-port={port} \
         --controllers=deployment-controller,replicaset-controller,endpointslice-controller,namespace-controller,serviceaccount-controller,\
         garbage-collector-controller --kube-api-qps=1000 --kube-api-burst=2000 \
         --concurrent-replicaset-syncs=20 --concurrent-deployment-syncs=20 --concurrent-service-endpoint-syncs=20 \
         --service-account-private-key-file=pki/sa.key --root-ca-file=pki/ca.crt"
    )
}

/// No leases: there is nobody to miss them. Addresses for as many pods as there may be.
fn kwok_flags(port: u16) -> String {
    format!(
        "--kubeconfig=kwok.kubeconfig --config=kwok.yaml --manage-all-nodes=true --node-lease-duration-seconds=0 \
         --cidr=10.0.0.1/8 --server-address=127.0.0.1:{port}"
    )
}
