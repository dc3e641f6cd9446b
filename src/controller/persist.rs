//! Writing the status: with the version that was read, and for two seconds at most where traffic waits for it.

use std::time::Duration;

use leadsman_api::RolloutStatus;
use leadsman_core::plan::Action;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::context::Context;
use super::loaded::Loaded;
use super::memory::Memory;
use crate::cluster::{Error, TIMEOUT, kinds};
use crate::runtime::backoff::jittered;

/// A rollback does not wait any longer for its intent to be persisted.
pub const HURRY: Duration = Duration::from_secs(2);
/// Before the second try; twice as long before each one after it.
const PAUSE: Duration = Duration::from_millis(100);

/// What is written: no copy of the status.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    api_version: String,
    kind: &'static str,
    metadata: Value,
    status: &'a RolloutStatus,
}

/// What came of writing a status.
#[derive(Debug)]
pub enum Written {
    /// It is written.
    Done,
    /// Somebody else has changed the Rollout: read it anew and plan again.
    Moved,
    /// There is no such Rollout any more.
    Gone,
    /// It could not be written.
    Failed(Error),
}

/// How long these actions may wait for a status. Where none of them takes traffic away from harm, as long as any other
/// request: an API server that is slow would else never get to write one.
pub fn patience(actions: &[Action]) -> Duration {
    if actions.iter().any(Action::is_safety) { HURRY } else { TIMEOUT }
}

/// Writes the status. Errors that may pass are tried again for as long as `patience` lasts.
pub async fn write(
    context: &Context,
    loaded: &mut Loaded,
    memory: &mut Memory,
    status: RolloutStatus,
    patience: Duration,
) -> Written {
    let began = Instant::now();
    memory.unwritten_since.get_or_insert(began);
    let name = loaded.key.name.clone();
    let metadata = json!({
        "name": &*name,
        "namespace": &*loaded.key.namespace,
        "uid": loaded.uid,
        "resourceVersion": loaded.version.to_string(),
    });
    let api_version = format!("{}/{}", leadsman_api::names::GROUP, leadsman_api::names::VERSION);
    let body = Body { api_version, kind: "Rollout", metadata, status: &status };
    let mut pause = PAUSE;
    loop {
        let left = patience.saturating_sub(began.elapsed());
        let cluster = context.cluster.within(left);
        match cluster.objects(&kinds::ROLLOUTS, &loaded.key.namespace).replace_status(&name, &body).await {
            Ok(object) => {
                let before = loaded.version;
                loaded.wrote_status(&context.caches.rollouts, memory, &object);
                memory.idle_status = (loaded.version == before).then(|| Box::new((before, status.clone())));
                loaded.rollout.status = Some(status);
                memory.written_at = Some(Instant::now());
                return Written::Done;
            }
            Err(error) if error.is_not_found() => return Written::Gone,
            Err(error) if error.is_moved() => {
                memory.own.unknown(&name, Instant::now());
                return Written::Moved;
            }
            Err(error) => {
                if error.may_have_happened() {
                    memory.own.unknown(&name, Instant::now());
                }
                let wait = error.retry_after().unwrap_or_default().max(jittered(pause));
                if !error.is_transient() || began.elapsed() + wait >= patience {
                    return Written::Failed(error);
                }
                pause *= 2;
                tokio::time::sleep(wait).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use leadsman_core::observed::RouteId;
    use leadsman_core::traffic::Weight;

    use super::*;

    fn split(safety: bool) -> Action {
        let route = RouteId { kind: "HTTPRoute", name: "shop".to_owned(), created_by_us: false };
        Action::Split { route, weight: Weight::ZERO, safety }
    }

    #[test]
    fn only_a_way_back_is_in_a_hurry_and_a_slow_server_gets_to_write_all_else() {
        assert_eq!(patience(&[Action::AddFinalizer, split(true)]), HURRY);
        assert_eq!(patience(&[split(false)]), TIMEOUT);
        assert_eq!(patience(&[]), TIMEOUT);
    }
}
