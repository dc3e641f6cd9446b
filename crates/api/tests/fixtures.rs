//! The manifests in `fixtures/` and the types and CRDs agree.
//!
//! Whether the API server agrees too is for the cluster tests: they apply `accepted/`, expect the first line of each file
//! in `rejected/` in the refusal, and in `refused-updates/` create the first document and expect the second to be refused.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what the tests share may fail like the tests")]

use std::path::Path;

use leadsman_api::{AnalysisTemplate, ClusterAnalysisTemplate, Rollout};
use serde_json::Value;

fn fixtures(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(&path).unwrap()))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// The text that the API server's refusal contains.
fn message<'a>(name: &str, text: &'a str) -> &'a str {
    let first = text.lines().next().unwrap();
    first.strip_prefix("# message: ").unwrap_or_else(|| panic!("{name} does not begin with # message:"))
}

fn read_and_written(manifest: &Value) -> Value {
    fn through<K: serde::de::DeserializeOwned + serde::Serialize>(manifest: &Value) -> Value {
        serde_json::to_value(serde_json::from_value::<K>(manifest.clone()).unwrap()).unwrap()
    }
    match manifest["kind"].as_str().unwrap() {
        "Rollout" => through::<Rollout>(manifest),
        "AnalysisTemplate" => through::<AnalysisTemplate>(manifest),
        "ClusterAnalysisTemplate" => through::<ClusterAnalysisTemplate>(manifest),
        kind => panic!("{kind}"),
    }
}

/// Paths whose value in `before` is not in `after`; what `after` has beyond that are defaults.
fn lost(path: &str, before: &Value, after: &Value) -> Vec<String> {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            let inside = |(key, value)| lost(&format!("{path}.{key}"), value, after.get(key).unwrap_or(&Value::Null));
            before.iter().flat_map(inside).collect()
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            let inside = |(index, (before, after))| lost(&format!("{path}[{index}]"), before, after);
            before.iter().zip(after).enumerate().flat_map(inside).collect()
        }
        _ if before == after => vec![],
        _ => vec![format!("{path}: {before} became {after}")],
    }
}

#[test]
fn accepted_manifests_are_read_and_written_without_loss() {
    for (name, text) in fixtures("accepted") {
        let manifest: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(lost("", &manifest, &read_and_written(&manifest)), [""; 0], "{name}");
    }
}

#[test]
fn every_rule_of_the_crds_has_a_manifest_that_it_refuses() {
    let refused: Vec<_> = ["rejected", "refused-updates"]
        .iter()
        .flat_map(|folder| fixtures(folder))
        .map(|(name, text)| message(&name, &text).to_owned())
        .collect();
    let mut rules = 0;
    for (crd, value) in leadsman_api::crds::values() {
        each_schema(&value, &mut |_, schema| {
            for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
                let message = rule["message"].as_str().unwrap();
                assert!(refused.iter().any(|text| message.contains(text)), "{crd}: nothing tests: {message}");
                rules += 1;
            }
        });
    }
    assert!(rules > 20, "{rules}");
}

#[test]
fn every_field_says_what_it_is() {
    for (crd, value) in leadsman_api::crds::values() {
        each_schema(&value, &mut |path, schema| {
            let described = schema["description"].as_str().is_some_and(|text| text.len() > 4);
            assert!(described || path.ends_with("[]") || path.ends_with("{}"), "{crd}: {path} has no description");
        });
    }
}

/// Argo CD compares lists as wholes: a default in an element is a difference from Git for ever.
#[test]
fn no_default_is_written_into_an_element_of_a_list() {
    for (crd, value) in leadsman_api::crds::values() {
        each_schema(&value, &mut |path, schema| {
            assert!(!path.contains("[]") || schema.get("default").is_none(), "{crd}: {path} has a default");
        });
    }
}

fn each_schema(crd: &Value, visit: &mut dyn FnMut(&str, &Value)) {
    fn walk(path: &str, schema: &Value, visit: &mut dyn FnMut(&str, &Value)) {
        visit(path, schema);
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            walk(&format!("{path}.{name}"), property, visit);
        }
        for (key, suffix) in [("items", "[]"), ("additionalProperties", "{}")] {
            if let Some(inner) = schema.get(key) {
                walk(&format!("{path}{suffix}"), inner, visit);
            }
        }
    }
    walk("", crd.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap(), visit);
}
