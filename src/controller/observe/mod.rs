//! The snapshot that a pass decides on: what the caches hold, or what our own writes were answered with where that is
//! newer, or what the API server says where neither is to be trusted.

mod linkerd;
mod reading;
mod routes;
mod services;
mod sets;
mod trial;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use kube::core::ApiResource;
use leadsman_api::names::{ROLLOUT_LABEL, ROUTES_FINALIZER};
use leadsman_core::names::{Hash, Side};
use leadsman_core::observed::{Endpoints, Look, Observed};
use serde_json::Value;

use super::cache::{Port, ReplicaSetEntry, ServiceEntry, SliceEntry, Slim, endpoints, key_of};
use super::context::Context;
use super::loaded::Loaded;
use super::memory::Memory;
use crate::cluster::kinds;

pub use linkerd::Surroundings;
pub use reading::{PATIENCE, Reach, Reader, note_gone, read_through};
pub use routes::is_ours;
pub use services::is_created_by;
pub use trial::trial;
pub use words::Words;

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
    /// Both Services, in the order stable, canary.
    services: [Look<Arc<ServiceEntry>>; 2],
    /// The ports that `side` is to have; `None` when that is not known.
    ports: [Option<Vec<Port>>; 2],
    /// The routes in the order of the spec.
    pub routes: Vec<RouteObject>,
}

/// A route of a snapshot.
pub struct RouteObject {
    /// The kind in the version that is served; `None` when it is not.
    pub kind: Option<Arc<ApiResource>>,
    /// The object.
    pub object: Look<Value>,
}

impl Objects {
    /// The Service of a side.
    pub fn service(&self, side: Side) -> &Look<Arc<ServiceEntry>> {
        let [stable, canary] = &self.services;
        match side {
            Side::Stable => stable,
            Side::Canary => canary,
        }
    }

    /// The ports that the Service of a side is to have.
    pub fn ports(&self, side: Side) -> Option<&[Port]> {
        let [stable, canary] = &self.ports;
        match side {
            Side::Stable => stable.as_deref(),
            Side::Canary => canary.as_deref(),
        }
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
    for route in &loaded.declared.routes {
        memory.routes.entry(route.kind).or_default();
    }
    let reader = &Reader::new(&context.cluster, reach);
    let Memory { sets, services, routes, surroundings, wants_words_of, words, .. } = &mut *memory;
    let (services, declared) = (&*services, &loaded.declared);
    let routes = async {
        let (mut routes, objects) = routes::look(reader, context, loaded, routes).await;
        routes::look_around(reader, context, loaded, surroundings, &mut routes, &objects).await;
        (routes, objects)
    };
    let (sets, stable, canary, parent, (routes, route_objects), slices, words) = tokio::join!(
        sets::look(reader, context, loaded, sets),
        services::look(reader, context, loaded, services, &declared.stable_service),
        services::look(reader, context, loaded, services, &declared.canary_service),
        services::parent(reader, context, loaded, services),
        routes,
        slices(reader, context, loaded),
        words::listen(reader, context, loaded, wants_words_of.as_ref(), words),
    );
    let ports = services::wanted_ports(loaded, parent.as_ref());
    let ports_for = |name: &str, service: &Look<Arc<ServiceEntry>>| {
        let keep = |port: u16| services::is_named(&route_objects, name, port);
        ports.as_ref().map(|ports| services::ports_with_those_in_use(ports, service.seen().map(|it| &**it), keep))
    };
    let ports = [ports_for(&declared.stable_service, &stable), ports_for(&declared.canary_service, &canary)];
    let [stable_ports, canary_ports] = &ports;
    let everything_read = !matches!(sets, Look::Stale)
        && ![&stable, &canary].into_iter().any(|service| matches!(service, Look::Stale))
        && !routes.iter().any(|(_, route)| matches!(route, Look::Stale));
    let answers = context.measurer.answers(&loaded.key);
    let observed = Observed {
        // After everything that it dates.
        now: context.now(),
        first_pass: !memory.has_passed,
        live: reach == Reach::Live && everything_read,
        sets: sets::views(&sets),
        service: services::judge_parent(loaded, parent.as_ref()),
        stable_service: services::judge(loaded, &declared.stable_service, &stable, stable_ports.as_deref()),
        canary_service: services::judge(loaded, &declared.canary_service, &canary, canary_ports.as_deref()),
        stable_endpoints: of_service(&slices, &declared.stable_service),
        canary_endpoints: of_service(&slices, &declared.canary_service),
        routes,
        answers,
        words,
        trial: None,
        finalizer: loaded.rollout.metadata.finalizers.iter().flatten().any(|name| name == ROUTES_FINALIZER),
        refused: memory.failures.refusals(),
    };
    let sets = match sets {
        Look::Seen(sets) => sets,
        Look::Missing | Look::Stale => BTreeMap::new(),
    };
    let objects = Objects { sets, services: [stable, canary], ports, routes: route_objects };
    Snapshot { observed, objects, has_doubts: reader.has_doubts() }
}

/// Forgets what was expected of objects that the Rollout names no more.
fn forget_others(loaded: &Loaded, memory: &mut Memory) {
    let declared = &loaded.declared;
    let service = declared.service.as_ref();
    memory.services.retain(|name| {
        name == declared.stable_service || name == declared.canary_service || service.is_some_and(|it| it == name)
    });
    for (kind, routes) in &mut memory.routes {
        routes.retain(|name| declared.routes.iter().any(|route| route.kind == *kind && route.name == name));
    }
}

/// The slices of both Services; none while they are not known, which never counts as endpoints.
async fn slices(reader: &Reader, context: &Context, loaded: &Loaded) -> Vec<Arc<SliceEntry>> {
    let store = &context.caches.slices;
    if reader.reads(store) {
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
    if store.is_synced() {
        store.of_rollout(&loaded.key).into_iter().map(|(_, slice)| slice).collect()
    } else {
        Vec::new()
    }
}

fn of_service(slices: &[Arc<SliceEntry>], service: &str) -> Endpoints {
    endpoints(&slices.iter().map(|slice| &**slice).filter(|slice| &*slice.service == service))
}
