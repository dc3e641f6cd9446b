//! Sizes: stable at full size until promotion, canary at its share, and nothing below what may still be sent to it. A set
//! that nothing names is kept for `drain` and then scaled down; the oldest go beyond the history limit.

use std::collections::BTreeMap;

use crate::names::{Hash, Side};
use crate::observed::{Look, SetView};
use crate::plan::{Action, Pass, after};
use crate::state::Stage;

/// When a set that was only found idle in this pass is looked at again. Not at once: where the status cannot be written it is
/// found idle in every pass.
const ONCE_PERSISTED: std::time::Duration = std::time::Duration::from_millis(500);

impl Pass<'_> {
    pub(super) fn sizes(&mut self, actions: &mut Vec<Action>) {
        let Look::Seen(sets) = &self.observed.sets else { return };
        self.grow(sets, actions);
        self.mark(sets, actions);
        self.retire(sets, actions);
        self.forget(sets, actions);
    }

    /// Stable at full size, canary at the larger of what it has and what the step asks for.
    fn grow(&mut self, sets: &BTreeMap<Hash, SetView>, actions: &mut Vec<Action>) {
        if self.rollout.spec.is_err() && matches!(self.state.stage, Stage::Deploying) {
            return;
        }
        let full = self.rollout.replicas;
        let stable = (self.state.stable.hash.clone(), self.state.stable.number, full);
        let canary = self.release().filter(|release| release.preflight.is_none()).map(|release| {
            // Never fewer than what may still reach it.
            let live = self.most_canary().needs(full);
            (
                release.canary.hash.clone(),
                release.canary.number,
                self.pods_for(self.target().max(release.goal)).max(live),
            )
        });
        for (hash, number, replicas) in [Some(stable), canary].into_iter().flatten() {
            match sets.get(&hash) {
                None if hash == self.rollout.hash => {
                    actions.push(Action::CreateSet { hash, replicas, number });
                }
                Some(set) if !set.deleting && set.wanted != replicas => {
                    let grows = set.wanted < replicas;
                    if grows || hash == self.state.stable.hash || self.split_has_settled() {
                        actions.push(Action::ScaleSet { hash, from: set.wanted, to: replicas });
                    }
                }
                _ => {}
            }
        }
    }

    /// True once proxies have had time to know the decided split: until then they may send what somebody else wrote.
    fn split_has_settled(&mut self) -> bool {
        let Some(since) = self.state.traffic.seen_since else { return false };
        let settled = after(since, self.state.timing.settle);
        self.wake_at(settled);
        settled <= self.now
    }

    /// Numbers and rejections stand on the sets as well, where they survive a lost status.
    fn mark(&self, sets: &BTreeMap<Hash, SetView>, actions: &mut Vec<Action>) {
        for (hash, set) in sets.iter().filter(|(_, set)| !set.deleting) {
            let rejection = self.state.rejected.iter().find(|rejection| rejection.revision.hash == *hash);
            let attempt = match &self.state.stage {
                Stage::Releasing(release) if release.canary.hash == *hash => Some(release.canary.number),
                _ => None,
            };
            let number =
                attempt.or(rejection.map(|rejection| rejection.revision.number)).unwrap_or(set.number).max(set.number);
            if number != set.number || rejection.is_some() != set.rejected.is_some() {
                let rejected = rejection.map(|rejection| format!("{}: {}", rejection.reason, rejection.message));
                actions.push(Action::MarkSet { hash: hash.clone(), number, rejected });
            }
        }
    }

    /// Sets that nothing names any more: drained, then scaled to nothing.
    fn retire(&mut self, sets: &BTreeMap<Hash, SetView>, actions: &mut Vec<Action>) {
        let mut idle = BTreeMap::new();
        for (hash, set) in sets {
            if set.wanted == 0 || self.is_in_use(hash) {
                continue;
            }
            let since = self.state.idle.get(hash).copied().unwrap_or(self.now);
            idle.insert(hash.clone(), since);
            let drained = after(since, self.state.timing.drain);
            // An instant that was only decided in this pass is not persisted yet.
            if drained <= self.now && self.state.idle.contains_key(hash) {
                actions.push(Action::ScaleSet { hash: hash.clone(), from: set.wanted, to: 0 });
            } else {
                self.wake_at(drained.max(after(self.now, ONCE_PERSISTED)));
            }
        }
        self.state.idle = idle;
    }

    /// True while anything may still send to this revision, or is about to.
    fn is_in_use(&self, hash: &Hash) -> bool {
        let canary = match &self.state.stage {
            Stage::Releasing(release) => Some(&release.canary.hash),
            Stage::Leaving(leaving) => Some(&leaving.canary.hash),
            _ => None,
        };
        let bound = [Side::Stable, Side::Canary].into_iter().any(|side| {
            let binding = self.state.bindings.of(side);
            let unsettled = binding.in_force.as_ref().is_none_or(|in_force| *in_force != binding.decided);
            let behind = match self.observed.service_of(side) {
                Look::Seen(service) => service.bound.as_ref() == Some(hash),
                Look::Stale => true,
                Look::Missing => false,
            };
            // Until a new binding has settled, proxies may still know the old one: nothing is given up meanwhile.
            binding.decided == *hash || binding.in_force.as_ref() == Some(hash) || behind || unsettled
        });
        *hash == self.state.stable.hash || canary == Some(hash) || bound
    }

    fn forget(&self, sets: &BTreeMap<Hash, SetView>, actions: &mut Vec<Action>) {
        let keep = self.rollout.spec.as_ref().map_or(usize::MAX, |spec| spec.revision_history);
        let mut old: Vec<_> = sets
            .iter()
            .filter(|(hash, set)| {
                set.wanted == 0
                    && set.existing == 0
                    && !set.deleting
                    && !self.is_in_use(hash)
                    && **hash != self.rollout.hash
            })
            .collect();
        old.sort_by_key(|(_, set)| std::cmp::Reverse(set.number));
        actions.extend(old.into_iter().skip(keep).map(|(hash, _)| Action::DeleteSet { hash: hash.clone() }));
    }
}
