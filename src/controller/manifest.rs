//! The ReplicaSet of a revision, as it is created, and tried before.

use leadsman_api::names::{REVISION_LABEL, ROLLOUT_LABEL};
use leadsman_core::names::Hash;
use serde_json::{Map, Value, json};

use super::cache::REVISION_NUMBER_ANNOTATION;
use super::key::Key;
use super::loaded::Loaded;

/// The name of the set of a revision.
pub fn set_name(loaded: &Loaded, hash: &Hash) -> String {
    format!("{}-{hash}", loaded.key.name)
}

/// The name of the report of an attempt.
pub fn report_name(rollout: &Key, number: u64) -> String {
    format!("{}-{number}", rollout.name)
}

/// The set of the declared template, whose revision is `hash`; `number` is that of the attempt.
pub fn manifest(loaded: &Loaded, hash: &Hash, replicas: u32, number: u64) -> Value {
    let declared = &loaded.declared;
    let mut selector = declared.match_labels.clone();
    selector.insert(REVISION_LABEL.to_owned(), hash.to_string());
    let mut labels = selector.clone();
    labels.insert(ROLLOUT_LABEL.to_owned(), loaded.key.name.to_string());
    json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": set_name(loaded, hash),
            "namespace": &*loaded.key.namespace,
            "labels": labels,
            "annotations": {REVISION_NUMBER_ANNOTATION: number.to_string()},
            "ownerReferences": [loaded.owner_reference()],
        },
        "spec": {
            "replicas": replicas,
            "minReadySeconds": declared.min_ready_seconds,
            "selector": {"matchLabels": selector},
            "template": template(loaded, hash),
        },
    })
}

/// The declared template with our two labels, and else untouched.
fn template(loaded: &Loaded, hash: &Hash) -> Value {
    let mut template = loaded.declared.template.clone();
    let labels = [(REVISION_LABEL, hash.as_str()), (ROLLOUT_LABEL, &*loaded.key.name)];
    if let Some(template) = template.as_object_mut() {
        let metadata = template.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
        if metadata.is_null() {
            *metadata = Value::Object(Map::new());
        }
        if let Some(metadata) = metadata.as_object_mut() {
            let all = metadata.entry("labels").or_insert_with(|| Value::Object(Map::new()));
            if let Some(all) = all.as_object_mut() {
                all.extend(labels.map(|(label, value)| (label.to_owned(), Value::from(value))));
            }
        }
    }
    template
}
