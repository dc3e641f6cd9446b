//! Who owns which field of an object, and server-side apply on top of that.
//!
//! As on the real server: an apply sets what its fragment holds, takes off what the same manager applied before and does
//! not any more, and is refused where another manager owns a field with another value, unless it is forced. Other writes
//! take over the fields that they change. Maps are granular and lists atomic, but for those that [`keys`] names.
//!
//! It is shown as `metadata.managedFields`, and a write may take entries out of that list; an empty list is taken for a
//! mistake, and one empty entry gives up all of them.
//!
//! Simpler than the real thing: entries have no time, those of subresources are not kept, what is left of an entry cannot be
//! changed, and a kind's schema is known only as far as the operator's fragments go.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// A place in an object. Elements of keyed lists are named by their keys.
type Path = Vec<String>;

/// The fields of one object by their manager.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ownership {
    applied: BTreeMap<String, BTreeSet<Path>>,
    updated: BTreeMap<String, BTreeSet<Path>>,
}

/// The keys of a list whose elements are owned one by one.
fn keys(path: &[String]) -> Option<&'static [&'static str]> {
    match path.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["metadata", "ownerReferences"] => Some(&["uid"]),
        ["spec", "ports"] => Some(&["port", "protocol"]),
        _ => None,
    }
}

/// Maps that are owned as a whole.
fn is_atomic(path: &[String]) -> bool {
    matches!(path.iter().map(String::as_str).collect::<Vec<_>>().as_slice(), ["spec", "selector"])
}

/// What nobody owns.
fn is_free(path: &[String]) -> bool {
    match path.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["apiVersion" | "kind" | "status", ..] => true,
        ["metadata", field, ..] => !matches!(*field, "labels" | "annotations" | "ownerReferences"),
        _ => false,
    }
}

fn element(keys: &[&str], value: &Value) -> String {
    let parts = keys.iter().map(|key| format!("{key}={}", value.get(*key).unwrap_or(&Value::Null)));
    format!("[{}]", parts.collect::<Vec<_>>().join(","))
}

fn leaves(value: &Value, path: &mut Path, found: &mut BTreeMap<Path, Value>) {
    if is_free(path) {
        return;
    }
    let children: Vec<(String, &Value)> = match value {
        Value::Object(members) if !is_atomic(path) => members.iter().map(|(name, it)| (name.clone(), it)).collect(),
        Value::Array(elements) => match keys(path) {
            Some(keys) => elements.iter().map(|it| (element(keys, it), it)).collect(),
            None => Vec::new(),
        },
        _ => Vec::new(),
    };
    if children.is_empty() {
        if !path.is_empty() {
            found.insert(path.clone(), value.clone());
        }
        return;
    }
    for (name, child) in children {
        path.push(name);
        leaves(child, path, found);
        path.pop();
    }
}

fn leaves_of(value: &Value) -> BTreeMap<Path, Value> {
    let mut found = BTreeMap::new();
    leaves(value, &mut Vec::new(), &mut found);
    found
}

impl Ownership {
    /// As `metadata.managedFields`.
    pub fn managed_fields(&self) -> Value {
        let of = |operation: &'static str, by_manager: &BTreeMap<String, BTreeSet<Path>>| {
            let owning = by_manager.iter().filter(|(_, owned)| !owned.is_empty());
            let entry = |(manager, owned)| {
                json!({
                    "manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": fields(owned),
                })
            };
            owning.map(entry).collect::<Vec<_>>()
        };
        [of("Apply", &self.applied), of("Update", &self.updated)].concat().into()
    }

    /// A write came with this `metadata.managedFields`: whoever has no entry there owns nothing any more.
    pub fn edited(&mut self, managed_fields: Option<&Value>) {
        let Some(entries) = managed_fields.and_then(Value::as_array).filter(|entries| !entries.is_empty()) else {
            return;
        };
        let is_kept = |operation: &str, manager: &str| {
            let text = |entry: &Value, field: &str| entry.get(field).and_then(Value::as_str).map(str::to_owned);
            entries.iter().any(|entry| {
                text(entry, "operation").as_deref() == Some(operation)
                    && text(entry, "manager").as_deref() == Some(manager)
            })
        };
        self.applied.retain(|manager, _| is_kept("Apply", manager));
        self.updated.retain(|manager, _| is_kept("Update", manager));
    }

    /// A write that is no apply made `after` of `before`: what it changed is its manager's now.
    pub fn updated(&mut self, manager: &str, before: &Value, after: &Value) {
        let (before, after) = (leaves_of(before), leaves_of(after));
        let changed: Vec<&Path> =
            after.iter().filter(|(path, value)| before.get(*path) != Some(value)).map(|(path, _)| path).collect();
        for owned in self.all() {
            owned.retain(|path| after.contains_key(path) && !changed.contains(&path));
        }
        if !changed.is_empty() {
            self.updated.entry(manager.to_owned()).or_default().extend(changed.into_iter().cloned());
        }
    }

    /// Applies a fragment. `Err` names the fields in conflict, each with its manager.
    pub fn apply(&mut self, manager: &str, object: &mut Value, fragment: &Value, force: bool) -> Result<(), String> {
        let (wanted, present) = (leaves_of(fragment), leaves_of(object));
        let mut conflicts = Vec::new();
        for (path, value) in &wanted {
            if present.get(path) == Some(value) {
                continue;
            }
            for (other, owned) in self.others(manager) {
                if owned.contains(path) {
                    conflicts.push(format!("conflict with \"{other}\": .{}", path.join(".")));
                }
            }
        }
        if !force && !conflicts.is_empty() {
            let (number, s) = (conflicts.len(), if conflicts.len() == 1 { "" } else { "s" });
            return Err(format!("Apply failed with {number} conflict{s}: {}", conflicts.join("\n")));
        }
        for owned in self.all_but(manager) {
            owned.retain(|path| wanted.get(path).is_none_or(|value| present.get(path) == Some(value)));
        }
        merge(object, fragment, &mut Vec::new());
        let before = self.applied.insert(manager.to_owned(), wanted.keys().cloned().collect()).unwrap_or_default();
        for path in before.iter().filter(|path| !wanted.contains_key(*path)) {
            if !self.others(manager).any(|(_, owned)| owned.contains(path)) {
                remove(object, path, 0);
            }
        }
        Ok(())
    }

    fn all(&mut self) -> impl Iterator<Item = &mut BTreeSet<Path>> {
        self.applied.values_mut().chain(self.updated.values_mut())
    }

    fn all_but(&mut self, manager: &str) -> impl Iterator<Item = &mut BTreeSet<Path>> {
        let others = self.applied.iter_mut().filter(move |(other, _)| *other != manager).map(|(_, owned)| owned);
        others.chain(self.updated.values_mut())
    }

    fn others(&self, manager: &str) -> impl Iterator<Item = (&String, &BTreeSet<Path>)> {
        self.applied.iter().filter(move |(other, _)| *other != manager).chain(&self.updated)
    }
}

/// Places as `fieldsV1`.
fn fields(owned: &BTreeSet<Path>) -> Value {
    let mut all = Value::Object(Map::new());
    for path in owned {
        let mut at = &mut all;
        for part in path {
            let name = if part.starts_with('[') { format!("k:{part}") } else { format!("f:{part}") };
            let Some(members) = at.as_object_mut() else { break };
            at = members.entry(name).or_insert_with(|| Value::Object(Map::new()));
        }
    }
    all
}

/// Sets what a fragment holds.
fn merge(object: &mut Value, fragment: &Value, path: &mut Path) {
    match fragment {
        Value::Object(members) if !is_atomic(path) => {
            if !object.is_object() {
                *object = Value::Object(Map::new());
            }
            let Some(present) = object.as_object_mut() else { return };
            for (name, value) in members {
                path.push(name.clone());
                if !is_free(path) || path.len() == 1 {
                    merge(present.entry(name.clone()).or_insert(Value::Null), value, path);
                }
                path.pop();
            }
        }
        Value::Array(elements) if keys(path).is_some() => {
            let keys = keys(path).unwrap_or_default();
            if !object.is_array() {
                *object = Value::Array(Vec::new());
            }
            let Some(present) = object.as_array_mut() else { return };
            for wanted in elements {
                let name = element(keys, wanted);
                match present.iter_mut().find(|it| element(keys, it) == name) {
                    Some(found) => merge(found, wanted, &mut Vec::new()),
                    None => present.push(wanted.clone()),
                }
            }
        }
        other => *object = other.clone(),
    }
}

/// Removes a field, and what is empty without it. `metadata` and `spec` stay.
fn remove(value: &mut Value, path: &[String], depth: usize) {
    let Some((first, rest)) = path.split_first() else { return };
    match value {
        Value::Object(members) => {
            if let Some(member) = members.get_mut(first) {
                if !rest.is_empty() {
                    remove(member, rest, depth + 1);
                }
                let empty =
                    member.as_object().is_some_and(Map::is_empty) || member.as_array().is_some_and(Vec::is_empty);
                if rest.is_empty() || (empty && depth > 0) {
                    members.remove(first);
                }
            }
        }
        // An element of a keyed list goes as a whole once its keys are given up.
        Value::Array(elements) => {
            let keys: Vec<&str> =
                first.trim_matches(['[', ']']).split(',').filter_map(|part| Some(part.split_once('=')?.0)).collect();
            if rest.first().is_none_or(|field| keys.contains(&field.as_str())) {
                elements.retain(|it| element(&keys, it) != *first);
            } else if let Some(found) = elements.iter_mut().find(|it| element(&keys, it) == *first) {
                remove(found, rest, depth + 1);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn applied(ownership: &mut Ownership, object: &mut Value, manager: &str, fragment: &Value) -> Result<(), String> {
        ownership.apply(manager, object, fragment, false)
    }

    #[test]
    fn what_is_not_applied_any_more_goes_and_what_others_own_stays() {
        let (mut ownership, mut object) = (Ownership::default(), json!({}));
        let git = json!({"metadata": {"labels": {"team": "a"}}, "spec": {"type": "ClusterIP"}});
        applied(&mut ownership, &mut object, "git", &git).unwrap();
        let ours = json!({"metadata": {"labels": {"rev": "1"}}, "spec": {"selector": {"app": "a"}}});
        applied(&mut ownership, &mut object, "us", &ours).unwrap();
        applied(&mut ownership, &mut object, "us", &json!({})).unwrap();
        assert_eq!(object, git);
    }

    #[test]
    fn a_field_that_somebody_else_owns_is_a_conflict_unless_forced() {
        let (mut ownership, mut object) = (Ownership::default(), json!({}));
        let ours = json!({"spec": {"selector": {"app": "a"}}});
        applied(&mut ownership, &mut object, "us", &ours).unwrap();
        let theirs = json!({"spec": {"selector": {"app": "b"}}});
        let refused = applied(&mut ownership, &mut object, "them", &theirs).unwrap_err();
        assert_eq!(refused, "Apply failed with 1 conflict: conflict with \"us\": .spec.selector");
        ownership.apply("them", &mut object, &theirs, true).unwrap();
        assert_eq!(object, theirs);
        applied(&mut ownership, &mut object, "us", &json!({})).unwrap();
        assert_eq!(object, theirs, "it was taken over");
    }

    #[test]
    fn who_applies_the_same_value_shares_it() {
        let (mut ownership, mut object) = (Ownership::default(), json!({}));
        let one = json!({"spec": {"type": "ClusterIP"}});
        applied(&mut ownership, &mut object, "us", &one).unwrap();
        applied(&mut ownership, &mut object, "them", &one).unwrap();
        applied(&mut ownership, &mut object, "us", &json!({})).unwrap();
        assert_eq!(object, one);
    }

    #[test]
    fn ports_are_owned_one_by_one_and_atomic_lists_as_a_whole() {
        let (mut ownership, mut object) = (Ownership::default(), json!({}));
        let port = |port: u32| json!({"port": port, "protocol": "TCP", "targetPort": port});
        let both = json!({"spec": {"ports": [port(80), port(81)], "rules": [1, 2]}});
        applied(&mut ownership, &mut object, "us", &both).unwrap();
        let one = json!({"spec": {"ports": [port(81)], "rules": [3]}});
        applied(&mut ownership, &mut object, "us", &one).unwrap();
        assert_eq!(object, one);
    }

    #[test]
    fn who_is_taken_off_the_list_of_managers_owns_nothing_any_more() {
        let (mut ownership, mut object) = (Ownership::default(), json!({}));
        let rules = |rules: Value| json!({"spec": {"parents": [1], "rules": rules}});
        applied(&mut ownership, &mut object, "git", &rules(json!([1]))).unwrap();
        let before = object.clone();
        object["spec"]["rules"] = json!([2]);
        ownership.updated("us", &before, &object);
        let entry = |manager: &str, operation: &str, fields: Value| json!({"manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": fields});
        let git = entry("git", "Apply", json!({"f:spec": {"f:parents": {}}}));
        let us = entry("us", "Update", json!({"f:spec": {"f:rules": {}}}));
        assert_eq!(ownership.managed_fields(), json!([git, us]));
        for ignored in [None, Some(json!([]))] {
            ownership.edited(ignored.as_ref());
            assert!(applied(&mut ownership.clone(), &mut object, "git", &rules(json!([3]))).is_err());
        }
        ownership.edited(Some(&json!([git])));
        applied(&mut ownership, &mut object, "git", &rules(json!([3]))).unwrap();
        ownership.edited(Some(&json!([{}])));
        assert_eq!(ownership.managed_fields(), json!([]));
    }

    #[test]
    fn an_update_takes_over_what_it_changes_and_nothing_else() {
        let (mut ownership, mut object) = (Ownership::default(), json!({}));
        let ours = json!({"metadata": {"labels": {"a": "1", "b": "1"}}});
        applied(&mut ownership, &mut object, "us", &ours).unwrap();
        let before = object.clone();
        object["metadata"]["labels"]["a"] = json!("2");
        ownership.updated("kubectl", &before, &object);
        applied(&mut ownership, &mut object, "us", &json!({})).unwrap();
        assert_eq!(object, json!({"metadata": {"labels": {"a": "2"}}}));
    }
}
