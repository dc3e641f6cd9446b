//! Events for people, written beside the passes: one that cannot be written is counted and dropped.
//!
//! They are written without kube's recorder, which drops a message whose reason it has seen before.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use jiff::Timestamp;
use leadsman_core::plan::Event;
use leadsman_core::text::one_line;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::cache::Uid;
use super::key::Key;
use super::manifest::report_name;
use crate::cluster::{Cluster, kinds};
use crate::runtime::metrics::Metrics;

const CONTROLLER: &str = "leadsman.dev/leadsman";
/// Longest note that the API server takes, in bytes.
const LONGEST_NOTE: usize = 1024;
/// Events that may wait to be written.
const MOST_WAITING: usize = 1000;

/// Takes events; a task of its own writes them.
pub struct Events {
    sender: mpsc::Sender<(Key, Value)>,
    metrics: Arc<Metrics>,
    instance: String,
}

impl Events {
    /// Starts the task. It ends when this is dropped.
    pub fn start(cluster: Cluster, metrics: Arc<Metrics>, instance: String) -> Self {
        let (sender, mut receiver) = mpsc::channel::<(Key, Value)>(MOST_WAITING);
        let counting = Arc::clone(&metrics);
        tokio::spawn(async move {
            while let Some((key, event)) = receiver.recv().await {
                let written = cluster.objects(&kinds::EVENTS, &key.namespace).create(&event).await;
                // Its name is made of what it says and when: one that exists was written by a try whose answer was lost.
                if let Err(error) = written
                    && !error.is_already_exists()
                {
                    counting.event_lost();
                    tracing::debug!(rollout = %key, %error, "an event could not be written");
                }
            }
        });
        Self { sender, metrics, instance }
    }

    /// Hands an event about a Rollout over; where it belongs to an attempt, with the number of that.
    pub fn publish(&self, key: &Key, uid: &Uid, event: &Event, attempt: Option<u64>, now: Timestamp) {
        let mut object = object(key, uid, event, now, &self.instance);
        if let (Some(number), Some(fields)) = (attempt, object.as_object_mut()) {
            // It outlives the event, and tells the whole attempt.
            fields.insert("related".to_owned(), reference(key, "RolloutReport", &report_name(key, number)));
        }
        if self.sender.try_send((key.clone(), object)).is_err() {
            self.metrics.event_lost();
        }
    }
}

fn object(key: &Key, uid: &Uid, event: &Event, now: Timestamp, instance: &str) -> Value {
    let mut hasher = DefaultHasher::new();
    (uid, event.reason, &event.message).hash(&mut hasher);
    let words = u32::try_from(hasher.finish() & 0xffff_ffff).unwrap_or_default();
    let name = format!("{}.{:x}.{words:08x}", key.name, now.as_microsecond());
    let mut regarding = reference(key, "Rollout", &key.name);
    if let Some(fields) = regarding.as_object_mut() {
        fields.insert("uid".to_owned(), json!(uid));
    }
    json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": &*key.namespace},
        "eventTime": format!("{now:.6}"),
        "type": if event.warning { "Warning" } else { "Normal" },
        "reason": event.reason,
        "action": event.reason,
        "note": shortened(&one_line(&event.message, LONGEST_NOTE)),
        "reportingController": CONTROLLER,
        "reportingInstance": instance.chars().take(128).collect::<String>(),
        "regarding": regarding,
    })
}

fn reference(key: &Key, kind: &str, name: &str) -> Value {
    json!({
        "apiVersion": format!("{}/{}", leadsman_api::names::GROUP, leadsman_api::names::VERSION),
        "kind": kind,
        "namespace": &*key.namespace,
        "name": name,
    })
}

/// At most as long as the API server takes, cut between characters.
fn shortened(note: &str) -> &str {
    if note.len() < LONGEST_NOTE {
        return note;
    }
    let end = (0..LONGEST_NOTE).rev().find(|end| note.is_char_boundary(*end)).unwrap_or_default();
    note.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_notes_are_cut_between_characters() {
        let long = "ä".repeat(600);
        assert_eq!(shortened(&long).len(), 1022);
        assert_eq!(shortened("short"), "short");
    }

    #[test]
    fn event_times_have_microseconds() {
        let now = Timestamp::from_microsecond(1_700_000_000_000_000).unwrap();
        assert_eq!(format!("{now:.6}"), "2023-11-14T22:13:20.000000Z");
    }
}
