//! Objects that are kept as a whole: Rollouts and routes as compact text, which takes a third of the memory of parsed
//! JSON and is parsed only in a pass that needs it; analysis templates parsed, since they are few.

use leadsman_api::{AnalysisTemplateSpec, ClusterAnalysisTemplateSpec};
use serde_json::Value;

use super::{Controller, Identity, Slim};
use crate::routers::ownership;

/// An object as text, without `managedFields`.
#[derive(Clone, Debug)]
pub struct RawEntry {
    identity: Identity,
    /// Whose it is.
    pub controller: Option<Controller>,
    /// Of a route: whether its rules are ours by `managedFields`, and can be given up.
    pub is_held: bool,
    text: Box<[u8]>,
}

impl RawEntry {
    /// The object.
    pub fn object(&self) -> Value {
        serde_json::from_slice(&self.text).unwrap_or_default()
    }

    /// The object as a type.
    pub fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.text)
    }
}

impl Slim for RawEntry {
    fn of(object: &Value) -> Self {
        let identity = Identity::of(object);
        let controller = Controller::of(object);
        let text = if object.pointer("/metadata/managedFields").is_some() {
            let mut object = object.clone();
            if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.remove("managedFields");
            }
            serde_json::to_vec(&object)
        } else {
            serde_json::to_vec(object)
        };
        Self { identity, controller, is_held: ownership::is_held(object), text: text.unwrap_or_default().into() }
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn same(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}

/// An analysis template, of the cluster or of a namespace. `spec` is `None` for one that cannot be read.
#[derive(Clone, Debug)]
pub struct TemplateEntry {
    identity: Identity,
    /// What it says.
    pub spec: Option<AnalysisTemplateSpec>,
}

impl Slim for TemplateEntry {
    fn of(object: &Value) -> Self {
        let spec = object.get("spec").cloned().unwrap_or_default();
        let spec = serde_json::from_value::<ClusterAnalysisTemplateSpec>(spec).map(AnalysisTemplateSpec::from);
        let spec = spec.inspect_err(|error| {
            tracing::warn!(template = %super::key_of(object), %error, "skipping an analysis template that cannot be read");
        });
        Self { identity: Identity::of(object), spec: spec.ok() }
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn is_sound(&self) -> bool {
        self.spec.is_some()
    }

    fn same(&self, other: &Self) -> bool {
        self.identity.uid == other.identity.uid && self.spec == other.spec
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn everything_but_managed_fields_is_kept() {
        let object = json!({
            "metadata": {"name": "a", "resourceVersion": "5", "managedFields": [
                {"manager": "kubectl"}, {"manager": "leadsman", "fieldsV1": {"f:spec": {"f:rules": {}}}},
            ]},
            "spec": {"unknown": {"field": null}},
        });
        let entry = RawEntry::of(&object);
        let kept = entry.object();
        assert_eq!(kept.pointer("/spec"), object.pointer("/spec"));
        assert_eq!(kept.pointer("/metadata/managedFields"), None);
        assert!(entry.is_held && !RawEntry::of(&kept).is_held);
    }
}
