//! Deletion: routes that Git declares go to rest, Services that Git declares select every revision, nothing else is touched.

use std::time::Duration;

use super::effects::Effects;
use super::{Action, Fact, Pass, Plan};
use crate::names::Side;
use crate::observed::Look;
use crate::time::after;
use crate::traffic::Weight;

/// How long a deleted Rollout is kept while something cannot be put to rest.
const AT_LATEST: Duration = Duration::from_secs(30);

pub(super) fn plan(mut pass: Pass<'_>) -> Plan {
    let mut actions = Vec::new();
    if let (true, Some(deleted_at)) = (pass.view.seen.finalizer, pass.view.rollout.deleted_at) {
        let over_at = after(deleted_at, AT_LATEST);
        let waiting = put_to_rest(&pass, &mut actions);
        let late = pass.view.now >= over_at;
        if late && waiting {
            pass.tell(Fact::LetGo);
        }
        if late || !waiting {
            actions.push(Action::RemoveFinalizer);
        } else {
            pass.wake_at(over_at);
        }
    }
    pass.finish(None, Effects { actions, wakes: Vec::new() })
}

/// What Git declares and is not at rest; true while there is any of it.
fn put_to_rest(pass: &Pass<'_>, actions: &mut Vec<Action>) -> bool {
    let seen = pass.view.seen;
    let mut waiting = false;
    for (id, route) in seen.routes.iter().filter(|(id, _)| !id.created_by_us) {
        match route {
            Look::Missing => {}
            Look::Stale => waiting = true,
            Look::Seen(view) if view.is_at(Weight::ZERO) => {}
            Look::Seen(_) => {
                waiting = true;
                actions.push(Action::Split { route: id.clone(), weight: Weight::ZERO, safety: true });
            }
        }
    }
    let targets = pass.state.targets.as_ref().unwrap_or(&pass.view.rollout.targets);
    let two = [Side::Stable, Side::Canary].map(|side| (targets.service(side), seen.service_of(side)));
    let others = seen.other_services.iter().map(|other| (other.name.as_str(), &other.service));
    for (name, service) in two.into_iter().chain(others) {
        match service {
            Look::Stale => waiting = true,
            Look::Seen(service) if !service.created_by_us && service.selection.is_some() => {
                waiting = true;
                actions.push(Action::Loosen { service: name.to_owned() });
            }
            Look::Seen(_) | Look::Missing => {}
        }
    }
    waiting
}
