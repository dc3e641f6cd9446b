//! `restart`: pods of the revision that serves are replaced, one by one. No release, and nothing that Git would undo.

use leadsman_api::Rollout;
use leadsman_api::names::RESTARTED_AT_ANNOTATION;
use serde_json::{Value, json};

use super::{TRIES, identity};
use crate::args;
use crate::exit::{Exit, Failure, Outcome};
use crate::session::Session;

/// Asks for a restart.
///
/// # Errors
/// Where the Rollout cannot be read or written.
pub async fn restart(session: &mut Session, args: &args::Restart) -> Outcome {
    let (namespace, name) = session.resolve(&args.name);
    let at = args.at.unwrap_or_else(|| session.now());
    for _ in 0..TRIES {
        let rollout = session.cluster.rollout(&namespace, &name).await?;
        let patch = patch(&rollout, &format!("{at:.0}"));
        if session.cluster.patch(&namespace, &name, &patch).await?.is_ok() {
            let (namespace, name) = identity(&rollout);
            session
                .screen
                .line(&format!("pods of {namespace}/{name} that are older than {at:.0} are replaced, one by one"))?;
            return Ok(Exit::Done);
        }
    }
    Err(Failure::new(Exit::Unknown, format!("{namespace}/{name} changes faster than it can be written"))
        .advise("try again"))
}

/// `spec.restartAt`, unless somebody else declares that field: then the annotation in the template that kubectl writes,
/// which is no part of the revision's hash.
fn patch(rollout: &Rollout, at: &str) -> Value {
    let version = &rollout.metadata.resource_version;
    let spec = if is_declared_by_others(rollout) {
        json!({"template": {"metadata": {"annotations": {RESTARTED_AT_ANNOTATION: at}}}})
    } else {
        json!({"restartAt": at})
    };
    json!({"metadata": {"resourceVersion": version}, "spec": spec})
}

fn is_declared_by_others(rollout: &Rollout) -> bool {
    let entries = rollout.metadata.managed_fields.iter().flatten();
    let mut others = entries.filter(|entry| entry.manager.as_deref() != Some(crate::cluster::FIELD_MANAGER));
    others.any(|entry| entry.fields_v1.as_ref().is_some_and(|fields| fields.0.pointer("/f:spec/f:restartAt").is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rollout(manager: &str) -> Rollout {
        serde_json::from_value(json!({
            "apiVersion": "leadsman.dev/v1alpha1", "kind": "Rollout",
            "metadata": {"name": "cart", "resourceVersion": "7",
                "managedFields": [{"manager": manager, "fieldsV1": {"f:spec": {"f:restartAt": {}}}}]},
            "spec": {"selector": {"matchLabels": {"app": "cart"}}, "template": {}, "strategy": {}},
        }))
        .unwrap()
    }

    #[test]
    fn a_field_that_git_declares_is_left_to_git() {
        let own = patch(&rollout("leadsman-cli"), "2026-11-26T12:00:00Z");
        assert_eq!(own, json!({"metadata": {"resourceVersion": "7"}, "spec": {"restartAt": "2026-11-26T12:00:00Z"}}));
        let annotation = patch(&rollout("kustomize-controller"), "2026-11-26T12:00:00Z");
        let pointer = "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt";
        assert_eq!(annotation.pointer(pointer), Some(&json!("2026-11-26T12:00:00Z")));
        assert_eq!(annotation.pointer("/spec/restartAt"), None);
    }
}
