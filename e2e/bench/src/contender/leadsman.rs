//! Leadsman, with exactly the rights that its chart grants.

use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::api::ApiResource;
use leadsman_e2e::metrics::with;
use serde_json::{Value, json};

use super::{Contender, NAMESPACE, Surroundings, Work, resource, text};
use crate::application::Application;
use crate::arguments::Routes;
use crate::source::query;

const MANIFEST: &str = include_str!("../../../manifests/operator.yaml");

pub struct Leadsman;

impl Contender for Leadsman {
    fn name(&self) -> &'static str {
        "Leadsman"
    }

    fn definitions(&self) -> Result<Vec<Value>> {
        let with_type = |(_, definition): (_, Value)| definition;
        Ok(leadsman_api::crds::values().into_iter().map(with_type).collect())
    }

    fn rights(&self) -> Result<Vec<Value>> {
        let values = [("{{name}}", NAMESPACE), ("{{namespace}}", NAMESPACE), ("{{image}}", "none"), ("{{args}}", "[]")];
        let manifest = values.iter().fold(MANIFEST.to_owned(), |text, (place, value)| text.replace(place, value));
        let objects: Vec<Value> = serde_saphyr::from_multiple(&manifest).context("the operator's manifest")?;
        // It runs beside the cluster.
        Ok(objects.into_iter().filter(|it| text(it, "/kind") != "Deployment").collect())
    }

    fn command(&self, surroundings: &Surroundings<'_>) -> Vec<String> {
        let [admin, _] = surroundings.ports;
        vec![
            format!("--prometheus-address={}", surroundings.prometheus),
            format!("--admin-address=127.0.0.1:{admin}"),
            format!("--operator-namespace={NAMESPACE}"),
        ]
    }

    fn warm_up(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn kind(&self) -> ApiResource {
        resource("leadsman.dev", "v1alpha1", "Rollout")
    }

    fn objects(&self, application: Application, work: &Work, version: &str) -> Vec<Value> {
        let name = application.name();
        let (stable, canary) = (format!("{name}-stable"), format!("{name}-canary"));
        let (route, key) = match work.routes {
            Routes::VirtualService => (application.virtual_service(&stable, &canary), "virtualService"),
            Routes::HttpRoute => (application.http_route(&stable, &canary), "httpRoute"),
        };
        let strategy = json!({"canary": strategy(application, work, &json!({key: {"name": name}}))});
        let of_git = |name: &str| with(headless(application, name), "/spec/selector", Value::Null);
        let services = if work.headless {
            vec![headless(application, &name), of_git(&stable), of_git(&canary)]
        } else {
            vec![application.service(&name)]
        };
        let rollout = with(application.workload(work.replicas, version), "/strategy", strategy);
        let rollout = application.object("leadsman.dev/v1alpha1", "Rollout", &name, &rollout);
        services.into_iter().chain([route, rollout]).collect()
    }

    fn is_settled(&self, seen: &Value, application: Application, version: &str) -> bool {
        let hash = leadsman_api::pod_template_hash(&application.template(version));
        text(seen, "/status/phase") == "Healthy" && text(seen, "/status/stable/hash") == hash
    }

    fn looked_at(&self) -> Option<&'static str> {
        Some("leadsman_rollout_info{")
    }
}

/// A Service without an address of its own.
fn headless(application: Application, name: &str) -> Value {
    let service = with(application.service(name), "/spec/clusterIP", json!("None"));
    // Left out, one without a selector would be of two families, and could get none later.
    with(service, "/spec/ipFamilyPolicy", json!("SingleStack"))
}

fn strategy(application: Application, work: &Work, route: &Value) -> Value {
    let weights = work.weights().iter().map(|weight| json!({"setWeight": weight}));
    let traffic = json!({"service": application.name(), "routes": [route], "settle": "1s"});
    let Some(interval) = work.measured else {
        return json!({"traffic": traffic, "steps": weights.collect::<Vec<_>>()});
    };
    let metric = json!({
        "name": "success-rate",
        "interval": format!("{}s", interval.as_secs()),
        // As the others do: the first measurement counts.
        "minWindow": "0s",
        "successCondition": "value >= 99.0",
        "provider": {"prometheus": {"query": query(application)}},
    });
    let steps: Vec<_> = weights.chain([json!({"pause": {}})]).collect();
    json!({"traffic": traffic, "steps": steps, "analysis": {"metrics": [metric]}})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(measured: Option<Duration>) -> Work {
        Work { routes: Routes::VirtualService, replicas: 1, measured, prometheus: String::new(), headless: false }
    }

    fn rollout(measured: Option<Duration>) -> leadsman_api::Rollout {
        let objects = Leadsman.objects(Application(3), &work(measured), "v1");
        serde_json::from_value(objects.last().unwrap().clone()).unwrap()
    }

    #[test]
    fn its_object_is_a_rollout_as_the_types_know_it() {
        assert_eq!(rollout(None).spec.strategy.canary.unwrap().steps.len(), 3);
        let measured = rollout(Some(Duration::from_secs(5))).spec.strategy.canary.unwrap();
        assert_eq!(measured.analysis.unwrap().metrics.first().unwrap().name, "success-rate");
    }

    #[test]
    fn it_is_settled_when_the_version_that_is_meant_serves() {
        let hash = leadsman_api::pod_template_hash(&Application(3).template("v1"));
        let seen = json!({"status": {"phase": "Healthy", "stable": {"hash": hash}}});
        assert!(Leadsman.is_settled(&seen, Application(3), "v1"));
        assert!(!Leadsman.is_settled(&seen, Application(3), "v2"));
    }

    #[test]
    fn its_rights_are_those_of_the_manifest() {
        let kinds: Vec<_> = Leadsman.rights().unwrap().iter().map(|it| text(it, "/kind").to_owned()).collect();
        assert_eq!(kinds, ["ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"]);
    }
}
