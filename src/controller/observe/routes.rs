//! The routes that a Rollout names.

use std::collections::BTreeMap;

use futures::future::join_all;
use leadsman_api::names::ROLLOUT_LABEL;
use leadsman_core::observed::{Look, RouteId, RouteView};
use leadsman_core::spec::Problem;
use serde_json::Value;

use super::RouteObject;
use super::linkerd::{self, Found, Surroundings};
use super::reading::{Reader, read_through};
use crate::controller::cache::Served;
use crate::controller::cache::{RawEntry, label};
use crate::controller::context::Context;
use crate::controller::expectations::Expectations;
use crate::controller::loaded::Loaded;
use crate::routers::{RouteKind, RouteRef, view};

/// All routes: as the core sees them, and as they are.
pub async fn look(
    reader: &Reader,
    context: &Context,
    loaded: &Loaded,
    expectations: &BTreeMap<RouteKind, Expectations<RawEntry>>,
) -> (Vec<(RouteId, Look<RouteView>)>, Vec<RouteObject>) {
    let looks = loaded.routes.iter().map(|route| one(reader, context, loaded, expectations, route));
    join_all(looks).await.into_iter().unzip()
}

async fn one(
    reader: &Reader,
    context: &Context,
    loaded: &Loaded,
    expectations: &BTreeMap<RouteKind, Expectations<RawEntry>>,
    route: &RouteRef,
) -> ((RouteId, Look<RouteView>), RouteObject) {
    let cache = context.caches.routes(route.kind);
    let (kind, copy) = match (cache.served(), expectations.get(&route.kind)) {
        (Served::Absent, _) => (None, Look::Missing),
        (Served::As(kind), Some(expectations)) => {
            let key = loaded.key.beside(&route.name);
            let copy = read_through(reader, &kind, (expectations, &*cache.store), &key).await;
            (Some(kind), copy)
        }
        (Served::Unknown | Served::As(_), _) => (None, Look::Stale),
    };
    let (looked, object) = match copy {
        // It was ours, is not declared any more, and belongs to somebody else by now.
        Look::Seen(copy) if route.owned && route.spec.is_none() && !is_ours(loaded, &copy, &copy.object()) => {
            (Look::Missing, Look::Missing)
        }
        Look::Seen(copy) => {
            let object = copy.object();
            (Look::Seen(judge(loaded, route, &copy, &object)), Look::Seen(object))
        }
        Look::Missing => (Look::Missing, Look::Missing),
        Look::Stale => (Look::Stale, Look::Stale),
    };
    ((route.id(), looked), RouteObject { route: route.clone(), kind, object })
}

/// A route that was read, as the core sees it.
fn judge(loaded: &Loaded, route: &RouteRef, copy: &RawEntry, object: &Value) -> RouteView {
    let mut looked = view(route, object, &loaded.backends());
    if !route.owned {
        looked.held = copy.is_held;
    } else if !is_ours(loaded, copy, object) {
        // It is not ours to write anew.
        looked.differs = false;
        looked.problem = Some(foreign(route));
    } else {
        // What says whose it is was lost: the next write puts it back.
        let is_marked = label(object, ROLLOUT_LABEL) == Some(&*loaded.key.name);
        looked.differs |= copy.controller.is_none() || !is_marked;
    }
    looked
}

/// Whether we made a route for this Rollout. One that an earlier Rollout of this name left behind without an owner is ours:
/// the next write takes it over.
pub fn is_ours(loaded: &Loaded, copy: &RawEntry, object: &Value) -> bool {
    match &copy.controller {
        Some(owner) => owner.uid == loaded.uid,
        None => label(object, ROLLOUT_LABEL) == Some(&*loaded.key.name),
    }
}

/// A route that we should create but that somebody else has.
fn foreign(route: &RouteRef) -> Problem {
    route.problem(
        "exists and is not the Rollout's own: remove it, or leave its spec out of the Rollout to use it as it is",
    )
}

/// Finds what keeps Linkerd from following the routes, while that can still be told before anything moves.
pub async fn look_around(
    reader: &Reader,
    context: &Context,
    loaded: &Loaded,
    surroundings: &mut Surroundings,
    views: &mut [(RouteId, Look<RouteView>)],
    around: &[RouteObject],
) {
    if !linkerd::is_wanted(loaded) {
        *surroundings = Surroundings::default();
        return;
    }
    let read: Vec<_> = around.iter().map(|around| (around.route.kind, around.object.seen())).collect();
    let place = (reader, &context.caches, &*loaded.key.namespace);
    let found = linkerd::look_around(place, surroundings, &read).await;
    for ((around, (_, looked)), Found { problem, warning }) in around.iter().zip(views).zip(found) {
        let Look::Seen(view) = looked else { continue };
        view.problem = view.problem.take().or_else(|| problem.map(|what| around.route.problem(&what)));
        view.warnings.extend(warning);
    }
}
