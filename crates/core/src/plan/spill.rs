//! A mesh that gives the share of a Service without a ready endpoint to the other one, as Linkerd does.
//!
//! A canary without pods hurts nobody then. A stable without pods is another matter: the canary gets everything, whatever its
//! weight. Nothing that can be written to a route changes that, so it is told.

use super::{Fact, Pass};
use crate::names::Side;
use crate::state::Stage;

/// Tells once that the new revision has more than its share, for as long as that lasts.
pub(super) fn tell(pass: &mut Pass<'_>) {
    let spilled = spilled(pass);
    if let (Some(fact), false) = (&spilled, pass.state.spilling) {
        pass.tell(fact.clone());
    }
    pass.state.spilling = spilled.is_some();
}

fn spilled(pass: &Pass<'_>) -> Option<Fact> {
    let canary = match &pass.state.stage {
        Stage::Releasing(release) => &release.canary.hash,
        Stage::Leaving(leaving) => &leaving.canary.hash,
        Stage::Deploying | Stage::Resting | Stage::Promoting(_) => return None,
    };
    let (stable, share) = (&pass.state.stable.hash, pass.state.split.decided);
    let mut routes = pass.view.routes();
    let is_spilled = share.is_shared()
        && routes.any(|(_, route)| route.spills)
        && pass.view.endpoints(Side::Stable, stable) == Some(0)
        && pass.view.ready(Side::Canary, canary) > 0;
    is_spilled.then(|| Fact::MeshSpills { stable: stable.clone(), share })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::scene::Scene;
    use crate::traffic::Weight;

    fn told(scene: &mut Scene) -> Vec<String> {
        let facts = scene.pass().facts;
        let spills = facts.iter().filter(|fact| matches!(fact, Fact::MeshSpills { .. }));
        spills.map(ToString::to_string).collect()
    }

    /// A canary at a share, in a mesh that spills.
    fn spilling() -> Scene {
        let mut scene = Scene::releasing();
        scene.route().spills = true;
        scene
    }

    #[test]
    fn a_stable_without_pods_in_a_mesh_that_spills_is_told_once_and_again_when_it_happens_again() {
        let mut scene = spilling();
        let share = scene.state().split.decided;
        assert!(share.is_shared() && share != Weight::ZERO);
        assert!(told(&mut scene).is_empty(), "stable has its pods");
        scene.endpoints(Side::Stable, "old", 0);
        let words = told(&mut scene);
        assert_eq!(words.len(), 1);
        assert!(words[0].contains(&format!("all requests instead of {share}")), "{words:?}");
        assert!(told(&mut scene).is_empty(), "it is known");
        scene.endpoints(Side::Stable, "old", 4);
        assert!(told(&mut scene).is_empty());
        scene.endpoints(Side::Stable, "old", 0);
        assert_eq!(told(&mut scene).len(), 1);
    }

    #[test]
    fn nothing_is_told_of_a_mesh_that_fails_instead_nor_where_nobody_would_get_the_share() {
        let mut fails = spilling();
        fails.route().spills = false;
        let mut both_dead = spilling();
        both_dead.endpoints(Side::Canary, "new", 0);
        for (what, mut scene) in [("it fails", fails), ("the canary is dead too", both_dead)] {
            scene.endpoints(Side::Stable, "old", 0);
            assert!(told(&mut scene).is_empty(), "{what}");
        }
    }
}
