//! What the pods of a set say of themselves: waiting reasons, exit codes, messages. Read only while a plan asks for it.

use std::time::Duration;

use jiff::Timestamp;
use leadsman_api::names::REVISION_LABEL;
use leadsman_core::names::Hash;
use leadsman_core::observed::ContainerWords;
use serde_json::Value;
use tokio::time::Instant;

use super::reading::Reader;
use crate::cluster::kinds;
use crate::controller::cache::text;
use crate::controller::loaded::Loaded;
use crate::controller::memory::Words;

/// Pods of one set are listed at most this often.
const EVERY: Duration = Duration::from_secs(2);
/// Longest message of a container that is passed on, in characters.
const LONGEST: usize = 300;

/// The words that the last plan asked for. `None` when it asked for none, or when they cannot be read.
pub async fn listen(
    reader: &Reader,
    loaded: &Loaded,
    wanted: Option<&Hash>,
    last: &mut Option<Words>,
) -> Option<Vec<ContainerWords>> {
    let Some(hash) = wanted else {
        *last = None;
        return None;
    };
    let known = last.as_ref().filter(|words| words.hash == *hash);
    let is_recent = known.is_some_and(|words| words.at.elapsed() < EVERY);
    if !reader.resolves(!is_recent) {
        return known.map(|known| known.words.clone());
    }
    let pods = reader.cluster().objects(&kinds::PODS, &loaded.key.namespace);
    match pods.list(&selector(loaded, hash)).await {
        Ok(pods) => {
            let words: Vec<_> = pods.iter().flat_map(of_pod).collect();
            *last = Some(Words { hash: hash.clone(), at: Instant::now(), words: words.clone() });
            Some(words)
        }
        Err(error) => {
            tracing::debug!(rollout = %loaded.key, %error, "the pods cannot be listed");
            None
        }
    }
}

fn selector(loaded: &Loaded, hash: &Hash) -> String {
    let mut terms: Vec<_> =
        loaded.declared.match_labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
    terms.push(format!("{REVISION_LABEL}={hash}"));
    terms.join(",")
}

fn of_pod(pod: &Value) -> Vec<ContainerWords> {
    let name = text(pod, "/metadata/name").unwrap_or_default();
    let created_at = time(pod, "/metadata/creationTimestamp").unwrap_or(Timestamp::UNIX_EPOCH);
    let lists = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let containers = lists.iter().filter_map(|list| pod.pointer(list)?.as_array()).flatten();
    let mut words: Vec<_> = containers.filter_map(|container| of_container(name, created_at, container)).collect();
    words.extend(unscheduled(pod).map(|words| ContainerWords {
        pod: name.to_owned(),
        container: String::new(),
        created_at,
        restarts: 0,
        ended_at: None,
        words,
    }));
    words
}

fn of_container(pod: &str, created_at: Timestamp, container: &Value) -> Option<ContainerWords> {
    let restarts = container.pointer("/restartCount").and_then(Value::as_u64).unwrap_or_default();
    let waiting = text(container, "/state/waiting/reason")
        .filter(|reason| !matches!(*reason, "ContainerCreating" | "PodInitializing"))
        .map(|reason| with_message(reason.to_owned(), text(container, "/state/waiting/message")));
    let ended = ["/state/terminated", "/lastState/terminated"]
        .into_iter()
        .filter_map(|pointer| container.pointer(pointer))
        .find(|ended| ended.pointer("/exitCode").and_then(Value::as_i64) != Some(0) || restarts > 0);
    if waiting.is_none() && ended.is_none() && restarts == 0 {
        return None;
    }
    let last = ended.map(|ended| {
        let code = ended.pointer("/exitCode").and_then(Value::as_i64).unwrap_or_default();
        let reason = text(ended, "/reason").unwrap_or("Error");
        with_message(format!("{reason}, exit code {code}"), text(ended, "/message"))
    });
    Some(ContainerWords {
        pod: pod.to_owned(),
        container: text(container, "/name").unwrap_or_default().to_owned(),
        created_at,
        restarts: u32::try_from(restarts).unwrap_or(u32::MAX),
        ended_at: ended.and_then(|ended| time(ended, "/finishedAt")),
        words: waiting.into_iter().chain(last).collect::<Vec<_>>().join("; "),
    })
}

fn unscheduled(pod: &Value) -> Option<String> {
    let conditions = pod.pointer("/status/conditions")?.as_array()?;
    let failed = conditions.iter().find(|condition| {
        text(condition, "/type") == Some("PodScheduled") && text(condition, "/status") == Some("False")
    })?;
    Some(with_message(text(failed, "/reason").unwrap_or("Unschedulable").to_owned(), text(failed, "/message")))
}

fn with_message(reason: String, message: Option<&str>) -> String {
    match message.map(str::trim).filter(|message| !message.is_empty()) {
        Some(message) => format!("{reason}: {}", message.chars().take(LONGEST).collect::<String>()),
        None => reason,
    }
}

fn time(object: &Value, pointer: &str) -> Option<Timestamp> {
    text(object, pointer)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(statuses: &Value) -> Value {
        json!({
            "metadata": {"name": "shop-abc-1", "creationTimestamp": "2026-11-23T12:00:00Z"},
            "status": {"containerStatuses": statuses},
        })
    }

    #[test]
    fn a_crash_loop_is_told_with_its_exit_code_and_last_words() {
        let words = of_pod(&pod(&json!([{
            "name": "app", "restartCount": 3,
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
            "lastState": {"terminated": {
                "exitCode": 1, "reason": "Error", "message": "no config\n", "finishedAt": "2026-11-23T12:01:00Z",
            }},
        }])));
        assert_eq!(words.len(), 1);
        assert_eq!(words[0].restarts, 3);
        assert_eq!(words[0].words, "CrashLoopBackOff: back-off 40s; Error, exit code 1: no config");
        assert_eq!(words[0].ended_at.unwrap().to_string(), "2026-11-23T12:01:00Z");
    }

    #[test]
    fn containers_that_run_or_are_being_created_have_nothing_to_say() {
        let quiet = json!([
            {"name": "a", "restartCount": 0, "state": {"running": {}}},
            {"name": "b", "restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}},
            {"name": "c", "restartCount": 0, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}},
        ]);
        assert!(of_pod(&pod(&quiet)).is_empty());
    }

    #[test]
    fn a_pod_that_fits_nowhere_says_so() {
        let words = of_pod(&json!({
            "metadata": {"name": "p", "creationTimestamp": "2026-11-23T12:00:00Z"},
            "status": {"conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes",
            }]},
        }));
        assert_eq!(words[0].words, "Unschedulable: 0/1 nodes");
    }
}
