//! Routes, and what proxies make of them.

use crate::observed::{Acceptance, Look, RouteId, RouteView};
use crate::spec::{Problem, Reason};
use crate::traffic::{RouteTarget, Targets, Weight};

use super::services::Behind;

/// A route: what is written, and which generation its implementation has accepted.
#[allow(clippy::struct_excessive_bools, reason = "each says one thing of its own about the object")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sim) struct Route {
    pub(in crate::sim) id: RouteId,
    /// The backends that its rules name.
    pub(in crate::sim) stable: String,
    pub(in crate::sim) canary: String,
    /// The canary's share in each of its rules.
    pub(in crate::sim) rules: Vec<Weight>,
    /// The canary's share in a rule that is left as it is.
    pub(in crate::sim) fixed: Weight,
    pub(in crate::sim) generation: u64,
    pub(in crate::sim) accepted: u64,
    pub(in crate::sim) exists: bool,
    /// Nobody says anything about it any more.
    pub(in crate::sim) ignored: bool,
    /// Its implementation refuses it.
    pub(in crate::sim) refused: Option<String>,
    /// Something in it keeps its weights from being kept.
    pub(in crate::sim) broken: bool,
    /// Somebody changed more than weights in a route of ours.
    pub(in crate::sim) differs: bool,
    /// The API server counts its rules as the operator's.
    pub(in crate::sim) held: bool,
    /// Its implementation gives the share of a revision without a ready pod to the other one.
    pub(in crate::sim) spills: bool,
}

impl Route {
    pub(in crate::sim) fn new(id: RouteId, rules: usize) -> Self {
        Self {
            exists: !id.created_by_us,
            id,
            stable: super::STABLE.to_owned(),
            canary: super::CANARY.to_owned(),
            rules: vec![Weight::ZERO; rules],
            fixed: Weight::ZERO,
            generation: 1,
            accepted: 1,
            ignored: false,
            refused: None,
            broken: false,
            differs: false,
            held: false,
            spills: false,
        }
    }

    pub(in crate::sim) fn most(&self) -> Weight {
        self.rules.iter().copied().max().unwrap_or(Weight::ZERO)
    }

    pub(in crate::sim) fn is_at(&self, weight: Weight) -> bool {
        self.rules.iter().all(|rule| *rule == weight)
    }

    /// Writes all of its rules.
    pub(in crate::sim) fn set(&mut self, weight: Weight) {
        self.rules.iter_mut().for_each(|rule| *rule = weight);
        self.generation += 1;
    }

    pub(in crate::sim) fn target(&self) -> RouteTarget {
        RouteTarget {
            kind: self.id.kind.to_owned(),
            name: self.id.name.clone(),
            owned: self.id.created_by_us,
            rules: Vec::new(),
        }
    }

    /// As somebody sees it who looks for these Services.
    pub(in crate::sim) fn view(&self, names: &Targets) -> Look<RouteView> {
        if !self.exists {
            return Look::Missing;
        }
        let is_found = self.stable == names.stable_service && self.canary == names.canary_service;
        // One of ours is written anew with the Services in force.
        let problem = (self.broken || !is_found && !self.id.created_by_us).then(|| {
            let what = format!("{}: no rule names both {} and {}", self.id, names.stable_service, names.canary_service);
            Problem::new(Reason::InvalidRoute, what)
        });
        let share = |weight: Option<Weight>| weight.filter(|_| is_found).unwrap_or(Weight::ZERO);
        Look::Seen(RouteView {
            least: share(self.rules.iter().copied().min()),
            most: share(self.rules.iter().copied().max()),
            fixed: share(Some(self.fixed)),
            acceptance: match &self.refused {
                Some(words) => Acceptance::Refused(words.clone()),
                None if self.accepted == self.generation => Acceptance::Accepted,
                None => Acceptance::Pending("the mesh".to_owned()),
            },
            problem,
            differs: self.differs || !is_found && self.id.created_by_us,
            warnings: Vec::new(),
            held: self.held,
            spills: self.spills,
        })
    }
}

/// What the proxies do at present: it follows what is written, within less than `settle`.
#[derive(Clone, Debug)]
pub(in crate::sim) struct Proxies {
    /// Each route as they know it.
    pub(in crate::sim) routes: Vec<Known>,
    /// The pods of each Service as they know them.
    pub(in crate::sim) behind: Behind,
    /// The same on another node, which follows at its own time.
    pub(in crate::sim) other_node: Behind,
}

/// A route as proxies know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sim) struct Known {
    pub(in crate::sim) rules: Vec<Weight>,
    pub(in crate::sim) fixed: Weight,
    pub(in crate::sim) stable: String,
    pub(in crate::sim) canary: String,
}

impl Known {
    pub(in crate::sim) fn of(route: &Route) -> Self {
        let rules = if route.exists { route.rules.clone() } else { Vec::new() };
        let fixed = if route.exists { route.fixed } else { Weight::ZERO };
        Self { rules, fixed, stable: route.stable.clone(), canary: route.canary.clone() }
    }
}
