//! What differs between two pod templates, as people would say it: elements of lists by their names, order by itself nothing,
//! one line a change.
//!
//! Both templates should come from the same hands, as two ReplicaSets do: the API server fills in its defaults, which a
//! declaration leaves out.

use serde_json::{Map, Value};

use crate::text::one_line;

/// Longest value that is shown, in characters.
const LONGEST: usize = 200;
/// Instead of a value that may be a secret.
const HIDDEN: &str = "(not shown)";
/// What tells the elements of a list apart, the first that all of them have.
const NAMES: [&str; 5] = ["name", "mountPath", "containerPort", "key", "topologyKey"];
/// What is on a template and not of it: the revision's own label, and when its pods were last replaced.
const NOT_OF_IT: [&str; 2] = ["leadsman.dev/revision", "kubectl.kubernetes.io/restartedAt"];

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where, as in `containers[cart].env[CACHE_TTL]`.
    pub path: String,
    /// What it was; `None` where it was not there.
    pub before: Option<String>,
    /// What it is; `None` where it is not there any more.
    pub after: Option<String>,
}

/// What differs between two pod templates: images first, then in the order of the fields. What stands in `spec` has no prefix.
pub fn between(before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    compare("", before.get("spec"), after.get("spec"), &mut changes);
    compare("metadata", before.get("metadata"), after.get("metadata"), &mut changes);
    changes.sort_by_key(|change| !change.path.ends_with("].image"));
    changes
}

fn compare(path: &str, before: Option<&Value>, after: Option<&Value>, changes: &mut Vec<Change>) {
    match (before, after) {
        (Some(was), Some(is)) if was == is => {}
        (Some(Value::Object(was)), Some(Value::Object(is))) => compare_members(path, was, is, changes),
        (Some(Value::Array(was)), Some(Value::Array(is))) => match name_of_elements(was, is) {
            Some(name) => compare_elements(path, name, was, is, changes),
            None => changes.push(change(path, before, after)),
        },
        (None | Some(Value::Null), None | Some(Value::Null)) => {}
        _ => changes.push(change(path, before, after)),
    }
}

fn compare_members(path: &str, before: &Map<String, Value>, after: &Map<String, Value>, changes: &mut Vec<Change>) {
    let added = after.keys().filter(|key| !before.contains_key(*key));
    for key in before.keys().chain(added).filter(|key| !NOT_OF_IT.contains(&key.as_str())) {
        compare(&member(path, key), before.get(key), after.get(key), changes);
    }
}

/// Elements are told apart by their names: moving one within its list changes nothing.
fn compare_elements(path: &str, name: &str, before: &[Value], after: &[Value], changes: &mut Vec<Change>) {
    let names_before: Vec<_> = before.iter().filter_map(|it| it.get(name)).collect();
    let added = after.iter().filter_map(|it| it.get(name)).filter(|it| !names_before.contains(it));
    for wanted in names_before.iter().copied().chain(added) {
        compare(&format!("{path}[{}]", shown(wanted)), find(before, name, wanted), find(after, name, wanted), changes);
    }
}

/// What stands under this name in a list.
fn find<'a>(list: &'a [Value], name: &str, wanted: &Value) -> Option<&'a Value> {
    list.iter().find(|it| it.get(name) == Some(wanted)).map(bare)
}

/// The value of an element that has a name and a value and nothing else, as variables of the environment have.
fn bare(element: &Value) -> &Value {
    match element.as_object() {
        Some(members) if members.len() == 2 && members.contains_key("name") => members.get("value").unwrap_or(element),
        _ => element,
    }
}

/// By what the elements of both lists are told apart; `None` where they are not.
fn name_of_elements(before: &[Value], after: &[Value]) -> Option<&'static str> {
    NAMES.into_iter().find(|name| {
        [before, after].into_iter().all(|list| {
            let names: Vec<_> = list.iter().filter_map(|it| it.get(name)).collect();
            let is_unique = |(index, it): (usize, &&Value)| names.iter().skip(index + 1).all(|other| other != it);
            names.len() == list.len() && names.iter().enumerate().all(is_unique)
        })
    })
}

fn member(path: &str, key: &str) -> String {
    let is_word = key.chars().all(|it| it.is_ascii_alphanumeric());
    match (path.is_empty(), is_word) {
        (true, _) => key.to_owned(),
        (false, true) => format!("{path}.{key}"),
        (false, false) => format!("{path}[{key}]"),
    }
}

fn change(path: &str, before: Option<&Value>, after: Option<&Value>) -> Change {
    let there = |value: Option<&Value>| value.filter(|value| !value.is_null()).map(|value| told(path, value));
    Change { path: path.to_owned(), before: there(before), after: there(after) }
}

/// A value as it may be shown: what is named like a secret is not.
fn told(path: &str, value: &Value) -> String {
    let path = path.to_ascii_uppercase();
    let is_variable = path.contains(".ENV[");
    let may_be_secret = ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "CREDENTIAL", "API_KEY", "APIKEY", "PRIVATE"];
    if is_variable && !value.is_object() && may_be_secret.iter().any(|word| path.contains(word)) {
        return HIDDEN.to_owned();
    }
    one_line(&shown(value), LONGEST)
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template(container: &Value) -> Value {
        json!({"metadata": {"labels": {"app": "cart", "leadsman.dev/revision": "a"}}, "spec": {"containers": [container]}})
    }

    fn told_of(before: &Value, after: &Value) -> Vec<String> {
        let word = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let line = |it: Change| format!("{} {} {}", it.path, word(it.before), word(it.after));
        between(before, after).into_iter().map(line).collect()
    }

    #[test]
    fn a_change_is_told_by_names_with_the_image_first() {
        let before = json!({"name": "cart", "env": [{"name": "A", "value": "1"}, {"name": "TTL", "value": "30"}], "image": "cart:1"});
        let after = json!({"name": "cart", "env": [{"name": "TTL", "value": "0"}, {"name": "A", "value": "1"}], "image": "cart:2"});
        assert_eq!(
            told_of(&template(&before), &template(&after)),
            ["containers[cart].image cart:1 cart:2", "containers[cart].env[TTL] 30 0"]
        );
    }

    #[test]
    fn what_comes_and_what_goes_is_told_whole() {
        let before = json!({"name": "cart", "env": [{"name": "A", "value": "1"}], "args": ["-v"]});
        let from = json!({"secretKeyRef": {"name": "s", "key": "k"}});
        let after = json!({"name": "cart", "args": ["-v", "-x"], "env": [{"name": "B", "valueFrom": from}], "ports": [{"containerPort": 80}]});
        assert_eq!(
            told_of(&template(&before), &template(&after)),
            [
                r#"containers[cart].args ["-v"] ["-v","-x"]"#,
                "containers[cart].env[A] 1 -",
                r#"containers[cart].env[B] - {"name":"B","valueFrom":{"secretKeyRef":{"key":"k","name":"s"}}}"#,
                r#"containers[cart].ports - [{"containerPort":80}]"#,
            ]
        );
    }

    #[test]
    fn the_revision_and_a_restart_are_no_changes_and_annotations_are() {
        let with = |annotations: Value| {
            let mut template = template(&json!({"name": "cart"}));
            template["metadata"]["annotations"] = annotations;
            template["metadata"]["labels"]["leadsman.dev/revision"] = json!("b");
            template
        };
        let restarted = with(json!({"kubectl.kubernetes.io/restartedAt": "2026"}));
        let other = with(json!({"checksum/config": "2"}));
        assert_eq!(told_of(&with(json!({})), &restarted), [""; 0]);
        assert_eq!(
            told_of(&with(json!({"checksum/config": "1"})), &other),
            ["metadata.annotations[checksum/config] 1 2"]
        );
    }

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        let with = |value: &str| template(&json!({"name": "cart", "env": [{"name": "DB_PASSWORD", "value": value}]}));
        assert_eq!(told_of(&with("a"), &with("b")), ["containers[cart].env[DB_PASSWORD] (not shown) (not shown)"]);
    }

    #[test]
    fn lists_without_names_are_compared_as_a_whole_and_nothing_is_no_difference() {
        let with = |list: Value| json!({"spec": {"tolerations": list}});
        assert_eq!(told_of(&with(json!(["a", "a"])), &with(json!(["a", "b"]))), [r#"tolerations ["a","a"] ["a","b"]"#]);
        assert_eq!(told_of(&json!({}), &json!({"spec": null})), [""; 0]);
        assert_eq!(told_of(&with(json!(null)), &json!({"spec": {}})), [""; 0]);
    }
}
