//! The policies that are shipped, before the real API server: bound to one namespace, and asked by whoever is named.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kube::api::{Patch, PatchParams, PostParams};
use kube::client::Body;
use kube::core::Request;
use kube::{Api, Client};
use leadsman_api::Rollout;
use leadsman_e2e::Namespace;
use leadsman_e2e::autoscaler::AUTOSCALER;
use leadsman_e2e::cluster::workspace;
use leadsman_e2e::metrics::with;
use leadsman_e2e::objects::{dynamic, judged, refusal};
use leadsman_e2e::routes::APP;
use serde_json::{Value, json};

/// The label of namespaces that ask for gradual releases.
const POLICY_LABEL: &str = "leadsman.dev/policy";

/// Every policy that is shipped and its binding, by names of this namespace's own, bound to it and to no other. One that an
/// earlier run has left may be in force for a while after its end.
pub async fn enforce(namespace: &Namespace) -> Result<()> {
    let labels = json!({"metadata": {"labels": {POLICY_LABEL: "gradual"}}});
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(namespace.cluster.client.clone());
    namespaces.patch(&namespace.name, &PatchParams::default(), &Patch::Merge(labels)).await?;
    let mut objects = Vec::new();
    for file in std::fs::read_dir(workspace().join("charts/leadsman/policies"))? {
        let path = file?.path();
        let text = std::fs::read_to_string(&path)?;
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).with_context(|| path.display().to_string())?;
        objects.extend(documents.into_iter().map(|object| bound_here(namespace, object)));
    }
    namespace.apply_all(&objects).await
}

/// The binding of a shipped policy, as this namespace has it.
pub fn binding(namespace: &Namespace, policy: &str, actions: &[&str]) -> Value {
    let object = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": policy},
        "spec": {"policyName": policy, "validationActions": actions},
    });
    bound_here(namespace, object)
}

fn bound_here(namespace: &Namespace, object: Value) -> Value {
    let own = |name: &Value| json!(format!("{}-{}", name.as_str().unwrap_or_default(), namespace.name));
    let object = match object.pointer("/metadata/name").map(own) {
        Some(name) => with(object, "/metadata/name", name),
        None => object,
    };
    let Some(policy) = object.pointer("/spec/policyName").map(own) else { return object };
    let shipped = object.pointer("/spec/matchResources/namespaceSelector/matchLabels").cloned().unwrap_or(json!({}));
    let shipped: BTreeMap<String, Value> = serde_json::from_value(shipped).unwrap_or_default();
    let here = [("kubernetes.io/metadata.name".to_owned(), json!(namespace.name))];
    let labels: BTreeMap<String, Value> = shipped.into_iter().chain(here).collect();
    let object = with(object, "/spec/policyName", policy);
    with(object, "/spec/matchResources", json!({"namespaceSelector": {"matchLabels": labels}}))
}

/// What the API server answers as soon as it is an answer: nobody announces that a policy or a role has taken effect.
pub async fn until_answer<T, F>(what: &str, mut ask: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let mut look = tokio::time::interval(Duration::from_millis(250));
    let asking = async {
        loop {
            look.tick().await;
            if let Some(answer) = ask().await? {
                return anyhow::Ok(answer);
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), asking)
        .await
        .with_context(|| format!("waited 30 s in vain for {what}"))?
}

/// Waits until an object is refused, and gives what the API server said.
pub async fn until_refused(client: &Client, what: &str, object: &Value, is_new: bool) -> Result<String> {
    until_answer(&format!("{what} to be refused"), || async {
        let refused = judged(client, object, is_new).await.err();
        Ok(refused.as_ref().and_then(refusal).map(|status| status.message.clone()))
    })
    .await
}

/// The same for one that somebody may write once a role has taken effect.
pub async fn until_taken(client: &Client, what: &str, object: &Value, is_new: bool) -> Result<()> {
    until_answer(&format!("{what} to be taken"), || async { Ok(judged(client, object, is_new).await.ok()) }).await
}

/// Asks the API server as somebody else.
pub async fn acting_as(namespace: &Namespace, user: &str) -> Result<Client> {
    let mut config = namespace.cluster.config().await?;
    config.auth_info.impersonate = Some(user.to_owned());
    Ok(Client::try_from(config)?)
}

/// Gives the Rollout this size, as Kubernetes' autoscaler does.
pub async fn autoscaled(namespace: &Namespace, replicas: i32) -> Result<()> {
    let rollouts: Api<Rollout> = Api::namespaced(acting_as(namespace, AUTOSCALER).await?, &namespace.name);
    // Where the operator has written in between, it looks again.
    loop {
        let mut scale = rollouts.get_scale(APP).await?;
        scale.spec.get_or_insert_default().replicas = Some(replicas);
        match rollouts.replace_scale(APP, &PostParams::default(), &scale).await {
            Err(kube::Error::Api(refusal)) if refusal.is_conflict() => {}
            outcome => return outcome.map(drop).context("an autoscaler"),
        }
    }
}

/// A role of the namespace with these rules, and its binding to a user.
pub fn role(namespace: &Namespace, name: &str, user: &str, rules: &Value) -> [Value; 2] {
    let rbac = "rbac.authorization.k8s.io";
    let metadata = json!({"name": name, "namespace": namespace.name});
    [
        json!({"apiVersion": format!("{rbac}/v1"), "kind": "Role", "metadata": metadata, "rules": rules}),
        json!({
            "apiVersion": format!("{rbac}/v1"),
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": name},
            "subjects": [{"apiGroup": rbac, "kind": "User", "name": user}],
        }),
    ]
}

/// What the API server warns of where a change is tried that it takes.
pub async fn warnings(client: &Client, object: &Value, is_new: bool) -> Result<String> {
    let (api, name) = dynamic(client, object)?;
    let request = Request::new(api.resource_url());
    let request = if is_new {
        let params = PostParams { dry_run: true, ..PostParams::default() };
        request.create(&params, serde_json::to_vec(object)?)?
    } else {
        let params = PatchParams { dry_run: true, ..PatchParams::default() };
        request.patch(&name, &params, &Patch::Merge(object))?
    };
    let answer = client.send(request.map(Body::from)).await?;
    ensure!(answer.status().is_success(), "{name} was not taken: {}", answer.status());
    let warnings = answer.headers().get_all("warning");
    Ok(warnings.iter().filter_map(|warning| warning.to_str().ok()).collect::<Vec<_>>().join("\n"))
}
