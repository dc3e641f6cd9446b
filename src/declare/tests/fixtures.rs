//! What a rule of the CRD refuses is refused here as well: the CRD in the cluster may be older than the operator.

use std::path::Path;

use leadsman_api::{AnalysisTemplateSpec, Rollout};
use serde_json::{Value, json};

use super::super::declare;

/// Messages of the CRD's rules, wherever in the schema they stand.
fn rules(schema: &Value, found: &mut Vec<String>) {
    match schema {
        Value::Object(members) => {
            let own = members.get("x-kubernetes-validations").and_then(Value::as_array);
            found.extend(own.into_iter().flatten().filter_map(|rule| Some(rule["message"].as_str()?.to_owned())));
            members.values().for_each(|inner| rules(inner, found));
        }
        Value::Array(elements) => elements.iter().for_each(|inner| rules(inner, found)),
        _ => {}
    }
}

fn template() -> AnalysisTemplateSpec {
    let prometheus = json!({"address": "http://prometheus:9090", "query": "up"});
    let metric = json!({"name": "up", "successCondition": "value > 0.0", "provider": {"prometheus": prometheus}});
    serde_json::from_value(json!({"metrics": [metric]})).unwrap()
}

#[test]
fn what_a_rule_of_the_crd_refuses_is_refused_where_the_crd_is_older() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut known = Vec::new();
    for (_, crd) in leadsman_api::crds::values() {
        rules(&crd, &mut known);
    }
    let (mut refused, mut accepted) = (0, Vec::new());
    for entry in std::fs::read_dir(root.join("crates/api/fixtures/rejected")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let message = text.lines().next().unwrap().strip_prefix("# message: ").unwrap();
        let manifest: Value = serde_saphyr::from_str(&text).unwrap();
        if manifest["kind"] != "Rollout" || !known.iter().any(|rule| rule.contains(message)) {
            continue;
        }
        // What the types do not take is refused as unreadable.
        let rollout = serde_json::from_value::<Rollout>(manifest);
        let spec = rollout.map(|rollout| declare(&rollout, "leadsman-system", &|_| Some(template())).core.spec);
        if matches!(spec, Ok(Ok(_))) { accepted.push(path) } else { refused += 1 }
    }
    assert!(accepted.is_empty(), "{accepted:?}");
    assert!(refused > 30, "{refused}");
}
