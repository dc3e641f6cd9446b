//! Pods, and what they say, from their own status.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod as Read};
use leadsman_api::names::REVISION_LABEL;
use leadsman_core::text::one_line;

use crate::model::Pod;

/// Longest words of a pod, in characters.
const LONGEST: usize = 300;

/// The pods of a revision, those that are not ready first, then by name.
pub fn of(pods: &[Read], hash: &str) -> Vec<Pod> {
    let is_of = |pod: &&Read| {
        pod.metadata.labels.as_ref().and_then(|labels| labels.get(REVISION_LABEL)).is_some_and(|it| it == hash)
    };
    let mut pods: Vec<_> = pods.iter().filter(is_of).map(told).collect();
    pods.sort_by(|one, other| (one.is_ready, &one.name).cmp(&(other.is_ready, &other.name)));
    pods
}

fn told(pod: &Read) -> Pod {
    let status = pod.status.as_ref();
    let statuses = |list: Option<&Vec<ContainerStatus>>| list.cloned().unwrap_or_default();
    let mut containers = statuses(status.and_then(|it| it.init_container_statuses.as_ref()));
    containers.extend(statuses(status.and_then(|it| it.container_statuses.as_ref())));
    let conditions = status.and_then(|it| it.conditions.as_ref()).into_iter().flatten();
    let is_ready = conditions.clone().any(|it| it.type_ == "Ready" && it.status == "True");
    let unscheduled = conditions.clone().find(|it| it.type_ == "PodScheduled" && it.status == "False");
    let waiting = containers.iter().find_map(waiting);
    let phase = status.and_then(|it| it.phase.clone()).unwrap_or_else(|| "Unknown".to_owned());
    let state = match (&pod.metadata.deletion_timestamp, &waiting) {
        (Some(_), _) => "Terminating".to_owned(),
        (None, Some((reason, _))) => reason.clone(),
        (None, None) => status.and_then(|it| it.reason.clone()).unwrap_or(phase),
    };
    let words = waiting.map(|(_, words)| words).filter(|_| !is_ready).unwrap_or_default();
    let no_node = unscheduled.map(|it| {
        format!("{}: {}", it.reason.as_deref().unwrap_or("Unschedulable"), it.message.as_deref().unwrap_or_default())
    });
    Pod {
        name: pod.metadata.name.clone().unwrap_or_default(),
        state: one_line(&state, LONGEST),
        is_ready,
        restarts: containers.iter().map(|it| it.restart_count).fold(0, i32::saturating_add),
        since: pod.metadata.creation_timestamp.as_ref().map(|time| time.0),
        words: one_line(&no_node.unwrap_or(words), LONGEST),
    }
}

/// Why a container waits, in a word and in words.
fn waiting(container: &ContainerStatus) -> Option<(String, String)> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.clone().unwrap_or_else(|| "Waiting".to_owned());
    let ended = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let code = ended.map(|it| format!(", exit code {}", it.exit_code)).unwrap_or_default();
    let message = waiting.message.as_ref().map(|it| format!(": {it}")).unwrap_or_default();
    Some((reason.clone(), format!("{reason}{code}{message}")))
}
