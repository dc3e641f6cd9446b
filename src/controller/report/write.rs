//! One write of one report.
//!
//! It adds what the report does not have yet, known by its index, and is tied to the version that it was made of: one that is
//! repeated adds nothing, whoever repeats it.

use jiff::Timestamp;
use leadsman_api::names::{OUTCOME_LABEL, ROLLOUT_LABEL};
use leadsman_api::{Change, PodWords, RolloutReportSpec};
use leadsman_core::difference;
use leadsman_core::state::Record;
use serde_json::{Value, json};

use super::evidence::{self, LastWords};
use super::{fit, render};
use crate::cluster::{Cluster, Error, Result, kinds};
use crate::controller::cache::{Uid, text};
use crate::controller::key::Key;
use crate::controller::loaded::Loaded;
use crate::controller::manifest::{report_name, set_name};
use crate::controller::status::long;

/// Lines that differ between two templates and are kept.
const MOST_CHANGES: usize = 24;

/// What is to be written, and what is needed for it: the pass that wanted it may be over.
pub struct Job {
    /// The Rollout.
    pub key: Key,
    /// Its uid.
    pub uid: Uid,
    /// What is recorded.
    pub record: Record,
    /// Reports that are kept.
    keep: usize,
    /// The Rollout, as an owner.
    owner: Value,
    /// The selector of the pods of the revision on trial.
    pub selector: String,
    /// The names of the sets of stable and of the revision on trial.
    sets: Option<[String; 2]>,
}

impl Job {
    /// The report of what is recorded of a Rollout.
    pub fn new(loaded: &Loaded, record: &Record, keep: usize) -> Self {
        let sets = record.stable.as_ref();
        Self {
            key: loaded.key.clone(),
            uid: loaded.uid.clone(),
            record: record.clone(),
            keep,
            owner: loaded.owner_reference(),
            selector: loaded.selector(&(&record.canary.hash).into()),
            sets: sets.map(|stable| [&stable.hash, &record.canary.hash].map(|hash| set_name(loaded, hash))),
        }
    }
}

/// Writes a report through a cluster, at a moment, with what was kept of it so far.
pub struct Writing<'a> {
    /// The API server.
    pub cluster: &'a Cluster,
    /// What is to be written.
    pub job: &'a Job,
    /// The moment.
    pub now: Timestamp,
    /// The last lines of containers that crashed.
    pub last_words: &'a LastWords,
}

impl Writing<'_> {
    /// Has the report say what is recorded, on top of `known`, what it was last seen as. Gives what it is now; `None` once it is
    /// complete.
    pub async fn write(&self, known: Option<Box<Value>>) -> Result<Option<Box<Value>>> {
        let record = &self.job.record;
        let name = report_name(&self.job.key, record.canary.number);
        let (before, existing) = match known.filter(|it| text(it, "/metadata/name") == Some(&name)) {
            Some(existing) => (parse(&existing), Some(existing)),
            None if begins(record) => (None, None),
            None => self.read(&name).await?,
        };
        let before = before.filter(|spec| is_same_attempt(spec, record));
        let has_all = before.as_ref().is_some_and(|spec| has_all_of(spec, record));
        // Else by an earlier try, whose answer was lost or whose process was ended.
        let written = match existing {
            Some(existing) if has_all => existing,
            existing => {
                let mut spec = before.unwrap_or_else(|| render::begun(&self.job.key, record));
                self.add_what_is_read(&mut spec).await;
                render::add(&mut spec, record);
                fit::into_room(&mut spec);
                Box::new(self.put(&name, existing, &spec).await?)
            }
        };
        if record.end.is_none() {
            return Ok(Some(written));
        }
        if record.canary.number > u64::try_from(self.job.keep).unwrap_or(u64::MAX) {
            self.remove_the_oldest().await;
        }
        Ok(None)
    }

    /// What differs, where that is not known yet; what the pods say, where the revision has failed.
    async fn add_what_is_read(&self, spec: &mut RolloutReportSpec) {
        let record = &self.job.record;
        if spec.changes.is_empty() {
            spec.changes = self.changes().await;
        }
        if is_failure(record) {
            match evidence::gather(self).await {
                Ok(pods) => spec.pods = joined(std::mem::take(&mut spec.pods), pods),
                Err(error) => spec.cut.push(format!("What the pods say could not be read: {error}")),
            }
        }
    }

    async fn read(&self, name: &str) -> Result<(Option<RolloutReportSpec>, Option<Box<Value>>)> {
        let reports = self.cluster.objects(&kinds::REPORTS, &self.job.key.namespace);
        let existing = reports.get(name).await?.map(Box::new);
        Ok((existing.as_deref().and_then(parse), existing))
    }

    async fn put(&self, name: &str, existing: Option<Box<Value>>, spec: &RolloutReportSpec) -> Result<Value> {
        let Key { namespace, name: rollout } = &self.job.key;
        let reports = self.cluster.objects(&kinds::REPORTS, namespace);
        let mut report = json!({
            "apiVersion": format!("{}/{}", leadsman_api::names::GROUP, leadsman_api::names::VERSION),
            "kind": "RolloutReport",
            "metadata": {
                "name": name,
                "namespace": &**namespace,
                "labels": {ROLLOUT_LABEL: &**rollout, OUTCOME_LABEL: &spec.outcome},
                "ownerReferences": [&self.job.owner],
            },
            "spec": spec,
        });
        let Some(existing) = existing else {
            return match reports.create(&report).await {
                Err(error) if error.is_already_exists() => self.adopt(name, spec).await,
                answer => answer,
            };
        };
        let version = existing.pointer("/metadata/resourceVersion").cloned();
        if let Some(metadata) = report.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.extend(version.map(|version| ("resourceVersion".to_owned(), version)));
        }
        reports.replace(name, &report).await
    }

    /// The report is there although it was to be created: by an earlier try whose answer was lost, or for an attempt before the
    /// status was lost, whose number was given anew.
    async fn adopt(&self, name: &str, spec: &RolloutReportSpec) -> Result<Value> {
        let (before, existing) = self.read(name).await?;
        let Some(existing) = existing else {
            return Err(Error::Outdated(format!("report {name} is gone again")));
        };
        let record = &self.job.record;
        if before.is_some_and(|before| is_same_attempt(&before, record) && has_all_of(&before, record)) {
            return Ok(*existing);
        }
        Box::pin(self.put(name, Some(existing), spec)).await
    }

    /// What differs between the templates of both revisions, by their ReplicaSets; nothing where one of them is gone.
    async fn changes(&self) -> Vec<Change> {
        let Some(names) = &self.job.sets else { return Vec::new() };
        let sets = self.cluster.objects(&kinds::REPLICA_SETS, &self.job.key.namespace);
        let listed = match sets.list(&format!("{ROLLOUT_LABEL}={}", self.job.key.name)).await {
            Ok(listed) => listed,
            Err(error) => {
                tracing::debug!(rollout = %self.job.key, %error, "the ReplicaSets cannot be listed");
                return Vec::new();
            }
        };
        let template = |name: &String| {
            let set = listed.iter().find(|set| text(set, "/metadata/name") == Some(name))?;
            set.pointer("/spec/template")
        };
        let [Some(before), Some(after)] = names.each_ref().map(template) else { return Vec::new() };
        let change = |it: difference::Change| Change { path: it.path, before: it.before, after: it.after };
        difference::between(before, after).into_iter().take(MOST_CHANGES).map(change).collect()
    }

    /// Deletes reports beyond those that are kept. What cannot be deleted now is when the next attempt ends.
    async fn remove_the_oldest(&self) {
        let reports = self.cluster.objects(&kinds::REPORTS, &self.job.key.namespace);
        let mut all = match reports.list(&format!("{ROLLOUT_LABEL}={}", self.job.key.name)).await {
            Ok(all) => all,
            Err(error) => {
                tracing::debug!(rollout = %self.job.key, %error, "reports cannot be listed");
                return;
            }
        };
        all.sort_by_key(|report| std::cmp::Reverse(report.pointer("/spec/revision").and_then(Value::as_i64)));
        for report in all.iter().skip(self.job.keep) {
            let named = |pointer| text(report, pointer).unwrap_or_default();
            let (name, uid, version) =
                (named("/metadata/name"), named("/metadata/uid"), named("/metadata/resourceVersion"));
            if let Err(error) = reports.delete(name, uid, version).await {
                tracing::debug!(rollout = %self.job.key, %error, report = name, "a report cannot be deleted");
            }
        }
    }
}

fn has_all_of(spec: &RolloutReportSpec, record: &Record) -> bool {
    let last = record.entries.last().map(|entry| long(entry.index));
    spec.facts.last().map(|fact| fact.index) >= last
}

/// True where nothing of it has been written yet.
fn begins(record: &Record) -> bool {
    record.entries.first().is_some_and(|entry| entry.index == 0)
}

/// True where the failure of the canary is what is to be told.
fn is_failure(record: &Record) -> bool {
    record.entries.iter().any(|entry| entry.kind == "RollingBack")
}

/// False for the report of another attempt, whose number was given anew after the status was lost.
fn is_same_attempt(spec: &RolloutReportSpec, record: &Record) -> bool {
    spec.canary.hash == record.canary.hash.as_str() && (spec.began_at == record.began_at || !begins(record))
}

fn parse(report: &Value) -> Option<RolloutReportSpec> {
    serde_json::from_value(report.get("spec")?.clone()).ok()
}

/// What was said before, and what is said now of others.
fn joined(mut before: Vec<PodWords>, now: Vec<PodWords>) -> Vec<PodWords> {
    before.retain(|it| !now.iter().any(|new| new.pod == it.pod && new.container == it.container));
    now.into_iter().chain(before).collect()
}
