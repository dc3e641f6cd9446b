//! A Rollout that this version of the operator cannot read: skipped, and said so where people look.
//!
//! Nothing is decided for it. Its status is changed as raw JSON, in what people look at alone, so that what was persisted
//! of a release under way is still there when it can be read again; where the API server refuses that (the object does not
//! fit its schema), the event and the log remain.

use std::time::Duration;

use jiff::Timestamp;
use leadsman_api::names::ROUTES_FINALIZER;
use leadsman_core::plan::Event;
use leadsman_core::text::one_line;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::cache::{RawEntry, Slim, text};
use super::context::Context;
use super::key::Key;
use super::memory::Memory;
use super::reconcile::Outcome;
use crate::cluster::kinds;

const REASON: &str = "InvalidSpec";
/// Longest reason why it cannot be read, in characters: it quotes the object.
const LONGEST_ERROR: usize = 500;
/// How long one that is being deleted is kept, as one that can be read is at the most.
const LET_GO_AFTER: Duration = Duration::from_secs(30);

/// Says it once for each generation. One that is being deleted is let go.
pub async fn tell(context: &Context, key: &Key, memory: &mut Memory, copy: &RawEntry, error: &str) -> Outcome {
    let object = copy.object();
    let wake = let_go(context, key, memory, copy, &object).await;
    let skipped = Outcome { word: "unreadable", wake, gone: false };
    let error = one_line(error, LONGEST_ERROR);
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
                let again = memory.unread();
                return Outcome { wake: Some(wake.map_or(again, |wake| wake.min(again))), ..skipped };
            }
            Err(error) => tracing::warn!(rollout = %key, %error, "the status could not be written"),
        }
        tracing::error!(rollout = %key, error, "skipping a Rollout that cannot be read");
        let event = Event { warning: true, reason: REASON, message };
        context.events.publish(key, &copy.identity().uid, &event, None, context.now());
    }
    context.metrics.skipped("Rollout");
    memory.unreadable = Some(generation);
    skipped
}

/// Takes our finalizer off one that is being deleted, once routes and Services have had the time in which they can be put to
/// rest: nobody can read here which these are, and a namespace must not wait for it for ever. Gives when to come back.
async fn let_go(context: &Context, key: &Key, memory: &mut Memory, copy: &RawEntry, object: &Value) -> Option<Instant> {
    let deleted_at = text(object, "/metadata/deletionTimestamp")?;
    let finalizers = object.pointer("/metadata/finalizers").and_then(Value::as_array)?;
    let index = finalizers.iter().position(|name| name == ROUTES_FINALIZER)?;
    let since = deleted_at
        .parse::<Timestamp>()
        .map_or(LET_GO_AFTER, |at| Duration::try_from(context.now().duration_since(at)).unwrap_or_default());
    let left = LET_GO_AFTER.saturating_sub(since);
    if !left.is_zero() {
        return Some(Instant::now() + left + Duration::from_millis(1));
    }
    let operations = json!([
        {"op": "test", "path": "/metadata/resourceVersion", "value": copy.identity().version_text()},
        {"op": "remove", "path": format!("/metadata/finalizers/{index}")},
    ]);
    match context.cluster.objects(&kinds::ROLLOUTS, &key.namespace).patch(&key.name, operations).await {
        Ok(_) => {
            let message = "it cannot be read and is let go; its routes and Services are left as they are";
            tracing::warn!(rollout = %key, message);
            let event = Event { warning: true, reason: "LetGo", message: message.to_owned() };
            context.events.publish(key, &copy.identity().uid, &event, None, context.now());
            None
        }
        Err(error) if error.is_not_found() => None,
        Err(error) => {
            tracing::warn!(rollout = %key, %error, "the finalizer could not be taken off");
            memory.own.unknown(&key.name, Instant::now());
            Some(memory.unread())
        }
    }
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
