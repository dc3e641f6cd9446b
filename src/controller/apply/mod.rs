//! The writes that a plan asks for, one function each.
//!
//! Each is idempotent and sent with the precondition that it was decided on. Its answer is remembered until the watch
//! delivers it; an answer that was lost is remembered as a question.

mod finalizer;
pub mod routes;
mod services;
mod sets;

use std::sync::Arc;

use leadsman_core::observed::RouteId;
use leadsman_core::plan::Action;
use serde_json::Value;
use tokio::time::Instant;

use super::cache::Slim;
use super::context::Context;
use super::expectations::Expectations;
use super::loaded::Loaded;
use super::memory::Memory;
use super::observe::Objects;
use crate::cluster::{Error, Result};

pub use sets::adopt;

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

/// Does what an action asks for.
pub async fn apply(applying: &mut Applying<'_>, action: &Action) -> Result<()> {
    match action {
        Action::CreateSet { hash, replicas, number } => sets::create(applying, hash, *replicas, *number).await,
        Action::ScaleSet { hash, from, to } => sets::scale(applying, hash, *from, *to).await,
        Action::MarkSet { hash, number, rejected } => sets::mark(applying, hash, *number, rejected.as_deref()).await,
        Action::DeleteSet { hash } => sets::delete(applying, hash).await,
        Action::Bind { side, hash } => services::bind(applying, *side, hash).await,
        Action::Unbind { side } => services::unbind(applying, *side).await,
        Action::Split { route, weight, .. } => routes::split(applying, route, *weight).await,
        Action::AddFinalizer => finalizer::add(applying).await,
        Action::RemoveFinalizer => finalizer::remove(applying).await,
    }
}

/// What an action changes: writes that fail are held back by this.
pub fn target(action: &Action) -> String {
    match action {
        Action::CreateSet { hash, .. } => format!("create set {hash}"),
        Action::ScaleSet { hash, .. } => format!("scale set {hash}"),
        Action::MarkSet { hash, .. } => format!("mark set {hash}"),
        Action::DeleteSet { hash } => format!("delete set {hash}"),
        Action::Bind { side, .. } | Action::Unbind { side } => format!("bind {side:?}"),
        Action::Split { route: RouteId { kind, name, .. }, .. } => format!("split {kind} {name}"),
        Action::AddFinalizer => "add finalizer".to_owned(),
        Action::RemoveFinalizer => "remove finalizer".to_owned(),
    }
}

/// Remembers the answer to a write. A conflict says that somebody was faster: that has to be read before the next try.
fn remember<T: Slim>(expectations: &mut Expectations<T>, name: &str, answer: Result<Value>) -> Result<Value> {
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

fn unseen(what: &str) -> Error {
    Error::Outdated(format!("{what} has not been seen"))
}
