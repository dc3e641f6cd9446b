//! Killing the leader at a chosen write.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use axum::http::Method;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams};
use kube::{Client, ResourceExt as _};

use crate::operator::{NAME, holder};
use crate::process;
use crate::runtime::blocking;

/// What a write changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// A Service: its binding.
    Service,
    /// A route: its weights.
    Route,
    /// A `ReplicaSet`: there or not, and its size.
    Set,
}

impl Effect {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Service, Self::Route, Self::Set];

    /// Of a request; `None` where it changes nothing that traffic sees.
    pub fn of(method: &Method, path: &str) -> Option<Self> {
        if method == Method::GET {
            return None;
        }
        let has = |resource: &str| path.split('/').any(|part| part == resource);
        let is_route = ["httproutes", "grpcroutes", "virtualservices"].into_iter().any(has);
        if is_route {
            Some(Self::Route)
        } else if has("replicasets") {
            Some(Self::Set)
        } else {
            has("services").then_some(Self::Service)
        }
    }
}

/// On which side of the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The write never gets there.
    Before,
    /// The write is done, and nobody hears of it.
    After,
}

/// The write at which the leader is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strike {
    /// Of what kind.
    pub effect: Effect,
    /// The how manieth of its kind, from 0, by those that succeeded.
    pub nth: usize,
    /// Before or after.
    pub when: When,
}

/// A strike that came.
#[derive(Clone, Debug)]
pub struct Struck {
    /// Which.
    pub strike: Strike,
    /// Method and path.
    pub what: String,
    /// When the leader was dead; seconds since 1970.
    pub at: f64,
    /// Who that was, as in the lease.
    pub victim: String,
}

/// Strikes to come, and those that came.
#[derive(Debug, Default)]
pub struct Strikes {
    pub(super) aimed: Vec<Strike>,
    pub(super) struck: Vec<Struck>,
    done: BTreeMap<Effect, usize>,
}

impl Strikes {
    pub(super) fn aim(&mut self, strikes: Vec<Strike>) {
        *self = Self { aimed: strikes, ..Self::default() };
    }

    /// A write is on its way.
    pub(super) fn due_before(&mut self, effect: Effect) -> Option<Strike> {
        let nth = self.done.get(&effect).copied().unwrap_or_default();
        self.take(Strike { effect, nth, when: When::Before })
    }

    /// A write has succeeded.
    pub(super) fn due_after(&mut self, effect: Effect) -> Option<Strike> {
        let done = self.done.entry(effect).or_default();
        let nth = *done;
        *done += 1;
        self.take(Strike { effect, nth, when: When::After })
    }

    fn take(&mut self, strike: Strike) -> Option<Strike> {
        let place = self.aimed.iter().position(|aimed| *aimed == strike)?;
        Some(self.aimed.remove(place))
    }
}

/// Whoever leads in a namespace.
pub struct Victim {
    /// As the cluster's administrator.
    pub client: Client,
    /// Where its lease is.
    pub namespace: String,
}

impl Victim {
    /// Ends the leader's process as a crash would. Its pod goes as well: the kubelet would wait longer before each restart,
    /// its Deployment does not.
    pub async fn kill(&self) -> Result<String> {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), &self.namespace);
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let leader = holder(&leases.get(NAME).await?);
        let pod = pods.get(leader.split('_').next().unwrap_or_default()).await?;
        let uid = pod.uid().context("no uid")?;
        blocking(move || process::kill(process::of_pod(&uid, NAME)?)).await?;
        pods.delete(&pod.name_any(), &DeleteParams::default().grace_period(0)).await?;
        Ok(leader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_writes_that_traffic_sees_are_effects() {
        let service = "/api/v1/namespaces/shop/services/podinfo-canary";
        assert_eq!(Effect::of(&Method::PATCH, service), Some(Effect::Service));
        assert_eq!(Effect::of(&Method::GET, service), None);
        let route = "/apis/networking.istio.io/v1/namespaces/shop/virtualservices/podinfo";
        assert_eq!(Effect::of(&Method::PATCH, route), Some(Effect::Route));
        assert_eq!(Effect::of(&Method::POST, "/apis/apps/v1/namespaces/shop/replicasets"), Some(Effect::Set));
        assert_eq!(Effect::of(&Method::PUT, "/apis/coordination.k8s.io/v1/namespaces/shop/leases/leadsman"), None);
    }

    #[test]
    fn a_strike_comes_once_at_the_write_that_was_aimed_at() {
        let strike = |nth, when| Strike { effect: Effect::Route, nth, when };
        let mut strikes = Strikes::default();
        strikes.aim(vec![strike(1, When::Before), strike(1, When::After)]);
        assert_eq!(strikes.due_before(Effect::Route), None);
        assert_eq!(strikes.due_before(Effect::Service), None);
        assert_eq!(strikes.due_after(Effect::Route), None);
        assert_eq!(strikes.due_before(Effect::Route), Some(strike(1, When::Before)));
        assert_eq!(strikes.due_before(Effect::Route), None);
        assert_eq!(strikes.due_after(Effect::Route), Some(strike(1, When::After)));
        assert!(strikes.aimed.is_empty());
    }
}
