//! What stands beside a route and keeps Linkerd from following it: a route of the other kind, a ServiceProfile.
//!
//! Looked for only while a release is about to begin and Linkerd reports on one of the routes; nobody watches
//! ServiceProfiles, so they are listed then, and again as long as one is in the way.

use std::time::Duration;

use leadsman_core::spec::Verb;
use leadsman_core::state::Stage;
use serde_json::Value;
use tokio::time::Instant;

use super::reading::Reader;
use crate::cluster::{Cluster, kinds};
use crate::controller::cache::{Cached, Caches};
use crate::controller::key::Key;
use crate::controller::loaded::Loaded;
use crate::routers::{RouteKind, Shape, linkerd};

/// How long a list of ServiceProfiles is good, and how long what is in the way is left alone before another look.
const GOOD_FOR: Duration = Duration::from_secs(30);

/// What is remembered of what stands beside the routes of a Rollout.
#[derive(Default)]
pub struct Surroundings {
    listed: Option<Listed>,
    again: Option<Instant>,
}

/// The ServiceProfiles of a namespace; `None` where they could not be listed.
struct Listed {
    at: Instant,
    profiles: Option<Vec<Value>>,
}

impl Surroundings {
    /// When to look again although nothing else changes: something is in the way, and nobody watches whether it goes.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.again
    }

    /// The ServiceProfiles, listed anew where the last list is not good any more; `None` where that goes too far.
    async fn list(&mut self, reader: &Reader, namespace: &str) -> Option<&Listed> {
        let is_good = self.listed.as_ref().is_some_and(|listed| listed.at.elapsed() < GOOD_FOR);
        if reader.resolves(!is_good) {
            self.listed = Some(Listed { at: Instant::now(), profiles: profiles(reader.cluster(), namespace).await });
        }
        self.listed.as_ref()
    }

    async fn look_at_profiles(&mut self, reader: &Reader, namespace: &str, object: &Value) -> Found {
        let Some(listed) = self.list(reader, namespace).await else { return Found::default() };
        let Some(profiles) = &listed.profiles else {
            let warning = "ServiceProfiles could not be listed: one of its parent would win over it";
            return Found { problem: None, warning: Some(warning.to_owned()) };
        };
        match (linkerd::overridden(object, namespace, profiles), listed.at) {
            (Some(problem), at) => self.found(problem, at),
            (None, _) => Found::default(),
        }
    }

    /// Something is in the way, as was seen at an instant.
    fn found(&mut self, problem: String, at: Instant) -> Found {
        self.again = Some(at + GOOD_FOR);
        Found { problem: Some(problem), warning: None }
    }
}

async fn profiles(cluster: &Cluster, namespace: &str) -> Option<Vec<Value>> {
    match cluster.objects(&kinds::SERVICE_PROFILES, namespace).list("").await {
        Ok(profiles) => Some(profiles),
        // Not installed: there are none.
        Err(error) if error.code() == Some(404) => Some(Vec::new()),
        Err(error) => {
            tracing::debug!(namespace, %error, "ServiceProfiles cannot be listed");
            None
        }
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

/// Looks around the routes of a Rollout, each with its kind. Gives what was found, in their order.
pub async fn look_around(
    (reader, caches, namespace): (&Reader, &Caches, &str),
    remembered: &mut Surroundings,
    routes: &[(RouteKind, Option<&Value>)],
) -> Vec<Found> {
    remembered.again = None;
    let is_followed = |(kind, object): &(RouteKind, Option<&Value>)| {
        kind.shape() == Shape::GatewayApi && object.is_some_and(|object| linkerd::reports_on(object, namespace))
    };
    let known = if routes.iter().any(is_followed) { cached(caches, namespace) } else { Vec::new() };
    let mut all = Vec::new();
    for route in routes {
        all.push(match route {
            (kind, Some(object)) if is_followed(route) => {
                let named = routes.iter().filter_map(|(kind, object)| Some((*kind, (*object)?)));
                let others = named.chain(known.iter().map(|(kind, route)| (*kind, route)));
                match linkerd::conflict(*kind, object, namespace, others) {
                    Some(conflict) => remembered.found(conflict, Instant::now()),
                    None => remembered.look_at_profiles(reader, namespace, object).await,
                }
            }
            _ => Found::default(),
        });
    }
    all
}

/// The routes in a namespace that Linkerd may follow, as far as they are known.
fn cached(caches: &Caches, namespace: &str) -> Vec<(RouteKind, Value)> {
    let of_kind = |kind: RouteKind| {
        let store = &caches.routes(kind).store;
        let keys: Vec<Key> = store.keys().into_iter().filter(|key| *key.namespace == *namespace).collect();
        let held = keys.into_iter().filter_map(|key| match store.get(&key) {
            Cached::Holds(route) => Some((kind, route.object())),
            Cached::Absent | Cached::Unsynced => None,
        });
        held.collect::<Vec<_>>()
    };
    RouteKind::ALL.into_iter().filter(|kind| kind.shape() == Shape::GatewayApi).flat_map(of_kind).collect()
}
