//! `spec.strategy.canary.traffic`: the Services and the routes.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use leadsman_api::{Rollout, Route, ServicePort, defaults};
use leadsman_core::spec::Problem;
use leadsman_core::traffic::{Port, RouteTarget, Target, Targets};

use super::invalid_spec;
use crate::routers::{RouteKind, RouteRef, Settle};

/// Services and routes, as far as they can be read.
pub(super) struct Traffic {
    pub service: Option<String>,
    pub stable_service: String,
    pub canary_service: String,
    pub ports: Option<Vec<Port>>,
    pub routes: Vec<RouteRef>,
    /// The first thing that is wrong.
    pub wrong: Option<Problem>,
}

impl Traffic {
    pub fn targets(&self) -> Targets {
        let target = |route: &RouteRef| RouteTarget {
            kind: route.kind.kind().to_owned(),
            name: route.name.clone(),
            owned: route.owned,
            rules: route.only.clone(),
        };
        Targets {
            stable_service: self.stable_service.clone(),
            canary_service: self.canary_service.clone(),
            routes: self.routes.iter().map(target).collect(),
        }
    }
}

const AT: &str = "spec.strategy.canary.traffic";

pub(super) fn read(rollout: &Rollout) -> Traffic {
    let traffic = rollout.spec.strategy.canary.as_ref().map(|canary| &canary.traffic);
    let service = traffic.and_then(|traffic| traffic.service.clone());
    // Without any name given (the schema refuses that), names that at least belong to this Rollout alone.
    let base = service.as_deref().or(rollout.metadata.name.as_deref()).unwrap_or_default();
    let named = |given: Option<&String>, suffix| given.cloned().unwrap_or_else(|| format!("{base}{suffix}"));
    let stable_service = named(traffic.and_then(|it| it.stable_service.as_ref()), defaults::STABLE_SUFFIX);
    let canary_service = named(traffic.and_then(|it| it.canary_service.as_ref()), defaults::CANARY_SUFFIX);
    let routes = traffic.into_iter().flat_map(|traffic| traffic.routes.iter().map(|route| self::route(traffic, route)));
    let routes: Vec<_> = routes.collect();
    let wrong = traffic.and_then(|traffic| {
        let names_missing = traffic.service.is_none()
            && (traffic.ports.is_none() || traffic.stable_service.is_none() || traffic.canary_service.is_none());
        if names_missing {
            Some(format!("{AT} must have service, or ports, stableService and canaryService"))
        } else if stable_service == canary_service {
            Some(format!("{AT}.canaryService must be another Service than stableService, not {canary_service} too"))
        } else if service.as_ref() == Some(&canary_service) {
            Some(format!("{AT}.canaryService must not be service, {canary_service}: name another"))
        } else if routes.is_empty() {
            Some(format!("{AT}.routes is empty: name the route that splits the traffic"))
        } else {
            let odd = routes.iter().position(Option::is_none)?;
            Some(format!("{AT}.routes[{odd}] must have exactly one of: httpRoute, grpcRoute, virtualService"))
        }
    });
    Traffic {
        ports: traffic.and_then(|it| it.ports.as_ref()).map(|ports| ports.iter().map(port).collect()),
        routes: routes.into_iter().flatten().collect(),
        wrong: wrong.map(invalid_spec),
        service,
        stable_service,
        canary_service,
    }
}

fn route(traffic: &leadsman_api::Traffic, route: &Route) -> Option<RouteRef> {
    let (kind, name, only, spec) = match (&route.http_route, &route.grpc_route, &route.virtual_service) {
        (Some(it), None, None) => (RouteKind::HttpRoute, &it.name, &it.rules, &it.spec),
        (None, Some(it), None) => (RouteKind::GrpcRoute, &it.name, &it.rules, &it.spec),
        (None, None, Some(it)) => (RouteKind::VirtualService, &it.name, &it.routes, &it.spec),
        _ => return None,
    };
    // One that cannot be read is told of where the strategy is read.
    let weights = traffic.settle.parse().unwrap_or_default();
    let endpoints = traffic.settle_endpoints.as_ref().and_then(|given| given.parse().ok());
    Some(RouteRef {
        kind,
        name: name.clone(),
        only: only.clone(),
        owned: spec.is_some(),
        spec: spec.clone(),
        acceptance: traffic.acceptance,
        settle: Settle { weights, endpoints: endpoints.unwrap_or(weights) },
    })
}

/// A port as the API server completes it.
fn port(port: &ServicePort) -> Port {
    let number = |number: i32| u16::try_from(number).unwrap_or_default();
    Port {
        name: port.name.clone(),
        port: number(port.port),
        target_port: match &port.target_port {
            None => Target::Number(number(port.port)),
            Some(IntOrString::Int(target)) => Target::Number(number(*target)),
            Some(IntOrString::String(name)) => Target::Name(name.clone()),
        },
        protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
        app_protocol: port.app_protocol.clone(),
    }
}
