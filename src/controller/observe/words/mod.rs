//! What the pods of a set say of themselves, and what their events say of them: waiting reasons, exit codes, messages. Read
//! only while a plan asks for it.

mod events;
mod pod;

use std::time::Duration;

use jiff::Timestamp;
use kube::api::ListParams;
use leadsman_core::names::Hash;
use leadsman_core::observed::ContainerWords;
use leadsman_core::text::one_line;
use serde_json::Value;
use tokio::time::Instant;

use self::events::{Set, Told};
use self::pod::Pod;
pub use self::pod::{condition, is_ready, is_true};
use super::reading::Reader;
use crate::cluster::kinds;
use crate::controller::cache::{Slim, text};
use crate::controller::context::Context;
use crate::controller::loaded::Loaded;

/// Pods of one set are listed at most this often, and not before they have been waited for so long: most come up meanwhile.
const EVERY: Duration = Duration::from_secs(2);
/// Pods that are listed of one set.
const MOST_PODS: u32 = 20;
/// Longest message of somebody else that is passed on, in characters.
const LONGEST: usize = 300;

/// What the pods of a set said, and when.
pub struct Words {
    /// The set.
    hash: Hash,
    /// Since when they are wanted.
    since: Instant,
    /// When they were last listed.
    at: Option<Instant>,
    /// What they said, the most telling first.
    said: Vec<ContainerWords>,
    /// What their events said.
    events: Told,
}

/// How telling something is, the most telling first: what a container died of says more than that it is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// It ended, and not well.
    Crashed,
    /// It waits, and says for what.
    Waiting,
    /// No node takes the pod, or one has thrown it out.
    Homeless,
    /// Somebody else wrote an event about it.
    Event,
    /// It ended, not well, and runs again.
    Restarted,
    /// Somebody outside has not opened a readiness gate.
    Gate,
    /// An init container runs, and the others wait for it.
    Initializing,
    /// It is being created, or not ready: no more than that is known.
    NotReady,
}

/// What one pod says that is not ready, and did not end well.
pub struct PodWords {
    /// The most telling of its words.
    pub text: String,
    /// It waits for what will not come by itself: an image, a node, something that its containers name.
    pub cannot_start: bool,
}

/// The words of a pod that belongs to no revision; `None` for one about which nothing is to be said.
pub fn words_of(pod: &Value) -> Option<PodWords> {
    let mut words = Pod::of(pod, &Hash::from(""))?.words;
    words.sort_by_key(|(rank, _)| *rank);
    let (rank, told) = words.into_iter().next()?;
    Some(PodWords { text: told.words, cannot_start: matches!(rank, Rank::Waiting | Rank::Homeless) })
}

/// What the pods of a revision say, the most telling first.
pub fn words_of_pods(pods: &[Value], revision: &Hash) -> Vec<ContainerWords> {
    let mut words: Vec<_> = pods.iter().filter_map(|pod| Pod::of(pod, revision)).flat_map(|pod| pod.words).collect();
    words.sort_by_key(|(rank, _)| *rank);
    words.into_iter().map(|(_, words)| words).collect()
}

/// Whether a container has ended before: then its log has its last words.
pub fn has_crashed(words: &ContainerWords) -> bool {
    !words.container.is_empty() && words.ended_at.is_some()
}

/// The words of the set that the last plan asked about. `None` when it asked about none, or when they cannot be read.
pub async fn listen(
    reader: &Reader,
    context: &Context,
    loaded: &Loaded,
    wanted: Option<&Hash>,
    last: &mut Option<Words>,
) -> Option<Vec<ContainerWords>> {
    let Some(hash) = wanted else {
        *last = None;
        return None;
    };
    let nothing =
        || Words { hash: hash.clone(), since: Instant::now(), at: None, said: Vec::new(), events: Told::default() };
    let kept = last.take().filter(|words| words.hash == *hash).unwrap_or_else(nothing);
    let Words { since, at, said, events, .. } = last.insert(kept);
    if !reader.resolves(at.unwrap_or(*since).elapsed() >= EVERY) {
        return at.map(|_| said.clone());
    }
    let listed = reader.cluster().objects(&kinds::PODS, &loaded.key.namespace).list_some(&params(loaded, hash)).await;
    let pods = match listed {
        Ok(pods) => pods,
        Err(error) => {
            tracing::debug!(rollout = %loaded.key, %error, "the pods cannot be listed");
            return None;
        }
    };
    let mut pods: Vec<Pod> = pods.iter().filter_map(|pod| Pod::of(pod, hash)).collect();
    let set = set(context, loaded, hash);
    events.listen(reader, loaded, set.as_ref(), &pods).await;
    for pod in &mut pods {
        events.add_to(pod);
    }
    let of_set = set.and_then(|set| events.of_set(&set, hash));
    let mut words: Vec<_> = pods.into_iter().flat_map(|pod| pod.words).chain(of_set).collect();
    words.sort_by_key(|(rank, _)| *rank);
    *said = words.into_iter().map(|(_, words)| words).collect();
    *at = Some(Instant::now());
    Some(said.clone())
}

/// The set, by the cache: its events are of use only where it is there.
fn set(context: &Context, loaded: &Loaded, hash: &Hash) -> Option<Set> {
    let sets = context.caches.sets.of_rollout(&loaded.key);
    let (name, set) = sets.into_iter().find(|(_, set)| set.hash == *hash)?;
    Some(Set { name: (*name).to_owned(), uid: set.identity().uid.to_string() })
}

fn params(loaded: &Loaded, hash: &Hash) -> ListParams {
    ListParams::default().labels(&loaded.selector(&hash.into())).limit(MOST_PODS)
}

/// A reason and what is added to it, on one line.
fn with_message(reason: &str, message: Option<&str>) -> String {
    let reason = one_line(reason, LONGEST);
    match message.map(|message| one_line(message, LONGEST)).filter(|message| !message.is_empty()) {
        Some(message) => format!("{reason}: {message}"),
        None => reason,
    }
}

fn time(object: &Value, pointer: &str) -> Option<Timestamp> {
    text(object, pointer)?.parse().ok()
}
