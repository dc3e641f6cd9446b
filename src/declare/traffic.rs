//! What carries the traffic, as either strategy declares it: Services, and routes where there are some.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use leadsman_api::{
    AcceptancePolicy, BlueGreen, Duration, HttpRouteGroup, Rollout, Route, ServicePort, defaults, names,
};
use leadsman_core::spec::Problem;
use leadsman_core::traffic::{Carrier, Port, RouteTarget, Strategy, Target, Targets};

use super::invalid_spec;
use crate::routers::{RouteKind, RouteRef, Settle};

/// Services and routes, as far as they can be read.
#[derive(Default)]
pub(super) struct Traffic {
    /// The field that they stand in.
    pub at: &'static str,
    pub targets: Targets,
    /// The Service that is the routes' parent or host.
    pub service: Option<String>,
    pub ports: Option<Vec<Port>>,
    pub routes: Vec<RouteRef>,
    /// The first thing that is wrong.
    pub wrong: Option<Problem>,
}

const CANARY: &str = "spec.strategy.canary.traffic";
const BLUE_GREEN: &str = "spec.strategy.blueGreen";

/// What both strategies have.
#[derive(Clone, Copy)]
struct Common<'a> {
    at: &'static str,
    /// The fields that name the Service which carries the traffic, or stable's, and the other one.
    fields: [&'static str; 2],
    service: Option<&'a String>,
    ports: Option<&'a Vec<ServicePort>>,
    routes: Option<&'a Vec<Route>>,
    acceptance: AcceptancePolicy,
    settle: &'a Duration,
    settle_endpoints: Option<&'a Duration>,
}

pub(super) fn read(rollout: &Rollout) -> Traffic {
    let strategy = &rollout.spec.strategy;
    let name = rollout.metadata.name.as_deref().unwrap_or_default();
    match (&strategy.canary, &strategy.blue_green) {
        (Some(canary), _) => canary.traffic.as_ref().map_or_else(worker, |traffic| of_canary(name, traffic)),
        (None, Some(blue_green)) => of_blue_green(blue_green),
        // Without any name given (the schema refuses that), names that at least belong to this Rollout alone.
        (None, None) => Traffic {
            at: CANARY,
            targets: Targets {
                stable_service: format!("{name}{}", defaults::STABLE_SUFFIX),
                canary_service: format!("{name}{}", defaults::CANARY_SUFFIX),
                ..Targets::default()
            },
            ..Traffic::default()
        },
    }
}

fn worker() -> Traffic {
    Traffic { at: CANARY, targets: Targets { carrier: Carrier::Pods, ..Targets::default() }, ..Traffic::default() }
}

fn of_canary(name: &str, traffic: &leadsman_api::Traffic) -> Traffic {
    let leadsman_api::Traffic { service, stable_service, canary_service, ports, routes, .. } = traffic;
    let common = Common {
        at: CANARY,
        fields: [if routes.is_some() { "stableService" } else { "service" }, "canaryService"],
        service: service.as_ref(),
        ports: ports.as_ref(),
        routes: routes.as_ref(),
        acceptance: traffic.acceptance,
        settle: &traffic.settle,
        settle_endpoints: traffic.settle_endpoints.as_ref(),
    };
    let base = service.as_deref().unwrap_or(name);
    let named = |given: &Option<String>, suffix| given.clone().unwrap_or_else(|| format!("{base}{suffix}"));
    let (carrier, stable) = match routes {
        Some(_) => (Carrier::Routes, named(stable_service, defaults::STABLE_SUFFIX)),
        None => (Carrier::Service, base.to_owned()),
    };
    let canary = named(canary_service, defaults::CANARY_SUFFIX);
    let lacks_names = service.is_none() && (ports.is_none() || stable_service.is_none() || canary_service.is_none());
    let wrong = if routes.is_none() && service.is_none() {
        Some(format!("{CANARY} must have service, whose selector carries the traffic where there are no routes"))
    } else if routes.is_none() && stable_service.is_some() {
        Some(format!("{CANARY}.stableService must be left out without routes: service itself carries the traffic"))
    } else if routes.is_some() && lacks_names {
        Some(format!("{CANARY} must have service, or ports, stableService and canaryService"))
    } else if service.as_ref() == Some(&canary) {
        Some(format!("{CANARY}.canaryService must not be service, {canary}: name another"))
    } else if stable == canary {
        Some(format!("{CANARY}.canaryService must be another Service than stableService, not {canary} too"))
    } else {
        None
    };
    common.traffic((Strategy::Canary, carrier), (stable, canary), wrong)
}

fn of_blue_green(blue_green: &BlueGreen) -> Traffic {
    let BlueGreen { active_service: active, preview_service, service, ports, routes, .. } = blue_green;
    let common = Common {
        at: BLUE_GREEN,
        fields: ["activeService", "previewService"],
        service: service.as_ref(),
        ports: ports.as_ref(),
        routes: routes.as_ref(),
        acceptance: blue_green.acceptance,
        settle: &blue_green.settle,
        settle_endpoints: blue_green.settle_endpoints.as_ref(),
    };
    let preview = preview_service.clone().unwrap_or_else(|| format!("{active}{}", defaults::PREVIEW_SUFFIX));
    let carrier = if routes.is_some() { Carrier::Routes } else { Carrier::Service };
    let wrong = if *active == preview {
        Some(format!("{BLUE_GREEN}.previewService must be another Service than activeService, not {active} too"))
    } else if routes.is_none() && service.is_some() {
        Some(format!("{BLUE_GREEN}.service must be left out without routes: activeService is what clients call"))
    } else if service.as_ref() == Some(&preview) {
        Some(format!("{BLUE_GREEN}.previewService must not be service, {preview}: name another"))
    } else if routes.is_some() && service.is_none() && ports.is_none() {
        Some(format!("{BLUE_GREEN} must have service or ports, where it has routes"))
    } else {
        None
    };
    common.traffic((Strategy::BlueGreen, carrier), (active.clone(), preview), wrong)
}

impl Common<'_> {
    fn traffic(
        self,
        (strategy, carrier): (Strategy, Carrier),
        (stable_service, canary_service): (String, String),
        wrong: Option<String>,
    ) -> Traffic {
        let declared: Vec<_> = self.routes.into_iter().flatten().map(|route| self.route(route)).collect();
        let wrong = wrong.or_else(|| self.too_long([&stable_service, &canary_service]));
        let wrong = wrong.or_else(|| self.nameless_port()).or_else(|| self.odd_route(&declared));
        let routes: Vec<_> = declared.into_iter().flatten().collect();
        let targets = routes.iter().map(target).collect();
        Traffic {
            at: self.at,
            targets: Targets { carrier, strategy, stable_service, canary_service, routes: targets },
            service: self.service.filter(|_| carrier == Carrier::Routes).cloned(),
            ports: self.ports.map(|ports| ports.iter().map(port).collect()),
            routes,
            wrong: wrong.map(invalid_spec),
        }
    }

    /// A name that no Service can have, given or made of another one.
    fn too_long(&self, services: [&String; 2]) -> Option<String> {
        let (field, name) = self.fields.into_iter().zip(services).find(|(_, name)| name.len() > names::MAX_SERVICE)?;
        let (at, most) = (self.at, names::MAX_SERVICE);
        Some(format!("{at}.{field} must be no more than {most} characters, also where it is left out; it is {name}"))
    }

    fn nameless_port(&self) -> Option<String> {
        let ports = self.ports.filter(|ports| ports.len() > 1)?;
        let nameless = ports.iter().position(|port| port.name.is_none())?;
        Some(format!("{}.ports[{nameless}] must have a name, as each of several ports", self.at))
    }

    fn odd_route(&self, declared: &[Option<RouteRef>]) -> Option<String> {
        let at = self.at;
        if self.routes.is_some_and(Vec::is_empty) {
            return Some(format!("{at}.routes is empty: name the route that splits the traffic"));
        }
        let mut known = Vec::new();
        for (index, route) in declared.iter().enumerate() {
            let Some(RouteRef { kind, name, .. }) = route else {
                return Some(format!(
                    "{at}.routes[{index}] must have exactly one of: httpRoute, grpcRoute, virtualService"
                ));
            };
            if known.contains(&(kind, name)) {
                return Some(format!("{at}.routes[{index}] names {} {name} for the second time", kind.full_name()));
            }
            known.push((kind, name));
        }
        None
    }

    fn route(&self, route: &Route) -> Option<RouteRef> {
        let (kind, name, only, spec) = match (&route.http_route, &route.grpc_route, &route.virtual_service) {
            (Some(it), None, None) => (http_kind(it.group), &it.route.name, &it.route.rules, &it.route.spec),
            (None, Some(it), None) => (RouteKind::GrpcRoute, &it.name, &it.rules, &it.spec),
            (None, None, Some(it)) => (RouteKind::VirtualService, &it.name, &it.routes, &it.spec),
            _ => return None,
        };
        // One that cannot be read is told of where the strategy is read.
        let weights = self.settle.parse().unwrap_or_default();
        let endpoints = self.settle_endpoints.and_then(|given| given.parse().ok());
        Some(RouteRef {
            kind,
            name: name.clone(),
            only: only.clone(),
            owned: spec.is_some(),
            spec: spec.clone(),
            acceptance: self.acceptance,
            settle: Settle { weights, endpoints: endpoints.unwrap_or(weights) },
        })
    }
}

fn http_kind(group: Option<HttpRouteGroup>) -> RouteKind {
    match group {
        None | Some(HttpRouteGroup::GatewayApi) => RouteKind::HttpRoute,
        Some(HttpRouteGroup::Linkerd) => RouteKind::LinkerdHttpRoute,
    }
}

fn target(route: &RouteRef) -> RouteTarget {
    RouteTarget {
        kind: route.kind.full_name().to_owned(),
        name: route.name.clone(),
        owned: route.owned,
        rules: route.only.clone(),
    }
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
