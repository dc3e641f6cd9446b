//! ReplicaSets: their sizes, and the marks that survive a lost status.

use jiff::Timestamp;
use leadsman_api::names::{REJECTED_ANNOTATION, REVISION_LABEL, ROLLOUT_LABEL};
use leadsman_core::names::Hash;
use leadsman_core::observed::SetView;
use leadsman_core::text::one_line;
use leadsman_core::traffic::ContainerPort;
use serde_json::Value;

use super::{Controller, Identity, Slim, annotation, count, label, text};

/// Annotation on a ReplicaSet: number of the attempt that last used it.
pub const REVISION_NUMBER_ANNOTATION: &str = "leadsman.dev/revision-number";

/// Longest message about pods that cannot be created, in characters.
const LONGEST_FAILURE: usize = 500;

/// What is kept of a ReplicaSet.
#[derive(Clone, Debug)]
pub struct ReplicaSetEntry {
    identity: Identity,
    /// Its name.
    pub name: Box<str>,
    /// When it was created.
    pub created_at: Timestamp,
    /// `metadata.generation`, which counts the changes of its spec.
    pub generation: u64,
    /// `spec.minReadySeconds`.
    pub min_ready_seconds: u32,
    /// Its revision label.
    pub hash: Hash,
    /// Whose it is; `None` for one that was orphaned.
    pub controller: Option<Controller>,
    /// The owners of one that has no controller.
    pub owners: Box<[Value]>,
    /// Its sizes and marks.
    pub view: SetView,
    rollout: Box<str>,
}

impl Slim for ReplicaSetEntry {
    fn of(object: &Value) -> Self {
        let failure = object.pointer("/status/conditions").and_then(Value::as_array).and_then(|conditions| {
            let failed = conditions.iter().find(|condition| {
                text(condition, "/type") == Some("ReplicaFailure") && text(condition, "/status") == Some("True")
            })?;
            Some(one_line(text(failed, "/message")?, LONGEST_FAILURE))
        });
        let number = annotation(object, REVISION_NUMBER_ANNOTATION).and_then(|number| number.parse().ok());
        Self {
            identity: Identity::of(object),
            name: text(object, "/metadata/name").unwrap_or_default().into(),
            created_at: text(object, "/metadata/creationTimestamp").and_then(|at| at.parse().ok()).unwrap_or_default(),
            generation: object.pointer("/metadata/generation").and_then(Value::as_u64).unwrap_or_default(),
            min_ready_seconds: count(object, "/spec/minReadySeconds"),
            hash: Hash::new(label(object, REVISION_LABEL).unwrap_or_default()),
            controller: Controller::of(object),
            owners: super::owners_without_controller(object).into(),
            view: SetView {
                wanted: count(object, "/spec/replicas"),
                existing: count(object, "/status/replicas"),
                ready: count(object, "/status/readyReplicas"),
                available: count(object, "/status/availableReplicas"),
                number: number.unwrap_or_default(),
                rejected: annotation(object, REJECTED_ANNOTATION).map(str::to_owned),
                failure,
                deleting: object.pointer("/metadata/deletionTimestamp").is_some(),
                ports: object.pointer("/spec/template/spec").map(ports).unwrap_or_default(),
            },
            rollout: label(object, ROLLOUT_LABEL).unwrap_or_default().into(),
        }
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn rollout(&self) -> Option<&str> {
        Some(&self.rollout)
    }

    fn same(&self, other: &Self) -> bool {
        self.identity.uid == other.identity.uid
            && self.rollout == other.rollout
            && self.hash == other.hash
            && self.generation == other.generation
            && self.min_ready_seconds == other.min_ready_seconds
            && self.view == other.view
            && self.controller == other.controller
            && self.owners == other.owners
    }
}

/// The ports that containers of a pod declare, with those of the init containers that run beside them.
fn ports(pod: &Value) -> Vec<ContainerPort> {
    let stays = |container: &&Value| text(container, "/restartPolicy") == Some("Always");
    let containers = list(pod, "containers").chain(list(pod, "initContainers").filter(stays));
    let read = |port: &Value| ContainerPort {
        name: text(port, "/name").map(str::to_owned),
        number: u16::try_from(count(port, "/containerPort")).unwrap_or_default(),
        protocol: text(port, "/protocol").unwrap_or("TCP").to_owned(),
    };
    containers.flat_map(|container| list(container, "ports")).map(read).collect()
}

fn list<'a>(object: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    object.get(key).and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sizes_marks_and_the_words_of_a_quota_are_kept() {
        let copy = ReplicaSetEntry::of(&json!({
            "metadata": {
                "name": "shop-abc", "uid": "u", "resourceVersion": "77",
                "labels": {"leadsman.dev/revision": "abc", "leadsman.dev/rollout": "shop"},
                "annotations": {"leadsman.dev/revision-number": "3", "leadsman.dev/rejected": "AnalysisFailed"},
                "ownerReferences": [{"kind": "Rollout", "name": "shop", "uid": "r", "controller": true}],
            },
            "spec": {"replicas": 4},
            "status": {
                "replicas": 3, "readyReplicas": 2, "availableReplicas": 1,
                "conditions": [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}],
            },
        }));
        assert_eq!(copy.identity().version, 77);
        assert_eq!((copy.hash.as_str(), copy.rollout()), ("abc", Some("shop")));
        assert_eq!((copy.view.wanted, copy.view.existing, copy.view.ready, copy.view.available), (4, 3, 2, 1));
        assert_eq!((copy.view.number, copy.view.rejected.as_deref()), (3, Some("AnalysisFailed")));
        assert_eq!(copy.view.failure.as_deref(), Some("exceeded quota"));
        assert_eq!(&*copy.controller.unwrap().words, "Rollout shop");
    }
}
