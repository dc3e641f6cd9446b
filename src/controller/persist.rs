//! Writing the status: with the version that was read, for at most two seconds.

use std::time::Duration;

use leadsman_api::RolloutStatus;
use serde_json::json;
use tokio::time::Instant;

use super::context::Context;
use super::memory::Memory;
use super::subject::Subject;
use crate::cluster::{Error, kinds};
use crate::runtime::backoff::jittered;

/// A rollback does not wait any longer for its intent to be persisted.
const PATIENCE: Duration = Duration::from_secs(2);
/// Before the second try; twice as long before each one after it.
const PAUSE: Duration = Duration::from_millis(100);

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

/// Writes the status. Errors that may pass are tried again for two seconds in all.
pub async fn write(context: &Context, subject: &mut Subject, memory: &mut Memory, status: RolloutStatus) -> Written {
    let began = Instant::now();
    let name = subject.key.name.clone();
    let body = json!({
        "apiVersion": format!("{}/{}", leadsman_api::names::GROUP, leadsman_api::names::VERSION),
        "kind": "Rollout",
        "metadata": {
            "name": &*name,
            "namespace": &*subject.key.namespace,
            "uid": &*subject.uid,
            "resourceVersion": subject.version.to_string(),
        },
        "status": status,
    });
    let mut pause = PAUSE;
    loop {
        let left = PATIENCE.saturating_sub(began.elapsed());
        let cluster = context.cluster.within(left);
        match cluster.objects(&kinds::ROLLOUTS, &subject.key.namespace).replace_status(&name, &body).await {
            Ok(object) => {
                subject.wrote(memory, &object);
                subject.rollout.status = Some(status);
                memory.written_at = Some(Instant::now());
                return Written::Done;
            }
            Err(error) if error.is_not_found() => return Written::Gone,
            Err(error) if error.is_moved() => {
                memory.own.lost(&name, Instant::now());
                return Written::Moved;
            }
            Err(error) => {
                if error.may_have_happened() {
                    memory.own.lost(&name, Instant::now());
                }
                let wait = error.retry_after().unwrap_or_default().max(jittered(pause));
                if !error.is_transient() || began.elapsed() + wait >= PATIENCE {
                    return Written::Failed(error);
                }
                pause *= 2;
                tokio::time::sleep(wait).await;
            }
        }
    }
}
