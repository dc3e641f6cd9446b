//! Watches: what happened since a version and what happens from now on, as lines of JSON.
//!
//! A watch ends when it was asked to, with a bookmark just before; it is told that its version is too old in a line of
//! its own, as the real server does. A test can close all watches of a kind, or let them fall silent.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use futures::stream::{BoxStream, StreamExt, unfold};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::kind::Kind;
use crate::object::{Selector, set};
use crate::server::Inner;
use crate::store::Change;

/// When the real server ends a watch that named no time is random between half an hour and an hour.
const LONGEST: Duration = Duration::from_mins(30);
/// Between bookmarks.
const BOOKMARK_EVERY: Duration = Duration::from_mins(1);

/// The watches that there have been, and what a test did to them: always to all of a kind that are open.
#[derive(Default)]
pub(crate) struct Watches {
    /// How many have been opened, by kind.
    pub opened: BTreeMap<&'static str, u64>,
    closed: BTreeMap<&'static str, u64>,
    silent: BTreeMap<&'static str, u64>,
}

impl Watches {
    fn open(&mut self, kind: &'static Kind) -> u64 {
        let opened = self.opened.entry(kind.kind).or_default();
        *opened += 1;
        *opened
    }

    pub fn close(&mut self, kind: &'static Kind) {
        self.closed.insert(kind.kind, self.opened.get(kind.kind).copied().unwrap_or(0));
    }

    pub fn silence(&mut self, kind: &'static Kind) {
        self.silent.insert(kind.kind, self.opened.get(kind.kind).copied().unwrap_or(0));
    }
}

/// A watch that is under way.
struct Watch {
    inner: Arc<Inner>,
    kind: &'static Kind,
    namespace: Option<String>,
    selector: Selector,
    version: u64,
    ends: Instant,
    bookmark_at: Option<Instant>,
    /// How many of its kind had been opened with it.
    number: u64,
    lines: VecDeque<Bytes>,
    over: bool,
}

/// What a watch is asked for.
pub(crate) struct Wanted {
    pub kind: &'static Kind,
    pub namespace: Option<String>,
    pub selector: Selector,
    pub version: u64,
    pub timeout: Option<Duration>,
    pub bookmarks: bool,
}

/// The lines of a watch as they come.
pub(crate) fn open(inner: Arc<Inner>, wanted: Wanted) -> BoxStream<'static, Result<Bytes, std::convert::Infallible>> {
    let Wanted { kind, namespace, selector, version, timeout, bookmarks } = wanted;
    let now = Instant::now();
    let number = inner.lock().watches.open(kind);
    let watch = Watch {
        inner,
        kind,
        namespace,
        selector,
        version,
        ends: now + timeout.unwrap_or(LONGEST),
        bookmark_at: bookmarks.then(|| now + BOOKMARK_EVERY),
        number,
        lines: VecDeque::new(),
        over: false,
    };
    unfold(watch, |mut watch| async move { watch.next().await.map(|line| (Ok(line), watch)) }).boxed()
}

impl Watch {
    async fn next(&mut self) -> Option<Bytes> {
        let mut changed = self.inner.changed.subscribe();
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            if self.over {
                return None;
            }
            changed.borrow_and_update();
            if self.look() {
                continue;
            }
            let bookmark = self.bookmark_at.unwrap_or(self.ends);
            tokio::select! {
                _ = changed.changed() => {}
                () = tokio::time::sleep_until(self.ends.min(bookmark)) => {}
            }
        }
    }

    /// Takes up what there is; true when there is something to say, or when the watch is over.
    fn look(&mut self) -> bool {
        let inner = Arc::clone(&self.inner);
        let state = inner.lock();
        let hit = |watches: &BTreeMap<_, u64>| watches.get(self.kind.kind).is_some_and(|last| *last >= self.number);
        if hit(&state.watches.silent) {
            // Neither changes nor its end are heard of: a connection that died without a word.
            self.ends = Instant::now() + LONGEST;
            self.bookmark_at = None;
            return false;
        }
        if hit(&state.watches.closed) || state.withdrawn.contains(self.kind.kind) {
            self.over = true;
            return true;
        }
        match state.store.since(self.version) {
            Ok(changes) => {
                let lines: Vec<Bytes> = changes.iter().filter_map(|change| self.line(change)).collect();
                self.version = changes.last().map_or(self.version, |change| change.version);
                self.lines.extend(lines);
            }
            Err(refusal) => {
                self.lines.push_back(line("ERROR", &serde_json::to_value(&refusal.status).unwrap_or_default()));
                self.over = true;
                return true;
            }
        }
        let now = Instant::now();
        if now >= self.ends {
            self.over = true;
        }
        if self.bookmark_at.is_some_and(|at| now >= at) || (self.over && self.bookmark_at.is_some()) {
            self.bookmark_at = Some(now + BOOKMARK_EVERY);
            self.lines.push_back(self.bookmark());
        }
        self.over || !self.lines.is_empty()
    }

    fn bookmark(&self) -> Bytes {
        let version = self.version.to_string();
        let (kind, api_version) = (self.kind.kind, self.kind.api_version());
        line("BOOKMARK", &json!({"apiVersion": api_version, "kind": kind, "metadata": {"resourceVersion": version}}))
    }

    fn line(&self, change: &Change) -> Option<Bytes> {
        let within = self.namespace.as_ref().is_none_or(|namespace| *namespace == change.name.namespace);
        if change.name.kind != self.kind || !within {
            return None;
        }
        let selects = |object: &Option<Arc<Value>>| object.as_ref().is_some_and(|it| self.selector.selects(it));
        let object = change.object();
        match (selects(&change.before), selects(&change.after)) {
            (false, true) => Some(line("ADDED", object)),
            (true, true) => Some(line("MODIFIED", object)),
            // As it was while it was selected, with the version in which it is not any more.
            (true, false) => {
                let mut last = change.before.as_deref()?.clone();
                set(&mut last, "/metadata/resourceVersion", json!(change.version.to_string()));
                Some(line("DELETED", &last))
            }
            (false, false) => None,
        }
    }
}

fn line(kind: &str, object: &Value) -> Bytes {
    let mut text = json!({"type": kind, "object": object}).to_string();
    text.push('\n');
    Bytes::from(text)
}
