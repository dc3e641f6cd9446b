//! The model as JSON: what scripts depend on.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::model::{Difference, Explanation, History, Release, Row};

/// Version of the form. A field is never taken away within it.
pub const API_VERSION: &str = "view.leadsman.dev/v1alpha1";

/// kind: Release.
pub fn release(release: &Release) -> Value {
    document("Release", release)
}

/// kind: List, with `items`.
pub fn list(rows: &[Row]) -> Value {
    document("List", &Items { items: rows })
}

/// kind: History.
pub fn history(history: &History) -> Value {
    document("History", history)
}

/// kind: Explanation.
pub fn explain(explanation: &Explanation) -> Value {
    document("Explanation", explanation)
}

/// kind: Difference.
pub fn difference(difference: &Difference) -> Value {
    document("Difference", difference)
}

/// The JSON Schema of all kinds: one of them, told by its `kind`.
pub fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut kinds = Vec::new();
    for (kind, content) in [
        ("Release", generator.subschema_for::<Release>()),
        ("List", generator.subschema_for::<Items<'_>>()),
        ("History", generator.subschema_for::<History>()),
        ("Explanation", generator.subschema_for::<Explanation>()),
        ("Difference", generator.subschema_for::<Difference>()),
    ] {
        let head = json!({"apiVersion": {"const": API_VERSION}, "kind": {"const": kind}});
        kinds.push(json!({"properties": head, "required": ["apiVersion", "kind"], "allOf": [content]}));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What kubectl leadsman -o json prints",
        "oneOf": kinds,
        "$defs": generator.take_definitions(true),
    })
}

#[derive(JsonSchema, Serialize)]
struct Items<'a> {
    items: &'a [Row],
}

fn document(kind: &str, content: &impl Serialize) -> Value {
    let mut document = Map::new();
    document.insert("apiVersion".to_owned(), API_VERSION.into());
    document.insert("kind".to_owned(), kind.into());
    if let Ok(Value::Object(fields)) = serde_json::to_value(content) {
        document.extend(fields);
    }
    Value::Object(document)
}
