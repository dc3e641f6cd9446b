//! Load: a client in a pod that sends at a steady rate, never twice, and keeps a record of every request.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use leadsman_bed::{BESIDE, Connections, LoadClient, Way, http};
use serde::Deserialize;

use crate::namespace::Namespace;
use crate::routes::{RouteKind, STABLE};
use crate::runtime::blocking;
use crate::timeline::Entry;
use crate::wait::wait_for;

/// What happened to one request.
#[derive(Clone, Debug, Deserialize)]
pub struct Record {
    /// When it was sent; seconds since 1970.
    #[serde(rename = "t")]
    pub sent: f64,
    /// How long the answer took.
    #[serde(rename = "ms")]
    pub milliseconds: f64,
    /// HTTP status; 0 where no answer came.
    #[serde(rename = "s")]
    pub status: u16,
    /// What the application says that it is; empty where the answer is not the application's.
    #[serde(rename = "v", default)]
    pub version: String,
    /// The pod that answered.
    #[serde(rename = "p", default)]
    pub pod: String,
    /// What went wrong.
    #[serde(rename = "e", default)]
    pub error: String,
}

impl Record {
    /// Whether the client did not get what it asked for.
    pub fn failed(&self) -> bool {
        self.status == 0 || self.status >= 400 || !self.error.is_empty()
    }

    /// Whether the application itself gave this answer.
    pub fn is_answered(&self) -> bool {
        !self.version.is_empty()
    }
}

/// A client that sends.
#[derive(Debug)]
pub struct Load {
    /// The pod's name.
    pub name: String,
    /// What it calls.
    pub entry: Entry,
    address: SocketAddr,
    next: usize,
    records: Vec<Record>,
}

impl Load {
    /// Through a route, the way that is usual for its kind.
    pub async fn through(namespace: &Namespace, kind: RouteKind, rate: f64) -> Result<Self> {
        Self::through_as(namespace, &format!("load-{}", kind.word()), kind, rate).await
    }

    /// The same by a name of its own, beside another client of the route.
    pub async fn through_as(namespace: &Namespace, name: &str, kind: RouteKind, rate: f64) -> Result<Self> {
        let way = kind.way(&namespace.name);
        match &way {
            Way::Gateway { port, host } if !kind.is_grpc() => {
                let gateway = namespace.cluster_service("gw", "ingress").await?;
                answers_through_gateway(&gateway, *port, host, Duration::from_secs(20)).await?;
            }
            Way::Beside { host } => {
                // A slow one knows the first endpoints after twenty seconds.
                let gateway = namespace.cluster_service(&namespace.name, BESIDE).await?;
                answers_through_gateway(&gateway, 80, host, Duration::from_secs(40)).await?;
            }
            _ => {}
        }
        let mut client = LoadClient::new(&namespace.name, name, way, rate);
        client.grpc = kind.is_grpc();
        Self::start(namespace, client, Entry::Route(kind.route_name())).await
    }

    /// Through a route, for what no revision can answer: as where something that all of them need is down.
    pub async fn broken(namespace: &Namespace, kind: RouteKind, rate: f64) -> Result<Self> {
        let client = LoadClient::new(&namespace.name, "load-broken", kind.way(&namespace.name), rate);
        Self::start(namespace, LoadClient { path: "/broken", ..client }, Entry::Route(kind.route_name())).await
    }

    /// In the mesh, to the application's own name.
    pub async fn in_mesh(namespace: &Namespace, kind: RouteKind, rate: f64) -> Result<Self> {
        let client = LoadClient::new(&namespace.name, "load-mesh", RouteKind::mesh_way(&namespace.name), rate);
        Self::start(namespace, client, Entry::Route(kind.route_name())).await
    }

    /// Around the mesh, to the Service of the stable revision.
    pub async fn direct_to_stable(namespace: &Namespace, rate: f64) -> Result<Self> {
        let way = Way::Direct { address: format!("{STABLE}.{}:80", namespace.name) };
        let client = LoadClient::new(&namespace.name, "load-direct", way, rate);
        Self::start(namespace, client, Entry::Service(STABLE.to_owned())).await
    }

    /// Outside the mesh, to a Service on port 80. Which pod answers is kube-proxy's choice, for each connection anew.
    pub async fn direct(namespace: &Namespace, service: &str, connections: Connections, rate: f64) -> Result<Self> {
        // By its address: with a connection per request, names would be looked up as often.
        let address = namespace.cluster_service(&namespace.name, service).await?;
        let way = Way::Direct { address: format!("{address}:80") };
        let name = format!("load-{service}-{}", connections.word());
        let mut client = LoadClient::new(&namespace.name, &name, way, rate);
        client.connections = Some(connections);
        Self::start(namespace, client, Entry::Service(service.to_owned())).await
    }

    async fn start(namespace: &Namespace, client: LoadClient, entry: Entry) -> Result<Self> {
        namespace.apply(&client.manifest()).await?;
        let pods: Api<Pod> = namespace.api();
        let ready = |pod: Option<&Pod>| {
            let conditions = pod.and_then(|pod| pod.status.as_ref()?.conditions.as_ref());
            conditions.is_some_and(|all| all.iter().any(|it| it.type_ == "Ready" && it.status == "True"))
        };
        let pod = wait_for(pods, &client.name, "to send", Duration::from_mins(1), ready).await?;
        let ip = pod.and_then(|pod| pod.status?.pod_ip).context("a pod that is ready has an address")?;
        let address = SocketAddr::new(ip.parse()?, 8090);
        Ok(Self { name: client.name, entry, address, next: 0, records: Vec::new() })
    }

    /// Reads what was answered since the last time, and gives it.
    pub async fn read(&mut self) -> Result<&[Record]> {
        let (address, path) = (self.address, format!("/records?since={}", self.next));
        let response = blocking(move || http::get(address, &path)).await?;
        let before = self.records.len();
        for line in response.body.lines() {
            self.records.push(serde_json::from_str(line)?);
        }
        let next = response.header("x-next").and_then(|next| next.parse().ok());
        self.next = next.context("the load client did not say where to go on")?;
        Ok(self.records.get(before..).unwrap_or_default())
    }

    /// How many have been answered, as far as was read.
    pub fn answered(&self) -> usize {
        self.next
    }

    /// Everything that was read.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Counts as JSON, without stopping.
    pub async fn summary(&self) -> Result<String> {
        let address = self.address;
        Ok(blocking(move || http::get(address, "/summary")).await?.body)
    }

    /// Goes on until this many more requests have been answered.
    pub async fn until_more(&mut self, number: usize) -> Result<()> {
        self.read().await?;
        self.until_answered(self.next + number).await
    }

    /// Goes on until this version has answered.
    pub async fn until_answered_by(&mut self, version: &str, limit: Duration) -> Result<()> {
        let mut look = tokio::time::interval(Duration::from_millis(500));
        let looking = async {
            while !self.read().await?.iter().any(|record| record.version == version) {
                look.tick().await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(limit, looking).await.with_context(|| format!("no answer of {version} in {limit:?}"))?
    }

    /// Goes on until this many requests have been answered.
    pub async fn until_answered(&mut self, number: usize) -> Result<()> {
        // The client tells nobody how far it is: it has to be asked.
        let mut look = tokio::time::interval(Duration::from_millis(500));
        while self.next < number {
            look.tick().await;
            self.read().await?;
        }
        Ok(())
    }

    /// Ends the sending, waits for what is in flight, and gives all records.
    pub async fn finish(&mut self) -> Result<&[Record]> {
        let address = self.address;
        let stopped = blocking(move || http::post(address, "/stop")).await?;
        ensure!(stopped.status == 200, "{}: {}", self.name, stopped.body);
        self.read().await?;
        let said: serde_json::Value = serde_json::from_str(&stopped.body)?;
        let sent = said.get("sent").and_then(serde_json::Value::as_u64).unwrap_or_default();
        ensure!(sent == self.records.len() as u64, "{}: {sent} sent, {} accounted for", self.name, self.records.len());
        Ok(&self.records)
    }
}

/// Until the gateway at this address has a route and its endpoints: before that it answers itself.
async fn answers_through_gateway(gateway: &str, port: u16, host: &str, limit: Duration) -> Result<()> {
    let address = SocketAddr::new(gateway.parse()?, port);
    let asking = async {
        // Envoy can only be asked.
        let mut look = tokio::time::interval(Duration::from_millis(100));
        loop {
            look.tick().await;
            let host = host.to_owned();
            let answer = blocking(move || http::request("POST", address, "/", Some(&host))).await;
            if answer.is_ok_and(|answer| answer.header("x-version").is_some()) {
                return;
            }
        }
    };
    tokio::time::timeout(limit, asking)
        .await
        .with_context(|| format!("the gateway does not know {host} after {limit:?}"))
}
