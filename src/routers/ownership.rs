//! Who owns the rules of a route, as the API server counts it in `metadata.managedFields`.
//!
//! Lists of rules are owned as a whole: a patch of one weight makes all of `spec.rules` ours, and whoever applies them
//! without force meets a conflict, until our entry is taken out of the list.

use leadsman_api::names::FIELD_MANAGER;
use serde_json::{Value, json};

use super::json::{filled, list, text};

/// Fields of which the rules of a route consist.
const RULES: [&str; 2] = ["f:rules", "f:http"];

/// Whether the rules of a route are ours by its `managedFields`, and can be given up.
pub fn is_held(object: &Value) -> bool {
    !places(object).is_empty()
}

/// The JSON patch that gives up the rules of a route, read as a whole with its `managedFields`: it takes out our entries and
/// nothing else. `None` where none is ours.
pub fn release(object: &Value) -> Option<Value> {
    let places = places(object);
    let version = object.pointer("/metadata/resourceVersion")?;
    let mut operations = vec![json!({"op": "test", "path": "/metadata/resourceVersion", "value": version})];
    // From the last to the first, so that no removal moves a place that is still to be removed.
    for place in places.iter().rev() {
        let path = format!("/metadata/managedFields/{place}");
        operations.push(json!({"op": "test", "path": format!("{path}/manager"), "value": FIELD_MANAGER}));
        operations.push(json!({"op": "remove", "path": path}));
    }
    (!places.is_empty()).then_some(Value::Array(operations))
}

/// Where our entries stand that own rules. None where nobody else has an entry: the API server takes an empty list for a
/// mistake, and an object without any entry gives all of its fields to `before-first-apply`, which conflicts all the more.
fn places(object: &Value) -> Vec<usize> {
    let entries = || list(object.pointer("/metadata/managedFields"));
    let ours: Vec<_> = entries().enumerate().filter(|(_, entry)| owns_rules(entry)).map(|(place, _)| place).collect();
    if ours.len() == entries().count() { Vec::new() } else { ours }
}

fn owns_rules(entry: &Value) -> bool {
    let spec = entry.pointer("/fieldsV1/f:spec");
    text(entry, "manager") == Some(FIELD_MANAGER)
        && filled(entry, "subresource").is_none()
        && RULES.iter().any(|field| spec.is_some_and(|spec| spec.get(field).is_some()))
}
