//! What is declared changed in mid-release: another template, or other steps.

use super::Pass;
use crate::spec::{Spec, Step};
use crate::split::Weight;
use crate::state::{Preflight, Release, Why};

impl Pass<'_> {
    pub(super) fn follow_declaration(&mut self) {
        let Some(release) = self.release() else { return };
        if self.rollout.hash == release.canary.hash {
            self.adopt_recipe();
        } else if self.rollout.hash == self.state.stable.hash {
            self.event(false, "Reverted", "stable's template is declared again: the canary leaves");
            self.begin_leaving(Why::Reverted);
        } else {
            let message = format!(
                "a newer template ({}) is declared: revision {} leaves",
                self.rollout.hash, release.canary.number
            );
            self.event(false, "Superseded", message);
            self.begin_leaving(Why::Superseded);
        }
    }

    fn adopt_recipe(&mut self) {
        let (now, in_force, commit) = (self.now, self.state.traffic.in_force, self.rollout.commit.clone());
        let Ok(spec) = &self.rollout.spec else { return };
        let Some(release) = self.release_mut() else { return };
        if commit.is_some() {
            release.canary.commit = commit;
        }
        if release.recipe == *spec {
            return;
        }
        if release.preflight.is_some() {
            release.preflight = Some(Preflight::default());
            release.began_at = now;
        }
        keep_what_is_measured_the_same_way(release, spec);
        let steps_changed = release.recipe.steps != spec.steps;
        let here = release.step;
        let same_so_far = release.recipe.steps.get(..=here).is_some_and(|old| spec.steps.get(..=here) == Some(old));
        release.recipe = spec.clone();
        if steps_changed && !same_so_far {
            release.step = step_after(&spec.steps, in_force);
            release.step_since = now;
            release.measured.clear();
            let message = format!("the steps changed: going on at step {} of {}", release.step + 1, spec.steps.len());
            self.event(false, "StepsChanged", message);
        }
    }
}

/// Where to go on: after the last setWeight that is not above the weight in force, else at the beginning.
fn step_after(steps: &[Step], in_force: Weight) -> usize {
    let reached = |step: &Step| matches!(step, Step::SetWeight(weight) if *weight <= in_force);
    if in_force == Weight::ZERO {
        return 0;
    }
    steps.iter().rposition(reached).map_or(0, |index| index + 1)
}

/// A tally outlives a changed declaration only where its metric did not change.
fn keep_what_is_measured_the_same_way(release: &mut Release, spec: &Spec) {
    let old = release.recipe.background.as_ref().map(|background| background.metrics.clone()).unwrap_or_default();
    let new = spec.background.as_ref().map(|background| background.metrics.clone()).unwrap_or_default();
    release.background.retain(|name, _| {
        let find =
            |metrics: &[crate::analysis::metric::Metric]| metrics.iter().find(|metric| metric.name == *name).cloned();
        find(&old).is_some() && find(&old) == find(&new)
    });
}
