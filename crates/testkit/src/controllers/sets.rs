//! ReplicaSets and their pods.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::Habits;
use crate::kind;
use crate::object::{Name, is_owned_by, list, number, set, text};
use crate::server::ApiServer;

/// Between two crashes.
const CRASH_EVERY: Duration = Duration::from_secs(10);

/// Creates and deletes pods, and says how many there are.
pub(super) fn sync(server: &ApiServer, habits: &Habits, name: &Name) {
    let Some(set) = server.get(name.kind, &name.namespace, &name.name) else { return };
    if set.pointer("/metadata/deletionTimestamp").is_some() {
        return;
    }
    let hand = server.hand("kube-controller-manager");
    let wanted = usize::try_from(number(&set, "/spec/replicas")).unwrap_or_default();
    let mut pods = pods_of(server, &set);
    let mut failure = None;
    let mut free = (1..).map(|index| format!("{}-{index}", name.name));
    while pods.len() < wanted && failure.is_none() {
        let Some(pod) = free.next().filter(|pod| server.get(&kind::POD, &name.namespace, pod).is_none()) else {
            continue;
        };
        match &habits.refuses_pods {
            Some(words) => failure = Some(words.clone()),
            None => match hand.create(&pod_of(&set, name, &pod)) {
                Ok(created) => pods.push(Arc::new(created)),
                Err(refusal) => failure = Some(refusal.status.message.clone()),
            },
        }
    }
    // Those that are not ready go first, as with the real controller.
    pods.sort_by_key(|pod| !is_ready(pod));
    for pod in pods.drain(wanted.min(pods.len())..) {
        hand.delete(&Name::new(&kind::POD, &name.namespace, text(&pod, "/metadata/name")), "");
    }
    let ready = pods.iter().filter(|pod| is_ready(pod)).count();
    let mut status = json!({
        "replicas": pods.len(),
        "readyReplicas": ready,
        "availableReplicas": ready,
        "observedGeneration": number(&set, "/metadata/generation"),
    });
    if let Some(words) = failure {
        let condition = json!({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": words});
        crate::object::set(&mut status, "/conditions", json!([condition]));
    }
    hand.edit_status(name, |set| crate::object::set(set, "/status", status));
}

/// A pod gets ready, or not. Gives when to look at it again.
pub(super) fn start_pod(server: &ApiServer, habits: &Habits, name: &Name) -> Option<Duration> {
    let pod = server.get(name.kind, &name.namespace, &name.name)?;
    let hand = server.hand("kubelet");
    let container = list(&pod, "/spec/containers").first()?;
    let (image, container) = (text(container, "/image").to_owned(), text(container, "/name").to_owned());
    if habits.broken_images.contains(&image) {
        return None;
    }
    if habits.crashing_images.contains(&image) {
        let restarts = list(&pod, "/status/containerStatuses").first().map_or(0, |it| number(it, "/restartCount")) + 1;
        let ended = json!({"exitCode": 1, "reason": "Error", "finishedAt": server.now().to_string()});
        let status = json!([{
            "name": container,
            "restartCount": restarts,
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"}},
            "lastState": {"terminated": ended},
        }]);
        hand.edit_status(name, |pod| set(pod, "/status/containerStatuses", status));
        return Some(CRASH_EVERY);
    }
    hand.edit_status(name, |pod| {
        set(pod, "/status/phase", json!("Running"));
        set(pod, "/status/conditions", json!([{"type": "Ready", "status": "True"}]));
    });
    None
}

fn pods_of(server: &ApiServer, set: &Value) -> Vec<Arc<Value>> {
    let (namespace, uid) = (text(set, "/metadata/namespace"), text(set, "/metadata/uid"));
    let mut pods = server.list(&kind::POD, namespace, "");
    pods.retain(|pod| is_owned_by(pod, uid));
    pods
}

fn pod_of(set: &Value, name: &Name, pod: &str) -> Value {
    let template = set.pointer("/spec/template").cloned().unwrap_or_default();
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod,
            "namespace": name.namespace,
            "labels": template.pointer("/metadata/labels").cloned().unwrap_or_default(),
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name.name,
                "uid": text(set, "/metadata/uid"), "controller": true,
            }],
        },
        "spec": template.get("spec").cloned().unwrap_or_default(),
    })
}

/// Whether a pod says that it is ready.
pub(super) fn is_ready(pod: &Value) -> bool {
    list(pod, "/status/conditions").iter().any(|it| text(it, "/type") == "Ready" && text(it, "/status") == "True")
}
