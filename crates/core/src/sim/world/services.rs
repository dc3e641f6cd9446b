//! Services, by name, and the endpoint slice controller.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use crate::names::{Hash, Selection};
use crate::observed::{Endpoints, ServiceView, Slice};
use crate::traffic::{Port, Target};

use super::{Kind, World};

/// What a Service selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sim) enum Selects {
    /// Nothing: Git has just declared it.
    Nothing,
    /// Pods of one revision.
    Only(Hash),
    /// Pods of every revision.
    Any,
    /// Pods of another application: somebody else's selector.
    Others,
}

impl Selects {
    /// As a label says it.
    pub(in crate::sim) fn selection(&self) -> Option<Selection> {
        match self {
            Self::Only(hash) => Some(Selection::from(hash)),
            Self::Any => Some(Selection::Any),
            Self::Nothing | Self::Others => None,
        }
    }

    /// What an action asks for.
    pub(in crate::sim) fn of(selection: &Selection) -> Self {
        selection.only().map_or(Self::Any, |hash| Self::Only(hash.clone()))
    }
}

/// A Service. Selector and label differ only where somebody edited one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sim) struct Service {
    pub(in crate::sim) selects: Selects,
    pub(in crate::sim) label: Option<Selection>,
    pub(in crate::sim) ports: Vec<Port>,
    pub(in crate::sim) created_by_us: bool,
    pub(in crate::sim) version: u64,
}

impl Service {
    /// One that Git declares, as it is before anybody has bound it.
    pub(in crate::sim) fn of_git() -> Self {
        Self { selects: Selects::Nothing, label: None, ports: vec![port(8080)], created_by_us: false, version: 0 }
    }

    pub(in crate::sim) fn view(&self) -> ServiceView {
        // As the shell reads it: a binding is both at once.
        let selection = self.selects.selection().filter(|selection| self.label.as_ref() == Some(selection));
        let conflict = matches!(self.selects, Selects::Others).then(|| "it has a selector of its own".to_owned());
        ServiceView {
            selection,
            created_by_us: self.created_by_us,
            conflict,
            ports: self.ports.clone(),
            ..ServiceView::default()
        }
    }
}

/// A port 80 that leads to this one of the pods.
pub(in crate::sim) fn port(target: u16) -> Port {
    Port {
        name: Some("http".to_owned()),
        port: 80,
        target_port: Target::Number(target),
        protocol: "TCP".to_owned(),
        app_protocol: None,
    }
}

/// One slice of a Service: the label that it copied, whose pods it lists, and on which port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sim) struct Part {
    pub(in crate::sim) label: Option<Selection>,
    pub(in crate::sim) of: Selects,
    pub(in crate::sim) ready: u32,
    pub(in crate::sim) target: Option<Target>,
}

/// The slices of a Service: two, each written by itself.
pub(in crate::sim) type Parts = [Part; 2];

/// What the slices say, as the shell reads it: an endpoint counts only on the port that the Service has now.
pub(in crate::sim) fn endpoints(parts: Option<&Parts>, service: Option<&Service>) -> Endpoints {
    let target = service.and_then(|service| service.ports.first()).map(|port| port.target_port.clone());
    let slice = |part: &Part| Slice {
        selection: part.label.clone(),
        ready: if part.target == target { part.ready } else { 0 },
    };
    Endpoints { slices: parts.into_iter().flatten().map(slice).collect(), lacking: None }
}

impl World {
    /// A Service of the names that the application begins with.
    pub(in crate::sim) fn service(&self, name: &str) -> Option<&Service> {
        self.services.get(name)
    }

    /// What a Service selects, where that is one revision.
    pub(in crate::sim) fn selected(&self, name: &str) -> Option<&Hash> {
        match &self.services.get(name)?.selects {
            Selects::Only(hash) => Some(hash),
            _ => None,
        }
    }

    /// Writes a Service, in a new version.
    pub(in crate::sim) fn write_service(&mut self, name: &str, service: Service) {
        let version = self.clock + 1;
        self.services.insert(name.to_owned(), Service { version, ..service });
    }

    /// Ready pods of what a Service selects.
    pub(in crate::sim) fn ready_behind(&self, selects: &Selects) -> u32 {
        match selects {
            Selects::Only(hash) => self.ready_of(hash),
            Selects::Any => self.sets.keys().map(|hash| self.ready_of(hash)).sum(),
            Selects::Nothing | Selects::Others => 0,
        }
    }

    /// The endpoint slice controller writes one of a Service's slices: label, endpoints and port from one look at Service and
    /// pods.
    pub(in crate::sim) fn sync_slice(&mut self, name: &str, index: usize) {
        let Some(service) = self.services.get(name).cloned() else {
            if self.slices.remove(name).is_some() {
                self.changed(Kind::Slices);
            }
            return;
        };
        // It does nothing for a Service without a selector: what was there stays.
        if service.selects == Selects::Nothing {
            return;
        }
        let ready = self.ready_behind(&service.selects);
        let share = if index == 0 { ready.div_ceil(2) } else { ready / 2 };
        let target = service.ports.first().map(|port| port.target_port.clone());
        let part = Part { label: service.label, of: service.selects, ready: share, target };
        let is_new = !self.slices.contains_key(name);
        // Both come into being together.
        let none_ready = Part { ready: 0, ..part.clone() };
        let parts = self.slices.entry(name.to_owned()).or_insert_with(|| [none_ready.clone(), none_ready]);
        if is_new || parts[index] != part {
            parts[index] = part;
            self.changed(Kind::Slices);
        }
    }
}

/// What proxies know of the pods behind each Service.
pub(in crate::sim) type Behind = BTreeMap<String, Parts>;

/// How long a load balancer takes to register the pods that it sees; it forgets those that it does not see at once.
pub(in crate::sim) const REGISTERS_WITHIN: SignedDuration = SignedDuration::from_secs(10);

impl World {
    /// What a load balancer sees of the Service that carries the traffic, and since when that selects what it does.
    pub(in crate::sim) fn register(&mut self) {
        let seen = self.slices.get(super::STABLE).into_iter().flatten().filter(|part| part.ready > 0);
        let revisions: Vec<Hash> = seen
            .flat_map(|part| match &part.of {
                Selects::Only(hash) => vec![hash.clone()],
                Selects::Any => self.sets.keys().filter(|hash| self.ready_of(hash) > 0).cloned().collect(),
                Selects::Nothing | Selects::Others => Vec::new(),
            })
            .collect();
        self.balancer.retain(|hash, _| revisions.contains(hash));
        for hash in revisions {
            self.balancer.entry(hash).or_insert(self.now);
        }
        let selects = self.services.get(super::STABLE).map(|service| service.selects.clone());
        if self.selected_since.as_ref().map(|(selects, _)| selects) != selects.as_ref() {
            self.selected_since = selects.map(|selects| (selects, self.now));
        }
    }
}
