//! Objects that are kept as a whole: Rollouts and routes packed, which takes a tenth of the memory of parsed JSON, and are parsed
//! only in a pass that needs them; analysis templates parsed, since they are few.

use leadsman_api::{AnalysisTemplateSpec, ClusterAnalysisTemplateSpec};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::packed::Packed;
use super::{Controller, Identity, Slim};
use crate::routers::ownership;

/// What kubectl writes of an object into the object itself: as large as the rest, and nothing that anybody here reads.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Where in an object a value stands.
#[derive(Clone, Copy)]
enum Place {
    Top,
    Metadata,
    Annotations,
    Elsewhere,
}

impl Place {
    /// The place of a member; `None` for one that is not kept.
    fn of(self, member: &str) -> Option<Self> {
        match (self, member) {
            (Self::Metadata, "managedFields") | (Self::Annotations, LAST_APPLIED) => None,
            (Self::Top, "metadata") => Some(Self::Metadata),
            (Self::Metadata, "annotations") => Some(Self::Annotations),
            _ => Some(Self::Elsewhere),
        }
    }
}

/// A value without what is not kept: it is written as it stands, and nothing of it is copied.
struct Kept<'a>(&'a Value, Place);

impl Serialize for Kept<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self(Value::Object(members), place @ (Place::Top | Place::Metadata | Place::Annotations)) => serializer
                .collect_map(members.iter().filter_map(|(name, value)| Some((name, Kept(value, place.of(name)?))))),
            Self(value, _) => value.serialize(serializer),
        }
    }
}

/// An object, without `managedFields` and what was last applied.
#[derive(Clone, Debug)]
pub struct RawEntry {
    identity: Identity,
    /// Whose it is.
    pub controller: Option<Controller>,
    /// Of a route: whether its rules are ours by `managedFields`, and can be given up.
    pub is_held: bool,
    whole: Packed,
}

impl RawEntry {
    /// The object.
    pub fn object(&self) -> Value {
        serde_json::from_slice(&self.whole.text()).unwrap_or_default()
    }

    /// The object as a type.
    pub fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.whole.text())
    }
}

impl Slim for RawEntry {
    fn of(object: &Value) -> Self {
        let identity = Identity::of(object);
        let controller = Controller::of(object);
        let whole = Packed::of(&Kept(object, Place::Top));
        Self { identity, controller, is_held: ownership::is_held(object), whole }
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
    fn everything_but_managed_fields_and_what_was_last_applied_is_kept() {
        let object = json!({
            "metadata": {"name": "a", "resourceVersion": "5", "annotations": {LAST_APPLIED: "{}", "mine": "kept"}, "managedFields": [
                {"manager": "kubectl"}, {"manager": "leadsman", "fieldsV1": {"f:spec": {"f:rules": {}}}},
            ]},
            "spec": {"unknown": {"field": null}},
        });
        let entry = RawEntry::of(&object);
        let kept = entry.object();
        assert_eq!(kept.pointer("/spec"), object.pointer("/spec"));
        assert_eq!(kept.pointer("/metadata/managedFields"), None);
        assert_eq!(kept.pointer("/metadata/annotations"), Some(&json!({"mine": "kept"})));
        assert!(entry.is_held && !RawEntry::of(&kept).is_held);
    }
}
