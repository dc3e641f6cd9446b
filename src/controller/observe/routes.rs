//! The routes that a Rollout names.

use leadsman_api::names::ROLLOUT_LABEL;
use leadsman_core::observed::{Look, RouteId, RouteView};
use leadsman_core::spec::{Problem, Reason};
use serde_json::Value;

use super::RouteObject;
use super::reading::read_through;
use crate::controller::cache::Served;
use crate::controller::cache::{RawEntry, label};
use crate::controller::context::Context;
use crate::controller::key::Key;
use crate::controller::loaded::Loaded;
use crate::controller::memory::Memory;
use crate::routers::{RouteRef, view};

/// All routes in the order of the spec: as the core sees them, and as they are.
pub async fn look(
    context: &Context,
    loaded: &Loaded,
    memory: &mut Memory,
    live: bool,
) -> (Vec<(RouteId, Look<RouteView>)>, Vec<RouteObject>) {
    let mut views = Vec::new();
    let mut around = Vec::new();
    for route in &loaded.declared.routes {
        let cache = context.caches.routes(route.kind);
        let (kind, copy) = match cache.served() {
            Served::Unknown => (None, Look::Stale),
            Served::Absent => (None, Look::Missing),
            Served::As(kind) => {
                let key = Key::new(&loaded.key.namespace, &route.name);
                let expected = (memory.routes.entry(route.kind).or_default(), &*cache.store);
                let copy = read_through(&context.cluster, &kind, expected, &key, live).await;
                (Some(kind), copy)
            }
        };
        let (looked, object) = match copy {
            Look::Seen(copy) => {
                let object = copy.object();
                let mut looked = view(route, &object, &loaded.backends());
                looked.problem = foreign(loaded, route, &copy, &object).or(looked.problem);
                (Look::Seen(looked), Look::Seen(object))
            }
            Look::Missing => (Look::Missing, Look::Missing),
            Look::Stale => (Look::Stale, Look::Stale),
        };
        views.push((route.id(), looked));
        around.push(RouteObject { kind, object });
    }
    (views, around)
}

/// A route that we should create but that somebody else has. One that an earlier Rollout of this name left behind without
/// an owner is ours: the next write takes it over.
fn foreign(loaded: &Loaded, route: &RouteRef, copy: &RawEntry, object: &Value) -> Option<Problem> {
    let ours = match &copy.controller {
        Some(owner) => *owner.uid == *loaded.uid,
        None => label(object, ROLLOUT_LABEL) == Some(&*loaded.key.name),
    };
    (route.spec.is_some() && !ours).then(|| {
        let message = format!(
            "{} exists and is not the Rollout's own: remove it, or leave its spec out of the Rollout to use it as it is",
            route.id()
        );
        Problem::new(Reason::InvalidRoute, message)
    })
}
