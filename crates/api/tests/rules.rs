//! The CEL rules of the CRDs, evaluated here: they refuse what they name, and nothing that is accepted.
//!
//! Rules about an update, and those that use what only the API server has, are left to the cluster tests.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what the tests share may fail like the tests")]

use std::path::Path;
use std::sync::LazyLock;

use cel::{Context, Program};
use serde_json::Value;

static CRDS: LazyLock<Vec<(&str, Value)>> = LazyLock::new(leadsman_api::crds::values);

fn manifests(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(folder);
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap())).collect()
}

/// The messages of all rules about what is in a manifest, and whether they hold; `None` for one that cannot be asked here.
fn judged(manifest: &Value) -> Vec<(String, Option<bool>)> {
    let mut judged = Vec::new();
    for (_, crd) in CRDS.iter() {
        if crd.pointer("/spec/names/kind") == manifest.get("kind") {
            let schema = crd.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap();
            let mut object = manifest.clone();
            complete(schema, &mut object);
            walk(schema, &object, &mut judged);
        }
    }
    judged
}

fn refusals(manifest: &Value) -> Vec<String> {
    judged(manifest).into_iter().filter(|(_, holds)| *holds == Some(false)).map(|(message, _)| message).collect()
}

/// Writes defaults, as the API server does before it asks the rules.
fn complete(schema: &Value, object: &mut Value) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let Some(members) = object.as_object_mut() else { return };
        if let Some(default) = property.get("default") {
            members.entry(name.clone()).or_insert_with(|| default.clone());
        }
        if let Some(member) = members.get_mut(name) {
            complete(property, member);
        }
    }
    if let (Some(items), Some(elements)) = (schema.get("items"), object.as_array_mut()) {
        for element in elements {
            complete(items, element);
        }
    }
}

fn walk(schema: &Value, object: &Value, judged: &mut Vec<(String, Option<bool>)>) {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        let holds = holds(rule["rule"].as_str().unwrap(), object);
        judged.push((rule["message"].as_str().unwrap().to_owned(), holds));
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        object.get(name).into_iter().for_each(|member| walk(property, member, judged));
    }
    if let Some(items) = schema.get("items") {
        object.as_array().into_iter().flatten().for_each(|element| walk(items, element, judged));
    }
}

/// What a rule says of an object; `None` for one that cannot be asked here.
fn holds(rule: &str, object: &Value) -> Option<bool> {
    let mut context = Context::default();
    context.add_variable_from_value("self", value(object));
    match Program::compile(rule).ok()?.execute(&context).ok()? {
        cel::Value::Bool(holds) => Some(holds),
        other => panic!("{rule}: {other:?}"),
    }
}

/// Whole numbers are int, as they are to the API server.
fn value(json: &Value) -> cel::Value {
    let member = |(name, it): (&String, &Value)| (name.clone(), value(it));
    match json {
        Value::Null => cel::Value::Null,
        Value::Bool(it) => (*it).into(),
        Value::Number(it) => it.as_i64().map_or_else(|| it.as_f64().unwrap().into(), Into::into),
        Value::String(it) => it.as_str().into(),
        Value::Array(elements) => elements.iter().map(value).collect::<Vec<_>>().into(),
        Value::Object(members) => {
            members.iter().map(member).collect::<std::collections::HashMap<String, cel::Value>>().into()
        }
    }
}

#[test]
fn no_rule_refuses_what_is_accepted() {
    for (name, text) in manifests("accepted") {
        assert_eq!(refusals(&serde_saphyr::from_str(&text).unwrap()), [""; 0], "{name}");
    }
}

#[test]
fn a_rule_refuses_what_it_names() {
    let mut sound = 0;
    for (name, text) in manifests("rejected") {
        let message = text.lines().next().unwrap().trim_start_matches("# message: ");
        let judged = judged(&serde_saphyr::from_str(&text).unwrap());
        let named: Vec<_> = judged.into_iter().filter(|(it, _)| it.contains(message)).map(|(_, holds)| holds).collect();
        // What no rule refuses the schema does.
        if !named.is_empty() && !named.contains(&None) {
            assert!(named.contains(&Some(false)), "{name}: not refused by: {message}");
            sound += 1;
        }
    }
    assert!(sound > 40, "{sound}");
}
