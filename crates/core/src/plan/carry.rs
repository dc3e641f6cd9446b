//! What carries the traffic: routes, the selector of one Service, or pods alone. The way forward and the way back are the
//! same for all of them; what differs is here.

use std::time::Duration;

use jiff::Timestamp;

use super::hold::{Hold, Timed};
use super::{Pass, pods, restart, settle};
use crate::names::{Hash, Revision, Selection, Side};
use crate::spec::CanaryScale;
use crate::state::{Release, Stage};
use crate::time::after;
use crate::traffic::{Carrier, Shape, Sizes, Strategy, Weight};

impl Pass<'_> {
    pub(super) fn carrier(&self) -> Carrier {
        self.state.carrier()
    }

    pub(super) fn strategy(&self) -> Strategy {
        self.state.targets.as_ref().map_or_else(Strategy::default, |targets| targets.strategy)
    }

    /// The revision on trial, or on its way out.
    pub(super) fn trial(&self) -> Option<&Revision> {
        match &self.state.stage {
            Stage::Releasing(release) => Some(&release.canary),
            Stage::Leaving(leaving) => Some(&leaving.canary),
            Stage::Deploying | Stage::Resting | Stage::Promoting(_) => None,
        }
    }

    /// What the one Service selects to give the canary this share.
    pub(super) fn selection_at(&self, weight: Weight) -> Selection {
        match self.trial() {
            Some(_) if weight.is_shared() => Selection::Any,
            Some(canary) if weight == Weight::FULL => Selection::from(&canary.hash),
            _ => Selection::from(&self.state.stable.hash),
        }
    }

    /// True when the traffic has been seen to be shared like this, whoever carries it.
    pub(super) fn traffic_is_at(&self, weight: Weight) -> bool {
        match self.carrier() {
            Carrier::Routes => self.routes_are_at(weight),
            Carrier::Service => {
                let binding = &self.state.bindings.stable;
                let is_seen = binding.seen_since.is_some() || !binding.is_moving();
                binding.decided == self.selection_at(weight) && is_seen && (!weight.is_shared() || self.has_its_shape())
            }
            Carrier::Pods if weight == Weight::ZERO => {
                // Sets that are not known may have pods.
                let gone = |hash| self.view.sets()?.get(hash).map_or(Some(true), |set| Some(set.existing == 0));
                self.trial().is_none_or(|canary| gone(&canary.hash) == Some(true))
            }
            Carrier::Pods => self.has_its_shape(),
        }
    }

    /// What keeps the traffic from being shared like this.
    pub(super) fn behind(&self, weight: Weight) -> Hold {
        let name = || self.state.targets.as_ref().map(|targets| targets.stable_service.clone()).unwrap_or_default();
        let selection = self.selection_at(weight);
        let selects = self.view.seen.stable_service.seen().and_then(|service| service.selection.as_ref());
        match self.carrier() {
            Carrier::Routes => Hold::Route(self.view.route_behind(weight)),
            Carrier::Service if selects != Some(&selection) => {
                Hold::Service(format!("Service {} to select {selection}", name()))
            }
            Carrier::Service if weight.is_shared() && !self.has_its_shape() => self.lacks_pods(),
            Carrier::Service => {
                Hold::Service(format!("the endpoints of Service {} to be those of {selection}", name()))
            }
            Carrier::Pods if weight == Weight::ZERO => Hold::Ending { hashes: self.trial_hash().into_iter().collect() },
            Carrier::Pods => self.lacks_pods(),
        }
    }

    fn lacks_pods(&self) -> Hold {
        let (Some(canary), shape) = (self.trial(), self.shape()) else { return Hold::Unseen("the ReplicaSets") };
        let available = self.view.available(&canary.hash);
        Hold::Pods { available, needed: self.enough(shape.canary), words: self.view.what_keeps(&canary.hash) }
    }

    fn trial_hash(&self) -> Option<Hash> {
        self.trial().map(|canary| canary.hash.clone())
    }

    /// True when both sets have the sizes that the share asks for: pods are what makes it.
    fn has_its_shape(&self) -> bool {
        let (Some(canary), shape) = (self.trial(), self.shape()) else { return false };
        let ready = self.view.set(&canary.hash).map_or(0, |set| set.ready);
        let stable = self.view.set(&self.state.stable.hash).map_or(0, |set| set.wanted);
        ready >= self.enough(shape.canary) && (stable <= shape.stable || !self.may_shrink_stable())
    }

    /// How long something written takes to be known to whoever sends.
    pub(super) fn settle_time(&self) -> Duration {
        match self.carrier() {
            Carrier::Routes => self.state.timing.settle,
            Carrier::Service => self.state.timing.of_endpoints(),
            Carrier::Pods => Duration::ZERO,
        }
    }

    /// Waits for a share to be seen, and to settle; `None` once it is in force.
    pub(super) fn wait_for_split(&self, weight: Weight) -> Option<Hold> {
        if !self.traffic_is_at(weight) {
            return Some(self.behind(weight));
        }
        // Somebody else may have written other weights since this share came into force: then it has to settle again.
        // What a Service selects has an account of its own: the binding's.
        let since = self.state.split.seen_since.unwrap_or(self.view.now);
        let until = after(since, self.settle_time());
        let again = self.carrier() == Carrier::Routes && until > self.view.now;
        if self.state.split.in_force == weight && !again {
            return None;
        }
        Some(Hold::Until { what: Timed::Settling(self.state.split.decided.to_string()), until })
    }

    /// Decides a new share.
    pub(super) fn decide_split(&mut self, weight: Weight) {
        self.decide_split_at(weight, self.view.now);
    }

    /// Decides a share as of an instant at which it was decided already.
    pub(super) fn decide_split_at(&mut self, weight: Weight, at: Timestamp) {
        self.state.split.decide(weight, at);
        if self.carrier() == Carrier::Service {
            let selection = self.selection_at(weight);
            self.state.bindings.stable.decide(selection);
            settle::note_binding(self, Side::Stable);
        }
        settle::note_split(self);
    }

    /// So many of the pods that are needed are enough.
    pub(super) fn enough(&self, needed: u32) -> u32 {
        let threshold = self.release().map_or(Weight::FULL, |release| release.recipe.ready_threshold);
        threshold.needs(needed).max(needed.min(1))
    }

    /// Ready pods that a share of so many needs.
    pub(super) fn needs(&self, weight: Weight, replicas: u32) -> u32 {
        self.enough(weight.needs(replicas))
    }

    fn sizes(&self, release: &Release) -> Sizes {
        Sizes {
            carrier: self.carrier(),
            replicas: self.view.replicas(),
            keep_stable: release.recipe.keep_stable,
            least_canary: release.recipe.least_canary,
        }
    }

    /// Sizes of both sets at present.
    pub(super) fn shape(&self) -> Shape {
        let replicas = self.view.replicas();
        let Some(release) = self.release() else { return Shape { stable: replicas, canary: 0 } };
        let (sizes, target) = (self.sizes(release), release.target());
        if self.carrier() == Carrier::Routes {
            let reach = self.reach();
            let least = target.min(release.goal).min(reach.least_canary());
            return sizes.shape(target.max(release.goal), least, reach.most_canary());
        }
        // Without traffic pods may come before they are asked for; with traffic another size is another share.
        let asked = match self.carrier() {
            Carrier::Service if release.goal == Weight::ZERO => target,
            _ => release.goal,
        };
        sizes.shape(asked, asked, asked)
    }

    /// Pods that a revision in use is to have, without those that a restart adds.
    pub(super) fn size_of(&self, hash: &Hash) -> u32 {
        match &self.state.stage {
            Stage::Releasing(release) if release.canary.hash == *hash => self.canary_size(release),
            Stage::Releasing(_) if self.state.stable.hash == *hash => self.stable_size(),
            Stage::Leaving(leaving) if leaving.canary.hash == *hash => {
                let wanted = self.view.set(hash).map_or(0, |set| set.wanted);
                wanted.min(self.state.split.decided.needs(self.view.replicas()))
            }
            _ => self.view.replicas(),
        }
    }

    fn canary_size(&self, release: &Release) -> u32 {
        let (replicas, hash, shape) = (self.view.replicas(), &release.canary.hash, self.shape());
        let wanted = self.view.set(hash).map_or(0, |set| set.wanted);
        let shares = self.carrier().shares_by_pods() && release.goal.is_shared();
        let floor =
            release.scale.filter(|_| self.carrier() != Carrier::Pods && !shares).map_or(0, |it| it.of(replicas));
        let size = if replicas == 0 { 0 } else { shape.canary.max(floor) };
        if size < wanted {
            // What the canary gives up stable has to be able to take.
            let stable_is_ready = self.ready_stable() >= self.enough(shape.stable.min(replicas));
            // The one more that a restart added comes on top again.
            let kept = wanted.saturating_sub(restart::surge(self, hash, size)).min(replicas);
            return if shares && !stable_is_ready { kept } else { size };
        }
        let Some(at_once) = release.recipe.pods_at_once else { return size };
        size.min(self.view.available(hash).saturating_add(at_once.of(replicas))).max(wanted)
    }

    /// Stable at full size, or at what is left to it where that is declared: once the canary carries the rest.
    fn stable_size(&self) -> u32 {
        let shape = self.shape();
        let replicas = self.view.replicas();
        if self.may_shrink_stable() {
            return shape.stable;
        }
        let wanted = self.view.set(&self.state.stable.hash).map_or(0, |set| set.wanted);
        // What the canary does not carry yet is stable's.
        let carried = match self.carrier() {
            Carrier::Routes => replicas,
            Carrier::Service | Carrier::Pods => self.trial().map_or(0, |canary| self.view.available(&canary.hash)),
        };
        shape.stable.max(wanted).max(replicas.saturating_sub(carried)).min(replicas)
    }

    /// True when what stable gives up has been on the canary for long enough.
    fn may_shrink_stable(&self) -> bool {
        let Some(release) = self.release().filter(|it| it.shrunk.is_none() && it.recipe.keep_stable != Weight::FULL)
        else {
            return false;
        };
        let split = &self.state.split;
        if split.decided != release.goal || release.goal == Weight::ZERO {
            return false;
        }
        match self.carrier() {
            Carrier::Routes => {
                let drained = |since| after(after(since, self.state.timing.settle), self.state.timing.drain);
                split.in_force == release.goal && split.seen_since.is_some_and(|since| drained(since) <= self.view.now)
            }
            Carrier::Service | Carrier::Pods => {
                let moving = self.carrier() == Carrier::Service && self.state.bindings.stable.is_moving();
                let ready = self.view.available(&release.canary.hash);
                !moving && ready >= self.enough(self.shape().canary)
            }
        }
    }

    /// Before one Service selects every revision, there are only two: `None` once the others have no pod left.
    pub(super) fn others_end(&self) -> Option<Hold> {
        if self.carrier() != Carrier::Service {
            return None;
        }
        let two = [Some(&self.state.stable.hash), self.trial().map(|canary| &canary.hash)];
        let sets = self.view.sets().into_iter().flatten();
        let lives = |(hash, set): &(&Hash, &crate::observed::SetView)| {
            !two.contains(&Some(*hash)) && (set.wanted > 0 || set.ready > 0)
        };
        let hashes: Vec<Hash> = sets.filter(lives).map(|(hash, _)| hash.clone()).collect();
        (!hashes.is_empty()).then_some(Hold::Ending { hashes })
    }

    /// The present step asks for another size of the canary.
    pub(super) fn set_scale(&mut self, scale: CanaryScale) {
        if let Some(release) = self.release_mut() {
            release.scale = Some(scale);
        }
    }

    /// True unless one Service selects both revisions only on the way from one to the other.
    pub(super) fn go_over_is_over(&self, release: &Release) -> bool {
        self.carrier() != Carrier::Service || release.goal == self.state.split.decided
    }

    /// Where one Service carries the traffic: from both revisions to the new one alone, once that is whole and both have been
    /// selected for long enough. Gives what that waits for; `None` where it is done, or is none of the release's business.
    pub(super) fn go_over(&mut self) -> Option<Hold> {
        let release = self.release()?;
        let canary = release.canary.hash.clone();
        let is_on_its_way = release.goal == Weight::FULL && self.state.split.decided.is_shared();
        if self.carrier() != Carrier::Service || !is_on_its_way || release.shrunk.is_some() {
            return None;
        }
        let (decided, replicas) = (self.state.split.decided, self.view.replicas());
        if !self.traffic_is_at(decided) {
            pods::ask(self, &canary);
            return Some(self.behind(decided));
        }
        let needed = self.enough(replicas);
        let available = self.view.available(&canary);
        if available < needed {
            pods::note_ready(self, available);
            return Some(pods::wait(self, &canary, available, needed));
        }
        if self.view.endpoints(Side::Canary, &canary).unwrap_or(0) < needed {
            return Some(self.view.lacks_endpoints(Side::Canary, &canary, needed));
        }
        let since = self.state.split.seen_since.unwrap_or(self.view.now);
        let until = after(since, self.settle_time().max(self.state.timing.overlap));
        if self.view.now < until {
            return Some(Hold::Until { what: Timed::Overlapping, until });
        }
        self.decide_split(Weight::FULL);
        None
    }
}
