//! Routes that the Rollout declares and we own: whether the live object still is what was declared.

use leadsman_api::pod_template_hash;
use serde_json::{Map, Value};

use super::DECLARED_ANNOTATION;
use super::rule::Rule;
use super::weights::Written;

/// What stands in [`DECLARED_ANNOTATION`] of a route made from this spec.
pub(super) fn mark(spec: &Value) -> String {
    pod_template_hash(spec)
}

/// Writes weights into a fragment.
pub(super) fn write(fragment: &mut Value, weights: &[Written]) {
    for (pointer, amount) in weights {
        if let Some(backend) = fragment.pointer_mut(pointer).and_then(Value::as_object_mut) {
            backend.insert("weight".to_owned(), Value::from(*amount));
        }
    }
}

/// Whether the live object differs from the fragment in more than its split. The rules are those of both, in the order of the
/// spec. What is not declared (the API server's defaults, what a webhook adds to an object) does not count.
pub(super) fn differs(fragment: &Value, object: &Value, declared: &[Rule<'_>], live: &[Rule<'_>]) -> bool {
    let mark = |value: &Value| {
        let annotations = value.pointer("/metadata/annotations").and_then(Value::as_object);
        annotations.and_then(|annotations| annotations.get(DECLARED_ANNOTATION)).cloned()
    };
    let mut wanted = fragment.get("spec").cloned().unwrap_or_default();
    for backend in declared.iter().filter(|rule| rule.is_written()).flat_map(|rule| &rule.backends) {
        let pointer = backend.pointer.strip_prefix("/spec").unwrap_or_default();
        if let Some(backend) = wanted.pointer_mut(pointer).and_then(Value::as_object_mut) {
            backend.remove("weight");
        }
    }
    let written = || declared.iter().zip(live).filter(|(rule, _)| rule.is_written());
    mark(fragment) != mark(object)
        || !within(&wanted, object.get("spec").unwrap_or(&Value::Null))
        || written().any(|(declared, live)| !others_have_their_share(declared, live))
}

/// Whether the backends beside the two Services have as much of the whole as was declared, in whatever numbers.
fn others_have_their_share(declared: &Rule<'_>, live: &Rule<'_>) -> bool {
    let weights = |rule: &Rule<'_>| rule.others().map(|other| other.weight.map(u128::from)).collect::<Vec<_>>();
    let (Some(wanted), Some(present)) = (declared.pair(), live.pair()) else {
        return weights(declared) == weights(live);
    };
    let all: Vec<_> = weights(declared).into_iter().zip(weights(live)).collect();
    all.into_iter().all(|weights| match weights {
        (Some(declared), Some(live)) => live.checked_mul(wanted) == declared.checked_mul(present),
        (declared, live) => declared == live,
    })
}

/// Whether everything in `wanted` is in `live`. Lists count as a whole: their order and length mean something.
fn within(wanted: &Value, live: &Value) -> bool {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => members_within(wanted, live),
        (Value::Array(wanted), Value::Array(live)) => {
            wanted.len() == live.len() && wanted.iter().zip(live).all(|(wanted, live)| within(wanted, live))
        }
        (Value::Number(wanted), Value::Number(live)) => wanted == live || wanted.as_f64() == live.as_f64(),
        _ => wanted == live,
    }
}

fn members_within(wanted: &Map<String, Value>, live: &Map<String, Value>) -> bool {
    wanted.iter().all(|(name, wanted)| match live.get(name) {
        Some(live) => within(wanted, live),
        // The API server drops nulls, and may drop what is empty.
        None => match wanted {
            Value::Null => true,
            Value::Array(elements) => elements.is_empty(),
            Value::Object(members) => members.is_empty(),
            _ => false,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_api_server_filled_in_does_not_count_and_what_somebody_changed_does() {
        let wanted = json!({"hosts": ["a"], "rules": [{"timeout": "1s", "none": null, "empty": {}}], "n": 1});
        assert!(within(&wanted, &json!({"hosts": ["a"], "rules": [{"timeout": "1s", "filled": "in"}], "n": 1.0})));
        for other in [
            json!({"hosts": ["b"], "rules": [{"timeout": "1s"}], "n": 1}),
            json!({"hosts": ["a"], "rules": [{"timeout": "1s"}, {}], "n": 1}),
            json!({"hosts": ["a"], "rules": [{}], "n": 1}),
            json!({"rules": [{"timeout": "1s"}], "n": 1}),
            json!(null),
        ] {
            assert!(!within(&wanted, &other), "{other}");
        }
    }
}
