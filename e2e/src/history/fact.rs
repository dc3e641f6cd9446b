//! What an object says about traffic, and nothing else of it.

use std::collections::BTreeSet;

use leadsman_api::Duration;
use leadsman_api::names::{REVISION_LABEL, ROLLOUT_LABEL};
use serde_json::Value;

/// A change of one object.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its resourceVersion: the place of the change among all changes in the cluster.
    pub version: u64,
    /// When it was heard of; seconds since 1970.
    pub at: f64,
    /// Plural, as in RBAC.
    pub resource: &'static str,
    /// Name of the object.
    pub name: String,
    /// What it says from now on; `None` when it is gone.
    pub fact: Option<Fact>,
}

/// Backends of one rule with their weights, in percent of all of them.
pub type Rule = Vec<(String, f64)>;

/// What an object says.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A Rollout: full size, the time that a change is given, its Services, whether it is being deleted.
    Rollout {
        /// `spec.replicas`.
        replicas: u32,
        /// `traffic.settle` in seconds.
        settle: f64,
        /// `stableService`.
        stable: String,
        /// `canaryService`.
        canary: String,
        /// With a deletion timestamp.
        deleting: bool,
    },
    /// A route of any kind: its rules.
    Route(Vec<Rule>),
    /// A Service: the Rollout that it belongs to, and the revision in its selector.
    Service {
        /// Label.
        rollout: Option<String>,
        /// In the selector.
        revision: Option<String>,
    },
    /// An EndpointSlice.
    Slice {
        /// Its Service.
        service: String,
        /// The binding that it was made for.
        revision: Option<String>,
        /// Addresses that are ready.
        ready: BTreeSet<String>,
    },
    /// A `ReplicaSet` of a Rollout.
    Set {
        /// Label.
        rollout: String,
        /// Label.
        revision: String,
        /// `spec.replicas`.
        replicas: u32,
    },
}

impl Fact {
    /// Reads an object; `None` for one that has nothing to do with a Rollout.
    pub fn read(resource: &str, object: &Value) -> Option<Self> {
        match resource {
            "rollouts" => Some(rollout(object)),
            "services" => Some(Self::Service {
                rollout: label(object, ROLLOUT_LABEL),
                revision: text(object.get("spec")?.get("selector").unwrap_or(&Value::Null), REVISION_LABEL),
            }),
            "endpointslices" => Some(Self::Slice {
                service: label(object, "kubernetes.io/service-name")?,
                revision: label(object, REVISION_LABEL),
                ready: ready(object),
            }),
            "replicasets" => Some(Self::Set {
                rollout: label(object, ROLLOUT_LABEL)?,
                revision: label(object, REVISION_LABEL)?,
                replicas: count(object.pointer("/spec/replicas"), 1),
            }),
            _ => Some(Self::Route(rules(object))),
        }
    }
}

fn rollout(object: &Value) -> Fact {
    let blue_green = object.pointer("/spec/strategy/blueGreen");
    let traffic = blue_green.or_else(|| object.pointer("/spec/strategy/canary/traffic")).unwrap_or(&Value::Null);
    let service = text(traffic, if blue_green.is_some() { "activeService" } else { "service" }).unwrap_or_default();
    let named = |key: &str, suffix: &str| {
        let key = match (blue_green, key) {
            (None, key) => key,
            (Some(_), "stableService") => "activeService",
            (Some(_), _) => "previewService",
        };
        text(traffic, key).unwrap_or_else(|| format!("{service}-{suffix}"))
    };
    let settle = text(traffic, "settle").and_then(|settle| Duration::new(settle).parse().ok());
    Fact::Rollout {
        replicas: count(object.pointer("/spec/replicas"), 1),
        settle: settle.map_or(3.0, |settle| settle.as_secs_f64()),
        stable: named("stableService", "stable"),
        canary: named("canaryService", "canary"),
        deleting: object.pointer("/metadata/deletionTimestamp").is_some(),
    }
}

fn ready(slice: &Value) -> BTreeSet<String> {
    let endpoints = slice.get("endpoints").and_then(Value::as_array).into_iter().flatten();
    let ready = endpoints.filter(|it| it.pointer("/conditions/ready").and_then(Value::as_bool) != Some(false));
    let addresses = ready.filter_map(|it| it.get("addresses")?.as_array()).flatten();
    addresses.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn rules(route: &Value) -> Vec<Rule> {
    let list = |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let spec = route.get("spec").unwrap_or(&Value::Null);
    let weight = |backend: &Value, default| backend.get("weight").and_then(Value::as_f64).unwrap_or(default);
    let gateway_api = list(spec, "rules").into_iter().map(|rule| {
        let backends = list(&rule, "backendRefs").into_iter();
        backends.filter_map(|it| Some((text(&it, "name")?, weight(&it, 1.0)))).collect::<Rule>()
    });
    let istio = list(spec, "http").into_iter().map(|rule| {
        let backends = list(&rule, "route");
        let alone = if backends.len() == 1 { 100.0 } else { 0.0 };
        let named = |it: Value| {
            let host = text(it.get("destination")?, "host")?;
            Some((host.split('.').next().unwrap_or_default().to_owned(), weight(&it, alone)))
        };
        backends.into_iter().filter_map(named).collect::<Rule>()
    });
    gateway_api.chain(istio).map(in_percent).collect()
}

fn in_percent(rule: Rule) -> Rule {
    let sum: f64 = rule.iter().map(|(_, weight)| weight).sum();
    rule.into_iter().map(|(name, weight)| (name, if sum > 0.0 { 100.0 * weight / sum } else { 0.0 })).collect()
}

fn label(object: &Value, name: &str) -> Option<String> {
    text(object.get("metadata")?.get("labels")?, name)
}

fn text(object: &Value, key: &str) -> Option<String> {
    object.get(key)?.as_str().map(str::to_owned)
}

fn count(value: Option<&Value>, default: u32) -> u32 {
    value.and_then(Value::as_u64).map_or(default, |number| u32::try_from(number).unwrap_or(u32::MAX))
}
