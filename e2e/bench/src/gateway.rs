//! A gateway's controller that accepts every `HTTPRoute` as soon as it sees it. It has no data plane.

use futures::StreamExt as _;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::task::AbortHandle;

use crate::contender::resource;

/// The controller; it ends when this is dropped.
pub struct Gateway {
    task: AbortHandle,
}

impl Gateway {
    /// Starts it.
    pub fn start(client: &Client) -> Self {
        Self { task: tokio::spawn(accept_all(client.clone())).abort_handle() }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The kind that it accepts.
pub fn http_routes() -> ApiResource {
    resource("gateway.networking.k8s.io", "v1", "HTTPRoute")
}

async fn accept_all(client: Client) {
    let kind = http_routes();
    let routes: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
    let seen = watcher(routes, watcher::Config::default()).default_backoff().applied_objects();
    let answer = |route: Result<DynamicObject, watcher::Error>| {
        let (client, kind) = (client.clone(), kind.clone());
        async move {
            let Ok(route) = route else { return };
            if route.data.pointer("/status/parents/0/conditions/0/observedGeneration")
                == Some(&json!(route.metadata.generation))
            {
                return;
            }
            let namespace = route.namespace().unwrap_or_default();
            let api: Api<DynamicObject> = Api::namespaced_with(client, &namespace, &kind);
            // What is too late is seen again at once, in its present form.
            let _ = api.patch_status(&route.name_any(), &PatchParams::default(), &Patch::Merge(accepted(&route))).await;
        }
    };
    seen.for_each_concurrent(16, answer).await;
}

fn accepted(route: &DynamicObject) -> Value {
    let condition = |kind: &str| {
        json!({
            "type": kind,
            "status": "True",
            "reason": kind,
            "message": "",
            "observedGeneration": route.metadata.generation,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    };
    let parent = route.data.pointer("/spec/parentRefs/0").cloned().unwrap_or_default();
    json!({"status": {"parents": [{
        "parentRef": parent,
        "controllerName": "bench.example/gateway",
        "conditions": [condition("Accepted"), condition("ResolvedRefs")],
    }]}})
}
