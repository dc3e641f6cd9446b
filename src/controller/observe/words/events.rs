//! What others wrote about pods that are at a loss: volumes that cannot be mounted, probes that fail, networks, devices,
//! hooks. Nothing but events says so.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use kube::api::ListParams;
use leadsman_core::names::Hash;
use leadsman_core::observed::ContainerWords;
use serde_json::Value;
use tokio::time::Instant;

use super::pod::Pod;
use super::{Rank, time, with_message};
use crate::cluster::kinds;
use crate::controller::cache::text;
use crate::controller::loaded::Loaded;
use crate::controller::observe::reading::Reader;

/// Pods whose events are read.
const MOST_PODS: usize = 3;
/// Events are read at most this often, and not before something has been waited for this long: most pods start without a
/// word.
const EVERY: Duration = Duration::from_secs(10);
/// Events that are read of one object.
const MOST_EVENTS: u32 = 50;

/// What events said.
#[derive(Default)]
pub struct Told {
    /// When they were read; at first, when they were first asked for.
    at: Option<Instant>,
    /// The newest warning about each object, by its uid.
    newest: BTreeMap<String, Warning>,
}

struct Warning {
    words: String,
    container: String,
    /// Whether it says that no node takes the pod.
    is_of_scheduling: bool,
}

/// The set whose pods are asked about.
pub struct Set {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

impl Told {
    /// Reads the events of pods that are at a loss, or of the set where there is no pod at all.
    pub async fn listen(&mut self, reader: &Reader, loaded: &Loaded, set: Option<&Set>, pods: &[Pod]) {
        let asked = *self.at.get_or_insert_with(Instant::now);
        if asked.elapsed() < EVERY {
            return;
        }
        let at_a_loss = pods.iter().filter(|pod| pod.is_at_a_loss()).map(|pod| &*pod.uid).take(MOST_PODS);
        let uids: Vec<&str> = match set.filter(|_| pods.is_empty()) {
            Some(set) => vec![&set.uid],
            None => at_a_loss.collect(),
        };
        let warnings = join_all(uids.iter().map(|uid| newest(reader, loaded, uid))).await;
        self.at = Some(Instant::now());
        let found = uids.into_iter().zip(warnings).filter_map(|(uid, warning)| Some((uid.to_owned(), warning?)));
        self.newest = found.collect();
    }

    /// Adds what events said of a pod that is at a loss.
    pub fn add_to(&self, pod: &mut Pod) {
        let Some(warning) = self.newest.get(&pod.uid).filter(|_| pod.is_at_a_loss()) else { return };
        // What kept it from a node is over.
        if !(warning.is_of_scheduling && pod.is_scheduled) {
            let words = pod.say(&warning.container, warning.words.clone());
            pod.words.push((Rank::Event, words));
        }
    }

    /// What events said of a set without pods.
    pub fn of_set(&self, set: &Set, revision: &Hash) -> Option<(Rank, ContainerWords)> {
        let Warning { words, .. } = self.newest.get(&set.uid)?;
        let words = ContainerWords {
            revision: revision.clone(),
            pod: set.name.clone(),
            container: String::new(),
            created_at: Timestamp::UNIX_EPOCH,
            restarts: 0,
            looping: false,
            ended_at: None,
            words: words.clone(),
        };
        Some((Rank::Event, words))
    }
}

async fn newest(reader: &Reader, loaded: &Loaded, uid: &str) -> Option<Warning> {
    let about = ListParams::default().fields(&format!("involvedObject.uid={uid},type=Warning")).limit(MOST_EVENTS);
    let events = reader.cluster().objects(&kinds::CORE_EVENTS, &loaded.key.namespace).list_some(&about).await;
    let events = events.inspect_err(|error| tracing::debug!(rollout = %loaded.key, %error, "events cannot be listed"));
    Some(Warning::of(events.ok()?.iter().max_by_key(|event| last_seen(event))?))
}

impl Warning {
    fn of(event: &Value) -> Self {
        let reason = text(event, "/reason").unwrap_or("Warning");
        Self {
            words: with_message(reason, text(event, "/message")),
            container: container(event).unwrap_or_default().to_owned(),
            is_of_scheduling: reason == "FailedScheduling",
        }
    }
}

/// The container that an event is about, out of `spec.containers{app}`.
fn container(event: &Value) -> Option<&str> {
    let (_, container) = text(event, "/involvedObject/fieldPath")?.split_once('{')?;
    container.strip_suffix('}')
}

/// Events that are repeated are written once and counted.
fn last_seen(event: &Value) -> Option<Timestamp> {
    let times = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"];
    times.iter().filter_map(|pointer| time(event, pointer)).max()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_newest_is_the_one_that_was_last_seen_whoever_wrote_it() {
        let legacy = json!({"lastTimestamp": "2026-11-23T12:00:05Z", "firstTimestamp": "2026-11-23T11:00:00Z"});
        let once = json!({"eventTime": "2026-11-23T12:00:04.000000Z", "lastTimestamp": null});
        let series =
            json!({"eventTime": "2026-11-23T11:00:00Z", "series": {"lastObservedTime": "2026-11-23T12:00:06Z"}});
        let bare = json!({"metadata": {"creationTimestamp": "2026-11-23T12:00:01Z"}});
        let mut all = [&legacy, &once, &series, &bare, &json!({})];
        all.sort_by_key(|event| last_seen(event));
        assert_eq!(all, [&json!({}), &bare, &once, &legacy, &series]);
    }

    #[test]
    fn an_event_about_a_container_names_it_and_is_on_one_line() {
        let warning = Warning::of(&json!({
            "reason": "Unhealthy",
            "message": "Readiness probe failed: Get \"http://10.0.0.1/\":\n\tcontext deadline exceeded\u{1b}[2J",
            "involvedObject": {"fieldPath": "spec.containers{app}"},
        }));
        assert_eq!(warning.container, "app");
        let words = "Unhealthy: Readiness probe failed: Get \"http://10.0.0.1/\": context deadline exceeded\u{fffd}[2J";
        assert_eq!(warning.words, words);
    }
}
