//! EndpointSlices: how many endpoints are ready, and for which binding they were computed.

use leadsman_api::names::{REVISION_LABEL, ROLLOUT_LABEL};
use leadsman_core::names::Selection;
use leadsman_core::observed::{Endpoints, Slice};
use leadsman_core::traffic::{Port, Target};
use serde_json::Value;

use super::{Identity, Slim, label, text};

/// What is kept of an EndpointSlice.
#[derive(Clone, Debug)]
pub struct SliceEntry {
    identity: Identity,
    rollout: Option<Box<str>>,
    /// The Service that it belongs to.
    pub service: Box<str>,
    selection: Option<Selection>,
    family: Family,
    ready: u32,
    /// Name and number of each of its ports; a port without a name has an empty one.
    ports: Box<[(Box<str>, Option<u16>)]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6,
    Other,
}

const SERVICE_LABEL: &str = "kubernetes.io/service-name";

impl Slim for SliceEntry {
    fn of(object: &Value) -> Self {
        let endpoints = object.pointer("/endpoints").and_then(Value::as_array);
        let ready = endpoints.into_iter().flatten().filter(|endpoint| is_ready(endpoint)).count();
        Self {
            identity: Identity::of(object),
            rollout: label(object, ROLLOUT_LABEL).map(Into::into),
            service: label(object, SERVICE_LABEL).unwrap_or_default().into(),
            selection: label(object, REVISION_LABEL).map(|label| Selection::from(label.to_owned())),
            family: match text(object, "/addressType") {
                Some("IPv4") => Family::V4,
                Some("IPv6") => Family::V6,
                _ => Family::Other,
            },
            ready: u32::try_from(ready).unwrap_or(u32::MAX),
            ports: object.pointer("/ports").and_then(Value::as_array).into_iter().flatten().map(port).collect(),
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
            && self.service == other.service
            && self.selection == other.selection
            && self.family == other.family
            && self.ready == other.ready
            && self.ports == other.ports
    }
}

fn port(port: &Value) -> (Box<str>, Option<u16>) {
    let number = port.get("port").and_then(Value::as_u64).and_then(|number| u16::try_from(number).ok());
    (text(port, "/name").unwrap_or_default().into(), number)
}

impl SliceEntry {
    /// True when its endpoints are reached by this port of the Service. Where that leads to a name, the slice has the number
    /// that its pods give the name, and no such port where they have none.
    fn serves(&self, wanted: &Port) -> bool {
        let name = wanted.name.as_deref().unwrap_or_default();
        self.ports.iter().filter(|(known, _)| **known == *name).any(|(_, number)| match &wanted.target_port {
            Target::Number(target) => *number == Some(*target),
            Target::Name(_) => number.is_some(),
        })
    }
}

/// Not said to be unready counts as ready, as the API defines it; one that is terminating never does.
fn is_ready(endpoint: &Value) -> bool {
    let condition = |name: &str| endpoint.pointer("/conditions")?.get(name)?.as_bool();
    condition("ready") != Some(false) && condition("terminating") != Some(true)
}

/// The slices of one Service. Each pod of a dual-stack Service is in a slice of either family: pods are counted in the
/// family that has the most, while the labels of all slices say which binding they belong to. Those count that are reached by
/// every port of the Service that is `needed`.
pub fn endpoints<'a>(slices: &(impl Iterator<Item = &'a SliceEntry> + Clone), needed: &[&Port]) -> Endpoints {
    let lacks = |slice: &SliceEntry| needed.iter().find(|port| !slice.serves(port)).copied();
    let ready_in = |family: Family| -> u32 {
        slices.clone().filter(|slice| slice.family == family).map(|slice| slice.ready).fold(0, u32::saturating_add)
    };
    let counted = [Family::V4, Family::V6, Family::Other].into_iter().max_by_key(|family| ready_in(*family));
    let mut lame = slices.clone().filter(|slice| Some(slice.family) == counted && slice.ready > 0);
    let lacking = lame.find_map(|slice| Some(words(slice.ready, lacks(slice)?)));
    let slices = slices.clone().map(|slice| Slice {
        selection: slice.selection.clone(),
        ready: if Some(slice.family) == counted && lacks(slice).is_none() { slice.ready } else { 0 },
    });
    Endpoints { slices: slices.collect(), lacking }
}

/// Why ready pods do not count.
fn words(ready: u32, lacking: &Port) -> String {
    let Port { port, target_port, .. } = lacking;
    match target_port {
        Target::Name(name) => {
            format!(
                "{ready} ready but not reached by port {port}: it leads to \"{name}\", which no container's port is called"
            )
        }
        Target::Number(number) => {
            format!("{ready} ready but not reached by port {port} yet: no EndpointSlice says that it leads to {number}")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn slice(revision: &str, family: &str, endpoints: &Value) -> SliceEntry {
        SliceEntry::of(&json!({
            "metadata": {"labels": {
                "kubernetes.io/service-name": "shop-stable", "leadsman.dev/rollout": "shop",
                "leadsman.dev/revision": revision,
            }},
            "addressType": family,
            "endpoints": endpoints,
        }))
    }

    fn ready(number: usize) -> Value {
        vec![json!({"conditions": {"ready": true}}); number].into()
    }

    #[test]
    fn only_ready_endpoints_that_stay_are_counted() {
        let mixed = json!([
            {"conditions": {"ready": true, "serving": true, "terminating": false}},
            {"conditions": {"ready": false}},
            {"conditions": {"ready": true, "terminating": true}},
            {"conditions": {}},
            {},
        ]);
        let copies = [slice("abc", "IPv4", &mixed)];
        assert_eq!(endpoints(&copies.iter(), &[]).ready_of(&"abc".into()), Some(3));
    }

    #[test]
    fn pods_of_a_dual_stack_service_are_counted_once() {
        let copies =
            [slice("abc", "IPv4", &ready(2)), slice("abc", "IPv6", &ready(3)), slice("abc", "IPv4", &ready(2))];
        assert_eq!(endpoints(&copies.iter(), &[]).ready_of(&"abc".into()), Some(4));
    }

    #[test]
    fn a_slice_of_another_binding_spoils_the_count_in_either_family() {
        let copies = [slice("abc", "IPv4", &ready(3)), slice("old", "IPv6", &ready(0))];
        assert_eq!(endpoints(&copies.iter(), &[]).ready_of(&"abc".into()), None);
        assert_eq!(endpoints(&[].iter(), &[]).ready_of(&"abc".into()), None);
    }

    fn with_port(name: Option<&str>, number: Option<u16>) -> SliceEntry {
        let mut copy = slice("abc", "IPv4", &ready(2));
        copy.ports = [port(&json!({"name": name, "port": number}))].into();
        copy
    }

    fn counted(copy: &SliceEntry, needed: &Value) -> (Option<u32>, Option<String>) {
        let found = endpoints(&[copy].into_iter(), &[&crate::controller::cache::port(needed)]);
        (found.ready_of(&"abc".into()), found.lacking)
    }

    #[test]
    fn endpoints_count_where_the_ports_that_routes_name_lead_to() {
        let to = |target: Value| json!({"name": "http", "port": 80, "targetPort": target});
        assert_eq!(counted(&with_port(Some("http"), Some(8080)), &to(json!(8080))), (Some(2), None));
        assert_eq!(counted(&with_port(Some("http"), Some(8080)), &to(json!("web"))), (Some(2), None));
        assert_eq!(counted(&with_port(None, Some(8080)), &json!({"port": 80, "targetPort": 8080})).0, Some(2));
        let (ready, lacking) = counted(&with_port(Some("http"), Some(8080)), &to(json!(9090)));
        assert_eq!(ready, Some(0), "the slices are older than the Service's port");
        assert!(lacking.is_some_and(|words| words.contains("port 80") && words.contains("9090")));
        let (ready, lacking) = counted(&with_port(None, None), &to(json!("web")));
        assert_eq!(ready, Some(0));
        assert!(lacking.is_some_and(|words| words.contains("\"web\", which no container's port is called")));
    }
}
