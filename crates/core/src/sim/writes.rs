//! Writes as the API server takes them: each with the precondition that it was decided on, which has to hold when the
//! write arrives.

use super::process::Caches;
use super::world::{Kind, Route, Selects, Service, Told, World};
use crate::plan::Action;
use crate::state::State;
use crate::traffic::Targets;

/// A write on its way.
#[derive(Clone, Debug)]
pub(super) enum Write {
    /// One of a plan's actions.
    Act(Action, Precondition, Targets),
    /// The status, with the version that was read.
    Status(Option<Box<State>>, u64),
}

/// What has to be true for a write to be done.
#[derive(Clone, Copy, Debug)]
pub(super) enum Precondition {
    /// There is no such set.
    Absent,
    /// The set is there.
    Present,
    /// The set has this generation.
    Set(u64),
    /// The set has no pods.
    Empty,
    /// The Service has this version; none when it must not exist.
    Service(Option<u64>),
    /// The route has this generation.
    Route(u64),
    /// The Rollout has this version.
    Rollout(u64),
    /// The report has so much.
    Report(u64),
}

impl Write {
    /// An action with the precondition that the shell sends along.
    pub(super) fn of(action: &Action, caches: &Caches, names: &Targets) -> Self {
        let on = match action {
            Action::CreateSet { .. } => Precondition::Absent,
            Action::ScaleSet { hash, .. } => Precondition::Set(caches.generations.get(hash).copied().unwrap_or(0)),
            Action::MarkSet { .. } | Action::Evict { .. } => Precondition::Present,
            Action::DeleteSet { .. } => Precondition::Empty,
            Action::Bind { service, .. } | Action::Loosen { service } | Action::DeleteService { service } => {
                Precondition::Service(caches.services.get(service).map(|service| service.version))
            }
            Action::Split { route, .. } | Action::DeleteRoute { route } | Action::ReleaseRoute { route } => {
                let known = caches.routes.iter().find(|known| known.id == *route);
                Precondition::Route(known.map_or(0, |route| route.generation))
            }
            Action::Report { record, .. } => {
                Precondition::Report(caches.reports.get(&record.canary.number).copied().unwrap_or(0))
            }
            Action::AddFinalizer | Action::RemoveFinalizer | Action::KeepReplicas { .. } => {
                Precondition::Rollout(caches.versions.get(&Kind::Status).copied().unwrap_or(0))
            }
        };
        Self::Act(action.clone(), on, names.clone())
    }

    /// What it changes.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Status(..) => Kind::Status,
            Self::Act(action, ..) => match action {
                Action::CreateSet { .. }
                | Action::ScaleSet { .. }
                | Action::MarkSet { .. }
                | Action::DeleteSet { .. }
                | Action::Evict { .. } => Kind::Sets,
                Action::Bind { .. } | Action::Loosen { .. } | Action::DeleteService { .. } => Kind::Services,
                Action::Split { .. } | Action::DeleteRoute { .. } | Action::ReleaseRoute { .. } => Kind::Routes,
                Action::Report { .. } => Kind::Reports,
                Action::AddFinalizer | Action::RemoveFinalizer | Action::KeepReplicas { .. } => Kind::Status,
            },
        }
    }

    /// Whether the API server would do it now.
    pub(super) fn fits(&self, world: &World) -> bool {
        // A cache is as of the whole cluster's version; the Rollout must not have changed since.
        let rollout_is_at = |version| world.versions.get(&Kind::Status).copied().unwrap_or(0) <= version;
        let (action, on) = match self {
            Self::Status(_, version) => return rollout_is_at(*version),
            Self::Act(action, on, _) => (action, *on),
        };
        let set = match action {
            Action::CreateSet { hash, .. }
            | Action::ScaleSet { hash, .. }
            | Action::MarkSet { hash, .. }
            | Action::DeleteSet { hash }
            | Action::Evict { hash, .. } => world.sets.get(hash),
            _ => None,
        };
        match (on, action) {
            (Precondition::Absent, _) => set.is_none(),
            (Precondition::Present, _) => set.is_some(),
            (Precondition::Set(generation), _) => set.is_some_and(|set| set.generation == generation),
            (Precondition::Empty, _) => set.is_some_and(|set| set.wanted == 0),
            (
                Precondition::Service(version),
                Action::Bind { service, .. } | Action::Loosen { service } | Action::DeleteService { service },
            ) => world.services.get(service).map(|service| service.version) == version,
            (
                Precondition::Route(generation),
                Action::Split { route, .. } | Action::DeleteRoute { route } | Action::ReleaseRoute { route },
            ) => {
                let fits = |known: &Route| known.generation == generation && (known.exists || known.id.created_by_us);
                world.routes.iter().any(|known| known.id == *route && fits(known))
            }
            (Precondition::Rollout(version), _) => rollout_is_at(version),
            (Precondition::Report(through), Action::Report { record, .. }) => {
                world.reports.get(&record.canary.number).map_or(0, Told::through) == through
            }
            _ => false,
        }
    }

    /// Does it. Gives the version that the API server answers with.
    pub(super) fn land(&self, world: &mut World) -> u64 {
        match self {
            Self::Status(state, _) => world.status = state.as_deref().cloned(),
            Self::Act(action, _, names) => apply(world, action, names),
        }
        world.changed(self.kind())
    }
}

fn apply(world: &mut World, action: &Action, names: &Targets) {
    match action {
        Action::CreateSet { hash, replicas, number } => {
            let set = world.sets.entry(hash.clone()).or_default();
            (set.wanted, set.number, set.generation) = (*replicas, *number, world.clock);
            world.resize(hash);
        }
        Action::ScaleSet { hash, to, .. } => world.scale(hash, *to),
        Action::MarkSet { hash, number, rejected } => {
            let set = world.sets.get_mut(hash).unwrap();
            set.number = *number;
            set.rejected.clone_from(rejected);
        }
        Action::DeleteSet { hash } => {
            world.sets.remove(hash);
        }
        Action::Bind { service: name, selection, ports, .. } => {
            let service =
                world.services.remove(name).unwrap_or_else(|| Service { created_by_us: true, ..Service::of_git() });
            let ports = if service.created_by_us { ports.clone() } else { service.ports };
            world.write_service(
                name,
                Service { selects: Selects::of(selection), label: Some(selection.clone()), ports, ..service },
            );
        }
        Action::Loosen { service: name } => {
            if let Some(service) = world.services.remove(name) {
                world.write_service(name, Service { selects: Selects::Any, label: None, ..service });
            }
        }
        Action::DeleteService { service } => {
            world.services.remove(service);
        }
        Action::Split { route, weight, .. } => {
            let route = world.routes.iter_mut().find(|known| known.id == *route).unwrap();
            route.set(*weight);
            route.held = !route.id.created_by_us;
            if route.id.created_by_us {
                (route.exists, route.differs) = (true, false);
                route.stable.clone_from(&names.stable_service);
                route.canary.clone_from(&names.canary_service);
            }
        }
        Action::DeleteRoute { route } => {
            let route = world.routes.iter_mut().find(|known| known.id == *route).unwrap();
            route.exists = false;
            route.generation += 1;
        }
        Action::ReleaseRoute { route } => {
            world.routes.iter_mut().find(|known| known.id == *route).unwrap().held = false;
        }
        Action::Evict { hash, pod } => world.evict(hash, pod),
        Action::KeepReplicas { .. } => {}
        Action::Report { record, .. } => {
            let new = Told { began_at: record.began_at, entries: Vec::new(), outcome: None };
            let told = world.reports.entry(record.canary.number).or_insert_with(|| new.clone());
            if told.began_at != record.began_at && record.next < 1_000 {
                // The number was given anew after the status was lost.
                *told = new;
            }
            told.add(record);
        }
        Action::AddFinalizer => world.finalizer = true,
        Action::RemoveFinalizer => world.finalizer = false,
    }
}
