//! What is true in the modelled cluster.

mod dice;
mod routes;
mod services;
mod sets;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::names::Hash;
use crate::observed::{RouteId, Trial};
use crate::state::{Entry, Outcome, Record, State};
use crate::traffic::{Carrier, Port, Strategy, Target, Targets, Weight};

pub(super) use dice::Dice;
pub(super) use routes::{Known, Proxies, Route};
pub(super) use services::{Part, Parts, REGISTERS_WITHIN, Selects, Service, endpoints, port};
pub(super) use sets::Set;

use super::writes::Write;

/// Names that the application begins with.
pub(super) const STABLE: &str = "shop-stable";
/// The same for the canary.
pub(super) const CANARY: &str = "shop-canary";

/// Kinds of objects, each with a cache of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Status,
    Sets,
    Services,
    Slices,
    Routes,
    /// Read where they are written, and never watched.
    Reports,
}

impl Kind {
    /// Those that are watched.
    pub(super) const ALL: [Self; 5] = [Self::Status, Self::Sets, Self::Services, Self::Slices, Self::Routes];
}

/// The report of an attempt.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) began_at: Timestamp,
    pub(super) entries: Vec<Entry>,
    pub(super) outcome: Option<Outcome>,
}

impl Told {
    /// The index before which nothing is missing.
    pub(super) fn through(&self) -> u64 {
        self.entries.last().map_or(0, |entry| entry.index + 1)
    }

    /// What a record adds to it.
    pub(super) fn add(&mut self, record: &Record) {
        let through = self.through();
        if record.next <= through {
            // A former leader's, who knows less.
            return;
        }
        self.entries.extend(record.entries.iter().filter(|entry| entry.index >= through).cloned());
        self.outcome = record.end.as_ref().map(|end| end.outcome);
    }
}

/// The cluster.
pub(super) struct World {
    pub(super) now: Timestamp,
    pub(super) dice: Dice,
    pub(super) versions: BTreeMap<Kind, u64>,
    pub(super) clock: u64,
    pub(super) status: Option<State>,
    pub(super) finalizer: bool,
    /// Reports by the number of the attempt.
    pub(super) reports: BTreeMap<u64, Told>,
    pub(super) sets: BTreeMap<Hash, Set>,
    pub(super) services: BTreeMap<String, Service>,
    pub(super) slices: BTreeMap<String, Parts>,
    /// What carries the traffic of the application.
    pub(super) carrier: Carrier,
    pub(super) routes: Vec<Route>,
    pub(super) proxies: Proxies,
    /// Revisions that a load balancer knows, which registers their pods by itself, and since when it could see them.
    pub(super) balancer: BTreeMap<Hash, Timestamp>,
    /// What the Service that carries the traffic selects, and since when.
    pub(super) selected_since: Option<(Selects, Timestamp)>,
    /// The ports of the Service that clients call.
    pub(super) ports: Vec<Port>,
    pub(super) slow_pods: bool,
    pub(super) pods_made: u64,
    /// `minReadySeconds`.
    pub(super) min_ready: SignedDuration,
    /// How far the operator's wall clock is off, in seconds.
    pub(super) skew: i64,
    /// Pods of these hashes never become ready.
    pub(super) never_ready: Vec<Hash>,
    /// Pods of these hashes crash, since then.
    pub(super) crashing: BTreeMap<Hash, Timestamp>,
    /// Templates that the API server does not take.
    pub(super) refused_templates: Vec<Hash>,
    /// Kinds that cannot be written at present, and what the API server says to that.
    pub(super) refusing: BTreeMap<Kind, &'static str>,
    /// The API server does not answer.
    pub(super) gone: bool,
    /// Writes that timed out, and how much later each arrives.
    pub(super) under_way: Vec<(Duration, Write)>,
}

impl World {
    /// One or two routes; the second may be the operator's own.
    pub(super) fn new(seed: u64, carrier: Carrier) -> Self {
        let routes = if carrier == Carrier::Routes { 1 + usize::try_from(seed % 2).unwrap() } else { 0 };
        let mut dice = Dice::new(seed);
        let owned = dice.chance(30);
        let id = |index: usize| RouteId {
            kind: if index == 0 { "HTTPRoute" } else { "VirtualService" },
            name: format!("route-{index}"),
            created_by_us: index > 0 && owned,
        };
        let mut routes: Vec<_> =
            (0..routes).map(|index| Route::new(id(index), 1 + usize::from(dice.chance(30)))).collect();
        if let Some(route) = routes.first_mut().filter(|_| dice.chance(20)) {
            route.fixed = Weight::FULL;
        }
        Self {
            now: Timestamp::from_second(1_700_000_000).unwrap(),
            versions: Kind::ALL.into_iter().map(|kind| (kind, 0)).collect(),
            clock: 0,
            status: None,
            finalizer: false,
            reports: BTreeMap::new(),
            sets: BTreeMap::new(),
            services: BTreeMap::new(),
            slices: BTreeMap::new(),
            proxies: Proxies {
                routes: routes.iter().map(Known::of).collect(),
                behind: BTreeMap::new(),
                other_node: BTreeMap::new(),
            },
            balancer: BTreeMap::new(),
            selected_since: None,
            routes,
            carrier,
            ports: vec![port_of(carrier, &Hash::new("v0"))],
            slow_pods: false,
            pods_made: 0,
            min_ready: SignedDuration::ZERO,
            skew: 0,
            never_ready: Vec::new(),
            crashing: BTreeMap::new(),
            refused_templates: Vec::new(),
            refusing: BTreeMap::new(),
            gone: false,
            under_way: Vec::new(),
            dice,
        }
    }

    /// Every route is Git's, and has one rule.
    pub(super) fn declare_routes_in_git(&mut self) {
        let plain = |route: &Route| Route::new(RouteId { created_by_us: false, ..route.id.clone() }, 1);
        self.routes = self.routes.iter().map(plain).collect();
        self.proxies.routes = self.routes.iter().map(Known::of).collect();
    }

    /// What Git declares at the beginning.
    pub(super) fn targets(&self) -> Targets {
        if self.carrier == Carrier::Pods {
            return Targets { carrier: self.carrier, ..Targets::default() };
        }
        Targets {
            carrier: self.carrier,
            strategy: Strategy::Canary,
            stable_service: STABLE.to_owned(),
            canary_service: CANARY.to_owned(),
            routes: self.routes.iter().map(Route::target).collect(),
        }
    }

    pub(super) fn later(&self, by: Duration) -> Timestamp {
        self.now.checked_add(SignedDuration::try_from(by).unwrap()).unwrap()
    }

    /// The operator's wall clock.
    pub(super) fn clock_now(&self) -> Timestamp {
        self.now.checked_add(SignedDuration::from_secs(self.skew)).unwrap()
    }

    /// When the operator's wall clock will show `at`.
    pub(super) fn true_time(&self, at: Timestamp) -> Timestamp {
        at.checked_sub(SignedDuration::from_secs(self.skew)).unwrap()
    }

    pub(super) fn changed(&mut self, kind: Kind) -> u64 {
        self.clock += 1;
        self.versions.insert(kind, self.clock);
        self.clock
    }

    /// What the API server says to a write of this kind, where it does not take any.
    pub(super) fn refusal(&self, kind: Kind) -> Option<&'static str> {
        if self.gone { Some("connection refused") } else { self.refusing.get(&kind).copied() }
    }

    /// What the API server says of a template, as a dry run.
    pub(super) fn trial(&self, hash: &Hash) -> Trial {
        if self.gone {
            Trial::Unknown("connection refused".to_owned())
        } else if self.refused_templates.contains(hash) {
            Trial::Refused("unknown field \"spec.template.spec.contianers\"".to_owned())
        } else {
            Trial::Accepted
        }
    }
}

/// The port of the Services while a template is declared. Where pods of both stand behind one Service, it goes by name.
pub(super) fn port_of(carrier: Carrier, hash: &Hash) -> Port {
    match carrier {
        Carrier::Routes => port(serves(hash)),
        Carrier::Service | Carrier::Pods => Port { target_port: Target::Name("http".to_owned()), ..port(serves(hash)) },
    }
}

/// The port that pods of a template serve: half of the templates moved to another one.
pub(super) fn serves(hash: &Hash) -> u16 {
    if matches!(hash.as_str(), "v2" | "v3") { 9090 } else { 8080 }
}
