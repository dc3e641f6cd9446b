//! The routes that split traffic: one file per kind, JSON in, views and patches out.
//!
//! Nothing here decides how much traffic goes where, and nothing here does IO. Routes stay [`Value`]s, so that no field
//! of theirs is ever lost; of a route that somebody else declared, only weights in the rules that are split are written.

mod acceptance;
mod gateway_api;
mod json;
mod kind;
pub mod linkerd;
mod owned;
pub mod ownership;
mod pace;
mod parent;
mod rule;
mod virtual_service;
mod weights;

#[cfg(test)]
mod tests;

use leadsman_api::AcceptancePolicy;
use leadsman_core::names::Side;
use leadsman_core::observed::{RouteId, RouteView};
use leadsman_core::spec::{Problem, Reason};
use leadsman_core::traffic::Weight;
use serde_json::{Value, json};

pub use self::kind::{RouteKind, Shape};
pub use self::pace::Settle;
use self::rule::Rule;

/// Annotation on a route that we create: the hash of the declared spec that it was last written from. A key that is no
/// longer declared is found by it; the live object alone cannot tell such a key from one that the API server filled in.
pub const DECLARED_ANNOTATION: &str = "leadsman.dev/declared";

/// Warnings about one route that are told: a VirtualService may have any number of routes with a mirror.
const MOST_WARNINGS: usize = 8;

/// The two Services that a route splits between.
#[derive(Clone, Copy, Debug)]
pub struct Backends<'a> {
    /// `stableService`.
    pub stable: &'a str,
    /// `canaryService`.
    pub canary: &'a str,
    /// The Rollout's namespace, which is theirs and the route's.
    pub namespace: &'a str,
}

impl Backends<'_> {
    /// The side that a Service of this name, in the Rollout's namespace, is on.
    fn side(&self, service: &str) -> Option<Side> {
        // Stable first: should both be one Service (the schema refuses that), nothing of it counts as the canary's.
        if service == self.stable { Some(Side::Stable) } else { (service == self.canary).then_some(Side::Canary) }
    }

    fn name(&self, side: Side) -> &str {
        match side {
            Side::Stable => self.stable,
            Side::Canary => self.canary,
        }
    }
}

/// A route that a Rollout names.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteRef {
    /// Its kind.
    pub kind: RouteKind,
    /// Its name in the Rollout's namespace.
    pub name: String,
    /// The names of the rules that are split (of a VirtualService: of the http routes); empty: all that name both Services.
    pub only: Vec<String>,
    /// True for one that we create and own.
    pub owned: bool,
    /// What one that we own is to be; `None` also for one that is not declared any more.
    pub spec: Option<Value>,
    /// Whose acceptance of it counts.
    pub acceptance: AcceptancePolicy,
    /// How long the proxies are given to follow a write.
    pub settle: Settle,
}

impl RouteRef {
    /// The route's name in plans.
    pub fn id(&self) -> RouteId {
        RouteId { kind: self.kind.full_name(), name: self.name.clone(), created_by_us: self.owned }
    }

    fn rules<'a>(&self, object: &'a Value, backends: &Backends<'_>) -> Vec<Rule<'a>> {
        match self.kind.shape() {
            Shape::GatewayApi => gateway_api::rules(object, &self.only, backends),
            Shape::Istio => virtual_service::rules(object, &self.only, backends),
        }
    }

    /// A problem with this route.
    pub fn problem(&self, what: &str) -> Problem {
        Problem::new(Reason::InvalidRoute, format!("{} {}: {what}", self.kind.full_name(), self.name))
    }

    /// What is wrong with this route, if anything is.
    fn wrong(&self, object: &Value, rules: &[Rule<'_>], backends: &Backends<'_>) -> Option<Problem> {
        let absent = || match self.kind.shape() {
            Shape::GatewayApi => gateway_api::absent(object, &self.only),
            Shape::Istio => virtual_service::absent(object, &self.only),
        };
        let lame = || rules.iter().find_map(|rule| rule.wrong(backends));
        let none = || (!rules.iter().any(Rule::is_written)).then(|| self.splits_nothing(object, rules, backends));
        let what = absent().or_else(lame).or_else(none).or_else(|| self.takes_calls_to_ours(object, backends))?;
        Some(self.problem(&what))
    }

    /// Why no rule can be split.
    fn splits_nothing(&self, object: &Value, rules: &[Rule<'_>], backends: &Backends<'_>) -> String {
        let shape = match self.kind.shape() {
            Shape::GatewayApi => gateway_api::shape(object, backends),
            Shape::Istio => virtual_service::shape(object, backends),
        };
        shape.unwrap_or_else(|| {
            let (stable, canary) = (backends.stable, backends.canary);
            let alone = rules
                .iter()
                .find(|rule| rule.names_canary())
                .map_or_else(String::new, |rule| format!("{} names {canary} without {stable}, and ", rule.at));
            format!(
                "{alone}no rule names both {stable} and {canary}: name both in each rule whose traffic is to be split"
            )
        })
    }

    /// Who calls one of our two Services is to meet the revision that it is bound to.
    fn takes_calls_to_ours(&self, object: &Value, backends: &Backends<'_>) -> Option<String> {
        let what = match self.kind.shape() {
            Shape::GatewayApi => {
                let mut parents = gateway_api::parent_services(object, backends.namespace);
                let ours =
                    parents.find(|(there, name, _)| *there == backends.namespace && backends.side(name).is_some())?;
                format!("has the Service {} as parent", ours.1)
            }
            Shape::Istio => {
                format!("has {} as host", virtual_service::takes_calls_to(object, backends)?)
            }
        };
        Some(format!(
            "{what}, which is to reach one revision only: give it the Service that clients call, and stableService and \
             canaryService names of their own"
        ))
    }

    fn warnings(&self, object: &Value, rules: &[Rule<'_>], backends: &Backends<'_>) -> Vec<String> {
        let written = rules.iter().filter_map(weights::warning);
        let (mirrors, slow) = match self.kind.shape() {
            Shape::GatewayApi => {
                (gateway_api::mirrors(object, backends), pace::warnings(object, backends.namespace, self.settle))
            }
            Shape::Istio => (virtual_service::mirrors(object, backends), Vec::new()),
        };
        written.chain(mirrors).chain(slow).collect()
    }
}

/// What a mirror to `canaryService` means; `None` for one that mirrors nothing.
fn mirrored(at: &str, percent: f64, backends: &Backends<'_>) -> Option<String> {
    let (canary, percent) = (backends.canary, (percent * 100.0).round() / 100.0);
    (percent > 0.0).then(|| {
        format!(
            "{at} mirrors {percent}% of its requests to {canary}: at rest they reach stable a second time, in a release they \
             reach the canary from its first pod on, whatever its weight, and count in its metrics"
        )
    })
}

/// A route as a decision needs to see it. Never fails: what cannot be understood is a problem in the view.
///
/// A split rule counts with the canary's true share of the pair even where its weights cannot be kept. What the view cannot
/// know is left at its zero value: [`RouteView::held`], which is not part of the object that is kept.
pub fn view(route: &RouteRef, object: &Value, backends: &Backends<'_>) -> RouteView {
    let rules = route.rules(object, backends);
    let shares = || rules.iter().filter(|rule| rule.is_written()).map(Rule::share);
    let fixed = rules.iter().filter(|rule| !rule.is_written()).map(Rule::most_of_all);
    // A declared spec that cannot be split is told of where the Rollout is read; the live route can still be patched.
    let fragment = route.spec.as_ref().and_then(|_| declared(route, backends, Weight::ZERO).ok());
    let differs =
        fragment.is_some_and(|fragment| owned::differs(&fragment, object, &route.rules(&fragment, backends), &rules));
    let (acceptance, doubts, unheeded) = match route.kind.shape() {
        Shape::GatewayApi => {
            let (acceptance, doubts) = acceptance::judge(route.acceptance, object, &rules, backends);
            (acceptance, doubts, linkerd::wrong(route.kind, object, &rules, backends))
        }
        Shape::Istio => (virtual_service::acceptance(), Vec::new(), None),
    };
    let problem = route.wrong(object, &rules, backends);
    RouteView {
        least: shares().map(|share| share.least).min().unwrap_or(Weight::ZERO),
        most: shares().map(|share| share.most).max().unwrap_or(Weight::ZERO),
        fixed: fixed.max().unwrap_or(Weight::ZERO),
        acceptance,
        problem: problem.or_else(|| unheeded.map(|what| route.problem(&what))),
        differs,
        warnings: doubts.into_iter().chain(route.warnings(object, &rules, backends)).take(MOST_WARNINGS).collect(),
        held: false,
        spills: route.kind.shape() == Shape::GatewayApi && linkerd::reports_on(object, backends.namespace),
    }
}

/// The JSON patch that brings every split rule to this split: an empty array when all are there.
///
/// It tests the resourceVersion and the names at the places that it writes to, and writes weights only. Rules that have
/// something wrong with them are still brought there as far as possible, since a rollback must not wait for their repair.
///
/// # Errors
/// When no split rule names both Services: there is nothing to write.
pub fn patch(route: &RouteRef, object: &Value, backends: &Backends<'_>, weight: Weight) -> Result<Value, Problem> {
    let rules = route.rules(object, backends);
    if !rules.iter().any(Rule::is_written) {
        return Err(route.wrong(object, &rules, backends).unwrap_or_else(|| route.problem("has no rule to split")));
    }
    let mut operations: Vec<Value> = rules.iter().flat_map(|rule| weights::operations(rule, weight)).collect();
    if let (false, Some(version)) = (operations.is_empty(), object.pointer("/metadata/resourceVersion")) {
        operations.insert(0, json!({"op": "test", "path": "/metadata/resourceVersion", "value": version}));
    }
    Ok(Value::Array(operations))
}

/// What a route that we own is created with: kind, name, namespace, [`DECLARED_ANNOTATION`] and the declared spec with this
/// split. apiVersion, labels and owner are the caller's to add.
///
/// A rule without backends gets both Services where that is complete without a port, or with the one of a Service parent.
///
/// # Errors
/// When the declared spec cannot be split, or when none is declared.
pub fn declared(route: &RouteRef, backends: &Backends<'_>, weight: Weight) -> Result<Value, Problem> {
    let spec =
        route.spec.as_ref().ok_or_else(|| route.problem("its spec is not declared, so it is not ours to write"))?;
    let mut fragment = json!({
        "kind": route.kind.kind(),
        "metadata": {
            "name": route.name,
            "namespace": backends.namespace,
            "annotations": {DECLARED_ANNOTATION: owned::mark(spec)},
        },
        "spec": spec,
    });
    match route.kind.shape() {
        Shape::GatewayApi => {
            gateway_api::fill(&mut fragment, &route.only, backends);
        }
        Shape::Istio => virtual_service::fill(&mut fragment, &route.only, backends),
    }
    let rules = route.rules(&fragment, backends);
    let written: Vec<_> = rules.iter().flat_map(|rule| weights::weights(rule, weight)).collect();
    // Written before anything is judged: the weights that were declared count for nothing beside each other.
    owned::write(&mut fragment, &written);
    match route.wrong(&fragment, &route.rules(&fragment, backends), backends) {
        Some(problem) => Err(problem),
        None => Ok(fragment),
    }
}
