//! What the documentation shows works as it stands there.

use kube::CustomResourceExt as _;
use leadsman_api::{AnalysisTemplate, AnalysisTemplateSpec, ClusterAnalysisTemplate, Rollout};
use leadsman_core::analysis::Reporter;
use leadsman_core::observed::Acceptance;
use leadsman_core::traffic::Weight;
use serde_json::{Value, json};

use super::super::{TemplateRef, builtin, declare};
use crate::routers::{Backends, view};

const README: &str = include_str!("../../../README.md");
const BUILTIN: &str = include_str!("../../../docs/builtin-metrics.md");
/// Pages with blocks of YAML.
const PAGES: [(&str, &str); 5] = [
    ("README.md", README),
    ("docs/api.md", include_str!("../../../docs/api.md")),
    ("docs/builtin-metrics.md", BUILTIN),
    ("docs/linkerd.md", include_str!("../../../docs/linkerd.md")),
    ("docs/strategies.md", include_str!("../../../docs/strategies.md")),
];

/// Those of them that show no whole Rollout.
const TEMPLATES_ALONE: [&str; 2] = ["docs/builtin-metrics.md", "docs/linkerd.md"];

/// The blocks of YAML in a page, in their order.
fn blocks(page: &str) -> Vec<Value> {
    let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.map(|yaml| serde_saphyr::from_str(yaml).unwrap()).collect()
}

fn of_kind(page: &str, kind: &str) -> Vec<Value> {
    blocks(page).into_iter().filter(|block| block["kind"] == kind).collect()
}

/// A template that the page itself shows.
fn template(page: &str, wanted: &TemplateRef) -> Option<AnalysisTemplateSpec> {
    let kind = if wanted.cluster_scope { "ClusterAnalysisTemplate" } else { "AnalysisTemplate" };
    let shown = of_kind(page, kind).into_iter().find(|it| it["metadata"]["name"] == *wanted.template_name)?;
    serde_json::from_value(shown["spec"].clone()).ok()
}

/// Fields that the API server would take off, since no schema knows them.
fn unknown(at: &str, schema: &Value, value: &Value) -> Vec<String> {
    if schema["x-kubernetes-preserve-unknown-fields"] == true {
        return Vec::new();
    }
    match value {
        Value::Object(fields) => {
            let inside = |(key, value): (&String, &Value)| {
                let at = format!("{at}.{key}");
                match schema["properties"].get(key).or_else(|| schema.get("additionalProperties")) {
                    Some(schema) => unknown(&at, schema, value),
                    None => vec![at],
                }
            };
            fields.iter().flat_map(inside).collect()
        }
        Value::Array(items) => {
            let inside = |(index, item)| unknown(&format!("{at}[{index}]"), &schema["items"], item);
            items.iter().enumerate().flat_map(inside).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn every_rollout_in_the_documentation_is_sound() {
    for (name, page) in PAGES {
        let rollouts = of_kind(page, "Rollout");
        assert!(!rollouts.is_empty() || TEMPLATES_ALONE.contains(&name), "{name}");
        for (index, mut rollout) in rollouts.into_iter().enumerate() {
            rollout["metadata"]["namespace"] = json!("shop");
            let rollout: Rollout = serde_json::from_value(rollout).unwrap();
            let declared = declare(&rollout, "leadsman-system", &|wanted| template(page, wanted));
            let problem = declared.core.spec.err();
            assert!(problem.is_none(), "{name}, Rollout {index}: {problem:?}");
        }
    }
}

#[test]
fn every_template_in_the_documentation_is_sound() {
    for (name, page) in PAGES {
        for template in of_kind(page, "AnalysisTemplate") {
            let named = &template["metadata"]["name"];
            let mut world = super::world().with("/spec/strategy/canary/analysis/args", &Value::Null);
            world.success_rate = template["spec"].clone();
            let problem = world.declare().core.spec.err();
            assert!(problem.is_none(), "{name}, {named}: {problem:?}");
        }
    }
}

#[test]
fn no_field_in_the_documentation_is_unknown() {
    for (name, page) in PAGES {
        for block in blocks(page) {
            let crd = match block["kind"].as_str() {
                Some("Rollout") => Rollout::crd(),
                Some("AnalysisTemplate") => AnalysisTemplate::crd(),
                Some("ClusterAnalysisTemplate") => ClusterAnalysisTemplate::crd(),
                None if block.get("status").is_some() => Rollout::crd(),
                _ => continue,
            };
            let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap()["openAPIV3Schema"].clone();
            let ours = ["spec", "status"].into_iter().filter_map(|field| Some((field, block.get(field)?.clone())));
            let ours: Value = ours.map(|(field, value)| (field.to_owned(), value)).collect();
            assert_eq!(unknown("", &schema, &ours), [""; 0], "{name}");
        }
    }
}

#[test]
fn the_rollout_in_the_readme_is_sound_and_fits_its_route() {
    let [mut rollout, mut route] = <[Value; 2]>::try_from(blocks(README)).expect("a Rollout and its route");
    rollout["metadata"]["namespace"] = json!("shop");
    let rollout: Rollout = serde_json::from_value(rollout).unwrap();
    let declared = declare(&rollout, "leadsman-system", &|_| None);
    let spec = declared.core.spec.expect("a sound spec");
    assert_eq!(spec.steps.len(), 4);
    assert!(spec.background.is_some());

    route["metadata"]["generation"] = json!(1);
    let backends = Backends {
        stable: &declared.core.targets.stable_service,
        canary: &declared.core.targets.canary_service,
        namespace: "shop",
    };
    let seen = view(&declared.routes[0], &route, &backends);
    assert_eq!(seen.problem, None);
    assert!(seen.is_at(Weight::ZERO), "at rest");
    let Acceptance::Pending(who) = seen.acceptance else { panic!("nobody has looked at it yet") };
    assert_eq!(who, "Gateway gateways/public, which has said nothing of it");
}

/// Every selector of a builtin stands in its page, with the | of a table written as there.
#[test]
fn what_a_builtin_asks_is_documented() {
    let sources = [builtin::istio(), builtin::linkerd(), builtin::envoy("CLUSTER")];
    for source in sources.iter().flatten().filter(|source| source.reporter != Some(Reporter::Waypoint)) {
        let is_pods = matches!(source.reporter, Some(Reporter::Destination));
        let failed = if is_pods { &[][..] } else { &source.bad };
        for selector in failed.iter().chain(&source.total) {
            let (name, matchers) = selector.split_once('{').unwrap();
            // Of gRPC one line stands for all.
            let is_told = BUILTIN.contains(&selector.replace('|', "\\|"));
            let is_grpc = name.contains("_grpc_");
            let is_all = !matchers.contains("status") && name.starts_with("outbound_");
            assert!(is_told || is_all || (is_grpc && matchers.contains("grpc_status!~")), "{selector}");
        }
        assert!(BUILTIN.contains(&source.duration.0), "{}", source.duration.0);
    }
}
