//! The Rollout itself: its finalizer, and the size that Git gave up.

use leadsman_api::names::ROUTES_FINALIZER;
use serde_json::json;

use super::{Applying, remember};
use crate::cluster::{Result, kinds};

/// Puts the finalizer on.
pub async fn add_finalizer(applying: &mut Applying<'_>) -> Result<()> {
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

/// Takes the finalizer off. A Rollout that is gone already has been let go.
pub async fn remove_finalizer(applying: &mut Applying<'_>) -> Result<()> {
    let finalizers = applying.loaded.rollout.metadata.finalizers.as_deref().unwrap_or_default();
    let Some(index) = finalizers.iter().position(|name| name == ROUTES_FINALIZER) else { return Ok(()) };
    let removed = write(applying, json!({"op": "remove", "path": format!("/metadata/finalizers/{index}")})).await;
    match removed {
        Err(error) if error.is_not_found() => Ok(()),
        other => other,
    }
}

/// Writes down the size that there is, which nobody declares any more: whoever scales the Rollout finds it there.
pub async fn keep_replicas(applying: &mut Applying<'_>, replicas: u32) -> Result<()> {
    write(applying, json!({"op": "add", "path": "/spec/replicas", "value": replicas})).await
}

/// The version that was read guards what was decided on it.
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
