//! The lease that makes one instance the leader (coordination.k8s.io/v1).
//!
//! Every write carries the version that it replaces, so that of two candidates one wins. See [`elector`] for who may take
//! it and when.

pub mod elector;

use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use jiff::Timestamp;
use kube::api::{Api, DynamicObject};
use kube::core::ApiResource;
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::elector::{DURATION, Elector, Move, RENEW_EVERY, RETRY_EVERY, Record};
use super::backoff::jittered;
use super::leadership::Leadership;
use crate::cluster::{Cluster, Result, kinds};

/// A lease and our candidacy for it.
pub struct Lease {
    cluster: Cluster,
    namespace: String,
    name: String,
    elector: Elector,
    leadership: Leadership,
    /// Since when we hold it, for people.
    acquired: Timestamp,
}

/// Why holding a lease ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// We were told to stop.
    Stopped,
    /// It could not be renewed in time, or somebody else has it.
    Lost,
}

impl Lease {
    /// A candidate. `leadership` is what all other writes depend on.
    pub fn new(cluster: &Cluster, namespace: &str, name: &str, identity: String, leadership: Leadership) -> Self {
        Self {
            cluster: cluster.led_by(Leadership::always()),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            elector: Elector::new(identity),
            leadership,
            acquired: Timestamp::UNIX_EPOCH,
        }
    }

    /// Waits until the lease is ours. False when told to stop before.
    pub async fn acquire(&mut self, stop: &CancellationToken) -> bool {
        let mut told = false;
        let mut changes = self.changes();
        loop {
            match self.look().await {
                Ok(true) => {
                    tracing::info!(lease = %self.name, identity = self.elector.identity(), "leading");
                    return true;
                }
                Ok(false) => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::info!(lease = %self.name, "another instance leads; standing by");
                    }
                }
                Err(error) if error.is_moved() || error.is_already_exists() => {}
                Err(error) => tracing::warn!(lease = %self.name, %error, "the lease cannot be reached"),
            }
            tokio::select! {
                stopped = sleep(jittered(RETRY_EVERY), stop) => if stopped { return false },
                () = given_back(&mut changes) => {}
            }
        }
    }

    /// The lease as it changes: so that one that is given back is taken at once. Nothing but that depends on it.
    fn changes(&self) -> BoxStream<'static, watcher::Result<Option<DynamicObject>>> {
        let (client, kind): (_, &ApiResource) = (self.cluster.client().clone(), &kinds::LEASES);
        let leases: Api<DynamicObject> = Api::namespaced_with(client, &self.namespace, kind);
        watcher::watch_object(leases, &self.name).default_backoff().boxed()
    }

    /// Renews the lease for as long as that succeeds.
    pub async fn hold(&mut self, stop: &CancellationToken) -> Ended {
        loop {
            let next = if self.elector.holds(Instant::now()) { self.next_renewal() } else { Instant::now() };
            if sleep(next.saturating_duration_since(Instant::now()), stop).await {
                return Ended::Stopped;
            }
            let Some(deadline) = self.elector.holds_until() else { return Ended::Lost };
            loop {
                // Never beyond the deadline: an answer that comes later is worth nothing.
                let renewed = tokio::time::timeout_at(deadline, self.renew()).await;
                match renewed {
                    Ok(Ok(true)) => break,
                    Ok(Ok(false)) => return self.lost(),
                    Ok(Err(error)) => tracing::warn!(lease = %self.name, %error, "the lease could not be renewed"),
                    Err(_) => {}
                }
                if Instant::now() >= deadline {
                    return self.lost();
                }
                let pause = jittered(RETRY_EVERY).min(deadline.saturating_duration_since(Instant::now()));
                if sleep(pause, stop).await {
                    return Ended::Stopped;
                }
            }
        }
    }

    /// Gives the lease back, so that another instance need not wait for it to expire. To be called once nothing writes.
    pub async fn release(&mut self) {
        self.leadership.end();
        let Some(Move::Write { version, transitions, .. }) = self.elector.renew() else { return };
        let object = self.object("", &version, transitions, Duration::from_secs(1));
        let leases = self.cluster.objects(&kinds::LEASES, &self.namespace);
        match leases.replace(&self.name, &object).await {
            Ok(_) => tracing::info!(lease = %self.name, "released"),
            Err(error) => tracing::warn!(lease = %self.name, %error, "the lease could not be released"),
        }
    }

    fn lost(&self) -> Ended {
        self.leadership.end();
        tracing::error!(lease = %self.name, "the lease is lost");
        Ended::Lost
    }

    fn next_renewal(&self) -> Instant {
        let sent = self.elector.holds_until().map(|until| until - elector::RENEW_DEADLINE);
        sent.unwrap_or_else(Instant::now) + RENEW_EVERY
    }

    /// Reads the lease and makes a move. True when it is ours.
    async fn look(&mut self) -> Result<bool> {
        let lease = self.cluster.objects(&kinds::LEASES, &self.namespace).get(&self.name).await?;
        let next = self.elector.read(Instant::now(), lease.as_ref().map(record));
        self.make(next).await
    }

    /// Renews on top of what we wrote last; where somebody else wrote since, on top of that if it is still ours.
    async fn renew(&mut self) -> Result<bool> {
        let Some(next) = self.elector.renew() else { return self.look().await };
        match self.make(next).await {
            Err(error) if error.is_moved() || error.is_not_found() => self.look().await,
            other => other,
        }
    }

    async fn make(&mut self, next: Move) -> Result<bool> {
        let leases = self.cluster.objects(&kinds::LEASES, &self.namespace);
        // The instant before sending: what is valid is counted from there.
        let sent = Instant::now();
        let identity = self.elector.identity().to_owned();
        if matches!(next, Move::Create | Move::Write { takes_over: true, .. }) {
            self.acquired = Timestamp::now();
        }
        let written = match next {
            Move::Create => leases.create(&self.object(&identity, "", 0, DURATION)).await?,
            Move::Write { version, transitions, takes_over } => {
                if takes_over {
                    tracing::info!(lease = %self.name, "taking over");
                }
                leases.replace(&self.name, &self.object(&identity, &version, transitions, DURATION)).await?
            }
            Move::Wait | Move::Lost => return Ok(false),
        };
        self.elector.wrote(sent, record(&written));
        if let Some(until) = self.elector.holds_until() {
            self.leadership.lasts_until(until);
        }
        Ok(true)
    }

    fn object(&self, holder: &str, version: &str, transitions: u64, duration: Duration) -> Value {
        let now = format!("{:.6}", Timestamp::now());
        let mut metadata = json!({"name": self.name, "namespace": self.namespace});
        if let Some(metadata) = metadata.as_object_mut().filter(|_| !version.is_empty()) {
            metadata.insert("resourceVersion".to_owned(), json!(version));
        }
        json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": duration.as_secs(),
                "acquireTime": format!("{:.6}", self.acquired),
                "renewTime": now,
                "leaseTransitions": transitions,
            },
        })
    }
}

fn record(lease: &Value) -> Record {
    let text = |pointer| lease.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let number = |pointer| lease.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
    Record {
        holder: text("/spec/holderIdentity"),
        renewed: text("/spec/renewTime"),
        transitions: number("/spec/leaseTransitions"),
        version: text("/metadata/resourceVersion"),
        duration: Duration::from_secs(number("/spec/leaseDurationSeconds")),
    }
}

/// Waits until the lease has no holder; for ever, where it cannot be watched.
async fn given_back(changes: &mut BoxStream<'static, watcher::Result<Option<DynamicObject>>>) {
    while let Some(change) = changes.next().await {
        let holder = |lease: &DynamicObject| record(&lease.data).holder;
        if change.is_ok_and(|lease| lease.is_some_and(|lease| holder(&lease).is_empty())) {
            return;
        }
    }
    std::future::pending::<()>().await;
}

/// Sleeps. True when told to stop meanwhile.
async fn sleep(duration: Duration, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = tokio::time::sleep(duration) => false,
        () = stop.cancelled() => true,
    }
}
