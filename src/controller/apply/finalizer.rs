//! The finalizer on the Rollout.

use leadsman_api::names::ROUTES_FINALIZER;
use serde_json::json;

use super::{Applying, remember};
use crate::cluster::{Result, kinds};

/// Puts it on.
pub async fn add(applying: &mut Applying<'_>) -> Result<()> {
    let finalizers = applying.loaded.rollout.metadata.finalizers.as_deref().unwrap_or_default();
    if finalizers.iter().any(|name| name == ROUTES_FINALIZER) {
        return Ok(());
    }
    let add = if finalizers.is_empty() {
        json!({"op": "add", "path": "/metadata/finalizers", "value": [ROUTES_FINALIZER]})
    } else {
        json!({"op": "add", "path": "/metadata/finalizers/-", "value": ROUTES_FINALIZER})
    };
    write(applying, add).await
}

/// Takes it off. A Rollout that is gone already has been let go.
pub async fn remove(applying: &mut Applying<'_>) -> Result<()> {
    let finalizers = applying.loaded.rollout.metadata.finalizers.as_deref().unwrap_or_default();
    let Some(index) = finalizers.iter().position(|name| name == ROUTES_FINALIZER) else { return Ok(()) };
    let removed = write(applying, json!({"op": "remove", "path": format!("/metadata/finalizers/{index}")})).await;
    match removed {
        Err(error) if error.is_not_found() => Ok(()),
        other => other,
    }
}

/// The version that was read guards the list's indices.
async fn write(applying: &mut Applying<'_>, operation: serde_json::Value) -> Result<()> {
    let version = applying.loaded.version.to_string();
    let operations = json!([{"op": "test", "path": "/metadata/resourceVersion", "value": version}, operation]);
    let name = applying.loaded.key.name.clone();
    let rollouts = applying.context.cluster.objects(&kinds::ROLLOUTS, &applying.loaded.key.namespace);
    let answer = rollouts.patch(&name, operations).await;
    let answer = remember(&applying.memory.own, &name, answer)?;
    applying.loaded.wrote(applying.memory, &answer);
    Ok(())
}
