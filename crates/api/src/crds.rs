//! The CustomResourceDefinitions, generated from the types.
//!
//! `crds/` in the repository is exactly what [`crds`] gives; a test compares the two. What the derive writes and nobody
//! needs is taken out on the way: formats that the API server does not know, `nullable` (the API server drops a null
//! where it is not allowed), defaults that say the same as leaving the field out, titles, and the line breaks of our
//! source inside a description.

use kube::CustomResourceExt;
use serde_json::{Map, Value};

use crate::{AnalysisTemplate, ClusterAnalysisTemplate, Rollout, RolloutReport};

/// Annotation on each definition: counts the changes of its schema, so that nobody takes it back by mistake.
pub const SCHEMA_VERSION_ANNOTATION: &str = "leadsman.dev/schema-version";
/// Counted up with every change of a schema.
pub const SCHEMA_VERSION: u32 = 6;

/// Why no file could be made. Only a change of the types can cause it.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the CRD {name} as YAML: {reason}")]
pub struct Unwritable {
    name: String,
    reason: String,
}

/// Each file's name in `crds/`, with its contents.
pub fn crds() -> Result<Vec<(String, String)>, Unwritable> {
    values().into_iter().map(|(name, value)| Ok((format!("{name}.yaml"), yaml(name, &value)?))).collect()
}

/// Each definition's name, like `rollouts.leadsman.dev`, with the definition as it is applied.
pub fn values() -> Vec<(&'static str, Value)> {
    vec![value::<Rollout>(), value::<RolloutReport>(), value::<AnalysisTemplate>(), value::<ClusterAnalysisTemplate>()]
}

fn value<K: CustomResourceExt>() -> (&'static str, Value) {
    let mut value = serde_json::to_value(K::crd()).unwrap_or_default();
    if let Some(versions) = value.pointer_mut("/spec/versions").and_then(Value::as_array_mut) {
        for schema in versions.iter_mut().filter_map(|version| version.pointer_mut("/schema/openAPIV3Schema")) {
            clean(schema);
            note_nothing_seen(schema);
        }
    }
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        let annotations = serde_json::json!({SCHEMA_VERSION_ANNOTATION: SCHEMA_VERSION.to_string()});
        metadata.insert("annotations".to_owned(), annotations);
    }
    (K::crd_name(), value)
}

fn yaml(name: &str, value: &Value) -> Result<String, Unwritable> {
    let body = serde_saphyr::to_string(value)
        .map_err(|error| Unwritable { name: name.to_owned(), reason: error.to_string() })?;
    Ok(format!("# Generated from crates/api by `cargo xtask crds`. Do not edit.\n{body}"))
}

/// Cleans a schema and all that are inside it.
fn clean(schema: &mut Value) {
    let Some(members) = schema.as_object_mut() else { return };
    members.remove("nullable");
    members.remove("title");
    if members.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
        members.remove("format");
    }
    if members.get("default").is_some_and(says_nothing) {
        members.remove("default");
    }
    if let Some(Value::String(text)) = members.get_mut("description") {
        *text = unwrapped(text);
    }
    for key in ["minimum", "maximum"] {
        members.get_mut(key).into_iter().for_each(whole);
    }
    for key in ["items", "additionalProperties"] {
        members.get_mut(key).into_iter().for_each(clean);
    }
    let properties = members.get_mut("properties").and_then(Value::as_object_mut);
    properties.into_iter().flat_map(Map::values_mut).for_each(clean);
}

/// Until something is written to the status, it says of no generation that it was seen: without that, tools that wait
/// take an object as finished that nobody has looked at yet.
fn note_nothing_seen(schema: &mut Value) {
    let status = schema.pointer_mut("/properties/status").and_then(Value::as_object_mut);
    if let Some(status) = status {
        status.insert("default".to_owned(), serde_json::json!({"observedGeneration": -1}));
    }
}

/// Paragraphs as one line each.
fn unwrapped(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

/// The API server gives 0.0 back as 0, which tools that compare would report.
fn whole(number: &mut Value) {
    if let Some(text) = number.as_f64().filter(|number| number.fract() == 0.0).map(|number| number.to_string()) {
        *number = text.parse::<i64>().map_or(Value::Null, Value::from);
    }
}

fn says_nothing(default: &Value) -> bool {
    match default {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(true) => false,
    }
}
