//! What follows by itself, and when.

use super::hold::{Hold, Timed};
use super::{Pass, deadline};
use crate::report::Next;
use crate::spec::{CanaryScale, Step, Verb};
use crate::state::{Return, Stage};

/// What follows from what a pass waits for; `None` where nothing does before somebody acts.
pub(super) fn of(pass: &Pass<'_>, hold: &Hold) -> Option<Next> {
    let then = then(pass);
    let what = match hold {
        Hold::Until { what: Timed::Pause, .. } => format!("the pause ends, then {then}"),
        Hold::Until { what: Timed::Settling(what), .. } => format!("{what} has settled, then {then}"),
        Hold::Until { what: Timed::Overlapping, .. } => "one revision alone is selected".to_owned(),
        Hold::Measuring(_) => format!("once it is measured, {then}"),
        Hold::Person { verb, .. } => format!("once {}, {then}", done(*verb)),
        _ => return unless_it_goes_on(pass, hold),
    };
    Some(Next { at: hold.until(), what })
}

/// The end of the progress deadline, while its clock runs.
fn unless_it_goes_on(pass: &Pass<'_>, hold: &Hold) -> Option<Next> {
    let release = pass.release().filter(|release| hold.runs_clock() && release.preflight.is_none())?;
    if release.returns == Some(Return::Commanded) {
        return None;
    }
    let what = format!("rolled back ({}) unless it goes on", deadline::reason(hold));
    Some(Next { at: Some(release.overdue_at()?), what })
}

fn done(verb: Verb) -> &'static str {
    match verb {
        Verb::Resume => "resumed",
        _ => "promoted",
    }
}

/// What comes after the present step.
fn then(pass: &Pass<'_>) -> String {
    match &pass.state.stage {
        Stage::Releasing(release) if release.preflight.is_some() => {
            release.recipe.steps.first().map_or_else(|| "promotion".to_owned(), words)
        }
        Stage::Releasing(release) if release.skip => "promotion".to_owned(),
        Stage::Releasing(release) => {
            let index = release.step.saturating_add(1);
            let of = release.recipe.steps.len();
            let step = release.recipe.steps.get(index);
            step.map_or_else(|| "promotion".to_owned(), |step| format!("step {}/{of}: {}", index + 1, words(step)))
        }
        Stage::Promoting(_) | Stage::Leaving(_) | Stage::Deploying | Stage::Resting => "rest".to_owned(),
    }
}

/// A step as people say it.
fn words(step: &Step) -> String {
    match step {
        Step::SetWeight(weight) => weight.to_string(),
        Step::Pause(None) => "a pause until promoted".to_owned(),
        Step::Pause(Some(duration)) => format!("a pause of {} s", duration.as_secs()),
        Step::Analysis(metrics) => {
            let names: Vec<_> = metrics.iter().map(|metric| metric.name.as_str()).collect();
            format!("analysis of {}", names.join(", "))
        }
        Step::Scale(CanaryScale::Replicas(replicas)) => format!("{replicas} pods"),
        Step::Scale(CanaryScale::Percent(weight)) => format!("{weight} of all pods"),
        Step::Scale(CanaryScale::MatchTraffic) => "as many pods as the weight needs".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::scene::Scene;
    use super::*;
    use crate::time::after;
    use crate::traffic::Weight;

    fn next(scene: &mut Scene) -> Option<Next> {
        scene.pass().report.next
    }

    #[test]
    fn a_pause_ends_by_itself_or_by_a_person_and_the_step_after_it_is_named() {
        let mut scene = Scene::releasing();
        let steps =
            |pause| vec![Step::SetWeight(Weight::clamped(25)), Step::Pause(pause), Step::SetWeight(Weight::HALF)];
        let begin = |scene: &mut Scene, pause| {
            scene.rollout.spec.as_mut().unwrap().steps = steps(pause);
            scene.release().recipe = scene.rollout.spec.clone().unwrap();
            scene.release().step = 1;
            scene.release().step_since = scene.seen.now;
        };
        begin(&mut scene, Some(Duration::from_secs(90)));
        let end = after(scene.seen.now, Duration::from_secs(90));
        let what = "the pause ends, then step 3/3: 50%".to_owned();
        assert_eq!(next(&mut scene), Some(Next { at: Some(end), what }));
        begin(&mut scene, None);
        let what = "once promoted, step 3/3: 50%".to_owned();
        assert_eq!(next(&mut scene), Some(Next { at: None, what }));
    }

    #[test]
    fn pods_that_do_not_come_up_end_a_release_and_rest_ends_nothing() {
        let mut scene = Scene::releasing();
        let steps = vec![Step::SetWeight(Weight::HALF)];
        scene.rollout.spec.as_mut().unwrap().steps = steps;
        scene.release().recipe = scene.rollout.spec.clone().unwrap();
        scene.release().step = 0;
        scene.pods("new", 1, 0);
        scene.pass();
        let told = next(&mut scene).unwrap();
        assert_eq!(told.what, "rolled back (ProgressDeadlineExceeded) unless it goes on");
        assert!(told.at > Some(scene.seen.now));
        assert_eq!(next(&mut Scene::resting()), None);
    }
}
