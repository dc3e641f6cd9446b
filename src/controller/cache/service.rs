//! Services: what they select, and their ports.

use std::collections::BTreeMap;

use leadsman_api::names::{FIELD_MANAGER, MANAGED_BY_LABEL, REVISION_LABEL, ROLLOUT_LABEL};
use leadsman_core::traffic::{Port, Target};
use serde_json::Value;

use super::{Controller, Identity, Slim, label, text};

/// What is kept of a Service.
#[allow(clippy::struct_excessive_bools, reason = "each is a field of a Service of which only so much matters")]
#[derive(Clone, Debug, Default)]
pub struct ServiceEntry {
    identity: Identity,
    /// Its label `leadsman.dev/rollout`.
    pub rollout: Option<Box<str>>,
    /// Its label `leadsman.dev/revision`.
    pub revision: Option<Box<str>>,
    /// The operator made it, by its label.
    pub is_made_by_us: bool,
    /// `spec.selector`.
    pub selector: Selector,
    /// `spec.type` is `ExternalName`.
    pub is_external: bool,
    /// `spec.clusterIP` is `None`: clients ask DNS for pods.
    pub is_headless: bool,
    /// `spec.sessionAffinity` is `ClientIP`.
    pub sticks_to_clients: bool,
    /// `spec.publishNotReadyAddresses`.
    pub publishes_not_ready: bool,
    /// Whose it is.
    pub controller: Option<Controller>,
    /// The owners of one that has no controller.
    pub owners: Box<[Value]>,
    /// Its ports.
    pub ports: Box<[Port]>,
}

/// Labels that pods have to bear, in order: label and value by turns, each with an end. Most Services have two of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(Box<str>);

/// What ends a label and a value: neither can have it.
const END: &str = "\n";

impl Selector {
    /// Of what stands in a Service.
    fn of(selector: Option<&Value>) -> Self {
        let labels = selector.and_then(Value::as_object).into_iter().flatten();
        let mut labels: Vec<(&str, &str)> =
            labels.filter_map(|(label, value)| Some((label.as_str(), value.as_str()?))).collect();
        labels.sort_unstable();
        let parts = labels.iter().flat_map(|(label, value)| [*label, *value]);
        Self(parts.fold(String::new(), |text, part| text + part + END).into())
    }

    /// The value that a label has to have.
    pub fn get(&self, label: &str) -> Option<&str> {
        self.labels().find(|(known, _)| *known == label).map(|(_, value)| value)
    }

    /// All labels with their values.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut parts = self.0.split_terminator(END);
        std::iter::from_fn(move || Some((parts.next()?, parts.next()?)))
    }

    /// Whether it selects nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it says the same.
    pub fn is(&self, labels: &BTreeMap<String, String>) -> bool {
        self.labels().eq(labels.iter().map(|(label, value)| (label.as_str(), value.as_str())))
    }
}

/// Reads a port as it stands in a Service. What is left out is what the API server makes of it.
pub fn port(port: &Value) -> Port {
    let number = |pointer| port.pointer(pointer).and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok());
    let own = number("/port").unwrap_or_default();
    let named = text(port, "/targetPort").map(|name| Target::Name(name.to_owned()));
    Port {
        name: text(port, "/name").filter(|name| !name.is_empty()).map(str::to_owned),
        port: own,
        target_port: named.unwrap_or(Target::Number(number("/targetPort").filter(|port| *port > 0).unwrap_or(own))),
        protocol: text(port, "/protocol").unwrap_or("TCP").to_owned(),
        app_protocol: text(port, "/appProtocol").map(str::to_owned),
    }
}

impl Slim for ServiceEntry {
    fn of(object: &Value) -> Self {
        let ports = object.pointer("/spec/ports").and_then(Value::as_array);
        Self {
            identity: Identity::of(object),
            rollout: label(object, ROLLOUT_LABEL).map(Into::into),
            revision: label(object, REVISION_LABEL).map(Into::into),
            is_made_by_us: label(object, MANAGED_BY_LABEL) == Some(FIELD_MANAGER),
            selector: Selector::of(object.pointer("/spec/selector")),
            is_external: text(object, "/spec/type") == Some("ExternalName"),
            is_headless: text(object, "/spec/clusterIP") == Some("None"),
            sticks_to_clients: text(object, "/spec/sessionAffinity") == Some("ClientIP"),
            publishes_not_ready: object.pointer("/spec/publishNotReadyAddresses") == Some(&Value::Bool(true)),
            controller: Controller::of(object),
            owners: super::owners_without_controller(object).into(),
            ports: ports.into_iter().flatten().map(port).collect(),
        }
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn rollout(&self) -> Option<&str> {
        self.rollout.as_deref()
    }

    fn same(&self, other: &Self) -> bool {
        self.identity.uid == other.identity.uid
            && self.rollout == other.rollout
            && self.revision == other.revision
            && self.is_made_by_us == other.is_made_by_us
            && self.selector == other.selector
            && self.is_external == other.is_external
            && self.is_headless == other.is_headless
            && self.sticks_to_clients == other.sticks_to_clients
            && self.publishes_not_ready == other.publishes_not_ready
            && self.controller == other.controller
            && self.owners == other.owners
            && self.ports == other.ports
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_port_that_left_out_defaults_equals_one_that_has_them() {
        let short = port(&json!({"port": 80}));
        let long = port(&json!({"port": 80, "targetPort": 80, "protocol": "TCP", "nodePort": 30000, "name": ""}));
        assert_eq!(short, long);
        assert_eq!(json!(short), json!({"port": 80, "targetPort": 80, "protocol": "TCP"}));
    }

    #[test]
    fn a_selector_equals_the_same_labels_in_any_order() {
        let selector = Selector::of(Some(&json!({"tier": "web", "app": "shop", "odd": 7})));
        let labels = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        assert!(selector.is(&labels(&[("app", "shop"), ("tier", "web")])));
        assert!(!selector.is(&labels(&[("app", "shop")])) && !selector.is_empty());
        assert_eq!((selector.get("tier"), selector.get("odd")), (Some("web"), None));
    }

    #[test]
    fn names_targets_and_protocols_are_copied() {
        let wire = json!({
            "name": "grpc", "port": 80, "targetPort": "api", "protocol": "TCP", "appProtocol": "kubernetes.io/h2c",
        });
        assert_eq!(json!(port(&wire)), wire);
    }
}
