//! Sets and pods that the API server refuses: said in its own words, and gone on from as soon as that is over.

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::api::DeleteParams;
use leadsman_api::Rollout;
use leadsman_e2e::objects::dynamic;
use leadsman_e2e::status::{condition, message, stable_hash};
use leadsman_e2e::wait::wait_for;
use leadsman_e2e::{Load, Namespace, RolloutBuilder, RouteKind, pause, set_weight};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::scenario;

/// What a refusal may take to be seen, and what a wait after it may take to end.
const SEEN: Duration = Duration::from_secs(30);

pub fn trials() -> Vec<Trial> {
    vec![scenario("refused-by-quota-and-policy", |ns| async move { refused(&ns).await })]
}

/// A quota on sets, one on pods, a policy on sets, a policy on pods: one after the other, each with a version of its own.
async fn refused(namespace: &Namespace) -> Result<()> {
    let kind = RouteKind::HttpRouteGateway;
    // Five versions, and every one is looked up at the end.
    let rollout = RolloutBuilder::new(&namespace.name, kind)
        .drain("1s")
        .steps(&[set_weight(50), pause("1s")])
        .set("/spec/revisionHistoryLimit", json!(9));
    namespace.deploy(&rollout).await?;
    let mut load = Load::through(namespace, kind, 50.0).await?;
    // The operator's own set counts as well.
    quota(namespace, "count/replicasets.apps", 2).await?;
    let next = rollout.version("v2");
    namespace.declare(&next).await?;
    until_said(namespace, &rollout, &["exceeded quota", "count/replicasets.apps"]).await?;
    no_quota(namespace).await?;
    namespace.until_promoted(&next).await?;

    // Two pods of the application, one of the operator, one that sends: and not one more. Those of v1 are gone by then.
    let (stable, next) = (next, rollout.version("v3"));
    quota(namespace, "pods", 4).await?;
    namespace.declare(&next).await?;
    until_said(namespace, &stable, &["exceeded quota", "pods=1"]).await?;
    no_quota(namespace).await?;
    namespace.until_promoted(&next).await?;

    for (version, resource, group, path) in
        [("v4", "replicasets", "apps", "object.spec.template.spec"), ("v5", "pods", "", "object.spec")]
    {
        let stable = rollout.version(if version == "v4" { "v3" } else { "v4" });
        let next = rollout.version(version);
        let rule = format!(
            "{path}.containers.all(c, !has(c.env) || c.env.all(e, e.name != 'VERSION' || e.value != '{version}'))"
        );
        let policy = policy(namespace, group, resource, &rule);
        namespace.apply_all(&policy).await?;
        until_enforced(namespace, &next, resource).await?;
        namespace.declare(&next).await?;
        until_said(namespace, &stable, &["not on a Friday"]).await?;
        for object in policy.iter().rev() {
            let (api, name) = dynamic(&namespace.cluster.client, object)?;
            api.delete(&name, &DeleteParams::default()).await?;
        }
        namespace.until_promoted(&next).await?;
    }
    namespace.close(&mut load, &[]).await?;
    Ok(())
}

/// The Rollout says it, is not done, and stable serves.
async fn until_said(namespace: &Namespace, stable: &RolloutBuilder, words: &[&str]) -> Result<()> {
    let hash = stable.hash();
    let says = |seen: &Rollout| {
        let ready =
            condition(seen, "Ready").is_some_and(|it| it.0 == "False" && words.iter().all(|word| it.2.contains(word)));
        let serves = condition(seen, "Available").is_some_and(|it| it.0 == "True") && stable_hash(seen) == Some(&hash);
        ready && serves && words.iter().all(|word| message(seen).contains(word))
    };
    namespace.until(&format!("to say {words:?}"), SEEN, says).await.map(drop)
}

/// What a policy's controller has compiled is not in force everywhere at once: only a try shows.
async fn until_enforced(namespace: &Namespace, next: &RolloutBuilder, resource: &str) -> Result<()> {
    let template = next.manifest().pointer("/spec/template").cloned().unwrap_or_default();
    let metadata = json!({"name": "a-try", "namespace": namespace.name, "labels": {"app": "podinfo"}});
    let object = if resource == "pods" {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template.get("spec")})
    } else {
        let spec = json!({"replicas": 0, "selector": {"matchLabels": {"app": "podinfo"}}, "template": template});
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": spec})
    };
    let mut look = tokio::time::interval(Duration::from_millis(200));
    let refused = async {
        while leadsman_e2e::objects::judged(&namespace.cluster.client, &object, true).await.is_ok() {
            look.tick().await;
        }
    };
    Ok(tokio::time::timeout(SEEN, refused).await?)
}

async fn quota(namespace: &Namespace, resource: &str, most: u32) -> Result<()> {
    let object = json!({
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "tight", "namespace": namespace.name},
        "spec": {"hard": {resource: most.to_string()}},
    });
    namespace.apply(&object).await?;
    // A quota refuses everything until what there is has been counted; and there must be none left.
    let counted = |quota: Option<&ResourceQuota>| {
        let used = quota.and_then(|quota| quota.status.as_ref()?.used.as_ref()?.get(resource).cloned());
        used.is_some_and(|used| used.0 == most.to_string())
    };
    wait_for(namespace.api::<ResourceQuota>(), "tight", "to be used up", Duration::from_mins(1), counted)
        .await
        .map(drop)
}

async fn no_quota(namespace: &Namespace) -> Result<()> {
    namespace.api::<ResourceQuota>().delete("tight", &DeleteParams::default()).await?;
    wait_for(namespace.api::<ResourceQuota>(), "tight", "to be gone", SEEN, |quota| quota.is_none()).await.map(drop)
}

/// For this namespace alone.
fn policy(namespace: &Namespace, group: &str, resource: &str, rule: &str) -> [Value; 2] {
    let name = format!("{}-{resource}", namespace.name);
    let api = "admissionregistration.k8s.io/v1";
    let metadata = json!({"name": name});
    [
        json!({
            "apiVersion": api,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": metadata,
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [{
                    "apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": [resource],
                }]},
                "validations": [{"expression": rule, "message": "not on a Friday"}],
            },
        }),
        json!({
            "apiVersion": api,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": metadata,
            "spec": {
                "policyName": name,
                "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace.name}}},
            },
        }),
    ]
}
