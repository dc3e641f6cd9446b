//! The snapshot that a pass decides on: what the caches hold, or what our own writes were answered with where that is
//! newer, or what the API server says where neither is to be trusted.

mod linkerd;
mod pods;
mod ports;
mod reading;
mod routes;
mod services;
mod sets;
mod trial;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use kube::core::ApiResource;
use leadsman_api::names::{ROLLOUT_LABEL, ROUTES_FINALIZER};
use leadsman_core::names::Hash;
use leadsman_core::observed::{Endpoints, Look, Observed, OtherService, RouteId, ServiceView};
use leadsman_core::traffic::{Carrier, Targets};
use serde_json::Value;

use super::cache::{ReplicaSetEntry, ServiceEntry, SliceEntry, Slim, endpoints, key_of};
use super::context::Context;
use super::loaded::Loaded;
use super::memory::Memory;
use crate::cluster::kinds;
use crate::routers::RouteRef;

pub use linkerd::Surroundings;
pub use reading::{PATIENCE, Reach, Reader, note_gone, read_through};
pub use routes::is_ours;
pub use services::is_created_by;
pub use trial::trial;
pub use words::{PodWords, Words, condition, has_crashed, is_true, words_of, words_of_pods};

/// What a pass decides on, and what its writes rest on.
pub struct Snapshot {
    /// For the core.
    pub observed: Observed,
    /// For the writes.
    pub objects: Objects,
    /// Something would have been read had the look gone further than [`Reach::Known`].
    pub has_doubts: bool,
}

/// The objects of a snapshot, as far as writes need them.
pub struct Objects {
    /// Our ReplicaSets.
    pub sets: BTreeMap<Hash, Arc<ReplicaSetEntry>>,
    /// The Services that the Rollout has, may soon have or had.
    services: BTreeMap<String, Look<Arc<ServiceEntry>>>,
    /// The routes.
    pub routes: Vec<RouteObject>,
}

/// A route of a snapshot.
pub struct RouteObject {
    /// What the Rollout says of it.
    pub route: RouteRef,
    /// The kind in the version that is served; `None` when it is not.
    pub kind: Option<Arc<ApiResource>>,
    /// The object.
    pub object: Look<Value>,
}

impl Objects {
    /// A Service.
    pub fn service(&self, name: &str) -> &Look<Arc<ServiceEntry>> {
        self.services.get(name).unwrap_or(&Look::Stale)
    }

    /// A route.
    pub fn route(&self, id: &RouteId) -> Option<&RouteObject> {
        self.routes.iter().find(|object| object.route.id() == *id)
    }
}

/// Takes a snapshot, all of it side by side and within [`reading::PATIENCE`]: what is late is `Stale`. With [`Reach::Live`]
/// sets, Services and routes are read from the API server; where one of these reads fails the snapshot does not claim to be
/// live.
pub fn observe<'a>(
    context: &'a Context,
    loaded: &'a Loaded,
    memory: &'a mut Memory,
    reach: Reach,
) -> BoxFuture<'a, Snapshot> {
    // It is large, and takes its room only while it lasts.
    look(context, loaded, memory, reach).boxed()
}

async fn look(context: &Context, loaded: &Loaded, memory: &mut Memory, reach: Reach) -> Snapshot {
    forget_others(loaded, memory);
    for route in &loaded.routes {
        memory.routes.entry(route.kind).or_default();
    }
    let reader = &Reader::new(&context.cluster, reach);
    let Memory { sets, services, routes, surroundings, wants_words_of, words, restart, .. } = &mut *memory;
    let services = &*services;
    let routes = async {
        let (mut routes, objects) = routes::look(reader, context, loaded, routes).await;
        routes::look_around(reader, context, loaded, surroundings, &mut routes, &objects).await;
        (routes, objects)
    };
    let (sets, services, parent, (routes, route_objects), slices, words, old_pods) = tokio::join!(
        sets::look(reader, context, loaded, sets),
        services::look_at_all(reader, context, loaded, services),
        services::parent(reader, context, loaded, services),
        routes,
        slices(reader, context, loaded),
        words::listen(reader, context, loaded, wants_words_of.as_ref(), words),
        pods::list_old(reader, loaded, restart.as_ref()),
    );
    let Targets { carrier, stable_service, canary_service, .. } = &loaded.targets;
    // Without routes, clients may call any port.
    let named_ports = match carrier {
        Carrier::Routes => ports::named(&route_objects, [stable_service, canary_service]),
        Carrier::Service | Carrier::Pods => None,
    };
    let service = |name: &str| match services.get(name) {
        Some(found) => services::judge(loaded, name, found),
        None if *carrier == Carrier::Pods => Look::Missing,
        None => Look::Stale,
    };
    let called = parent.as_ref().or_else(|| services::carrier(loaded, &services));
    let endpoints = |name: &str| of_service(&slices, name, services.get(name), named_ports.as_ref());
    let everything_read = !matches!(sets, Look::Stale)
        && !services.values().any(|service| matches!(service, Look::Stale))
        && !routes.iter().any(|(_, route)| matches!(route, Look::Stale));
    let answers = context.measurer.answers(&loaded.key);
    let observed = Observed {
        // After everything that it dates.
        now: context.now(),
        first_pass: !memory.has_passed,
        live: reach == Reach::Live && everything_read,
        sets: sets::views(&sets),
        service: services::judge_parent(loaded, called),
        ports: ports::declared(loaded, called),
        stable_service: service(stable_service),
        canary_service: service(canary_service),
        other_services: loaded.other_services().into_iter().map(|name| other(name, &service, &route_objects)).collect(),
        stable_endpoints: endpoints(stable_service),
        canary_endpoints: endpoints(canary_service),
        named_ports,
        routes,
        answers,
        words,
        old_pods,
        trial: None,
        reports: context.reporter.known(&loaded.key),
        finalizer: loaded.rollout.metadata.finalizers.iter().flatten().any(|name| name == ROUTES_FINALIZER),
        refused: memory.failures.refusals().into_iter().chain(context.reporter.refused(&loaded.key)).collect(),
        sighted: memory.sighted.clone(),
    };
    if let Some(words) = &observed.words {
        context.reporter.hear(loaded, words);
    }
    let sets = match sets {
        Look::Seen(sets) => sets,
        Look::Missing | Look::Stale => BTreeMap::new(),
    };
    let objects = Objects { sets, services, routes: route_objects };
    Snapshot { observed, objects, has_doubts: reader.has_doubts() }
}

/// Forgets what was expected of objects that the Rollout names no more.
fn forget_others(loaded: &Loaded, memory: &mut Memory) {
    let parent = loaded.declared.service.as_deref();
    let others = loaded.other_services();
    memory.services.retain(|name| loaded.targets.has_service(name) || parent == Some(name) || others.contains(name));
    for (kind, routes) in &mut memory.routes {
        routes.retain(|name| loaded.routes.iter().any(|route| route.kind == *kind && route.name == name));
    }
}

/// The slices of both Services; none while they are not known, which never counts as endpoints.
async fn slices(reader: &Reader, context: &Context, loaded: &Loaded) -> Vec<Arc<SliceEntry>> {
    let store = &context.caches.slices;
    if loaded.services().next().is_none() {
        return Vec::new();
    }
    if reader.reads(store, &loaded.key.namespace) {
        let slices = reader.cluster().objects(&kinds::ENDPOINT_SLICES, &loaded.key.namespace);
        if let Ok(listed) = slices.list(&format!("{ROLLOUT_LABEL}={}", loaded.key.name)).await {
            let read = |slice| (key_of(slice), Arc::new(SliceEntry::of(slice)));
            let listed: Vec<_> = listed.iter().map(read).collect();
            for (key, slice) in &listed {
                store.learn(key, slice);
            }
            return listed.into_iter().map(|(_, slice)| slice).collect();
        }
    }
    if store.is_synced(&loaded.key.namespace) {
        store.of_rollout(&loaded.key).into_iter().map(|(_, slice)| slice).collect()
    } else {
        Vec::new()
    }
}

fn of_service(
    slices: &[Arc<SliceEntry>],
    name: &str,
    service: Option<&Look<Arc<ServiceEntry>>>,
    named_ports: Option<&BTreeSet<u16>>,
) -> Endpoints {
    let ports = service.and_then(Look::seen).map(|service| &*service.ports).unwrap_or_default();
    let needed = ports::needed(ports, named_ports);
    endpoints(&slices.iter().map(|slice| &**slice).filter(|slice| &*slice.service == name), &needed)
}

fn other(name: String, service: &impl Fn(&str) -> Look<ServiceView>, routes: &[RouteObject]) -> OtherService {
    OtherService { service: service(&name), named: ports::is_named(routes, &name), name }
}
