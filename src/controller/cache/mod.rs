//! What is kept of each object: the few fields that a pass looks at, and those that the next write to it needs.

mod caches;
mod packed;
mod raw;
mod replica_set;
mod service;
mod slice;
mod store;
mod uid;

use leadsman_core::text::one_line;
use serde_json::Value;

pub use caches::{Caches, RouteCache, Served};
pub use raw::{RawEntry, TemplateEntry};
pub use replica_set::{REVISION_NUMBER_ANNOTATION, ReplicaSetEntry};
pub use service::{Selector, ServiceEntry, port};
pub use slice::{SliceEntry, endpoints};
pub use store::{Cached, EVERYTHING, Store};
pub use uid::Uid;

use super::key::Key;

/// What is kept of an object, wherever it came from: a watch, a read, or the answer to a write.
pub trait Slim: Send + Sync + Sized + 'static {
    /// Takes what is needed from the object. What it lacks is taken as its zero value.
    fn of(object: &Value) -> Self;
    /// Which object this is, and which version of it.
    fn identity(&self) -> &Identity;
    /// The Rollout that the object's label names, in the object's namespace.
    fn rollout(&self) -> Option<&str> {
        None
    }
    /// False for an object that cannot be used as it is.
    fn is_sound(&self) -> bool {
        true
    }
    /// True when no pass would see a difference. Versions may differ.
    fn same(&self, other: &Self) -> bool;
}

/// Which object, and which version of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// `metadata.uid`.
    pub uid: Uid,
    /// `metadata.resourceVersion`; versions of one kind are ordered.
    pub version: u64,
}

impl Identity {
    fn of(object: &Value) -> Self {
        let version = text(object, "/metadata/resourceVersion").and_then(|version| version.parse().ok());
        Self { uid: Uid::of(text(object, "/metadata/uid").unwrap_or_default()), version: version.unwrap_or_default() }
    }

    /// `metadata.resourceVersion` as it is sent.
    pub fn version_text(&self) -> String {
        self.version.to_string()
    }
}

/// Namespace and name of an object.
pub fn key_of(object: &Value) -> Key {
    let part = |pointer| text(object, pointer).unwrap_or_default();
    Key::new(part("/metadata/namespace"), part("/metadata/name"))
}

/// Longest kind and name of an owner, in characters: nobody checks what stands there.
const LONGEST_OWNER: usize = 320;

/// The owner that is the controller of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    /// Its uid.
    pub uid: Uid,
    /// Kind and name, for messages.
    pub words: Box<str>,
}

impl Controller {
    fn of(object: &Value) -> Option<Self> {
        let owners = object.pointer("/metadata/ownerReferences")?.as_array()?;
        let owner = owners.iter().find(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true))?;
        let words = format!("{} {}", text(owner, "/kind").unwrap_or("?"), text(owner, "/name").unwrap_or("?"));
        let words = one_line(&words, LONGEST_OWNER);
        Some(Self { uid: Uid::of(text(owner, "/uid").unwrap_or_default()), words: words.into() })
    }
}

/// The owner references of an object that has no controller; empty for one that has: only who is to be its controller needs
/// them, to keep what others wrote.
fn owners_without_controller(object: &Value) -> Vec<Value> {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    owners.filter(|_| Controller::of(object).is_none()).cloned().unwrap_or_default()
}

/// The text at a JSON pointer.
pub fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer)?.as_str()
}

fn count(object: &Value, pointer: &str) -> u32 {
    object.pointer(pointer).and_then(Value::as_u64).and_then(|count| u32::try_from(count).ok()).unwrap_or_default()
}

/// The value of a label.
pub fn label<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.pointer("/metadata/labels")?.get(name)?.as_str()
}

fn annotation<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.pointer("/metadata/annotations")?.get(name)?.as_str()
}

#[cfg(test)]
mod tests {
    use leadsman_api::Rollout;
    use leadsman_core::names::Hash;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::shapes::{anything, spoiled};

    fn slice() -> Value {
        json!({
            "metadata": {"name": "shop-canary-x", "resourceVersion": "7", "uid": "u", "labels": {
                "kubernetes.io/service-name": "shop-canary", "leadsman.dev/revision": "abc", "leadsman.dev/rollout": "shop",
            }},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true, "terminating": false}}],
            "ports": [{"port": 8080, "protocol": "TCP"}],
        })
    }

    fn service() -> Value {
        json!({
            "metadata": {"name": "shop", "labels": {"leadsman.dev/rollout": "shop", "leadsman.dev/revision": "abc"}},
            "spec": {"selector": {"app": "shop"}, "type": "ClusterIP", "ports": [
                {"name": "http", "port": 80, "targetPort": "web", "protocol": "TCP", "appProtocol": "http"},
            ]},
        })
    }

    fn set() -> Value {
        json!({
            "metadata": {"name": "shop-abc", "labels": {"leadsman.dev/revision": "abc"}, "ownerReferences": [
                {"kind": "Rollout", "name": "shop", "uid": "u", "controller": true},
            ]},
            "spec": {"replicas": 3},
            "status": {"replicas": 3, "readyReplicas": 2, "conditions": [
                {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"},
            ]},
        })
    }

    proptest! {
        #[test]
        fn no_object_makes_a_copy_panic(
            object in prop_oneof![anything(), spoiled(slice()), spoiled(service()), spoiled(set())],
        ) {
            let copies = [SliceEntry::of(&object), SliceEntry::of(&slice())];
            let seen = endpoints(&copies.iter(), &[]);
            // A slice that cannot be understood may take endpoints away, and never adds more than it lists.
            let listed = object.pointer("/endpoints").and_then(Value::as_array).map_or(0, Vec::len);
            let ready = seen.ready_of(&Hash::new("abc")).unwrap_or(0);
            prop_assert!(usize::try_from(ready).unwrap() <= listed + 1);
            ServiceEntry::of(&object);
            ReplicaSetEntry::of(&object);
            TemplateEntry::of(&object);
            let whole = RawEntry::of(&object);
            let _ = (whole.object(), whole.parse::<Rollout>());
            key_of(&object);
        }
    }
}
