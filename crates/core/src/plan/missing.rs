//! What is applied together comes one after the other: for a minute, something that is named and not there is on its way.

use std::time::Duration;

use super::Pass;
use super::hold::Hold;
use crate::time::after;

/// How long that counts as on its way.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// Notes since when something has been missing.
pub(super) fn note(pass: &mut Pass<'_>, hold: Option<&Hold>) {
    if !matches!(hold, Some(Hold::Problem(problem)) if problem.missing) {
        pass.state.missing_since = None;
        return;
    }
    let since = *pass.state.missing_since.get_or_insert(pass.view.now);
    pass.wake_at(after(since, PATIENCE));
}

/// True while what is missing may still be on its way.
pub(super) fn is_on_its_way(pass: &Pass<'_>) -> bool {
    pass.state.missing_since.is_some_and(|since| pass.view.now < after(since, PATIENCE))
}

#[cfg(test)]
mod tests {
    use super::super::scene::Scene;
    use super::*;
    use crate::observed::{Look, ParentService};
    use crate::report::Phase;
    use crate::spec::{Problem, Reason};

    fn without_its_route() -> Scene {
        let mut scene = Scene::resting();
        scene.seen.routes[0].1 = Look::Missing;
        scene
    }

    #[test]
    fn what_is_missing_is_on_its_way_for_a_minute_and_then_stalls() {
        let mut scene = without_its_route();
        for (after, phase, kind) in [(0, Phase::Progressing, "Reconciling"), (59, Phase::Progressing, "Reconciling")] {
            scene.later(Duration::from_secs(after));
            let plan = scene.pass();
            assert_eq!(
                (plan.report.phase, plan.condition(kind).map(|it| it.is_true)),
                (phase, Some(true)),
                "{after} s"
            );
            assert!(plan.condition("Stalled").is_none());
            assert!(plan.next_wake.is_some(), "it is looked at again");
        }
        scene.later(Duration::from_secs(1));
        let plan = scene.pass();
        assert_eq!(plan.report.phase, Phase::Invalid);
        assert_eq!(plan.condition("Stalled").map(|it| it.reason.as_str()), Some("RouteNotFound"));
    }

    #[test]
    fn something_that_is_there_and_wrong_stalls_at_once() {
        let mut scene = Scene::resting();
        let wrong = Problem::new(Reason::ServiceConflict, "Service shop is of type ExternalName");
        scene.seen.service = ParentService::Wrong(wrong);
        assert!(scene.pass().condition("Stalled").is_some());
    }

    #[test]
    fn what_goes_missing_again_has_a_minute_of_its_own() {
        let mut scene = without_its_route();
        scene.pass();
        let mut back = Scene::resting();
        back.state = scene.state.clone();
        back.later(Duration::from_secs(50));
        back.pass();
        scene.state = back.state;
        scene.later(Duration::from_secs(70));
        assert!(scene.pass().condition("Stalled").is_none());
    }
}
