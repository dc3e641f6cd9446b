//! What the demo declares: the files in `e2e/demo`, which documentation shows as well, with the version that a commit
//! would have changed.

use anyhow::{Context as _, Result};
use leadsman_api::names::COMMIT_ANNOTATION;
use serde_json::{Value, json};

use crate::metrics::with;
use crate::routes::RouteKind;

const ROLLOUT: &str = include_str!("../../demo/rollout.yaml");
const SURROUNDINGS: &str = include_str!("../../demo/surroundings.yaml");

/// A commit that changes the version of the application.
#[derive(Clone, Copy, Debug)]
pub(super) struct Commit {
    /// What the application will say it is.
    pub version: &'static str,
    /// Share of its requests that fail.
    pub error_rate: f64,
    /// The commit's hash.
    pub hash: &'static str,
}

impl Commit {
    /// The Rollout, as it is declared from this commit on.
    pub(super) fn rollout(&self, namespace: &str) -> Result<Value> {
        let mut rollout: Value = serde_saphyr::from_str(ROLLOUT).context("e2e/demo/rollout.yaml")?;
        let env = "/spec/template/spec/containers/0/env";
        let error_rate = self.error_rate.to_string();
        for (pointer, value) in [
            ("/metadata/namespace".to_owned(), json!(namespace)),
            ("/metadata/annotations".to_owned(), json!({COMMIT_ANNOTATION: self.hash})),
            (format!("{env}/0/value"), json!(self.version)),
            (format!("{env}/1/value"), json!(error_rate)),
        ] {
            rollout = with(rollout, &pointer, value);
        }
        Ok(rollout)
    }

    /// What names the revision that it declares.
    pub(super) fn revision(&self) -> Result<String> {
        let template = self.rollout("")?.pointer("/spec/template").cloned().context("no template")?;
        Ok(leadsman_api::pod_template_hash(&template))
    }
}

/// The Service and the route, under the name that the gateway is to know in this namespace.
pub(super) fn surroundings(namespace: &str) -> Result<Vec<Value>> {
    let objects: Vec<Value> = serde_saphyr::from_multiple(SURROUNDINGS).context("e2e/demo/surroundings.yaml")?;
    let placed = objects.into_iter().map(|object| {
        let object = with(object, "/metadata/namespace", json!(namespace));
        if object.pointer("/spec/hostnames").is_none() {
            return object;
        }
        with(object, "/spec/hostnames", json!([RouteKind::HttpRouteGateway.host(namespace)]))
    });
    Ok(placed.collect())
}

/// The success rate that a canary needs, as its condition says.
pub(super) fn limit() -> Option<f64> {
    let rollout: Value = serde_saphyr::from_str(ROLLOUT).ok()?;
    let condition = rollout.pointer("/spec/strategy/canary/analysis/metrics/0/successCondition")?.as_str()?;
    condition.strip_prefix("value >= ")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use leadsman_api::Rollout;

    use super::*;
    use crate::routes::{APP, CANARY, STABLE};

    const COMMIT: Commit = Commit { version: "v7", error_rate: 0.3, hash: "3f2c9e1" };

    #[test]
    fn a_commit_changes_the_version_and_nothing_else_of_the_pods() {
        let rollout = COMMIT.rollout("shop").unwrap();
        let env = rollout.pointer("/spec/template/spec/containers/0/env").unwrap();
        assert_eq!(*env, json!([{"name": "VERSION", "value": "v7"}, {"name": "ERROR_RATE", "value": "0.3"}]));
        let typed: Rollout = serde_json::from_value(rollout).unwrap();
        assert_eq!(leadsman_api::commit_of(&typed.metadata).as_deref(), Some("3f2c9e1"));
        assert_eq!(typed.metadata.name.as_deref(), Some(APP));
        assert_eq!(COMMIT.revision().unwrap(), Commit { hash: "other", ..COMMIT }.revision().unwrap());
        assert_ne!(COMMIT.revision().unwrap(), Commit { error_rate: 0.0, ..COMMIT }.revision().unwrap());
    }

    #[test]
    fn the_route_names_both_services_and_the_gateway_knows_it_by_its_namespace() {
        let objects = surroundings("shop").unwrap();
        let route = objects.iter().find(|object| object["kind"] == "HTTPRoute").unwrap();
        assert_eq!(crate::timeline::canary_weight(route, STABLE, CANARY), Some(0.0));
        assert_eq!(route["spec"]["hostnames"], json!(["podinfo.shop.test"]));
        assert!(objects.iter().all(|object| object["metadata"]["namespace"] == "shop"));
    }

    #[test]
    fn the_limit_is_read_from_the_condition() {
        assert_eq!(limit(), Some(0.95));
    }
}
