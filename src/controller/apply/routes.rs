//! Routes: bring every weighted rule to a split.

use leadsman_api::names::ROLLOUT_LABEL;
use leadsman_core::observed::{Look, RouteId};
use leadsman_core::traffic::Weight;
use serde_json::{Value, json};

use super::{Applying, remember, unseen};
use crate::cluster::{Error, Result};
use crate::routers::{declared, patch};

/// Brings a route to a split: by a patch of its weights where Git declares it, by an apply of all of it where we own it.
pub async fn split(applying: &mut Applying<'_>, id: &RouteId, weight: Weight) -> Result<()> {
    let routes = applying.loaded.declared.routes.iter().zip(&applying.objects.routes);
    let Some((route, around)) = routes.into_iter().find(|(route, _)| route.id() == *id) else {
        return Err(Error::Outdated(format!("{id} is not named any more")));
    };
    let kind = around.kind.clone().ok_or_else(|| unseen(&id.to_string()))?;
    let objects = applying.context.cluster.objects(&kind, &applying.loaded.key.namespace);
    let backends = applying.loaded.backends();
    let answer = if route.spec.is_some() {
        let mut fragment = declared(route, &backends, weight).map_err(|problem| Error::Unsendable(problem.message))?;
        let existing = match &around.object {
            Look::Seen(object) => Some(object),
            Look::Missing => None,
            Look::Stale => return Err(unseen(&id.to_string())),
        };
        complete(applying, &mut fragment, &kind.api_version, existing);
        objects.apply(&route.name, &fragment, existing.is_some()).await
    } else {
        let Look::Seen(object) = &around.object else { return Err(unseen(&id.to_string())) };
        let operations =
            patch(route, object, &backends, weight).map_err(|problem| Error::Unsendable(problem.message))?;
        if operations.as_array().is_none_or(Vec::is_empty) {
            return Ok(());
        }
        objects.patch(&route.name, operations).await
    };
    let expectations = applying.memory.routes.entry(route.kind).or_default();
    remember(expectations, &route.name, answer).map(drop)
}

/// What is ours to add to the fragment of a route that we own.
fn complete(applying: &Applying<'_>, fragment: &mut Value, api_version: &str, existing: Option<&Value>) {
    let Some(members) = fragment.as_object_mut() else { return };
    members.insert("apiVersion".to_owned(), json!(api_version));
    let Some(metadata) = members.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    metadata.insert("labels".to_owned(), json!({ROLLOUT_LABEL: &*applying.loaded.key.name}));
    metadata.insert("ownerReferences".to_owned(), json!([applying.loaded.owner_reference()]));
    for field in ["uid", "resourceVersion"] {
        let value = existing.and_then(|object| object.pointer("/metadata")?.get(field));
        metadata.extend(value.map(|value| (field.to_owned(), value.clone())));
    }
}
