//! The hash that names a revision.
//!
//! The same template has the same hash for every version of the operator, for ever: a rejected hash is remembered. The
//! canonical form is JSON without white space, with the members of objects sorted by the bytes of their names, without
//! members that are null, and with numbers in their shortest form. An empty map (also one that became empty by this) is left
//! out where it means the same as nothing, and only there: a `labelSelector: {}` selects everything, and none at all nothing.
//! Elements of lists are never removed. What asks for a restart is no other template.

use std::borrow::Cow;
use std::fmt::Write;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::names::RESTARTED_AT_ANNOTATION;

/// Bytes of the digest that are shown: ten characters.
const SHOWN_BYTES: usize = 5;

/// Members that mean the same empty as absent. Never take one out: the hash of whoever has it empty would change.
const SAME_WHEN_EMPTY: [&str; 16] = [
    "affinity",
    "annotations",
    "dnsConfig",
    "emptyDir",
    "labels",
    "limits",
    "matchLabels",
    "metadata",
    "nodeAffinity",
    "nodeSelector",
    "overhead",
    "podAffinity",
    "podAntiAffinity",
    "requests",
    "resources",
    "securityContext",
];

/// The hash of a pod template: ten lowercase hexadecimal characters of the SHA-256 of its canonical JSON.
pub fn pod_template_hash(template: &Value) -> String {
    let digest = Sha256::digest(canonical(&without_restart(template)).as_bytes());
    digest.iter().take(SHOWN_BYTES).fold(String::new(), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The template without the annotation that `kubectl rollout restart` writes.
fn without_restart(template: &Value) -> Cow<'_, Value> {
    let annotations = "/metadata/annotations";
    let restarts = |annotations: &Value| annotations.get(RESTARTED_AT_ANNOTATION).is_some();
    if !template.pointer(annotations).is_some_and(restarts) {
        return Cow::Borrowed(template);
    }
    let mut template = template.clone();
    if let Some(annotations) = template.pointer_mut(annotations).and_then(Value::as_object_mut) {
        annotations.remove(RESTARTED_AT_ANNOTATION);
    }
    Cow::Owned(template)
}

fn canonical(value: &Value) -> String {
    match value {
        Value::Object(members) => canonical_object(members),
        Value::Array(elements) => format!("[{}]", elements.iter().map(canonical).collect::<Vec<_>>().join(",")),
        // As Go writes it: 1.0 is 1.
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => float.to_string(),
            _ => number.to_string(),
        },
        Value::Null | Value::Bool(_) | Value::String(_) => value.to_string(),
    }
}

fn canonical_object(members: &Map<String, Value>) -> String {
    let mut written: Vec<(&String, String)> = members
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name, canonical(value)))
        .filter(|(name, text)| text != "{}" || !SAME_WHEN_EMPTY.contains(&name.as_str()))
        .collect();
    written.sort_by_key(|(name, _)| *name);
    let written: Vec<_> =
        written.into_iter().map(|(name, text)| format!("{}:{text}", Value::String(name.clone()))).collect();
    format!("{{{}}}", written.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_canonical_form_is_sorted_and_has_no_nulls_and_no_empty_maps_that_mean_nothing() {
        let value = json!({
            "b": {"y": null, "resources": {"limits": {}}, "z": {}},
            "a": [1, null, {}, {"n": null}, []],
            "c": "é\n\"",
            "e": 1.0,
            "d": 0.25,
            "f": [],
        });
        assert_eq!(canonical(&value), r#"{"a":[1,null,{},{},[]],"b":{"z":{}},"c":"é\n\"","d":0.25,"e":1,"f":[]}"#);
    }

    #[test]
    fn everything_and_nothing_are_two_selectors() {
        let spread =
            |constraint: Value| pod_template_hash(&json!({"spec": {"topologySpreadConstraints": [constraint]}}));
        let nothing = spread(json!({"maxSkew": 1}));
        let everything = spread(json!({"maxSkew": 1, "labelSelector": {}}));
        assert_ne!(nothing, everything);
        assert_eq!(everything, spread(json!({"maxSkew": 1, "labelSelector": {"matchLabels": {}}})));
    }

    #[test]
    fn a_restart_is_no_other_revision() {
        let plain = json!({"metadata": {"labels": {"app": "a"}}, "spec": {"containers": []}});
        let mut restarted = plain.clone();
        restarted["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/restartedAt": "2026-01-02T03:04:05Z"});
        assert_eq!(pod_template_hash(&plain), pod_template_hash(&restarted));
        restarted["metadata"]["annotations"]["a"] = json!("b");
        assert_ne!(pod_template_hash(&plain), pod_template_hash(&restarted));
    }

    #[test]
    fn nulls_and_empty_maps_do_not_make_a_new_revision_but_everything_else_does() {
        let plain = json!({"metadata": {"labels": {"app": "podinfo"}}, "spec": {"containers": [{"name": "podinfo"}]}});
        let noisy = json!({
            "metadata": {"labels": {"app": "podinfo"}, "annotations": {}, "creationTimestamp": null},
            "spec": {"containers": [{"name": "podinfo", "resources": {"limits": {}}}], "securityContext": {}},
        });
        assert_eq!(pod_template_hash(&plain), pod_template_hash(&noisy));
        let other = json!({"metadata": {"labels": {"app": "podinfo"}}, "spec": {"containers": [{"name": "podinf0"}]}});
        assert_ne!(pod_template_hash(&plain), pod_template_hash(&other));
    }

    /// Never change an expected value: a rejected hash has to mean the same to every version of the operator.
    #[test]
    fn hashes_are_pinned() {
        let podinfo = json!({
            "metadata": {"labels": {"app": "podinfo"}, "annotations": {"prometheus.io/scrape": "true"}},
            "spec": {
                "containers": [{
                    "name": "podinfo",
                    "image": "ghcr.io/stefanprodan/podinfo:6.7.0",
                    "ports": [{"name": "http", "containerPort": 9898}],
                    "resources": {"requests": {"cpu": "100m", "memory": "32Mi"}, "limits": {}},
                }],
                "hostnameOverride": null,
                "volumes": [{"name": "data", "emptyDir": {}}],
            },
        });
        let vectors = [
            (json!({}), "44136fa355"),
            (json!({"metadata": {"creationTimestamp": null, "labels": {}}}), "44136fa355"),
            (json!({"spec": {"containers": [{"name": "a", "image": "b:1"}]}}), "45cf7efe84"),
            (
                json!({"spec": {"containers": [{"name": "ä", "args": ["\t", "\u{2028}", "</a>"], "n": [-1, 0.5, 1e21]}]}}),
                "510f0fad85",
            ),
            (podinfo, "b69590638f"),
            (json!({"spec": {"topologySpreadConstraints": [{"labelSelector": {}}, {"maxSkew": 1}]}}), "ebf2480ee0"),
        ];
        let actual: Vec<_> = vectors.iter().map(|(template, _)| pod_template_hash(template)).collect();
        assert_eq!(actual, vectors.iter().map(|(_, hash)| *hash).collect::<Vec<_>>());
    }
}
