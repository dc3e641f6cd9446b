//! `spec.strategy.canary.traffic`: the Services and the routes.

use leadsman_api::{Rollout, Route, ServicePort, defaults};
use leadsman_core::spec::Problem;
use serde_json::{Value, json};

use super::invalid_spec;
use crate::routers::{RouteKind, RouteRef, Settle};

/// Services and routes, as far as they can be read.
pub(super) struct Traffic {
    pub service: Option<String>,
    pub stable_service: String,
    pub canary_service: String,
    pub ports: Option<Vec<Value>>,
    pub routes: Vec<RouteRef>,
    /// The first thing that is wrong.
    pub wrong: Option<Problem>,
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
    let settle = traffic.settle.parse().unwrap_or_default();
    Some(RouteRef {
        kind,
        name: name.clone(),
        only: only.clone(),
        spec: spec.clone(),
        acceptance: traffic.acceptance,
        settle: Settle { weights: settle, endpoints: settle },
    })
}

/// A port as the API server completes it.
fn port(port: &ServicePort) -> Value {
    let mut value = json!({
        "port": port.port,
        "protocol": port.protocol.as_deref().unwrap_or("TCP"),
        "targetPort": port.target_port.as_ref().map_or(json!(port.port), |target| json!(target)),
    });
    if let Some(members) = value.as_object_mut() {
        let optional = [("name", &port.name), ("appProtocol", &port.app_protocol)];
        let given = optional.into_iter().filter_map(|(key, text)| Some((key.to_owned(), json!(text.as_ref()?))));
        members.extend(given);
    }
    value
}
