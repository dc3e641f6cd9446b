//! Ports belong to a binding. While two versions run, each has to be reached on the ports that its own pods serve: what is
//! declared now may be true of the next revision only.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// A port of a Service, as on the wire.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    /// Its name, which the port of an EndpointSlice has as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What clients and routes name.
    pub port: u16,
    /// Where the pods serve it.
    pub target_port: Target,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// For meshes and gateways.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
}

/// Where a port leads to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Target {
    /// A number, which leads there whether or not anybody listens.
    Number(u16),
    /// The name of a container's port.
    Name(String),
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// The first port of two revisions that leads to another number of their pods; names may lead to different ones.
pub fn which_differ<'a>(old: &'a [Port], new: &'a [Port]) -> Option<(&'a Port, &'a Port)> {
    let number = |port: &Port| matches!(port.target_port, Target::Number(_));
    let same_slot = |old: &'a Port| new.iter().find(|new| new.slot() == old.slot()).map(|new| (old, new));
    let mut pairs = old.iter().filter_map(same_slot);
    pairs.find(|(old, new)| old.target_port != new.target_port && (number(old) || number(new)))
}

/// A port that a pod template declares. Its absence proves nothing, since declaring ports is optional; its presence does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerPort {
    /// Its name.
    pub name: Option<String>,
    /// Its number.
    pub number: u16,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
}

impl Port {
    /// What makes two ports of one Service the same to the API server.
    fn slot(&self) -> (u16, &str) {
        (self.port, &self.protocol)
    }

    /// A name that no other port of the Service has by itself.
    fn own_name(&self) -> String {
        format!("port-{}-{}", self.port, self.protocol.to_lowercase())
    }

    /// True when the template says that its pods serve this port.
    fn is_served_by(&self, template: &[ContainerPort]) -> bool {
        template.iter().filter(|served| served.protocol == self.protocol).any(|served| match &self.target_port {
            Target::Number(number) => served.number == *number,
            Target::Name(name) => served.name.as_ref() == Some(name),
        })
    }
}

/// True when a Service that has `live` has everything that is wanted. What somebody else added beside it is theirs.
pub fn covers(live: &[Port], wanted: &[Port]) -> bool {
    wanted.iter().all(|port| live.contains(port))
}

/// The ports of a revision that has traffic, after other ports were declared.
///
/// A slot that its pods serve stays as it is until the Service is bound to another revision: a changed name, protocol or
/// target under traffic leaves proxies without endpoints. Only a target that the template itself says it serves is followed
/// at once. New slots are added, gone ones stay for as long as a route names them (`named`; `None`: any may be). Where the
/// API server would refuse a new slot for the sake of a kept one's name, it waits for the next binding, unless a route
/// already names it: then what is in its way gets another name.
pub fn follow(
    kept: &[Port],
    declared: &[Port],
    template: &[ContainerPort],
    named: Option<&BTreeSet<u16>>,
) -> Vec<Port> {
    let is_named = |port: &Port| named.is_none_or(|named| named.contains(&port.port));
    let mut ports: Vec<Port> = kept
        .iter()
        .filter_map(|port| match declared.iter().find(|other| other.slot() == port.slot()) {
            None => is_named(port).then(|| port.clone()),
            Some(other) => {
                let same_but_target = Port { target_port: port.target_port.clone(), ..other.clone() } == *port;
                Some(if same_but_target && other.is_served_by(template) { other } else { port }.clone())
            }
        })
        .collect();
    for port in declared.iter().filter(|port| kept.iter().all(|known| known.slot() != port.slot())) {
        // Several ports of one Service need names, each a different one.
        let fits = ports.is_empty()
            || port.name.is_some() && ports.iter().all(|known| known.name.is_some() && known.name != port.name);
        if fits {
            ports.push(port.clone());
        } else if named.is_some_and(|named| named.contains(&port.port)) {
            let name = port.name.clone().unwrap_or_else(|| port.own_name());
            for kept in ports.iter_mut().filter(|kept| kept.name.as_ref().is_none_or(|known| *known == name)) {
                kept.name = Some(kept.own_name());
            }
            ports.push(Port { name: Some(name), ..port.clone() });
        }
    }
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, port: u16, target: u16) -> Port {
        Port {
            name: Some(name.to_owned()).filter(|name| !name.is_empty()),
            port,
            target_port: Target::Number(target),
            protocol: "TCP".to_owned(),
            app_protocol: None,
        }
    }

    fn served(number: u16) -> ContainerPort {
        ContainerPort { name: Some("web".to_owned()), number, protocol: "TCP".to_owned() }
    }

    #[test]
    fn a_revision_under_traffic_keeps_the_target_that_it_was_released_with() {
        let old = [port("http", 80, 8080)];
        assert_eq!(follow(&old, &[port("http", 80, 9090)], &[served(8080)], None), old);
        assert_eq!(follow(&old, &[port("http", 80, 9090)], &[], None), old, "no word of the template proves nothing");
    }

    #[test]
    fn a_target_that_its_template_serves_is_followed_at_once() {
        let new = [port("http", 80, 9090)];
        assert_eq!(follow(&[port("http", 80, 8080)], &new, &[served(8080), served(9090)], None), new);
        let by_name = Port { target_port: Target::Name("web".to_owned()), ..port("http", 80, 0) };
        assert_eq!(follow(&[port("http", 80, 8080)], std::slice::from_ref(&by_name), &[served(8080)], None), [by_name]);
    }

    #[test]
    fn a_name_or_protocol_is_not_changed_under_traffic() {
        let old = [port("http", 80, 8080)];
        let grpc = Port { app_protocol: Some("kubernetes.io/h2c".to_owned()), ..port("http", 80, 8080) };
        for new in [port("web", 80, 8080), grpc] {
            assert_eq!(follow(&old, &[new], &[served(8080)], None), old);
        }
    }

    #[test]
    fn new_ports_are_added_at_once_and_gone_ones_stay_while_a_route_names_them() {
        let old = [port("a", 80, 80), port("b", 81, 81), port("c", 82, 82)];
        let new = [port("a", 80, 80), port("d", 83, 83)];
        let named = [80, 81].into();
        let kept = [port("a", 80, 80), port("b", 81, 81), port("d", 83, 83)];
        assert_eq!(follow(&old, &new, &[], Some(&named)), kept);
        assert_eq!(follow(&old, &new, &[], None).len(), 4, "any may be named while a route cannot be read");
    }

    #[test]
    fn what_the_api_server_would_refuse_beside_a_kept_port_waits_for_the_next_binding() {
        let unnamed = [port("", 80, 8080)];
        assert_eq!(follow(&unnamed, &[port("http", 80, 8080), port("admin", 81, 81)], &[], None), unnamed);
        let named = [port("http", 80, 8080)];
        assert_eq!(follow(&named, &[port("http", 81, 8080)], &[], Some(&[80].into())), named, "a name is taken");
        assert_eq!(follow(&named, &[port("http", 81, 8080)], &[], Some(&[81].into())), [port("http", 81, 8080)]);
    }

    #[test]
    fn a_new_port_that_a_route_already_names_does_not_wait_for_a_name() {
        let both = BTreeSet::from([80, 8080]);
        let renamed = [port("port-80-tcp", 80, 8080), port("http", 8080, 8080)];
        for kept in ["", "http"] {
            assert_eq!(
                follow(&[port(kept, 80, 8080)], &[port("http", 8080, 8080)], &[], Some(&both)),
                renamed,
                "{kept}"
            );
        }
        let unnamed = follow(&[port("http", 80, 8080)], &[port("", 8080, 8080)], &[], Some(&both));
        assert_eq!(unnamed, [port("http", 80, 8080), port("port-8080-tcp", 8080, 8080)]);
    }

    #[test]
    fn what_somebody_added_to_our_service_is_no_difference() {
        assert!(covers(&[port("a", 80, 80), port("theirs", 99, 99)], &[port("a", 80, 80)]));
        assert!(!covers(&[port("a", 80, 80)], &[port("a", 80, 81)]));
    }

    #[test]
    fn a_port_looks_as_it_does_on_the_wire() {
        let wire = serde_json::json!({"name": "grpc", "port": 80, "targetPort": "api", "protocol": "TCP"});
        let port: Port = serde_json::from_value(wire.clone()).unwrap();
        assert_eq!(port.target_port, Target::Name("api".to_owned()));
        assert_eq!(serde_json::to_value(&port).unwrap(), wire);
    }
}
