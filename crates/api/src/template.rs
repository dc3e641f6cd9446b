//! A pod template of which no field is ever lost.
//!
//! Typed structs drop the fields that their Kubernetes version does not know, so the template stays JSON from the API
//! server to the ReplicaSet; what Leadsman itself needs of it is read through small views that never fail.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::hash::pod_template_hash;
use crate::names::RESTARTED_AT_ANNOTATION;
use crate::schema::{LABEL_NAME, MAX_LABEL};

/// A PodTemplateSpec, kept verbatim.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PodTemplate(Value);

impl PodTemplate {
    /// Takes a template as it stands in a manifest.
    pub fn new(template: Value) -> Self {
        Self(template)
    }

    /// The whole template.
    pub fn as_value(&self) -> &Value {
        &self.0
    }

    /// The whole template.
    pub fn into_value(self) -> Value {
        self.0
    }

    /// Its revision's name: see [`pod_template_hash`].
    pub fn hash(&self) -> String {
        pod_template_hash(&self.0)
    }

    /// `metadata.labels`.
    pub fn labels(&self) -> BTreeMap<&str, &str> {
        self.strings("/metadata/labels")
    }

    /// `metadata.annotations`.
    pub fn annotations(&self) -> BTreeMap<&str, &str> {
        self.strings("/metadata/annotations")
    }

    /// `container=image` of each container in `spec.containers`, in their order.
    pub fn images(&self) -> Vec<String> {
        let containers = self.0.pointer("/spec/containers").and_then(Value::as_array);
        let text = |container: &Value, field| container.get(field).and_then(Value::as_str).map(str::to_owned);
        containers
            .into_iter()
            .flatten()
            .filter_map(|container| Some(format!("{}={}", text(container, "name")?, text(container, "image")?)))
            .collect()
    }

    /// True when pods of it are ready only once somebody outside says so.
    pub fn has_readiness_gates(&self) -> bool {
        self.0.pointer("/spec/readinessGates").and_then(Value::as_array).is_some_and(|gates| !gates.is_empty())
    }

    /// When somebody last asked for its pods to be replaced, as `kubectl rollout restart` notes it. `None` also where that is
    /// no time.
    pub fn restarted_at(&self) -> Option<Timestamp> {
        self.annotations().get(RESTARTED_AT_ANNOTATION)?.parse().ok()
    }

    fn strings(&self, pointer: &str) -> BTreeMap<&str, &str> {
        let members = self.0.pointer(pointer).and_then(Value::as_object);
        members.into_iter().flatten().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect()
    }
}

impl JsonSchema for PodTemplate {
    fn schema_name() -> Cow<'static, str> {
        "PodTemplate".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "required": ["metadata", "spec"],
            "x-kubernetes-preserve-unknown-fields": true,
            "properties": {
                "metadata": {
                    "description": "Labels and annotations of the pods.",
                    "type": "object",
                    "required": ["labels"],
                    "x-kubernetes-preserve-unknown-fields": true,
                    "properties": {
                        "labels": {
                            "description": "Labels of the pods; those of the selector must be among them. \
                                The label leadsman.dev/revision is added.",
                            "type": "object",
                            "maxProperties": 64,
                            "additionalProperties": { "type": "string", "maxLength": MAX_LABEL },
                        },
                        "annotations": {
                            "description": "Annotations of the pods.",
                            "type": "object",
                            "additionalProperties": { "type": "string" },
                        },
                    },
                },
                "spec": {
                    "description": "The pod, as in a Deployment.",
                    "type": "object",
                    "required": ["containers"],
                    "x-kubernetes-preserve-unknown-fields": true,
                    "properties": {
                        "containers": {
                            "description": "The containers, as in a Deployment.",
                            "type": "array",
                            "minItems": 1,
                            "x-kubernetes-list-type": "map",
                            "x-kubernetes-list-map-keys": ["name"],
                            "items": {
                                "type": "object",
                                "required": ["name", "image"],
                                "x-kubernetes-preserve-unknown-fields": true,
                                "properties": {
                                    "name": {
                                        "description": "Name of the container, unique in the pod.",
                                        "type": "string",
                                        "maxLength": MAX_LABEL,
                                        "pattern": LABEL_NAME,
                                    },
                                    "image": {
                                        "description": "Image of the container.",
                                        "type": "string",
                                        "minLength": 1,
                                    },
                                },
                            },
                        },
                    },
                },
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Fields that the typed structs of Kubernetes 1.33 do not know.
    fn from_the_future() -> Value {
        json!({
            "metadata": {"labels": {"app": "podinfo"}, "annotations": {"a": "b"}, "creationTimestamp": null},
            "spec": {
                "hostnameOverride": "podinfo.example",
                "schedulingGroup": {"podGroupName": "g"},
                "containers": [
                    {
                        "name": "podinfo",
                        "image": "podinfo:6.7.0",
                        "restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}],
                        "resources": {"limits": {"cpu": 1, "memory": "1Gi"}},
                        "securityContext": {},
                    },
                    {"name": "proxy", "image": "auto"},
                ],
            },
        })
    }

    #[test]
    fn fields_that_no_struct_knows_survive_unchanged() {
        let text = from_the_future().to_string();
        let template: PodTemplate = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_value(&template).unwrap(), from_the_future());
        assert_eq!(serde_json::to_string(&template).unwrap(), text);
    }

    #[test]
    fn views_read_labels_annotations_and_images() {
        let template = PodTemplate::new(from_the_future());
        assert_eq!(template.labels(), [("app", "podinfo")].into());
        assert_eq!(template.annotations(), [("a", "b")].into());
        assert_eq!(template.images(), ["podinfo=podinfo:6.7.0", "proxy=auto"]);
    }

    #[test]
    fn views_of_an_odd_template_are_empty() {
        for odd in [json!(null), json!({}), json!([1]), json!({"metadata": {"labels": 3}, "spec": {"containers": {}}})]
        {
            let template = PodTemplate::new(odd);
            assert!(template.labels().is_empty() && template.annotations().is_empty() && template.images().is_empty());
        }
    }
}
