//! What is declared changed in mid-release: another template, or other steps.

use super::{Fact, Pass, leave, targets};
use crate::analysis::metric::Metric;
use crate::spec::{Spec, Step};
use crate::state::{Preflight, Release, Return, Why};
use crate::traffic::Weight;

pub(super) fn follow(pass: &mut Pass<'_>) {
    let declared = &pass.view.rollout.hash;
    let Some(release) = pass.release() else { return };
    let number = release.canary.number;
    if release.returns == Some(Return::Commanded) {
        // The fix need not wait for pods that may never come; once they have traffic, the way is gone to its end.
        let known = *declared == pass.state.stable.hash || *declared == release.canary.hash;
        if !known && pass.state.split.is_in_force(Weight::ZERO) {
            pass.tell(Fact::Outdated { number, declared: Some(declared.clone()) });
            leave::begin(pass, Why::Superseded);
        }
        return;
    }
    if *declared == release.canary.hash {
        adopt_recipe(pass);
        targets::leave_where_they_moved(pass);
    } else if *declared == pass.state.stable.hash {
        pass.tell(Fact::Outdated { number, declared: None });
        leave::begin(pass, Why::Reverted);
    } else {
        pass.tell(Fact::Outdated { number, declared: Some(declared.clone()) });
        leave::begin(pass, Why::Superseded);
    }
}

fn adopt_recipe(pass: &mut Pass<'_>) {
    let (now, in_force, commit) = (pass.view.now, pass.state.split.in_force, &pass.view.rollout.commit);
    let Ok(spec) = &pass.view.rollout.spec else { return };
    // Another strategy is for the next release.
    let declared = &pass.view.rollout.targets;
    let strategy_changed = pass.carrier() != declared.carrier || pass.strategy() != declared.strategy;
    let Some(release) = pass.release_mut() else { return };
    if commit.is_some() {
        release.canary.commit.clone_from(commit);
    }
    if release.recipe == *spec || release.returns.is_some() || strategy_changed {
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
        let (step, of) = (step_after(&spec.steps, in_force), spec.steps.len());
        release.step = step;
        release.step_since = now;
        release.measured.clear();
        release.restarts.clear();
        pass.tell(Fact::StepsChanged { step, of });
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
    let find = |spec: &Spec, name: &str| -> Option<Metric> {
        spec.background.as_ref()?.metrics.iter().find(|metric| metric.name == name).cloned()
    };
    let old = &release.recipe;
    release.background.retain(|name, _| find(old, name).is_some_and(|metric| find(spec, name) == Some(metric)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_steps_go_on_after_the_last_weight_that_is_reached() {
        let weight = |percent| Step::SetWeight(Weight::clamped(percent));
        let steps = [weight(20), Step::Pause(None), weight(40), weight(60)];
        for (in_force, step) in [(0, 0), (10, 0), (20, 1), (39, 1), (40, 3), (60, 4), (100, 4)] {
            assert_eq!(step_after(&steps, Weight::clamped(in_force)), step, "{in_force}%");
        }
    }
}
