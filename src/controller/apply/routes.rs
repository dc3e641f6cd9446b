//! Routes: bring every split rule to a weight, give up what the API server counts as ours, delete what is not declared any
//! more.

use leadsman_api::names::ROLLOUT_LABEL;
use leadsman_core::observed::{Look, RouteId};
use leadsman_core::traffic::Weight;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Applying, remember, unseen};
use crate::cluster::{Error, Result};
use crate::controller::cache::{RawEntry, Slim, label};
use crate::controller::loaded::Loaded;
use crate::controller::observe::{Objects, RouteObject, is_ours, note_gone};
use crate::routers::{self, DECLARED_ANNOTATION, RouteRef, ownership};

/// Brings a route to a split: by a patch of its weights where it is else as it should be, by a patch of all that is declared
/// where it is ours and differs. One of ours that is missing is created, and only created.
pub async fn split(applying: &mut Applying<'_>, id: &RouteId, weight: Weight) -> Result<()> {
    let RouteObject { route, kind, object } = named(applying, id)?;
    let kind = kind.clone().ok_or_else(|| unseen(&id.to_string()))?;
    let objects = applying.context.cluster.objects(&kind, &applying.loaded.key.namespace);
    let answer = match object {
        Look::Missing if route.spec.is_some() => {
            let fragment = fragment(applying.loaded, route, weight)?;
            objects.create(&new(applying.loaded, fragment, &kind.api_version)).await
        }
        Look::Missing | Look::Stale => return Err(unseen(&id.to_string())),
        Look::Seen(object) => {
            let operations = change(applying.loaded, route, object, weight)?;
            if operations.as_array().is_none_or(Vec::is_empty) {
                return Ok(());
            }
            objects.patch(&route.name, operations).await
        }
    };
    let (kind, name) = (route.kind, route.name.clone());
    let expectations = applying.memory.routes.entry(kind).or_default();
    if answer.as_ref().is_err_and(Error::is_already_exists) {
        // Not ours unless it says so: it has to be looked at before anything is done to it.
        expectations.unknown(&name, Instant::now());
        return Err(Error::Outdated(format!("somebody else has just created {id}")));
    }
    remember(expectations, &name, answer).map(drop)
}

/// Gives up the rules of a route that Git declares: our entries are taken out of its `managedFields`, so that whoever
/// applies it without force meets no conflict. The object is read for it, since no cache keeps these fields.
pub async fn release(applying: &mut Applying<'_>, id: &RouteId) -> Result<()> {
    let RouteObject { route, kind, .. } = named(applying, id)?;
    let kind = kind.clone().ok_or_else(|| unseen(&id.to_string()))?;
    let objects = applying.context.cluster.objects(&kind, &applying.loaded.key.namespace);
    let object = objects.get(&route.name).await?.ok_or_else(|| unseen(&id.to_string()))?;
    let answer = match ownership::release(&object) {
        Some(operations) => objects.patch(&route.name, operations).await,
        None => Ok(object),
    };
    let (kind, name) = (route.kind, route.name.clone());
    remember(applying.memory.routes.entry(kind).or_default(), &name, answer).map(drop)
}

/// Deletes a route of ours that the Rollout does not declare any more, in the version that is read for it. One that is
/// somebody else's by now is left alone.
pub async fn delete(applying: &mut Applying<'_>, id: &RouteId) -> Result<()> {
    let RouteObject { route, kind, .. } = named(applying, id)?;
    let served = kind.clone().ok_or_else(|| unseen(&id.to_string()))?;
    let objects = applying.context.cluster.objects(&served, &applying.loaded.key.namespace);
    let found = objects.get(&id.name).await?;
    let (now, kind) = (Instant::now(), route.kind);
    let expectations = applying.memory.routes.entry(kind).or_default();
    let Some(object) = found else {
        let store = &applying.context.caches.routes(kind).store;
        note_gone(expectations, store, &applying.loaded.key.beside(&id.name), now);
        return Ok(());
    };
    let entry = RawEntry::of(&object);
    if !is_ours(applying.loaded, &entry, &object) {
        tracing::info!(rollout = %applying.loaded.key, route = %id, "left alone: it is somebody else's by now");
        return Ok(());
    }
    match objects.delete(&id.name, &entry.identity().uid.to_string(), &entry.identity().version_text()).await {
        Err(error) if !error.is_not_found() => remember(expectations, &id.name, Err(error)).map(drop),
        _ => {
            expectations.deleted(&id.name, &entry.identity().uid, now);
            Ok(())
        }
    }
}

/// Routes that we made and that the Rollout names as Git's by now: were they still ours, they would go with the Rollout.
pub fn abandoned(loaded: &Loaded, objects: &Objects) -> Vec<RouteId> {
    let is_abandoned = |route: &&RouteObject| {
        let is_us = |object: &Value| owners(object).any(|owner| loaded.is(owner));
        !route.route.owned && route.object.seen().is_some_and(is_us)
    };
    objects.routes.iter().filter(is_abandoned).map(|route| route.route.id()).collect()
}

/// Makes such a route Git's: what it serves stays, what marks it as ours goes.
pub async fn hand_over(applying: &mut Applying<'_>, id: &RouteId) -> Result<()> {
    let RouteObject { route, kind, object } = named(applying, id)?;
    let kind = kind.clone().ok_or_else(|| unseen(&id.to_string()))?;
    let object = object.seen().ok_or_else(|| unseen(&id.to_string()))?;
    let objects = applying.context.cluster.objects(&kind, &applying.loaded.key.namespace);
    let answer = objects.patch(&id.name, without_marks(applying.loaded, object)).await;
    remember(applying.memory.routes.entry(route.kind).or_default(), &id.name, answer).map(drop)
}

/// A route that the Rollout names, and what was seen of it.
fn named<'a>(applying: &Applying<'a>, id: &RouteId) -> Result<&'a RouteObject> {
    applying.objects.route(id).ok_or_else(|| Error::Outdated(format!("{id} is not named any more")))
}

fn fragment(loaded: &Loaded, route: &RouteRef, weight: Weight) -> Result<Value> {
    routers::declared(route, &loaded.backends(), weight).map_err(|problem| Error::Unsendable(problem.message))
}

/// A route of our own.
fn new(loaded: &Loaded, mut fragment: Value, api_version: &str) -> Value {
    if let Some(members) = fragment.as_object_mut() {
        members.insert("apiVersion".to_owned(), json!(api_version));
        if let Some(metadata) = members.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("labels".to_owned(), json!({ROLLOUT_LABEL: &*loaded.key.name}));
            metadata.insert("ownerReferences".to_owned(), json!([loaded.owner_reference()]));
        }
    }
    fragment
}

/// The JSON patch that makes a route what it should be; an empty array where it is.
fn change(loaded: &Loaded, route: &RouteRef, object: &Value, weight: Weight) -> Result<Value> {
    let backends = loaded.backends();
    let weights =
        || routers::patch(route, object, &backends, weight).map_err(|problem| Error::Unsendable(problem.message));
    let is_owned =
        owners(object).any(|owner| loaded.is(owner)) && label(object, ROLLOUT_LABEL) == Some(&*loaded.key.name);
    if route.spec.is_none() || (is_owned && !routers::view(route, object, &backends).differs) {
        return weights();
    }
    // A declared spec that cannot be split keeps nobody from bringing the live route back.
    let Ok(fragment) = fragment(loaded, route, weight) else { return weights() };
    let members = |pointer: &str| object.pointer(pointer).and_then(Value::as_object).cloned().unwrap_or_default();
    let mut labels = members("/metadata/labels");
    labels.insert(ROLLOUT_LABEL.to_owned(), json!(&*loaded.key.name));
    let mut annotations = members("/metadata/annotations");
    annotations
        .extend(fragment.pointer("/metadata/annotations").and_then(Value::as_object).cloned().unwrap_or_default());
    let mut owners = others(loaded, object);
    owners.push(loaded.owner_reference());
    Ok(json!([
        test_version(object),
        {"op": "add", "path": "/metadata/labels", "value": labels},
        {"op": "add", "path": "/metadata/annotations", "value": annotations},
        {"op": "add", "path": "/metadata/ownerReferences", "value": owners},
        {"op": "add", "path": "/spec", "value": fragment.get("spec")},
    ]))
}

/// The JSON patch that makes a route of ours one that Git declares.
fn without_marks(loaded: &Loaded, object: &Value) -> Value {
    let without = |pointer: &str, ours: &str| {
        let mut members = object.pointer(pointer).and_then(Value::as_object).cloned().unwrap_or_default();
        members.remove(ours);
        members
    };
    json!([
        test_version(object),
        {"op": "add", "path": "/metadata/labels", "value": without("/metadata/labels", ROLLOUT_LABEL)},
        {"op": "add", "path": "/metadata/annotations", "value": without("/metadata/annotations", DECLARED_ANNOTATION)},
        {"op": "add", "path": "/metadata/ownerReferences", "value": others(loaded, object)},
    ])
}

fn test_version(object: &Value) -> Value {
    json!({"op": "test", "path": "/metadata/resourceVersion", "value": object.pointer("/metadata/resourceVersion")})
}

fn owners(object: &Value) -> impl Iterator<Item = &Value> {
    object.pointer("/metadata/ownerReferences").and_then(Value::as_array).into_iter().flatten()
}

/// The owners of an object but for the Rollout.
fn others(loaded: &Loaded, object: &Value) -> Vec<Value> {
    owners(object).filter(|owner| !loaded.is(owner)).cloned().collect()
}
