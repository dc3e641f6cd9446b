//! What the watches have told so far of one Rollout.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::runtime::watcher::Event;
use leadsman_api::{Rollout, RolloutReport};
use leadsman_view::Objects;

use crate::cluster::{Change, Part};
use crate::exit::{Exit, Failure};

/// What a change means for whoever draws.
#[derive(Debug)]
pub(super) enum News {
    /// There is something new to draw.
    Something,
    /// There is not.
    Nothing,
    /// A watch broke.
    Lost,
    /// The Rollout is gone.
    Deleted,
    /// Nothing more can be shown.
    Refused(Failure),
}

/// The objects of one kind by name. A list that is read anew replaces them only once it is whole.
struct Collection<K> {
    now: BTreeMap<String, K>,
    coming: BTreeMap<String, K>,
    is_read: bool,
}

impl<K> Default for Collection<K> {
    fn default() -> Self {
        Self { now: BTreeMap::new(), coming: BTreeMap::new(), is_read: false }
    }
}

impl<K: kube::Resource + Clone> Collection<K> {
    /// Whether there is anything new.
    fn take(&mut self, event: Event<K>) -> bool {
        match event {
            Event::Apply(object) => drop(self.now.insert(object.name_any(), object)),
            Event::Delete(object) => drop(self.now.remove(&object.name_any())),
            Event::Init => self.coming.clear(),
            Event::InitApply(object) => {
                self.coming.insert(object.name_any(), object);
                return false;
            }
            Event::InitDone => {
                self.now = std::mem::take(&mut self.coming);
                self.is_read = true;
            }
        }
        true
    }
}

/// What is known.
#[derive(Default)]
pub(super) struct Kept {
    rollouts: Collection<Rollout>,
    reports: Collection<RolloutReport>,
    sets: Collection<ReplicaSet>,
    pods: Collection<Pod>,
    objects: Option<Objects>,
}

impl Kept {
    /// Takes what a watch says; `None` where all of them have ended.
    pub fn take(&mut self, change: Option<Change>) -> News {
        let is_news = match change {
            Some(Change::Rollout(event)) => self.rollouts.take(event),
            Some(Change::Report(event)) => self.reports.take(event),
            Some(Change::Set(event)) => self.sets.take(event),
            Some(Change::Pod(event)) => self.pods.take(event),
            Some(Change::Lost(_)) => return News::Lost,
            Some(Change::Refused(Part::Rollout, failure)) => return News::Refused(failure),
            Some(Change::Refused(part, _)) => {
                self.do_without(part);
                true
            }
            None => return News::Refused(Failure::new(Exit::Unknown, "the watches ended")),
        };
        if !is_news {
            return News::Nothing;
        }
        self.gather();
        if self.rollouts.is_read && self.rollouts.now.is_empty() { News::Deleted } else { News::Something }
    }

    /// The Rollout and what belongs to it; `None` before the first look.
    pub fn objects(&self) -> Option<&Objects> {
        self.objects.as_ref()
    }

    /// Whether everything that can be read was read once.
    pub fn is_complete(&self) -> bool {
        self.rollouts.is_read && self.reports.is_read && self.sets.is_read && self.pods.is_read
    }

    /// Where a right is missing, what it is for is shown as empty and not waited for.
    fn do_without(&mut self, part: Part) {
        match part {
            Part::Rollout => {}
            Part::Reports => self.reports.is_read = true,
            Part::Sets => self.sets.is_read = true,
            Part::Pods => self.pods.is_read = true,
        }
    }

    fn gather(&mut self) {
        self.objects = self.rollouts.now.values().next().map(|rollout| Objects {
            rollout: rollout.clone(),
            reports: self.reports.now.values().cloned().collect(),
            sets: self.sets.now.values().cloned().collect(),
            pods: self.pods.now.values().cloned().collect(),
        });
    }
}
