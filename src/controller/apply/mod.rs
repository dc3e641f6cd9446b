//! The writes that a plan asks for, one function each.
//!
//! Each is idempotent and sent with the precondition that it was decided on. Its answer is remembered until the watch
//! delivers it; an answer that was lost is remembered as a question.

mod rollout;
mod routes;
mod services;
mod sets;

use std::sync::Arc;

use leadsman_core::observed::RouteId;
use leadsman_core::plan::Action;
use serde_json::Value;
use tokio::time::Instant;

use super::cache::{Slim, text};
use super::context::Context;
use super::expectations::Expectations;
use super::loaded::Loaded;
use super::memory::Memory;
use super::observe::Objects;
use super::report::Job;
use crate::cluster::{Error, Result, kinds};
use crate::routers::RouteKind;

pub use routes::{abandoned, hand_over};
pub use sets::{tend, untended};

/// What a write is about.
pub struct Applying<'a> {
    /// What every pass has.
    pub context: &'a Context,
    /// The Rollout.
    pub loaded: &'a mut Loaded,
    /// The objects that the plan was made on.
    pub objects: &'a Objects,
    /// Where answers are remembered.
    pub memory: &'a mut Memory,
}

/// What a write came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The object is another than it was.
    Changed,
    /// The API server answered with this version of the object, the very one that had been seen.
    None(u64),
}

/// Does what an action asks for.
pub async fn apply(applying: &mut Applying<'_>, action: &Action) -> Result<Effect> {
    let seen = seen_version(applying, action);
    act(applying, action).await?;
    let answered = answered_version(applying, action);
    Ok(seen.filter(|seen| Some(*seen) == answered).map_or(Effect::Changed, Effect::None))
}

async fn act(applying: &mut Applying<'_>, action: &Action) -> Result<()> {
    match action {
        Action::CreateSet { hash, replicas, number } => sets::create(applying, hash, *replicas, *number).await,
        Action::ScaleSet { hash, to, .. } => sets::scale(applying, hash, *to).await,
        Action::MarkSet { hash, number, rejected } => sets::mark(applying, hash, *number, rejected.as_deref()).await,
        Action::DeleteSet { hash } => sets::delete(applying, hash).await,
        Action::Bind { service, selection, ports, .. } => {
            services::bind(applying, &services::Binding { service, selection, ports }).await
        }
        Action::Loosen { service } => services::loosen(applying, service).await,
        Action::DeleteService { service } => services::delete(applying, service).await,
        Action::Split { route, weight, .. } => routes::split(applying, route, *weight).await,
        Action::DeleteRoute { route } => routes::delete(applying, route).await,
        Action::ReleaseRoute { route } => routes::release(applying, route).await,
        Action::KeepReplicas { replicas } => rollout::keep_replicas(applying, *replicas).await,
        Action::Evict { pod, .. } => evict(applying, pod).await,
        Action::Report { record, keep } => {
            applying.context.reporter.write(Job::new(applying.loaded, record, *keep));
            Ok(())
        }
        Action::AddFinalizer => rollout::add_finalizer(applying).await,
        Action::RemoveFinalizer => rollout::remove_finalizer(applying).await,
    }
}

/// The version of what an action changes, as it was seen; `None` for what was not there.
pub fn seen_version(applying: &Applying<'_>, action: &Action) -> Option<u64> {
    let Applying { loaded, objects, .. } = applying;
    match action {
        Action::CreateSet { hash, .. }
        | Action::ScaleSet { hash, .. }
        | Action::MarkSet { hash, .. }
        | Action::DeleteSet { hash } => Some(objects.sets.get(hash)?.identity().version),
        Action::Bind { service, .. } | Action::Loosen { service } | Action::DeleteService { service } => {
            Some(objects.service(service).seen()?.identity().version)
        }
        Action::Split { route, .. } | Action::DeleteRoute { route } | Action::ReleaseRoute { route } => {
            text(objects.route(route)?.object.seen()?, "/metadata/resourceVersion")?.parse().ok()
        }
        Action::KeepReplicas { .. } | Action::AddFinalizer | Action::RemoveFinalizer => Some(loaded.version),
        Action::Evict { .. } | Action::Report { .. } => None,
    }
}

/// The version of what an action changed, as the last answer gave it.
fn answered_version(applying: &Applying<'_>, action: &Action) -> Option<u64> {
    let Applying { loaded, objects, memory, .. } = applying;
    match action {
        Action::CreateSet { hash, .. }
        | Action::ScaleSet { hash, .. }
        | Action::MarkSet { hash, .. }
        | Action::DeleteSet { hash } => memory.sets.confirmed_version(&objects.sets.get(hash)?.name),
        Action::Bind { service, .. } | Action::Loosen { service } | Action::DeleteService { service } => {
            memory.services.confirmed_version(service)
        }
        Action::Split { route, .. } | Action::DeleteRoute { route } | Action::ReleaseRoute { route } => {
            memory.routes.get(&RouteKind::of(route.kind)?)?.confirmed_version(&route.name)
        }
        Action::KeepReplicas { .. } | Action::AddFinalizer | Action::RemoveFinalizer => Some(loaded.version),
        Action::Evict { .. } | Action::Report { .. } => None,
    }
}

/// What an action changes: writes that fail are held back by this.
pub fn target(action: &Action) -> String {
    match action {
        Action::CreateSet { hash, .. } => format!("create set {hash}"),
        Action::ScaleSet { hash, .. } => format!("scale set {hash}"),
        Action::MarkSet { hash, .. } => format!("mark set {hash}"),
        Action::DeleteSet { hash } => format!("delete set {hash}"),
        Action::Bind { service, .. } => format!("bind {service}"),
        Action::Loosen { service } => format!("loosen {service}"),
        Action::DeleteService { service } => format!("delete Service {service}"),
        Action::Split { route: RouteId { kind, name, .. }, .. } => format!("split {kind} {name}"),
        Action::DeleteRoute { route: RouteId { kind, name, .. } } => format!("delete {kind} {name}"),
        Action::ReleaseRoute { route: RouteId { kind, name, .. } } => format!("release {kind} {name}"),
        Action::KeepReplicas { .. } => "keep replicas".to_owned(),
        Action::Evict { pod, .. } => format!("evict {pod}"),
        Action::Report { record, .. } => format!("report {}", record.canary.number),
        Action::AddFinalizer => "add finalizer".to_owned(),
        Action::RemoveFinalizer => "remove finalizer".to_owned(),
    }
}

/// Remembers the answer to a write. A conflict says that somebody was faster: that has to be read before the next try.
fn remember<T: Slim>(expectations: &Expectations<T>, name: &str, answer: Result<Value>) -> Result<Value> {
    let now = Instant::now();
    match &answer {
        Ok(object) => expectations.confirmed(name, Arc::new(T::of(object)), now),
        Err(error) if error.may_have_happened() || error.is_moved() || error.is_not_found() => {
            expectations.unknown(name, now);
        }
        Err(_) => {}
    }
    answer
}

/// Asks for a pod to be ended, which whoever guards its application's capacity may refuse for now. One that is gone already
/// is no loss.
async fn evict(applying: &Applying<'_>, pod: &str) -> Result<()> {
    let pods = applying.context.cluster.objects(&kinds::PODS, &applying.loaded.key.namespace);
    match pods.evict(pod).await {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}

fn unseen(what: &str) -> Error {
    Error::Outdated(format!("{what} has not been seen"))
}
