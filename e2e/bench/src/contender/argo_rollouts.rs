//! Argo Rollouts, as its documents have it for Istio: a Rollout, two Services and a `VirtualService`; for what is measured an
//! `AnalysisTemplate`, run in the background. Flags are its defaults.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use kube::api::ApiResource;
use leadsman_e2e::metrics::with;
use serde_json::{Value, json};

use super::{Contender, Surroundings, Work, all_rights, definitions_in, resource, text};
use crate::application::Application;
use crate::source::query;

const VERSION: &str = "argoproj.io/v1alpha1";
/// Where it has its lease and its configuration, whatever its account is.
const OWN: &str = "argo-rollouts";

pub struct ArgoRollouts {
    /// The folder of its definitions.
    pub definitions: PathBuf,
}

impl Contender for ArgoRollouts {
    fn name(&self) -> &'static str {
        "Argo Rollouts"
    }

    fn definitions(&self) -> Result<Vec<Value>> {
        definitions_in(&self.definitions)
    }

    fn rights(&self) -> Result<Vec<Value>> {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OWN}});
        let object = |kind: &str, name: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": OWN}});
        let secret = object("Secret", "argo-rollouts-notification-secret");
        let own = [namespace, object("ConfigMap", "argo-rollouts-config"), secret];
        Ok(all_rights().into_iter().chain(own).collect())
    }

    fn command(&self, surroundings: &Surroundings<'_>) -> Vec<String> {
        let [metrics, health] = surroundings.ports;
        let mut words = vec![
            format!("--kubeconfig={}", surroundings.kubeconfig.display()),
            format!("--metricsport={metrics}"),
            format!("--healthzPort={health}"),
        ];
        if surroundings.raised {
            words.extend(["--qps=1000", "--burst=2000"].map(str::to_owned));
        }
        words
    }

    /// It waits for the lease of the process before it, and then looks at each object once.
    fn warm_up(&self) -> Duration {
        Duration::from_secs(75)
    }

    fn kind(&self) -> ApiResource {
        resource("argoproj.io", "v1alpha1", "Rollout")
    }

    fn objects(&self, application: Application, work: &Work, version: &str) -> Vec<Value> {
        let name = application.name();
        let (stable, canary) = (format!("{name}-stable"), format!("{name}-canary"));
        let mut steps: Vec<_> = work.weights().iter().map(|weight| json!({"setWeight": weight})).collect();
        let mut strategy = json!({
            "stableService": stable,
            "canaryService": canary,
            "trafficRouting": {"istio": {"virtualService": {"name": name, "routes": ["primary"]}}},
        });
        let mut objects = Vec::new();
        if let Some(interval) = work.measured {
            steps.push(json!({"pause": {}}));
            strategy = with(strategy, "/analysis", json!({"templates": [{"templateName": name}], "startingStep": 1}));
            let metric = json!({
                "name": "success-rate",
                "interval": format!("{}s", interval.as_secs()),
                "failureLimit": 0,
                "successCondition": "result[0] >= 99",
                "provider": {"prometheus": {"address": work.prometheus, "query": query(application)}},
            });
            let metrics = json!({"metrics": [metric]});
            objects.push(application.object(VERSION, "AnalysisTemplate", &name, &metrics));
        }
        let strategy = json!({"canary": with(strategy, "/steps", json!(steps))});
        let rollout = with(application.workload(work.replicas, version), "/strategy", strategy);
        let route = application.virtual_service(&stable, &canary);
        objects.extend([application.service(&stable), application.service(&canary), route]);
        objects.push(application.object(VERSION, "Rollout", &name, &rollout));
        objects
    }

    fn is_settled(&self, seen: &Value, _application: Application, version: &str) -> bool {
        let image = text(seen, "/spec/template/spec/containers/0/image");
        let generation = seen.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default();
        let current = text(seen, "/status/currentPodHash");
        image.ends_with(&format!(":{version}"))
            && text(seen, "/status/phase") == "Healthy"
            && text(seen, "/status/observedGeneration") == generation.to_string()
            && !current.is_empty()
            && text(seen, "/status/stableRS") == current
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_settled_when_the_present_template_is_the_stable_one() {
        let application = Application(1);
        let peer = ArgoRollouts { definitions: PathBuf::new() };
        let seen = |stable: &str, observed: &str| {
            json!({
                "metadata": {"generation": 2},
                "spec": {"template": application.template("v2")},
                "status": {
                    "phase": "Healthy", "observedGeneration": observed, "currentPodHash": "b", "stableRS": stable,
                },
            })
        };
        assert!(peer.is_settled(&seen("b", "2"), application, "v2"));
        assert!(!peer.is_settled(&seen("a", "2"), application, "v2"));
        assert!(!peer.is_settled(&seen("b", "1"), application, "v2"));
        assert!(!peer.is_settled(&seen("b", "2"), application, "v1"));
    }
}
