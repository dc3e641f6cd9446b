//! The form that scripts depend on: it grows, and loses nothing.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

/// Written anew with `LEADSMAN_RECORD=1`, unless something of it is gone.
fn kept() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/view.schema.json")
}

/// Every field of every type, and which of them are always there.
fn promises(schema: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (name, definition) in schema["$defs"].as_object().into_iter().flatten() {
        let fields = definition["properties"].as_object().into_iter().flatten().map(|(field, _)| field.clone());
        found.extend(fields.map(|field| format!("{name}.{field}")));
        let always = definition["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        found.extend(always.map(|field| format!("{name}.{field}, always")));
    }
    found
}

#[test]
fn nothing_that_scripts_read_disappears() {
    let now = leadsman_view::json::schema();
    let text = std::fs::read_to_string(kept()).unwrap_or_else(|_| "{}".to_owned());
    let before: Value = serde_json::from_str(&text).unwrap();
    let gone: Vec<_> = promises(&before).difference(&promises(&now)).cloned().collect();
    assert!(gone.is_empty(), "not without another version of the form: {gone:?}");
    if std::env::var_os("LEADSMAN_RECORD").is_some() {
        std::fs::write(kept(), serde_json::to_string_pretty(&now).unwrap() + "\n").unwrap();
    } else {
        assert_eq!(before, now, "docs/view.schema.json: write it with LEADSMAN_RECORD=1 cargo test -p leadsman-view");
    }
}
