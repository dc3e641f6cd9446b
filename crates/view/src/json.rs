//! The model as JSON: what scripts depend on.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::model::{Difference, Explanation, History, Release, Row};

/// Version of the form. A field is never taken away within it.
pub const API_VERSION: &str = "view.leadsman.dev/v1alpha1";

/// kind: Release.
pub fn release(release: &Release) -> Value {
    document("Release", release)
}

/// kind: List, with `items`.
pub fn list(rows: &[Row]) -> Value {
    #[derive(Serialize)]
    struct Items<'a> {
        items: &'a [Row],
    }
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

fn document(kind: &str, content: &impl Serialize) -> Value {
    let mut document = Map::new();
    document.insert("apiVersion".to_owned(), API_VERSION.into());
    document.insert("kind".to_owned(), kind.into());
    if let Ok(Value::Object(fields)) = serde_json::to_value(content) {
        document.extend(fields);
    }
    Value::Object(document)
}
