//! The routes that split traffic: one file per kind, JSON in, views and patches out.
//!
//! Nothing here decides how much traffic goes where, and nothing here does IO. Routes stay [`Value`]s, so that no field
//! of theirs is ever lost; of a route that somebody else declared, only the weights of the two Services are written.

mod gateway_api;
mod owned;
mod rule;
mod virtual_service;

#[cfg(test)]
mod tests;

use leadsman_core::names::Side;
use leadsman_core::observed::{RouteId, RouteView};
use leadsman_core::spec::{Problem, Reason};
use leadsman_core::traffic::Weight;
use serde_json::{Value, json};

use self::rule::Rule;

/// Annotation on a route that we create: the hash of the declared spec that it was last written from. A key that is no
/// longer declared is found by it; the live object alone cannot tell such a key from one that the API server filled in.
pub const DECLARED_ANNOTATION: &str = "leadsman.dev/declared";

/// A kind of route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteKind {
    /// The Gateway API's route for HTTP.
    HttpRoute,
    /// The Gateway API's route for gRPC.
    GrpcRoute,
    /// Istio's route.
    VirtualService,
}

impl RouteKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::HttpRoute, Self::GrpcRoute, Self::VirtualService];

    /// The kind's name, as in [`RouteId::kind`].
    pub fn kind(self) -> &'static str {
        match self {
            Self::HttpRoute => "HTTPRoute",
            Self::GrpcRoute => "GRPCRoute",
            Self::VirtualService => "VirtualService",
        }
    }

    /// Its API group.
    pub fn group(self) -> &'static str {
        match self {
            Self::HttpRoute | Self::GrpcRoute => "gateway.networking.k8s.io",
            Self::VirtualService => "networking.istio.io",
        }
    }

    /// Versions in which the fields that are used here have the same meaning, the newest first.
    pub fn versions(self) -> &'static [&'static str] {
        match self {
            Self::HttpRoute => &["v1", "v1beta1"],
            Self::GrpcRoute => &["v1", "v1alpha2"],
            Self::VirtualService => &["v1", "v1beta1", "v1alpha3"],
        }
    }

    /// The resource's name in paths of the API.
    pub fn plural(self) -> &'static str {
        match self {
            Self::HttpRoute => "httproutes",
            Self::GrpcRoute => "grpcroutes",
            Self::VirtualService => "virtualservices",
        }
    }
}

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
    /// The named http routes of a VirtualService that are split; empty: all that name both Services.
    pub only: Vec<String>,
    /// Given: we create the route with this spec and own it.
    pub spec: Option<Value>,
}

impl RouteRef {
    /// The route's name in plans.
    pub fn id(&self) -> RouteId {
        RouteId { kind: self.kind.kind(), name: self.name.clone(), created_by_us: self.spec.is_some() }
    }

    fn rules<'a>(&self, object: &'a Value, backends: &Backends<'_>) -> Vec<Rule<'a>> {
        match self.kind {
            RouteKind::HttpRoute | RouteKind::GrpcRoute => gateway_api::rules(object, backends),
            RouteKind::VirtualService => virtual_service::rules(object, &self.only, backends),
        }
    }

    fn problem(&self, what: &str) -> Problem {
        Problem::new(Reason::InvalidRoute, format!("{} {}: {what}", self.kind.kind(), self.name))
    }

    /// What is wrong with these rules, if anything is.
    fn wrong(&self, object: &Value, rules: &[Rule<'_>], backends: &Backends<'_>) -> Option<Problem> {
        let absent = || virtual_service::absent(object, &self.only).filter(|_| self.kind == RouteKind::VirtualService);
        let lame = || rules.iter().find_map(|rule| rule.wrong(backends, !self.only.is_empty()));
        let none = || {
            (!rules.iter().any(Rule::names_both)).then(|| {
                let (stable, canary) = (backends.stable, backends.canary);
                format!("no rule names both {stable} and {canary}: name both in each rule whose traffic is to be split")
            })
        };
        absent().or_else(lame).or_else(none).map(|what| self.problem(&what))
    }
}

/// A route as a decision needs to see it. Never fails: what cannot be understood is a problem in the view.
///
/// A rule that gives traffic to the canary counts with its true share even where its weights cannot be kept.
pub fn view(route: &RouteRef, object: &Value, backends: &Backends<'_>) -> RouteView {
    let rules = route.rules(object, backends);
    let shares = || rules.iter().filter(|rule| rule.names_canary()).map(Rule::share);
    // A declared spec that cannot be split is told of where the Rollout is read; the live route can still be patched.
    let fragment = route.spec.as_ref().and_then(|_| declared(route, backends, Weight::ZERO).ok());
    let acceptance = match route.kind {
        RouteKind::HttpRoute | RouteKind::GrpcRoute => gateway_api::acceptance(object, backends),
        RouteKind::VirtualService => virtual_service::acceptance(),
    };
    RouteView {
        least: shares().map(|share| share.least).min().unwrap_or(Weight::ZERO),
        most: shares().map(|share| share.most).max().unwrap_or(Weight::ZERO),
        fixed: Weight::ZERO,
        acceptance,
        problem: route.wrong(object, &rules, backends),
        differs: fragment.is_some_and(|fragment| owned::differs(&fragment, object, &route.rules(&fragment, backends))),
        warnings: Vec::new(),
        held: false,
    }
}

/// The JSON patch that brings every rule which names both Services to this split: an empty array when all are there.
///
/// It tests the resourceVersion and the names at the places that it writes to, and writes weights only. Rules that have
/// something wrong with them are still brought there as far as possible, since a rollback must not wait for their repair.
///
/// # Errors
/// When no rule names both Services: there is nothing to write.
pub fn patch(route: &RouteRef, object: &Value, backends: &Backends<'_>, weight: Weight) -> Result<Value, Problem> {
    let rules = route.rules(object, backends);
    if !rules.iter().any(Rule::names_both) {
        return Err(route.wrong(object, &rules, backends).unwrap_or_else(|| route.problem("has no rule to split")));
    }
    let mut operations: Vec<Value> = rules.iter().flat_map(|rule| rule.operations(weight)).collect();
    if let (false, Some(version)) = (operations.is_empty(), object.pointer("/metadata/resourceVersion")) {
        operations.insert(0, json!({"op": "test", "path": "/metadata/resourceVersion", "value": version}));
    }
    Ok(Value::Array(operations))
}

/// What a server-side apply of a route that we own holds: kind, name, namespace, [`DECLARED_ANNOTATION`] and the declared
/// spec with this split. apiVersion, labels and owner are the caller's to add.
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
    match route.kind {
        RouteKind::HttpRoute | RouteKind::GrpcRoute => gateway_api::fill(&mut fragment, backends),
        RouteKind::VirtualService => virtual_service::fill(&mut fragment, &route.only, backends),
    }
    let rules = route.rules(&fragment, backends);
    let weights: Vec<_> = rules.iter().flat_map(|rule| rule.weights(weight)).collect();
    // Written before anything is judged: the weights that were declared count for nothing.
    owned::write(&mut fragment, &weights);
    match route.wrong(&fragment, &route.rules(&fragment, backends), backends) {
        Some(problem) => Err(problem),
        None => Ok(fragment),
    }
}
