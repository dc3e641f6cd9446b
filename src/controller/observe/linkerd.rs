//! What stands beside a route and keeps Linkerd from following it: a route of the other kind, a ServiceProfile.
//!
//! Looked for only while a release is about to begin and Linkerd reports on one of the routes; nobody watches
//! ServiceProfiles, so they are listed then, and again as long as one is in the way.

use std::time::Duration;

use kube::core::ApiResource;
use leadsman_core::spec::Verb;
use leadsman_core::state::Stage;
use serde_json::Value;
use tokio::time::Instant;

use super::reading::PATIENCE;
use crate::cluster::{Cluster, kinds};
use crate::controller::cache::{Cached, Caches};
use crate::controller::key::Key;
use crate::controller::loaded::Loaded;
use crate::routers::{RouteKind, linkerd};

/// How long a list of ServiceProfiles is good.
const GOOD_FOR: Duration = Duration::from_secs(30);

/// The ServiceProfiles of a namespace, as they were last listed.
#[derive(Default)]
pub struct Profiles {
    listed: Option<Listed>,
}

struct Listed {
    at: Instant,
    /// `None` where they could not be listed.
    profiles: Option<Vec<Value>>,
    /// True while a release waits for another list.
    is_waited_for: bool,
}

impl Profiles {
    /// When they should be listed again although nothing else changes.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.listed.as_ref().filter(|listed| listed.is_waited_for).map(|listed| listed.at + GOOD_FOR)
    }

    async fn list(&mut self, cluster: &Cluster, namespace: &str) {
        if self.listed.as_ref().is_some_and(|listed| listed.at.elapsed() < GOOD_FOR) {
            return;
        }
        let kind: &ApiResource = &kinds::SERVICE_PROFILES;
        let profiles = match cluster.within(PATIENCE).objects(kind, namespace).list("").await {
            Ok(profiles) => Some(profiles),
            // Not installed: there are none.
            Err(error) if error.is_not_found() => Some(Vec::new()),
            Err(error) => {
                tracing::debug!(namespace, %error, "ServiceProfiles cannot be listed");
                None
            }
        };
        self.listed = Some(Listed { at: Instant::now(), profiles, is_waited_for: false });
    }
}

/// Whether a release is about to begin: what is in the way later is not looked for any more.
pub fn is_wanted(loaded: &Loaded) -> bool {
    let (Some(state), declared) = (&loaded.state, &loaded.declared.core) else { return false };
    match &state.stage {
        Stage::Resting => {
            let is_rejected = state.rejected.iter().any(|rejection| rejection.revision.hash == declared.hash);
            let last = state.last_command.as_ref().map(|last| last.id.as_str());
            let is_retried = declared.command.as_ref().is_some_and(|command| {
                command.as_ref().is_ok_and(|command| command.verb == Verb::Retry && last != Some(&*command.id))
            });
            state.stable.hash != declared.hash && (!is_rejected || is_retried)
        }
        Stage::Releasing(release) => release.preflight.is_some(),
        Stage::Deploying | Stage::Promoting(_) | Stage::Leaving(_) => false,
    }
}

/// What is in the way of one route.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Why Linkerd does not follow it, and what to do.
    pub problem: Option<String>,
    /// What could not be found out.
    pub warning: Option<String>,
}

/// Looks around one route that was read, with the others that the Rollout names.
pub async fn look_around(
    (cluster, caches, namespace): (&Cluster, &Caches, &str),
    profiles: &mut Profiles,
    (kind, object): (RouteKind, &Value),
    named: &[(RouteKind, Value)],
) -> Found {
    if kind == RouteKind::VirtualService || !linkerd::reports_on(object, namespace) {
        return Found::default();
    }
    let known = cached(caches, namespace);
    let others = named.iter().chain(&known).map(|(kind, route)| (*kind, route));
    if let Some(problem) = linkerd::conflict(kind, object, namespace, others) {
        return Found { problem: Some(problem), warning: None };
    }
    profiles.list(cluster, namespace).await;
    let Some(listed) = &mut profiles.listed else { return Found::default() };
    let problem = listed.profiles.as_ref().and_then(|listed| linkerd::overridden(object, namespace, listed));
    let warning = listed.profiles.is_none().then(|| {
        "whether a ServiceProfile of its parent wins over it is not known: they could not be listed".to_owned()
    });
    listed.is_waited_for |= problem.is_some();
    Found { problem, warning }
}

/// The routes of the Gateway API in a namespace, as far as they are known.
fn cached(caches: &Caches, namespace: &str) -> Vec<(RouteKind, Value)> {
    let kinds = [RouteKind::HttpRoute, RouteKind::GrpcRoute];
    let of_kind = |kind: RouteKind| {
        let store = &caches.routes(kind).store;
        let keys: Vec<Key> = store.keys().into_iter().filter(|key| *key.namespace == *namespace).collect();
        let held = keys.into_iter().filter_map(|key| match store.get(&key) {
            Cached::Holds(route) => Some((kind, route.object())),
            Cached::Absent | Cached::Unsynced => None,
        });
        held.collect::<Vec<_>>()
    };
    kinds.into_iter().flat_map(of_kind).collect()
}
