//! What the pods of a canary that failed say: kept when they say it, and read once more when its report is written, before
//! they go.

use std::collections::VecDeque;

use jiff::Timestamp;
use kube::api::ListParams;
use leadsman_api::PodWords;
use leadsman_core::names::Hash;
use leadsman_core::observed::ContainerWords;
use leadsman_core::text::one_line;

use super::write::Writing;
use crate::cluster::{Cluster, Error, Result, kinds};
use crate::controller::observe::{has_crashed, words_of_pods};

/// Pods that are looked at.
const MOST_PODS: u32 = 20;
/// Pods, or groups of pods that say the same, that a report tells of.
const MOST_TOLD: usize = 6;
/// Containers whose logs are read.
const MOST_LOGS: usize = 3;
/// Lines that are read of a log.
const LINES: i64 = 40;
/// Bytes that are read of a log.
const BYTES: i64 = 16 * 1024;
/// Longest line that is kept, in characters.
const LONGEST_LINE: usize = 400;
/// Other pods that are named as saying the same.
const MOST_NAMED: usize = 10;

/// The last lines of containers that crashed, as they were read soon after. Lost with the process: they are read anew then,
/// where the pods are still there.
#[derive(Clone, Default)]
pub struct LastWords {
    kept: VecDeque<Kept>,
}

#[derive(Clone)]
pub struct Kept {
    revision: Hash,
    pod: String,
    container: String,
    restarts: u32,
    log: Vec<String>,
}

impl LastWords {
    fn of(&self, words: &ContainerWords) -> Option<&Kept> {
        self.kept.iter().find(|it| it.pod == words.pod && it.container == words.container)
    }

    /// Those that have crashed since they were heard of last.
    pub fn unknown_of(&self, words: &[ContainerWords]) -> Vec<ContainerWords> {
        let is_new = |it: &&ContainerWords| self.of(it).is_none_or(|known| known.restarts != it.restarts);
        words.iter().filter(|it| has_crashed(it)).filter(is_new).take(MOST_LOGS).cloned().collect()
    }

    /// Keeps what was read, of one revision only.
    pub fn keep(&mut self, read: Vec<Kept>) {
        for new in read {
            let is_other = |it: &Kept| !(it.pod == new.pod && it.container == new.container);
            self.kept.retain(|it| it.revision == new.revision && is_other(it));
            self.kept.push_back(new);
        }
        self.kept.drain(..self.kept.len().saturating_sub(MOST_LOGS));
    }
}

/// The last lines of containers; without them, the report is made of what is there then.
pub async fn read_last_words(cluster: &Cluster, namespace: &str, crashed: Vec<ContainerWords>) -> Vec<Kept> {
    let mut read = Vec::new();
    for words in crashed {
        let Ok(log) = log(cluster, namespace, &words).await else { continue };
        let ContainerWords { revision, pod, container, restarts, .. } = words;
        read.push(Kept { revision, pod, container, restarts, log });
    }
    read
}

/// What the pods of the revision on trial say at present, with the last lines of those that crashed.
pub async fn gather(writing: &Writing<'_>) -> Result<Vec<PodWords>> {
    let Writing { cluster, job, now, last_words } = writing;
    let params = ListParams::default().labels(&job.selector).limit(MOST_PODS);
    let pods = cluster.objects(&kinds::PODS, &job.key.namespace).list_some(&params).await?;
    let mut told: Vec<PodWords> = Vec::new();
    let mut logs = 0;
    for words in words_of_pods(&pods, &job.record.canary.hash) {
        if let Some(known) = told.iter_mut().find(|it| says_the_same(it, &words)) {
            if known.same.len() < MOST_NAMED {
                known.same.push(words.pod);
            }
            continue;
        }
        if told.len() >= MOST_TOLD {
            break;
        }
        let has_log = has_crashed(&words) && logs < MOST_LOGS;
        let log = if has_log { last_lines(cluster, &job.key.namespace, last_words, &words).await } else { Vec::new() };
        logs += usize::from(has_log);
        told.push(said(words, log, *now));
    }
    Ok(told)
}

fn says_the_same(known: &PodWords, words: &ContainerWords) -> bool {
    known.container == words.container && without_times(&known.words) == without_times(&words.words)
}

async fn last_lines(cluster: &Cluster, namespace: &str, kept: &LastWords, words: &ContainerWords) -> Vec<String> {
    match log(cluster, namespace, words).await {
        Ok(log) if !log.is_empty() => log,
        Ok(_) => kept.of(words).map(|it| it.log.clone()).unwrap_or_default(),
        Err(error) => kept.of(words).map_or_else(|| vec![format!("(no log: {error})")], |it| it.log.clone()),
    }
}

fn said(words: ContainerWords, log: Vec<String>, at: Timestamp) -> PodWords {
    PodWords {
        pod: words.pod,
        container: words.container,
        at,
        words: words.words,
        restarts: i32::try_from(words.restarts).unwrap_or(i32::MAX),
        log,
        same: Vec::new(),
    }
}

/// The last lines of a container before it ended; where it has not been started anew since, those that it has.
async fn log(cluster: &Cluster, namespace: &str, words: &ContainerWords) -> Result<Vec<String>> {
    let pods = cluster.objects(&kinds::PODS, namespace);
    let read = |previous| pods.log(&words.pod, &words.container, previous, LINES, BYTES);
    let text = match read(words.restarts > 0).await {
        Err(Error::Refused { status, .. }) if status.code == 400 && words.restarts > 0 => read(false).await?,
        answer => answer?,
    };
    Ok(text.lines().map(|line| one_line(line, LONGEST_LINE)).filter(|line| !line.is_empty()).collect())
}

/// Words without digits: how long it is backed off tells two crash loops apart that are the same.
fn without_times(words: &str) -> String {
    words.chars().filter(|it| !it.is_ascii_digit()).collect()
}
