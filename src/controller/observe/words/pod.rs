//! One pod: what stands in its status.

use jiff::Timestamp;
use leadsman_core::names::Hash;
use leadsman_core::observed::ContainerWords;
use serde_json::Value;

use super::{Rank, time, with_message};
use crate::controller::cache::text;

/// A pod that is not ready and not on its way out.
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its uid, by which its events are found.
    pub uid: String,
    /// What there is to say.
    pub words: Vec<(Rank, ContainerWords)>,
    /// Whether a node has been found for it.
    pub is_scheduled: bool,
    created_at: Timestamp,
    revision: Hash,
}

/// Whether a pod says that it is ready.
pub fn is_ready(pod: &Value) -> bool {
    is_true(condition(pod, "Ready"))
}

impl Pod {
    /// `None` for a pod about which nothing is to be said.
    pub fn of(pod: &Value, revision: &Hash) -> Option<Self> {
        let is_leaving = pod.pointer("/metadata/deletionTimestamp").is_some();
        let is_over = text(pod, "/status/phase") == Some("Succeeded");
        if is_leaving || is_over || is_ready(pod) {
            return None;
        }
        let mut known = Self {
            name: text(pod, "/metadata/name").unwrap_or_default().to_owned(),
            uid: text(pod, "/metadata/uid").unwrap_or_default().to_owned(),
            words: Vec::new(),
            is_scheduled: is_true(condition(pod, "PodScheduled")),
            created_at: time(pod, "/metadata/creationTimestamp").unwrap_or(Timestamp::UNIX_EPOCH),
            revision: revision.clone(),
        };
        for (list, is_init) in [("/status/initContainerStatuses", true), ("/status/containerStatuses", false)] {
            for container in pod.pointer(list).and_then(Value::as_array).into_iter().flatten() {
                known.hear(container, is_init);
            }
        }
        let homeless = unscheduled(pod).or_else(|| evicted(pod));
        known.words.extend(homeless.map(|words| (Rank::Homeless, known.say("", words))));
        known.words.extend(closed_gate(pod).map(|words| (Rank::Gate, known.say("", words))));
        if known.words.is_empty() {
            known.words.extend(known.initializing(pod).or_else(|| known.not_ready(pod)));
        }
        Some(known)
    }

    /// Whether nothing of what it says tells a cause.
    pub fn is_at_a_loss(&self) -> bool {
        self.words.iter().all(|(rank, _)| *rank >= Rank::Event)
    }

    /// Words about the pod, or about a container of it.
    pub fn say(&self, container: &str, words: String) -> ContainerWords {
        ContainerWords {
            revision: self.revision.clone(),
            pod: self.name.clone(),
            container: container.to_owned(),
            created_at: self.created_at,
            restarts: 0,
            looping: false,
            ended_at: None,
            words,
        }
    }

    fn hear(&mut self, container: &Value, is_init: bool) {
        if has_come_through(container, is_init) {
            return;
        }
        let restarts = container.pointer("/restartCount").and_then(Value::as_u64).unwrap_or_default();
        let waits_for = text(container, "/state/waiting/reason").filter(|reason| !is_beginning(reason));
        let waiting = waits_for.map(|reason| with_message(reason, message(container)));
        let ended = ["/state/terminated", "/lastState/terminated"]
            .into_iter()
            .filter_map(|pointer| container.pointer(pointer))
            .find(|ended| exit_code(ended) != Some(0) || restarts > 0);
        if waiting.is_none() && ended.is_none() && restarts == 0 {
            return;
        }
        let crashed = ended.is_some_and(|ended| exit_code(ended) != Some(0));
        let last = ended.map(|ended| {
            let reason = text(ended, "/reason").unwrap_or("Error");
            let code = exit_code(ended).unwrap_or_default();
            with_message(&format!("{reason}, exit code {code}"), text(ended, "/message"))
        });
        let words = waiting.into_iter().chain(last).collect::<Vec<_>>().join("; ");
        let words = ContainerWords {
            restarts: u32::try_from(restarts).unwrap_or(u32::MAX),
            looping: waits_for == Some("CrashLoopBackOff") && crashed,
            ended_at: ended.and_then(|ended| time(ended, "/finishedAt")),
            ..self.say(text(container, "/name").unwrap_or_default(), words)
        };
        let rank = match (container.pointer("/state/running").is_some(), crashed) {
            (true, _) => Rank::Restarted,
            (false, true) => Rank::Crashed,
            (false, false) => Rank::Waiting,
        };
        self.words.push((rank, words));
    }

    /// The init container that all others wait for, where one runs.
    fn initializing(&self, pod: &Value) -> Option<(Rank, ContainerWords)> {
        let containers = pod.pointer("/status/initContainerStatuses").and_then(Value::as_array)?;
        let runs =
            |container: &&Value| container.pointer("/state/running").is_some() && !has_come_through(container, true);
        let running = containers.iter().find(runs)?;
        let since = text(running, "/state/running/startedAt").map(|at| format!(" since {at}")).unwrap_or_default();
        let words = format!("the init container runs{since}, and the others wait for it");
        Some((Rank::Initializing, self.say(text(running, "/name").unwrap_or_default(), words)))
    }

    /// That its containers are being created, or which of them are not ready.
    fn not_ready(&self, pod: &Value) -> Option<(Rank, ContainerWords)> {
        let containers = pod.pointer("/status/containerStatuses").and_then(Value::as_array);
        let beginning = containers.into_iter().flatten().find_map(|container| {
            let reason = text(container, "/state/waiting/reason").filter(|reason| is_beginning(reason))?;
            let words = with_message(reason, message(container));
            Some(self.say(text(container, "/name").unwrap_or_default(), words))
        });
        let unready = || {
            let unready = condition(pod, "ContainersReady").filter(|condition| !is_true(Some(condition)))?;
            Some(self.say("", with_message(text(unready, "/reason")?, text(unready, "/message"))))
        };
        beginning.or_else(unready).map(|words| (Rank::NotReady, words))
    }
}

/// An init container that did what it is for, and any container that is ready. A native sidecar has come through once it is
/// started.
fn has_come_through(container: &Value, is_init: bool) -> bool {
    let says = |pointer| container.pointer(pointer) == Some(&Value::Bool(true));
    let runs = container.pointer("/state/running").is_some();
    let is_done = is_init && container.pointer("/state/terminated").and_then(exit_code) == Some(0);
    is_done || says("/ready") || (is_init && runs && says("/started"))
}

/// Why a container waits, without the names of container and pod that the kubelet ends it with: they stand beside it.
fn message(container: &Value) -> Option<&str> {
    let message = text(container, "/state/waiting/message")?;
    let names = format!("={} pod=", text(container, "/name").unwrap_or_default());
    Some(message.split_once(&names).map_or(message, |(message, _)| message))
}

/// Every pod begins like this.
fn is_beginning(reason: &str) -> bool {
    matches!(reason, "ContainerCreating" | "PodInitializing")
}

fn exit_code(ended: &Value) -> Option<i64> {
    ended.pointer("/exitCode").and_then(Value::as_i64)
}

/// A condition in the status of a pod or of a Job.
pub fn condition<'a>(pod: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = pod.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|condition| text(condition, "/type") == Some(kind))
}

/// Whether a condition is there and true.
pub fn is_true(condition: Option<&Value>) -> bool {
    condition.is_some_and(|condition| text(condition, "/status") == Some("True"))
}

fn unscheduled(pod: &Value) -> Option<String> {
    let failed = condition(pod, "PodScheduled").filter(|condition| text(condition, "/status") == Some("False"))?;
    Some(with_message(text(failed, "/reason").unwrap_or("Unschedulable"), text(failed, "/message")))
}

/// Why the node gave the pod up, as with an eviction.
fn evicted(pod: &Value) -> Option<String> {
    let is_failed = text(pod, "/status/phase") == Some("Failed");
    let reason = text(pod, "/status/reason").filter(|_| is_failed)?;
    Some(with_message(reason, text(pod, "/status/message")))
}

/// The first readiness gate that is not open, once the containers are ready.
fn closed_gate(pod: &Value) -> Option<String> {
    let gates = pod.pointer("/spec/readinessGates")?.as_array()?;
    let gate =
        gates.iter().filter_map(|gate| text(gate, "/conditionType")).find(|gate| !is_true(condition(pod, gate)))?;
    let found = condition(pod, gate).filter(|_| is_true(condition(pod, "ContainersReady")));
    let is_waited_for = is_true(condition(pod, "ContainersReady"));
    let message = found.and_then(|found| text(found, "/message").or_else(|| text(found, "/reason")));
    is_waited_for.then(|| with_message(&format!("readiness gate {gate} is not open"), message))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(status: &Value) -> Value {
        json!({
            "metadata": {"name": "shop-abc-1", "uid": "u", "creationTimestamp": "2026-11-23T12:00:00Z"},
            "status": status,
        })
    }

    fn words_of(pod: &Value) -> Vec<ContainerWords> {
        Pod::of(pod, &Hash::new("abc")).map(|pod| pod.words).unwrap_or_default().into_iter().map(|(_, it)| it).collect()
    }

    /// The only words of a pod with this status, and of which container.
    fn said(status: &Value) -> (String, String) {
        let words = words_of(&pod(status));
        assert_eq!(words.len(), 1, "{words:?}");
        (words[0].container.clone(), words[0].words.clone())
    }

    fn crashed(code: i64) -> Value {
        json!({
            "name": "app", "restartCount": 3,
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container=app pod=shop-abc-1_shop(u)"}},
            "lastState": {"terminated": {
                "exitCode": code, "reason": "Error", "message": "no config\nof mine\u{7}\n", "finishedAt": "2026-11-23T12:01:00Z",
            }},
        })
    }

    #[test]
    fn a_crash_loop_is_told_with_its_exit_code_and_last_words_on_one_line() {
        let words = words_of(&pod(&json!({"containerStatuses": [crashed(1)]})));
        assert_eq!(words.len(), 1);
        assert_eq!((words[0].restarts, words[0].looping, words[0].revision.as_str()), (3, true, "abc"));
        assert_eq!(
            words[0].words,
            "CrashLoopBackOff: back-off 40s restarting failed container; Error, exit code 1: no config of mine\u{fffd}"
        );
        assert_eq!(words[0].ended_at.unwrap().to_string(), "2026-11-23T12:01:00Z");
    }

    #[test]
    fn only_what_waits_after_it_failed_loops() {
        let looping = |containers: Value, inits: Value| -> bool {
            let status = json!({"containerStatuses": containers, "initContainerStatuses": inits});
            words_of(&pod(&status)).iter().any(|words| words.looping)
        };
        let ended = |code: i64| json!({"terminated": {"exitCode": code, "reason": "Error"}});
        assert!(looping(json!([crashed(1)]), json!([])));
        assert!(looping(json!([]), json!([crashed(1)])), "an init container");
        assert!(!looping(json!([crashed(0)]), json!([])), "a job in the wrong place");
        let running = json!({"name": "a", "restartCount": 9, "state": {"running": {}}, "lastState": ended(1)});
        assert!(!looping(json!([running]), json!([])), "it runs at present");
        let between = json!({"name": "a", "restartCount": 9, "state": ended(1), "lastState": ended(1)});
        assert!(!looping(json!([between]), json!([])));
        let done = json!({"name": "a", "restartCount": 9, "state": ended(0), "lastState": ended(1)});
        assert!(!looping(json!([]), json!([done])));
    }

    #[test]
    fn what_has_come_through_has_nothing_to_say() {
        let was = json!({"terminated": {"exitCode": 1, "reason": "Error"}});
        let done = json!({"terminated": {"exitCode": 0, "reason": "Completed"}});
        let quiet = json!({
            "initContainerStatuses": [
                {"name": "wait-for-db", "restartCount": 4, "state": done, "lastState": was},
                {"name": "proxy", "restartCount": 2, "started": true, "ready": false, "state": {"running": {}}, "lastState": was},
            ],
            "containerStatuses": [
                {"name": "a", "restartCount": 3, "ready": true, "state": {"running": {}}, "lastState": was},
                {"name": "b", "restartCount": 0, "state": {"running": {}}},
                {"name": "c", "restartCount": 0, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}},
            ],
        });
        assert!(words_of(&pod(&quiet)).is_empty());
        let mut ready = json!({"containerStatuses": [crashed(1)], "conditions": [{"type": "Ready", "status": "True"}]});
        assert!(words_of(&pod(&ready)).is_empty());
        ready["conditions"] = json!([]);
        let mut leaving = pod(&ready);
        leaving["metadata"]["deletionTimestamp"] = json!("2026-11-23T12:02:00Z");
        assert!(words_of(&leaving).is_empty());
    }

    #[test]
    fn a_pod_that_fits_nowhere_or_was_thrown_out_says_so() {
        let unfit =
            json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"});
        assert_eq!(said(&json!({"conditions": [unfit]})).1, "Unschedulable: 0/1 nodes");
        let evicted =
            json!({"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."});
        assert_eq!(said(&evicted).1, "Evicted: The node was low on resource: memory.");
    }

    #[test]
    fn a_gate_that_is_not_open_is_named_once_nothing_else_is_waited_for() {
        let gated = |ready: &str, gate: Value| {
            let mut pod = pod(&json!({"conditions": [{"type": "ContainersReady", "status": ready}, gate]}));
            pod["spec"] = json!({"readinessGates": [{"conditionType": "example.com/lb"}]});
            words_of(&pod).first().map(|words| words.words.clone())
        };
        assert_eq!(gated("True", json!({})).unwrap(), "readiness gate example.com/lb is not open");
        let told = json!({"type": "example.com/lb", "status": "False", "message": "target is unhealthy"});
        assert_eq!(
            gated("True", told.clone()).unwrap(),
            "readiness gate example.com/lb is not open: target is unhealthy"
        );
        assert_eq!(gated("False", told), None);
        assert_eq!(gated("True", json!({"type": "example.com/lb", "status": "True"})), None);
    }

    #[test]
    fn an_init_container_that_hangs_is_named() {
        let waiting = json!({"name": "app", "restartCount": 0, "state": {"waiting": {"reason": "PodInitializing"}}});
        let status = json!({
            "initContainerStatuses": [
                {"name": "proxy", "started": true, "restartCount": 0, "state": {"running": {}}},
                {"name": "migrate", "restartCount": 0, "state": {"running": {"startedAt": "2026-11-23T12:00:09Z"}}},
            ],
            "containerStatuses": [waiting],
        });
        let words = "the init container runs since 2026-11-23T12:00:09Z, and the others wait for it";
        assert_eq!(said(&status), ("migrate".to_owned(), words.to_owned()));
    }

    #[test]
    fn where_nothing_better_is_known_it_says_how_far_it_has_come() {
        let creating = json!({"name": "app", "restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}});
        assert_eq!(said(&json!({"containerStatuses": [creating]})), ("app".to_owned(), "ContainerCreating".to_owned()));
        let unready = json!({"type": "ContainersReady", "status": "False", "reason": "ContainersNotReady",
            "message": "containers with unready status: [app]"});
        let running = json!({"name": "app", "restartCount": 0, "ready": false, "state": {"running": {}}});
        let words = said(&json!({"containerStatuses": [running], "conditions": [unready]})).1;
        assert_eq!(words, "ContainersNotReady: containers with unready status: [app]");
        let pull = json!({"name": "b", "restartCount": 0, "state": {"waiting": {"reason": "ImagePullBackOff", "message": "x"}}});
        assert_eq!(said(&json!({"containerStatuses": [creating, pull]})).1, "ImagePullBackOff: x");
    }
}
