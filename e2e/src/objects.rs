//! Any object, as JSON, brought into the cluster.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Service;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
};
use kube::core::Status;
use kube::{Client, ResourceExt as _};
use leadsman_api::Rollout;
use serde_json::{Value, json};

/// Who applies what stands in Git.
const GIT: &str = "git";

/// Server-side apply of any object, with unknown fields refused.
pub async fn apply(client: &Client, object: &Value) -> Result<DynamicObject> {
    let (api, name) = dynamic(client, object)?;
    let params =
        PatchParams { field_validation: Some(kube::api::ValidationDirective::Strict), ..PatchParams::apply(GIT) };
    api.patch(&name, &params.force(), &Patch::Apply(object)).await.with_context(|| format!("applying {name}"))
}

/// Has the API server judge an object as a new one, or as a change of the one that there is, and forget it.
pub async fn judged(client: &Client, object: &Value, is_new: bool) -> Result<()> {
    let (api, name) = dynamic(client, object)?;
    if is_new {
        let object = serde_json::from_value(object.clone())?;
        api.create(&PostParams { dry_run: true, ..PostParams::default() }, &object).await?;
    } else {
        let params = PatchParams { dry_run: true, ..PatchParams::default() };
        api.patch(&name, &params, &Patch::Merge(object)).await?;
    }
    Ok(())
}

/// What the API server said, where it refused.
pub fn refusal(error: &anyhow::Error) -> Option<&Status> {
    error.chain().find_map(|cause| match cause.downcast_ref::<kube::Error>() {
        Some(kube::Error::Api(status)) => Some(&**status),
        _ => None,
    })
}

/// The API for objects of this one's kind and namespace, and its name.
pub fn dynamic(client: &Client, object: &Value) -> Result<(Api<DynamicObject>, String)> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let version = text("/apiVersion").context("no apiVersion")?;
    let (group, version) = version.split_once('/').unwrap_or(("", &version));
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &text("/kind").context("no kind")?));
    let api = if is_cluster_wide(object) {
        Api::all_with(client.clone(), &kind)
    } else {
        Api::namespaced_with(client.clone(), &text("/metadata/namespace").context("no namespace")?, &kind)
    };
    Ok((api, text("/metadata/name").context("no name")?))
}

pub(crate) fn is_cluster_wide(object: &Value) -> bool {
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    [
        "Namespace",
        "Node",
        "GatewayClass",
        "ClusterRole",
        "ClusterRoleBinding",
        "ClusterAnalysisTemplate",
        "CustomResourceDefinition",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
    ]
    .contains(&kind)
}

/// Rollouts that nobody looks after any more would keep their namespace from going.
pub(crate) async fn remove_finalizers(client: &Client, namespace: &str) -> Result<()> {
    let rollouts: Api<Rollout> = Api::namespaced(client.clone(), namespace);
    for rollout in rollouts.list(&ListParams::default()).await? {
        let name = rollout.name_any();
        let none = json!({"metadata": {"finalizers": null}});
        let removed = async {
            rollouts.delete(&name, &DeleteParams::background()).await?;
            rollouts.patch(&name, &PatchParams::default(), &Patch::Merge(none)).await.map(drop)
        };
        match removed.await {
            // Somebody else was faster.
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            other => other?,
        }
    }
    Ok(())
}

pub(crate) async fn cluster_ip(client: &Client, namespace: &str, name: &str) -> Result<String> {
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let service = services.get(name).await?;
    service.spec.and_then(|spec| spec.cluster_ip).with_context(|| format!("Service {namespace}/{name} has no address"))
}
