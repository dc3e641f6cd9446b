//! The snapshot that a pass decides on: what the caches hold, or what our own writes were answered with where that is
//! newer, or what the API server says where neither is to be trusted.

mod reading;
mod routes;
mod services;
mod sets;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::core::ApiResource;
use leadsman_api::names::{ROLLOUT_LABEL, ROUTES_FINALIZER};
use leadsman_core::names::{Hash, Side};
use leadsman_core::observed::{Endpoints, Look, Observed};
use serde_json::Value;

use super::context::Context;
use super::copies::{Copy, Port, ServiceCopy, SetCopy, SliceCopy, endpoints, key_of};
use super::memory::Memory;
use super::subject::Subject;
use crate::cluster::kinds;

pub use reading::look_at;
pub use services::is_created_by;

/// What a pass decides on, and what its writes rest on.
pub struct Snapshot {
    /// For the core.
    pub observed: Observed,
    /// For the writes.
    pub around: Around,
}

/// The objects of a snapshot, as far as writes need them.
pub struct Around {
    /// Our ReplicaSets.
    pub sets: BTreeMap<Hash, Arc<SetCopy>>,
    /// Both Services, in the order stable, canary.
    services: [Look<Arc<ServiceCopy>>; 2],
    /// The ports that `side` is to have; `None` when that is not known.
    ports: [Option<Vec<Port>>; 2],
    /// The routes in the order of the spec.
    pub routes: Vec<AroundRoute>,
}

/// A route of a snapshot.
pub struct AroundRoute {
    /// The kind in the version that is served; `None` when it is not.
    pub kind: Option<Arc<ApiResource>>,
    /// The object.
    pub object: Look<Value>,
}

impl Around {
    /// The Service of a side.
    pub fn service(&self, side: Side) -> &Look<Arc<ServiceCopy>> {
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

/// Takes a snapshot. With `live`, sets, Services and routes are read from the API server; where one of these reads fails
/// the snapshot does not claim to be live.
pub async fn observe(context: &Context, subject: &Subject, memory: &mut Memory, live: bool) -> Snapshot {
    let declared = &subject.declared;
    let sets = sets::look(context, subject, memory, live).await;
    let stable = services::look(context, subject, memory, &declared.stable_service, live).await;
    let canary = services::look(context, subject, memory, &declared.canary_service, live).await;
    let parent = services::look_at_parent(context, subject, memory).await;
    let (routes, around_routes) = routes::look(context, subject, memory, live).await;
    let ports = services::wanted_ports(subject, parent.as_ref());
    let ports_for = |name: &str, service: &Look<Arc<ServiceCopy>>| {
        let keep = |port: u16| services::is_named(&around_routes, name, port);
        ports.as_ref().map(|ports| services::ports_with_those_in_use(ports, service.seen().map(|it| &**it), keep))
    };
    let ports = [ports_for(&declared.stable_service, &stable), ports_for(&declared.canary_service, &canary)];
    let [stable_ports, canary_ports] = &ports;
    let words = words::listen(context, subject, memory).await;
    let everything_read = !matches!(sets, Look::Stale)
        && ![&stable, &canary].into_iter().any(|service| matches!(service, Look::Stale))
        && !routes.iter().any(|(_, route)| matches!(route, Look::Stale));
    let slices = slices(context, subject, live).await;
    let answers = context.desk.answers(&subject.key);
    let observed = Observed {
        // After everything that it dates.
        now: context.now(),
        first_pass: !memory.has_passed,
        live: live && everything_read,
        sets: sets::views(&sets),
        service: services::judge_parent(subject, parent.as_ref()),
        stable_service: services::judge(subject, &declared.stable_service, &stable, stable_ports.as_deref()),
        canary_service: services::judge(subject, &declared.canary_service, &canary, canary_ports.as_deref()),
        stable_endpoints: of_service(&slices, &declared.stable_service),
        canary_endpoints: of_service(&slices, &declared.canary_service),
        routes,
        answers,
        words,
        finalizer: subject.rollout.metadata.finalizers.iter().flatten().any(|name| name == ROUTES_FINALIZER),
        refused: memory.refusals(),
    };
    let sets = match sets {
        Look::Seen(sets) => sets,
        Look::Missing | Look::Stale => BTreeMap::new(),
    };
    Snapshot { observed, around: Around { sets, services: [stable, canary], ports, routes: around_routes } }
}

/// The slices of both Services; none while they are not known, which never counts as endpoints.
async fn slices(context: &Context, subject: &Subject, live: bool) -> Vec<Arc<SliceCopy>> {
    let store = &context.caches.slices;
    if live || store.is_doubtful() {
        let cluster = context.cluster.within(reading::PATIENCE);
        let slices = cluster.objects(&kinds::ENDPOINT_SLICES, &subject.key.namespace);
        if let Ok(listed) = slices.list(&format!("{ROLLOUT_LABEL}={}", subject.key.name)).await {
            let read = |slice| (key_of(slice), Arc::new(SliceCopy::of(slice)));
            let listed: Vec<_> = listed.iter().map(read).collect();
            for (key, slice) in &listed {
                store.learn(key, slice);
            }
            return listed.into_iter().map(|(_, slice)| slice).collect();
        }
    }
    if store.is_synced() {
        store.of_rollout(&subject.key).into_iter().map(|(_, slice)| slice).collect()
    } else {
        Vec::new()
    }
}

fn of_service(slices: &[Arc<SliceCopy>], service: &str) -> Endpoints {
    endpoints(&slices.iter().map(|slice| &**slice).filter(|slice| &*slice.service == service))
}
