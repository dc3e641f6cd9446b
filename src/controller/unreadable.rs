//! A Rollout that this version of the operator cannot read: skipped, and said so where people look.
//!
//! Nothing is decided for it. Its status is changed as raw JSON, in what people look at alone, so that what was persisted
//! of a release under way is still there when it can be read again; where the API server refuses that (the object does not
//! fit its schema), the event and the log remain.

use jiff::Timestamp;
use leadsman_core::plan::Event;
use serde_json::{Value, json};

use super::cache::{RawEntry, Slim, text};
use super::context::Context;
use super::key::Key;
use super::memory::Memory;
use super::reconcile::Outcome;
use crate::cluster::kinds;

const REASON: &str = "InvalidSpec";

/// Says it once for each generation.
pub async fn tell(context: &Context, key: &Key, memory: &mut Memory, copy: &RawEntry, error: &str) -> Outcome {
    let skipped = Outcome { word: "unreadable", wake: None, gone: false };
    let object = copy.object();
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default();
    if memory.unreadable == Some(generation) {
        return skipped;
    }
    let message = format!("this version of the operator cannot read it: {error}");
    let wanted = with_conditions(&object, &message, generation, context.now());
    if wanted != object {
        let rollouts = context.cluster.objects(&kinds::ROLLOUTS, &key.namespace);
        match rollouts.replace_status(&key.name, &wanted).await {
            Ok(_) => {}
            // The watch brings the version that is to be looked at instead.
            Err(error) if error.is_moved() || error.is_transient() => {
                return Outcome { wake: Some(memory.unread()), ..skipped };
            }
            Err(error) => tracing::warn!(rollout = %key, %error, "the status could not be written"),
        }
        tracing::error!(rollout = %key, error, "skipping a Rollout that cannot be read");
        let event = Event { warning: true, reason: REASON, message };
        context.events.publish(key, &copy.identity().uid, &event, context.now());
    }
    context.metrics.skipped("Rollout");
    memory.unreadable = Some(generation);
    skipped
}

/// The object with a status that says it; the same object where that stands there already.
fn with_conditions(object: &Value, message: &str, generation: i64, now: Timestamp) -> Value {
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now).to_string();
    let before = object.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let condition = |kind: &str, status: &str| {
        let same = before.iter().find(|it| text(it, "/type") == Some(kind) && text(it, "/status") == Some(status));
        json!({
            "type": kind,
            "status": status,
            "reason": REASON,
            "message": message,
            "observedGeneration": generation,
            "lastTransitionTime": same.and_then(|same| text(same, "/lastTransitionTime")).unwrap_or(&now),
        })
    };
    let ours = |it: &&Value| matches!(text(it, "/type"), Some("Ready" | "Reconciling" | "Stalled"));
    let others = before.iter().filter(|it| !ours(it)).cloned();
    let mut conditions: Vec<Value> =
        others.chain([condition("Ready", "False"), condition("Stalled", "True")]).collect();
    conditions.sort_by(|one, other| text(one, "/type").cmp(&text(other, "/type")));
    let mut after = object.clone();
    let Some(members) = after.as_object_mut() else { return after };
    let status = members.entry("status").or_insert_with(|| json!({}));
    if !status.is_object() {
        *status = json!({});
    }
    if let Some(status) = status.as_object_mut() {
        status.insert("conditions".to_owned(), json!(conditions));
        status.insert("observedGeneration".to_owned(), json!(generation));
        status.insert("phase".to_owned(), json!("Invalid"));
        status.insert("message".to_owned(), json!(message));
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_persisted_stays_and_saying_it_twice_changes_nothing() {
        let now = Timestamp::from_second(100).unwrap();
        let reconciling = json!({"type": "Reconciling", "status": "True"});
        let available = json!({"type": "Available", "status": "True"});
        let object = json!({
            "spec": {"replicas": "four"},
            "status": {"progress": {"stage": "resting"}, "conditions": [reconciling, available]},
        });
        let once = with_conditions(&object, "no", 3, now);
        assert_eq!(once["status"]["progress"], object["status"]["progress"]);
        let conditions = once["status"]["conditions"].as_array().unwrap();
        let types: Vec<_> = conditions.iter().map(|it| it["type"].clone()).collect();
        assert_eq!(types, ["Available", "Ready", "Stalled"]);
        assert_eq!(with_conditions(&once, "no", 3, Timestamp::from_second(200).unwrap()), once);
        assert_ne!(with_conditions(&once, "no", 4, now), once);
    }

    #[test]
    fn a_status_of_any_shape_is_made_one_that_says_it() {
        for status in [json!(null), json!(7), json!({"conditions": "none"}), json!({"conditions": [1, {}]})] {
            let said = with_conditions(&json!({"status": status}), "no", 1, Timestamp::UNIX_EPOCH);
            assert_eq!(said["status"]["phase"], "Invalid");
        }
    }
}
