//! Who writes reports, one at a time of each Rollout, and remembers what they are known to have.
//!
//! All of it may be lost at any time: the report is read then before it is written.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leadsman_core::observed::ContainerWords;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::evidence::{LastWords, read_last_words};
use super::write::{Job, Writing};
use crate::cluster::Cluster;
use crate::controller::cache::Uid;
use crate::controller::key::Key;
use crate::controller::loaded::Loaded;
use crate::controller::queue::Queue;
use crate::runtime::backoff::Backoff;
use crate::runtime::clock::Clock;

/// Reports and logs that are under way at once.
const AT_ONCE: usize = 8;

/// Who writes reports.
pub struct Reporter {
    cluster: Cluster,
    clock: Clock,
    queue: Arc<Queue>,
    turns: Semaphore,
    about: Mutex<HashMap<Key, About>>,
}

/// What is remembered of a Rollout while something is recorded of it.
#[derive(Default)]
struct About {
    uid: Uid,
    /// By the number of the attempt: the index before which nothing is missing in its report.
    known: BTreeMap<u64, u64>,
    /// The report of the present attempt, as it was last written.
    report: Option<Box<Value>>,
    last_words: LastWords,
    writes: bool,
    /// Something was to be written meanwhile.
    is_behind: bool,
    listens: bool,
    refused: Option<String>,
    next_try: Option<Instant>,
    backoff: Option<Backoff>,
}

impl Reporter {
    /// Through this cluster; who waits for a report to be written is woken in this queue.
    pub fn new(cluster: Cluster, clock: Clock, queue: Arc<Queue>) -> Arc<Self> {
        Arc::new(Self { cluster, clock, queue, turns: Semaphore::new(AT_ONCE), about: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, About>> {
        self.about.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the reports of a Rollout are known to have.
    pub fn known(&self, key: &Key) -> BTreeMap<u64, u64> {
        self.lock().get(key).map(|about| about.known.clone()).unwrap_or_default()
    }

    /// Why its report cannot be written, where that is so.
    pub fn refused(&self, key: &Key) -> Option<String> {
        self.lock().get(key)?.refused.clone()
    }

    /// Remembers nothing of attempts of which nothing is recorded any more.
    pub fn keep_only(&self, key: &Key, is_recorded: impl Fn(u64) -> bool) {
        let mut all = self.lock();
        let Some(about) = all.get_mut(key) else { return };
        about.known.retain(|number, _| is_recorded(*number));
        let is_busy = about.writes || about.listens;
        if about.known.is_empty() && !is_busy && about.refused.is_none() {
            // The report that was written last goes with it: of a settled Rollout nothing more is written.
            all.remove(key);
        }
    }

    /// Remembers nothing of a Rollout that is gone.
    pub fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }

    /// Has a report written, unless one of the same Rollout is being written, or failed a moment ago: it is planned again.
    pub fn write(self: &Arc<Self>, job: Job) {
        let mut all = self.lock();
        let about = all.entry(job.key.clone()).or_default();
        if about.uid != job.uid {
            *about = About { uid: job.uid.clone(), ..About::default() };
        }
        let waits = about.next_try.is_some_and(|at| at > Instant::now());
        about.is_behind = about.writes;
        if about.writes || waits {
            return;
        }
        about.writes = true;
        let (known, last_words) = (about.report.take(), about.last_words.clone());
        drop(all);
        let reporter = Arc::clone(self);
        tokio::spawn(async move {
            let _turn = reporter.turns.acquire().await;
            let writing =
                Writing { cluster: &reporter.cluster, job: &job, now: reporter.clock.now(), last_words: &last_words };
            let written = writing.write(known).await;
            reporter.note(&job, written);
        });
    }

    fn note(&self, job: &Job, written: crate::cluster::Result<Option<Box<Value>>>) {
        let mut all = self.lock();
        let Some(about) = all.get_mut(&job.key).filter(|about| about.uid == job.uid) else { return };
        about.writes = false;
        let number = job.record.canary.number;
        let wake = match written {
            Ok(report) => {
                about.report = report;
                about.known.insert(number, job.record.next);
                (about.refused, about.next_try, about.backoff) = (None, None, None);
                // What is in the report need not stay in the status.
                (job.record.end.is_some() || about.is_behind).then(Instant::now)
            }
            Err(error) => {
                tracing::warn!(rollout = %job.key, %error, attempt = number, "its report could not be written");
                about.refused = Some(format!("cannot write the report of revision {number}: {error}"));
                about.next_try = Some(Instant::now() + about.backoff.get_or_insert(Backoff::OBJECT).fail());
                about.next_try
            }
        };
        drop(all);
        if let Some(at) = wake {
            self.queue.at(&job.key, at);
        }
    }

    /// Keeps the last lines of containers that have crashed since they were heard of last.
    pub fn hear(self: &Arc<Self>, loaded: &Loaded, words: &[ContainerWords]) {
        let mut all = self.lock();
        let about = all.get(&loaded.key);
        let crashed =
            about.map_or_else(|| LastWords::default().unknown_of(words), |it| it.last_words.unknown_of(words));
        if crashed.is_empty() || about.is_some_and(|about| about.listens) {
            return;
        }
        let about = all.entry(loaded.key.clone()).or_default();
        about.uid.clone_from(&loaded.uid);
        about.listens = true;
        drop(all);
        let (reporter, key) = (Arc::clone(self), loaded.key.clone());
        tokio::spawn(async move {
            let _turn = reporter.turns.acquire().await;
            let read = read_last_words(&reporter.cluster, &key.namespace, crashed).await;
            if let Some(about) = reporter.lock().get_mut(&key) {
                about.listens = false;
                about.last_words.keep(read);
            }
        });
    }
}
