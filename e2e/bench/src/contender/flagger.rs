//! Flagger with Istio: a Deployment and a Canary, from which it makes everything else; for what is measured a
//! `MetricTemplate`. Flags are those of its Istio overlay; its loop runs every ten seconds, which is as often as it can.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use kube::api::ApiResource;
use serde_json::{Value, json};

use super::{Contender, Surroundings, Work, all_rights, definitions_in, resource, text};
use crate::application::Application;
use crate::source::query;

const VERSION: &str = "flagger.app/v1beta1";
/// The shortest that it takes.
const INTERVAL: Duration = Duration::from_secs(10);

pub struct Flagger {
    /// The folder of its definitions.
    pub definitions: PathBuf,
}

impl Contender for Flagger {
    fn name(&self) -> &'static str {
        "Flagger"
    }

    fn definitions(&self) -> Result<Vec<Value>> {
        definitions_in(&self.definitions)
    }

    fn rights(&self) -> Result<Vec<Value>> {
        Ok(all_rights())
    }

    fn command(&self, surroundings: &Surroundings<'_>) -> Vec<String> {
        let [port, _] = surroundings.ports;
        let mut words = vec![
            format!("-kubeconfig={}", surroundings.kubeconfig.display()),
            "-log-level=info".to_owned(),
            "-mesh-provider=istio".to_owned(),
            format!("-metrics-server={}", surroundings.prometheus),
            format!("-port={port}"),
        ];
        if surroundings.raised {
            words.extend(["-kubeconfig-qps=1000", "-kubeconfig-burst=2000"].map(str::to_owned));
        }
        words
    }

    fn warm_up(&self) -> Duration {
        Duration::from_secs(30)
    }

    fn kind(&self) -> ApiResource {
        resource("flagger.app", "v1beta1", "Canary")
    }

    fn objects(&self, application: Application, work: &Work, version: &str) -> Vec<Value> {
        let name = application.name();
        let deployment = application.workload(work.replicas, version);
        let deployment = application.object("apps/v1", "Deployment", &name, &deployment);
        let mut objects = vec![deployment];
        let mut metrics = Vec::new();
        if work.measured.is_some() {
            let template = json!({
                "provider": {"type": "prometheus", "address": work.prometheus},
                "query": query(application),
            });
            objects.push(application.object(VERSION, "MetricTemplate", &name, &template));
            metrics.push(json!({
                "name": "success-rate",
                "templateRef": {"name": name},
                "thresholdRange": {"min": 99},
                "interval": "1m",
            }));
        }
        // What is measured stays at the first weight: its next step is not taken before it has been rolled back.
        let weights =
            if work.measured.is_some() { json!([50, 50, 50, 50, 50, 50, 50, 50]) } else { json!(work.weights()) };
        let canary = json!({
            "provider": "istio",
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "service": {"port": 80, "targetPort": 8080},
            "analysis": {
                "interval": format!("{}s", work.measured.unwrap_or(INTERVAL).max(INTERVAL).as_secs()),
                "threshold": 1,
                "stepWeights": weights,
                "metrics": metrics,
            },
        });
        objects.push(application.object(VERSION, "Canary", &name, &canary));
        objects
    }

    fn released(&self) -> &'static str {
        "Deployment"
    }

    fn is_settled(&self, seen: &Value, _application: Application, version: &str) -> bool {
        // Its own status does not name what serves: the first version has made no release.
        let phase = if version == "v1" { "Initialized" } else { "Succeeded" };
        text(seen, "/status/phase") == phase
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_version_is_settled_without_a_release_and_the_next_by_one() {
        let peer = Flagger { definitions: PathBuf::new() };
        let seen = |phase: &str| json!({"status": {"phase": phase}});
        assert!(peer.is_settled(&seen("Initialized"), Application(1), "v1"));
        assert!(!peer.is_settled(&seen("Initialized"), Application(1), "v2"));
        assert!(peer.is_settled(&seen("Succeeded"), Application(1), "v2"));
    }
}
