//! The routes that a Rollout names.

use leadsman_api::names::ROLLOUT_LABEL;
use leadsman_core::observed::{Look, RouteId, RouteView};
use leadsman_core::spec::{Problem, Reason};
use serde_json::Value;

use super::AroundRoute;
use super::reading::look_at;
use crate::controller::caches::Served;
use crate::controller::context::Context;
use crate::controller::copies::{WholeCopy, label};
use crate::controller::key::Key;
use crate::controller::memory::Memory;
use crate::controller::subject::Subject;
use crate::routers::{RouteRef, view};

/// All routes in the order of the spec: as the core sees them, and as they are.
pub async fn look(
    context: &Context,
    subject: &Subject,
    memory: &mut Memory,
    live: bool,
) -> (Vec<(RouteId, Look<RouteView>)>, Vec<AroundRoute>) {
    let mut views = Vec::new();
    let mut around = Vec::new();
    for route in &subject.declared.routes {
        let cache = context.caches.routes(route.kind);
        let (kind, copy) = match cache.served() {
            Served::Unknown => (None, Look::Stale),
            Served::Absent => (None, Look::Missing),
            Served::As(kind) => {
                let key = Key::new(&subject.key.namespace, &route.name);
                let overlaid = (memory.routes.entry(route.kind).or_default(), &*cache.store);
                let copy = look_at(&context.cluster, &kind, overlaid, &key, live).await;
                (Some(kind), copy)
            }
        };
        let (looked, object) = match copy {
            Look::Seen(copy) => {
                let object = copy.object();
                let mut looked = view(route, &object, &subject.backends());
                looked.problem = foreign(subject, route, &copy, &object).or(looked.problem);
                (Look::Seen(looked), Look::Seen(object))
            }
            Look::Missing => (Look::Missing, Look::Missing),
            Look::Stale => (Look::Stale, Look::Stale),
        };
        views.push((route.id(), looked));
        around.push(AroundRoute { kind, object });
    }
    (views, around)
}

/// A route that we should create but that somebody else has. One that an earlier Rollout of this name left behind without
/// an owner is ours: the next write takes it over.
fn foreign(subject: &Subject, route: &RouteRef, copy: &WholeCopy, object: &Value) -> Option<Problem> {
    let ours = match &copy.controller {
        Some(owner) => *owner.uid == *subject.uid,
        None => label(object, ROLLOUT_LABEL) == Some(&*subject.key.name),
    };
    (route.spec.is_some() && !ours).then(|| Problem {
        reason: Reason::InvalidRoute,
        message: format!(
            "{} exists and is not the Rollout's own: remove it, or leave its spec out of the Rollout to use it as it is",
            route.id()
        ),
    })
}
