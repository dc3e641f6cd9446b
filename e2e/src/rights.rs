//! Whether the operator needs what it is granted: what it asked the API server for in a whole run, against its role.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::audit::Request;
use crate::cluster::workspace;
use crate::operator::MANIFEST;

/// Group, resource with its subresource, verb.
type Right = (String, String, String);

static USED: Mutex<BTreeSet<Right>> = Mutex::new(BTreeSet::new());

/// What no scenario of the default run needs, and what shows that it is needed.
const NOT_SEEN: [(&str, &str, &str); 14] = [
    (
        "rollouts/finalizers",
        "update",
        "admission asks for it (OwnerReferencesPermissionEnforcement), and nobody by a request",
    ),
    ("secrets", "get", "tests of src/measure: credentials"),
    ("rolloutreports", "list", "shell tests of release: more attempts than reportHistoryLimit"),
    ("rolloutreports", "delete", "shell tests of release: more attempts than reportHistoryLimit"),
    ("services", "delete", "shell tests of moves"),
    ("httproutes", "delete", "shell tests of routes"),
    ("grpcroutes", "create", "scenario good-routes-of-the-operator, for another kind"),
    ("grpcroutes", "delete", "shell tests of routes"),
    ("virtualservices", "delete", "shell tests of routes"),
    ("virtualservices", "create", "scenario good-routes-of-the-operator, for another kind"),
    ("replicasets", "get", "shell tests of faults: an answer was lost"),
    ("analysistemplates", "get", "shell tests of watches: a template that no watch has brought yet"),
    ("clusteranalysistemplates", "get", "the same"),
    ("serviceprofiles", "list", "tests of src/controller/observe/linkerd.rs: there is no Linkerd here"),
];

/// Remembers what an operator was allowed to do.
pub fn note(requests: &[Request]) {
    let mut used = USED.lock().unwrap_or_else(PoisonError::into_inner);
    used.extend(requests.iter().filter(|it| it.is_allowed()).map(|it| {
        let object = &it.object_ref;
        let slash = if object.subresource.is_empty() { "" } else { "/" };
        (object.api_group.clone(), format!("{}{slash}{}", object.resource, object.subresource), it.verb.clone())
    }));
}

/// After a whole run: nothing is granted that nothing needs.
///
/// # Errors
/// What was granted and neither used nor shown to be needed elsewhere.
pub fn expect_all_used() -> Result<()> {
    let used = USED.lock().unwrap_or_else(PoisonError::into_inner);
    let is_shown = |(_, resource, verb): &&Right| NOT_SEEN.iter().any(|it| (it.0, it.1) == (resource, verb));
    let granted = granted()?;
    let idle: Vec<_> = granted.difference(&used).filter(|right| !is_shown(right)).collect();
    ensure!(idle.is_empty(), "the operator is granted what no scenario needs: {idle:?}");
    Ok(())
}

fn granted() -> Result<BTreeSet<Right>> {
    let manifest = std::fs::read_to_string(workspace().join(MANIFEST)).with_context(|| MANIFEST.to_owned())?;
    let manifest = manifest.replace("{{args}}", "[]").replace("{{", "").replace("}}", "");
    let objects: Vec<Value> = serde_saphyr::from_multiple(&manifest)?;
    let words = |rule: &Value, key: &str| -> Vec<String> {
        let words = rule.get(key).and_then(Value::as_array).into_iter().flatten();
        words.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut granted = BTreeSet::new();
    for rule in objects.iter().filter_map(|object| object.get("rules")?.as_array()).flatten() {
        for group in words(rule, "apiGroups") {
            for resource in words(rule, "resources") {
                granted.extend(words(rule, "verbs").into_iter().map(|verb| (group.clone(), resource.clone(), verb)));
            }
        }
    }
    ensure!(!granted.is_empty(), "{MANIFEST} grants nothing");
    Ok(granted)
}
