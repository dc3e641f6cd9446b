//! Who owns the rules of a route, and how they are given up.

use serde_json::{Value, json};

use super::super::ownership::{is_held, release};
use super::patched;

fn entry(manager: &str, fields: &Value) -> Value {
    json!({"manager": manager, "operation": "Update", "apiVersion": "gateway.networking.k8s.io/v1", "fieldsType": "FieldsV1", "fieldsV1": fields})
}

fn object(entries: &Value) -> Value {
    json!({"metadata": {"name": "podinfo", "resourceVersion": "7", "managedFields": entries}})
}

fn git() -> Value {
    entry("helm", &json!({"f:spec": {"f:parentRefs": {}}}))
}

#[test]
fn rules_are_held_where_an_entry_of_ours_has_them() {
    let rules = || json!({"f:spec": {"f:rules": {}}});
    let mut status = entry("leadsman", &rules());
    status["subresource"] = json!("status");
    for (entries, held) in [
        (json!([git(), entry("leadsman", &rules())]), true),
        (json!([git(), entry("leadsman", &json!({"f:spec": {"f:http": {}}}))]), true),
        (json!([git(), entry("leadsman", &json!({"f:metadata": {"f:labels": {}}}))]), false),
        (json!([git(), entry("flux", &rules())]), false),
        (json!([git(), status]), false),
        (json!([entry("leadsman", &rules())]), false),
        (json!([]), false),
        (json!(null), false),
    ] {
        let object = object(&entries);
        assert_eq!((is_held(&object), release(&object).is_some()), (held, held), "{entries}");
    }
}

#[test]
fn what_is_given_up_is_our_entries_and_nothing_else_in_the_version_that_was_read() {
    let ours = |field: &str| entry("leadsman", &json!({"f:spec": {field: {}}}));
    let before = object(&json!([ours("f:rules"), git(), ours("f:http"), entry("gateway", &json!({"f:status": {}}))]));
    let patch = release(&before).unwrap();
    assert_eq!(patch[0], json!({"op": "test", "path": "/metadata/resourceVersion", "value": "7"}));
    let after = patched(&before, patch);
    assert_eq!(after["metadata"]["managedFields"], json!([git(), entry("gateway", &json!({"f:status": {}}))]));
}
