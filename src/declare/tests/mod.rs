//! Tests of what becomes of a declaration.

mod counted;
mod documented;
mod fixtures;
mod shapes;
mod sound;
mod strategies;
mod wrong;

use leadsman_api::{AnalysisTemplateSpec, Rollout};
use serde_json::{Value, json};

use super::{Declared, TemplateRef, declare};

/// The Rollout of the API reference, as far as it goes.
fn podinfo() -> Value {
    json!({
        "apiVersion": "leadsman.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {
            "name": "podinfo",
            "namespace": "shop",
            "generation": 7,
            "annotations": {"leadsman.dev/commit": "3f2c9e1", "leadsman.dev/command": "promote/7c9f8b5d5c/1"},
        },
        "spec": {
            "replicas": 4,
            "selector": {"matchLabels": {"app": "podinfo"}},
            "template": {
                "metadata": {"labels": {"app": "podinfo"}},
                "spec": {"containers": [{"name": "podinfo", "image": "podinfo:6.7.0"}], "unknown": {"kept": true}},
            },
            "minReadySeconds": 5,
            "strategy": {"canary": {
                "traffic": {
                    "service": "podinfo",
                    "routes": [
                        {"httpRoute": {"name": "podinfo"}},
                        {"virtualService": {"name": "podinfo", "routes": ["primary"]}},
                    ],
                },
                "analysis": {
                    "templates": [{"templateName": "success-rate"}],
                    "args": [{"name": "threshold", "value": "0.95"}],
                },
                "steps": [
                    {"setWeight": 5},
                    {"pause": {"duration": "1m"}},
                    {"analysis": {
                        "templates": [{"templateName": "latency", "clusterScope": true}],
                        "metrics": [inline()],
                    }},
                    {"pause": {}},
                ],
            }},
        },
    })
}

fn inline() -> Value {
    json!({"name": "inline", "failureCondition": "value > 5.0", "provider": {"prometheus": {"query": "up{ns=\"{{namespace}}\"}"}}})
}

fn success_rate() -> Value {
    json!({
        "args": [{"name": "threshold", "value": "0.99"}],
        "metrics": [{
            "name": "success-rate",
            "successCondition": "value >= double(args.threshold)",
            "provider": {"prometheus": {
                "address": "http://prometheus.monitoring:9090",
                "query": "rate{rev=\"{{canary.hash}}\",svc=\"{{canary.service}}\",stable=\"{{stable.service}}\"}[{{window}}] > {{args.threshold}}",
                "headers": [{"key": "X-Scope-OrgID", "value": "team-a"}],
                "authentication": {"bearer": {"secretRef": {"name": "prom", "key": "token"}}},
            }},
        }],
    })
}

fn latency() -> Value {
    json!({"metrics": [{
        "name": "p99",
        "interval": "1m30s",
        "initialDelay": "5s",
        "count": 6,
        "failureLimit": 1,
        "inconclusiveLimit": 2,
        "consecutiveErrorLimit": 3,
        "onNoData": "Fail",
        "onProviderError": "Pause",
        "window": "5m",
        "minWindow": "1m",
        "successCondition": "value < 0.5",
        "provider": {"prometheus": {
            "query": "p99{rollout=\"{{rollout}}\"}",
            "timeout": "2s",
            "authentication": {"basic": {"secretRef": {"name": "prom"}}},
        }},
    }]})
}

/// The world of one declaration.
struct World {
    rollout: Value,
    success_rate: Value,
    latency: Value,
}

fn world() -> World {
    World { rollout: podinfo(), success_rate: success_rate(), latency: latency() }
}

impl World {
    /// With one field changed; null removes it.
    fn with(mut self, pointer: &str, value: &Value) -> Self {
        set(&mut self.rollout, pointer, value);
        self
    }

    /// With one field of the metric in the template success-rate changed.
    fn metric(mut self, pointer: &str, value: &Value) -> Self {
        set(&mut self.success_rate["metrics"][0], pointer, value);
        self
    }

    fn declare(&self) -> Declared {
        let rollout: Rollout = serde_json::from_value(self.rollout.clone()).unwrap();
        declare(&rollout, "leadsman-system", &|reference: &TemplateRef| {
            let template = match (reference.template_name.as_str(), reference.cluster_scope) {
                ("success-rate", false) => &self.success_rate,
                ("latency", true) => &self.latency,
                _ => return None,
            };
            Some(serde_json::from_value::<AnalysisTemplateSpec>(template.clone()).unwrap())
        })
    }
}

fn set(object: &mut Value, pointer: &str, value: &Value) {
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    let parent = object.pointer_mut(parent).unwrap();
    match parent {
        Value::Array(elements) => elements[field.parse::<usize>().unwrap()] = value.clone(),
        Value::Object(members) if value.is_null() => drop(members.remove(field)),
        Value::Object(members) => drop(members.insert(field.to_owned(), value.clone())),
        _ => panic!("{pointer} leads nowhere"),
    }
}
