//! Ports: those that are declared, and those by which routes reach the Services of a Rollout.

use std::collections::BTreeSet;
use std::sync::Arc;

use leadsman_core::observed::Look;
use leadsman_core::traffic::Port;
use serde_json::Value;

use super::RouteObject;
use crate::controller::cache::ServiceEntry;
use crate::controller::loaded::Loaded;

/// The ports that the declaration gives to both Services: its own, or those of the Service that clients call. That one is
/// given no others.
pub fn declared(loaded: &Loaded, called: Option<&Look<Arc<ServiceEntry>>>) -> Option<Vec<Port>> {
    loaded.declared.ports.clone().or_else(|| Some(called?.seen()?.ports.to_vec()))
}

/// The ports of these Services that routes name; `None` where any may be: a route cannot be read, or names a Service and no
/// port of it.
pub fn named(routes: &[RouteObject], services: [&str; 2]) -> Option<BTreeSet<u16>> {
    let mut found = Found::default();
    for route in routes {
        match &route.object {
            Look::Seen(object) => found.look_in(object, &services),
            Look::Stale => found.any = true,
            Look::Missing => {}
        }
    }
    (!found.any).then_some(found.ports)
}

/// True where a route names this Service. One that could not be read may.
pub fn is_named(routes: &[RouteObject], service: &str) -> bool {
    let named = named(routes, [service, service]);
    named.is_none_or(|ports| !ports.is_empty())
}

/// The ports of a Service that an endpoint has to serve to count: those that routes name, else the only one that there is.
pub fn needed<'a>(ports: &'a [Port], named: Option<&BTreeSet<u16>>) -> Vec<&'a Port> {
    match named {
        Some(named) => ports.iter().filter(|port| named.contains(&port.port)).collect(),
        None => ports.iter().filter(|_| ports.len() == 1).collect(),
    }
}

#[derive(Default)]
struct Found {
    ports: BTreeSet<u16>,
    any: bool,
}

impl Found {
    /// Looks for `{name: service, port: 80}` (Gateway API) and `{host: service, port: {number: 80}}` (Istio) at any depth.
    fn look_in(&mut self, value: &Value, services: &[&str]) {
        match value {
            Value::Array(elements) => elements.iter().for_each(|element| self.look_in(element, services)),
            Value::Object(members) => {
                let text = |key: &str| members.get(key).and_then(Value::as_str);
                let number = |port: &Value| port.as_u64().and_then(|port| u16::try_from(port).ok());
                let port = members.get("port");
                // Whatever else has a name is no backend: a backend in the Gateway API needs a port.
                if let (Some(name), Some(port)) = (text("name"), port.and_then(number)) {
                    self.ports.extend(Some(port).filter(|_| services.contains(&name)));
                }
                if text("host").and_then(|host| host.split('.').next()).is_some_and(|host| services.contains(&host)) {
                    let port = port.and_then(|port| port.get("number")).and_then(number);
                    self.any |= port.is_none();
                    self.ports.extend(port);
                }
                members.values().for_each(|member| self.look_in(member, services));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::controller::cache::port;

    fn found_in(object: &Value) -> Option<Vec<u16>> {
        let mut found = Found::default();
        found.look_in(object, &["shop-stable", "shop-canary"]);
        (!found.any).then(|| found.ports.into_iter().collect())
    }

    #[test]
    fn ports_are_found_in_the_backends_of_either_kind_of_route() {
        let http = json!({"metadata": {"name": "shop-stable"}, "spec": {"rules": [{"backendRefs": [
            {"name": "shop-stable", "port": 80}, {"name": "shop", "port": 81}, {"name": "shop-canary", "port": 82},
        ]}]}});
        assert_eq!(found_in(&http), Some(vec![80, 82]));
        let istio = |port: Value| {
            json!({"spec": {"http": [{"route": [
                {"destination": {"host": "shop-stable.prod.svc.cluster.local", "port": port}},
                {"destination": {"host": "shop"}},
            ]}]}})
        };
        assert_eq!(found_in(&istio(json!({"number": 80}))), Some(vec![80]));
        assert_eq!(found_in(&istio(Value::Null)), None, "all of them");
    }

    #[test]
    fn an_endpoint_serves_what_routes_name_or_the_only_port_that_there_is() {
        let ports = [port(&json!({"name": "a", "port": 80})), port(&json!({"name": "b", "port": 81}))];
        assert_eq!(needed(&ports, Some(&[81, 99].into())), [&ports[1]]);
        assert_eq!(needed(&ports, None), [] as [&Port; 0]);
        assert_eq!(needed(&ports[..1], None), [&ports[0]]);
    }
}
