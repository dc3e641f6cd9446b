//! Which ports each revision is reached on.

use super::Pass;
use crate::names::{Hash, Side};
use crate::spec::{Problem, Reason};
use crate::state::{Return, Stage};
use crate::traffic::{Binding, Carrier, ports};

/// Keeps the ports of the revisions in use up with what is declared, as far as that is safe under traffic.
pub(super) fn note(pass: &mut Pass<'_>) {
    let (view, Some(declared)) = (pass.view, &pass.view.seen.ports) else { return };
    remember(pass);
    let template = |hash| view.set(hash).map_or(&[][..], |set| &set.ports);
    let named = view.seen.named_ports.as_ref();
    let canary_has_traffic = !pass.reach().is_out_of(Side::Canary);
    let stable = &mut pass.state.stable;
    let follow = |kept: &[_], hash| ports::follow(kept, declared, template(hash), named);
    // Without pods nobody is reached on any port yet, and the ports are those of the template beside them.
    let is_empty = view.replicas() == 0 && view.rollout.hash == stable.hash;
    let is_new = matches!(pass.state.stage, Stage::Deploying) || stable.ports.is_empty() || is_empty;
    stable.ports = if is_new { declared.clone() } else { follow(&stable.ports, &stable.hash) };
    if let Stage::Releasing(release) = &mut pass.state.stage {
        let canary = &mut release.canary;
        // What comes back by command is not what is declared, nor are its ports.
        if canary_has_traffic || release.returns == Some(Return::Commanded) {
            canary.ports = follow(&canary.ports, &canary.hash);
        } else if canary.ports != *declared {
            canary.ports.clone_from(declared);
            // Ports are a part of the binding: it has to be seen, and to settle, with these.
            let binding = &mut pass.state.bindings.canary;
            if binding.decided.is_only(&canary.hash) {
                *binding = Binding::decided(&canary.hash);
            }
        }
    }
}

/// Pods of both revisions behind one Service are reached on one port of theirs, unless it goes by name.
pub(super) fn problem_with_both(pass: &Pass<'_>) -> Option<Problem> {
    let release = pass.release().filter(|_| pass.carrier() == Carrier::Service)?;
    let (old, new) = ports::which_differ(&pass.state.stable.ports, &release.canary.ports)?;
    let message = format!(
        "port {} leads to {} of the pods that serve and to {} of the new ones, and for a while both stand behind one \
         Service: give the container's port a name in spec.template and have targetPort name it",
        old.port, old.target_port, new.target_port
    );
    Some(Problem::new(Reason::InvalidSpec, message))
}

/// Where nothing is known of a revision's ports (the status was lost, or is of form 1), they are those of the Service that is
/// bound to it.
fn remember(pass: &mut Pass<'_>) {
    let seen = pass.view.seen;
    let of = |hash: &Hash| {
        let services = [Side::Stable, Side::Canary].into_iter().filter_map(|side| seen.service_of(side).seen());
        let bound = services.into_iter().find(|service| service.is_bound_to(hash));
        bound.map(|service| service.ports.clone()).unwrap_or_default()
    };
    let canary = match &mut pass.state.stage {
        Stage::Releasing(release) => Some(&mut release.canary),
        Stage::Leaving(leaving) => Some(&mut leaving.canary),
        _ => None,
    };
    for revision in [Some(&mut pass.state.stable), canary].into_iter().flatten().filter(|it| it.ports.is_empty()) {
        revision.ports = of(&revision.hash);
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Scene, port};
    use crate::names::Side;
    use crate::plan::Action;
    use crate::traffic::Carrier;

    fn binds(scene: &mut Scene) -> Vec<(Side, String, Vec<String>)> {
        let shown = |action: Action| match action {
            Action::Bind { side, selection, ports, .. } => {
                let ports = ports.iter().map(|port| format!("{}->{}", port.port, port.target_port)).collect();
                Some((side, selection.to_string(), ports))
            }
            _ => None,
        };
        scene.pass().actions.into_iter().filter_map(shown).collect()
    }

    #[test]
    fn another_target_at_rest_is_not_given_to_pods_that_do_not_serve_it() {
        let mut scene = Scene::resting();
        scene.seen.ports = Some(vec![port(80, 9090)]);
        assert_eq!(binds(&mut scene), []);
        assert_eq!(scene.state().stable.ports, [port(80, 8080)]);
    }

    /// Template and Service change together, and whichever is seen last must not come too late.
    #[test]
    fn without_pods_what_is_declared_is_taken_whenever_it_comes() {
        let mut scene = Scene::resting();
        scene.rollout.replicas = 0;
        scene.pods("old", 0, 0);
        scene.seen.ports = Some(vec![port(80, 9090)]);
        scene.pass();
        assert_eq!(scene.state().stable.ports, [port(80, 9090)]);
    }

    #[test]
    fn without_pods_stable_takes_the_ports_of_its_own_template_and_not_of_a_new_one() {
        let mut scene = Scene::preflight();
        scene.rollout.replicas = 0;
        scene.seen.ports = Some(vec![port(80, 9090)]);
        scene.pass();
        assert_eq!(scene.state().stable.ports, [port(80, 8080)], "its pods come back when it is scaled up again");
    }

    #[test]
    fn a_canary_without_traffic_takes_the_ports_that_are_declared_now() {
        let mut scene = Scene::preflight();
        scene.seen.ports = Some(vec![port(80, 9090)]);
        scene.pass();
        assert_eq!(scene.release().canary.ports, [port(80, 9090)]);
        assert_eq!(scene.state().stable.ports, [port(80, 8080)]);
    }

    #[test]
    fn a_canary_with_traffic_keeps_its_ports() {
        let mut scene = Scene::releasing();
        scene.seen.ports = Some(vec![port(80, 9090)]);
        assert_eq!(binds(&mut scene), []);
        assert_eq!(scene.release().canary.ports, [port(80, 8080)]);
    }

    #[test]
    fn a_service_that_is_made_again_has_the_ports_of_the_revision_that_it_is_bound_to() {
        let mut scene = Scene::releasing();
        scene.release().canary.ports = vec![port(80, 9090)];
        scene.seen.ports = Some(vec![port(80, 9090)]);
        scene.seen.stable_service = crate::observed::Look::Missing;
        scene.seen.canary_service = crate::observed::Look::Missing;
        assert_eq!(
            binds(&mut scene),
            [
                (Side::Stable, "old".to_owned(), vec!["80->8080".to_owned()]),
                (Side::Canary, "new".to_owned(), vec!["80->9090".to_owned()]),
            ]
        );
    }

    #[test]
    fn two_revisions_behind_one_service_are_reached_on_one_port() {
        let mut scene = Scene::preflight();
        scene.carried_by(Carrier::Service);
        scene.state().tried = Some("new".into());
        scene.seen.ports = Some(vec![port(80, 9090)]);
        let message = scene.pass().report.message;
        assert!(message.contains("port 80 leads to 8080") && message.contains("to 9090"), "{message}");
        scene.seen.ports = Some(vec![port(80, 8080)]);
        assert!(!scene.pass().report.message.contains("leads to"));
    }

    #[test]
    fn a_port_that_somebody_added_to_our_service_is_theirs() {
        let mut scene = Scene::resting();
        scene.service(Side::Canary).ports.push(port(99, 99));
        assert_eq!(binds(&mut scene), []);
    }
}
