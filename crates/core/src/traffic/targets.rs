//! The objects by which a Rollout moves traffic, by name.
//!
//! They are persisted: a release acts upon what it moved, not upon what is declared meanwhile. Other names take effect at
//! rest, after the old ones were brought to rest.

use serde::{Deserialize, Serialize};

use super::{Carrier, Strategy};
use crate::names::Side;
use crate::observed::RouteId;

/// What carries the traffic, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Targets {
    /// What moves it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub carrier: Carrier,
    /// What things are called.
    #[serde(default, skip_serializing_if = "is_default")]
    pub strategy: Strategy,
    /// `stableService`; where one Service carries the traffic, that Service. Empty where there is none.
    pub stable_service: String,
    /// `canaryService`, or `previewService`.
    pub canary_service: String,
    /// Every route; none unless routes carry the traffic.
    pub routes: Vec<RouteTarget>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A route, and what of it is split.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteTarget {
    /// `HTTPRoute`, `GRPCRoute` or `VirtualService`.
    pub kind: String,
    /// Its name in the Rollout's namespace.
    pub name: String,
    /// True when the Rollout declares its spec and we create it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub owned: bool,
    /// The named rules that are split; empty: all that name both Services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
}

impl RouteTarget {
    /// True for the route of this kind and name.
    pub fn is(&self, id: &RouteId) -> bool {
        self.kind == id.kind && self.name == id.name
    }

    fn is_same_route(&self, other: &Self) -> bool {
        self.kind == other.kind && self.name == other.name
    }
}

impl Targets {
    /// The name of a side's Service.
    pub fn service(&self, side: Side) -> &str {
        match side {
            Side::Stable => &self.stable_service,
            Side::Canary => &self.canary_service,
        }
    }

    /// True when both have the same Services, and the same carries the traffic.
    pub fn has_services_of(&self, other: &Self) -> bool {
        self.carrier == other.carrier
            && self.stable_service == other.stable_service
            && self.canary_service == other.canary_service
    }

    /// True for the name of one of the two Services.
    pub fn has_service(&self, name: &str) -> bool {
        self.carrier != Carrier::Pods && (self.stable_service == name || self.canary_service == name)
    }

    /// The route of this kind and name, if it is among them.
    pub fn route(&self, id: &RouteId) -> Option<&RouteTarget> {
        self.routes.iter().find(|route| route.is(id))
    }

    /// Takes in the routes of `declared` that are not among these: a route joins at once, with the split that there is.
    pub fn join(&mut self, declared: &Self) {
        for route in &declared.routes {
            match self.routes.iter_mut().find(|known| known.is_same_route(route)) {
                Some(known) => known.owned = route.owned,
                None => self.routes.push(route.clone()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(name: &str, rules: &[&str]) -> RouteTarget {
        let rules = rules.iter().map(|rule| (*rule).to_owned()).collect();
        RouteTarget { kind: "HTTPRoute".to_owned(), name: name.to_owned(), owned: false, rules }
    }

    #[test]
    fn a_new_route_joins_and_one_that_is_there_keeps_the_rules_that_were_moved() {
        let mut targets = Targets { routes: vec![route("a", &["main"])], ..Targets::default() };
        let declared = Targets { routes: vec![route("a", &["other"]), route("b", &[])], ..Targets::default() };
        targets.join(&declared);
        assert_eq!(targets.routes, [route("a", &["main"]), route("b", &[])]);
    }
}
