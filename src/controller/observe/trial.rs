//! The API server's word on the declared template before anything moves: whether it would create its ReplicaSet, and whether
//! each field of it would still be there.

use leadsman_core::names::Hash;
use leadsman_core::observed::Trial;
use leadsman_core::text::one_line;
use serde_json::Value;
use tokio::time::Instant;

use super::reading::PATIENCE;
use crate::cluster::{Api, Error, kinds};
use crate::controller::context::Context;
use crate::controller::loaded::Loaded;
use crate::controller::manifest::manifest;

/// Longest words that are passed on, in characters.
const LONGEST: usize = 500;
/// Lost fields that are named.
const MOST_NAMED: usize = 5;

/// Tries the set of the declared template, whose revision is `hash`. Nothing is created.
pub async fn trial(context: &Context, loaded: &Loaded, hash: &Hash) -> Trial {
    let cluster = context.cluster.until(Instant::now() + PATIENCE);
    of(&cluster.objects(&kinds::REPLICA_SETS, &loaded.key.namespace), &manifest(loaded, hash, 1, 0)).await
}

async fn of(sets: &Api<'_>, set: &Value) -> Trial {
    match sets.try_create(set).await {
        Ok(created) => {
            let mut lost = Vec::new();
            for part in ["metadata", "spec"] {
                compare(part, set.get(part), created.get(part), &mut lost);
            }
            if lost.is_empty() { Trial::Accepted } else { Trial::Refused(dropped(&lost)) }
        }
        Err(error) if error.is_already_exists() => Trial::Accepted,
        Err(Error::Refused { status, .. }) if is_about_the_object(status.code) => {
            Trial::Refused(one_line(&status.message, LONGEST))
        }
        Err(error) => Trial::Unknown(one_line(&error.to_string(), LONGEST)),
    }
}

/// Whether a refusal would be the same a moment later: not who we are, where we ask, or how busy the server is. Webhooks choose
/// their codes freely.
fn is_about_the_object(code: u16) -> bool {
    (400..500).contains(&code) && !matches!(code, 401 | 404 | 408 | 409 | 429)
}

fn dropped(lost: &[String]) -> String {
    let named: Vec<_> = lost.iter().take(MOST_NAMED).map(String::as_str).collect();
    let more = match lost.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    one_line(&format!("dropped by the API server: {}{more}", named.join(", ")), LONGEST)
}

/// Notes the paths of what was sent and is not there any more. A value that is written in another way is there.
fn compare(path: &str, sent: Option<&Value>, back: Option<&Value>, lost: &mut Vec<String>) {
    let Some(sent) = sent.filter(|sent| !is_empty(sent)) else { return };
    match (sent, back) {
        (_, None | Some(Value::Null)) => lost.push(path.to_owned()),
        (Value::Object(sent), Some(Value::Object(back))) => {
            for (key, value) in sent {
                compare(&format!("{path}.{key}"), Some(value), back.get(key), lost);
            }
        }
        (Value::Array(sent), Some(Value::Array(back))) => {
            for (index, element) in sent.iter().enumerate() {
                let (place, found) = counterpart(sent, index, element, back);
                compare(&format!("{path}[{place}]"), Some(element), found, lost);
            }
        }
        _ => {}
    }
}

/// What has become of an element of a list, and what it is called: by its name where it has one, else by its place. Where
/// something was added, it may have been moved.
fn counterpart<'a>(sent: &[Value], index: usize, element: &Value, back: &'a [Value]) -> (String, Option<&'a Value>) {
    let name = |element: &Value| element.get("name").and_then(Value::as_str).map(str::to_owned);
    if let Some(own) = name(element) {
        let is_namesake = |other: &&Value| name(other).as_deref() == Some(&*own);
        // Some lists may have a name twice.
        let before = sent.iter().take(index).filter(is_namesake).count();
        return (own.clone(), back.iter().filter(is_namesake).nth(before));
    }
    let in_place = back.get(index);
    if back.len() <= sent.len() {
        return (index.to_string(), in_place);
    }
    let holds_all = |other: &&Value| {
        let mut lost = Vec::new();
        compare("", Some(element), Some(other), &mut lost);
        lost.is_empty() && (element.is_object() || *other == element)
    };
    (index.to_string(), back.iter().find(holds_all).or(in_place))
}

/// What the API server leaves out because it means nothing.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(elements) => elements.iter().all(is_empty),
        Value::Object(members) => members.values().all(is_empty),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use leadsman_testkit::object::{set, unset};
    use leadsman_testkit::{ApiServer, Fault, Rule, Verb, kind};
    use serde_json::json;

    use super::*;
    use crate::cluster::Cluster;
    use crate::runtime::leadership::Leadership;
    use crate::runtime::metrics::Metrics;

    fn template() -> Value {
        json!({
            "metadata": {"labels": {"app": "shop"}, "creationTimestamp": null},
            "spec": {
                "hostNetwork": false,
                "containers": [
                    {"name": "app", "image": "shop:1", "args": ["--a", ""], "securityContext": {},
                     "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}},
                     "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}],
                     "ports": [{"containerPort": 80}, {"containerPort": 81, "hostPort": 0}]},
                ],
                "tolerations": [{"key": "a", "operator": "Exists"}],
            },
        })
    }

    fn lost(change: impl Fn(&mut Value)) -> Vec<String> {
        let (sent, mut back, mut lost) = (template(), template(), Vec::new());
        change(&mut back);
        compare("spec.template", Some(&sent), Some(&back), &mut lost);
        lost
    }

    #[test]
    fn what_is_added_left_out_as_empty_or_written_in_another_way_is_no_loss() {
        assert!(lost(|_| {}).is_empty());
        let rewritten = |back: &mut Value| {
            let spec = &mut back["spec"];
            spec["containers"][0]["resources"]["limits"] = json!({"cpu": "500m", "memory": "1Gi"});
            spec["containers"][0].as_object_mut().unwrap().remove("securityContext");
            spec["containers"][0]["ports"][1].as_object_mut().unwrap().remove("hostPort");
            spec["containers"].as_array_mut().unwrap().insert(0, json!({"name": "proxy", "image": "proxy:1"}));
            spec["tolerations"].as_array_mut().unwrap().insert(0, json!({"effect": "NoExecute"}));
            spec["dnsPolicy"] = json!("ClusterFirst");
            unset(back, "/spec/hostNetwork");
            unset(back, "/metadata/creationTimestamp");
        };
        assert!(lost(rewritten).is_empty(), "{:?}", lost(rewritten));
    }

    #[test]
    fn what_is_not_there_any_more_is_named_at_any_depth() {
        let gone = |pointer: &'static str| lost(move |back| unset(back, pointer));
        assert_eq!(gone("/spec/tolerations"), ["spec.template.spec.tolerations"]);
        assert_eq!(gone("/spec/containers/0/env"), ["spec.template.spec.containers[app].env"]);
        let port = "spec.template.spec.containers[app].ports[1].containerPort";
        assert_eq!(gone("/spec/containers/0/ports/1/containerPort"), [port]);
        assert_eq!(gone("/spec/tolerations/0/key"), ["spec.template.spec.tolerations[0].key"]);
        let other = |back: &mut Value| set(back, "/spec/containers/0/env", json!([{"name": "A", "value": "2"}]));
        assert_eq!(lost(other), ["spec.template.spec.containers[app].env[A]"]);
    }

    #[test]
    fn many_losses_are_a_short_message() {
        let lost: Vec<_> = (0..9).map(|index| format!("spec.{}{index}", "x".repeat(9))).collect();
        let words = dropped(&lost);
        assert!(words.starts_with("dropped by the API server: spec.xxxxxxxxx0, spec."), "{words}");
        assert!(words.ends_with(" and 4 more"), "{words}");
    }

    fn set_of(template: &Value) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "shop-abc", "namespace": "shop"},
            "spec": {"replicas": 1, "minReadySeconds": 0, "template": template}})
    }

    async fn tried(server: &ApiServer) -> Trial {
        let client = server.connect("test").client();
        let cluster = Cluster::new(client, Leadership::none(), Arc::new(Metrics::new()));
        of(&cluster.objects(&kinds::REPLICA_SETS, "shop"), &set_of(&template())).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_set_that_would_be_created_as_it_is_or_is_there_is_accepted_and_nothing_is_stored() {
        let server = ApiServer::new();
        assert_eq!(tried(&server).await, Trial::Accepted);
        assert!(server.history().is_empty());
        server.hand("somebody").create(&set_of(&template())).unwrap();
        assert_eq!(tried(&server).await, Trial::Accepted);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_told_in_the_server_s_words_and_a_fault_of_the_server_is_none() {
        let strict = "ReplicaSet in version \"v1\" cannot be handled as a ReplicaSet: strict decoding error:\n\
            unknown field \"spec.template.spec.containers[0].imagePullpolicy\"";
        for (code, reason, words) in [
            (400, "BadRequest", strict),
            (403, "Forbidden", "admission webhook \"policy\" denied the request: no"),
            (422, "Invalid", "spec.template.spec.containers[0].name: Required value"),
        ] {
            let server = ApiServer::new();
            server.inject(Rule::refusing(code, reason, words).verbs(&[Verb::DryRun]).strict());
            assert_eq!(tried(&server).await, Trial::Refused(words.replace('\n', " ")), "{code}");
        }
        let faults = [409, 429, 500, 503].map(|code| Rule::refusing(code, "", "not now"));
        for rule in faults.into_iter().chain([Fault::Gone, Fault::AnswerNeverComes].map(Rule::new)) {
            let server = ApiServer::new();
            server.inject(rule);
            assert!(matches!(tried(&server).await, Trial::Unknown(_)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_field_that_the_server_drops_without_a_word_is_named() {
        let server = ApiServer::new();
        server.admit(&kind::REPLICA_SET, |set| unset(set, "/spec/template/spec/tolerations"));
        let words = "dropped by the API server: spec.template.spec.tolerations";
        assert_eq!(tried(&server).await, Trial::Refused(words.to_owned()));
    }
}
