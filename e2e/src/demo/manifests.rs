//! What the demo declares: the files in `e2e/demo`, which documentation shows as well, with the version that a commit
//! would have changed.

use anyhow::{Context as _, Result};
use leadsman_api::names::COMMIT_ANNOTATION;
use serde_json::{Value, json};

use super::strategy::Strategy;
use crate::metrics::with;
use crate::routes::RouteKind;

/// The files of a strategy.
fn files(strategy: Strategy) -> &'static [&'static str] {
    match strategy {
        Strategy::Canary => &[include_str!("../../demo/rollout.yaml"), include_str!("../../demo/surroundings.yaml")],
        Strategy::BlueGreen => &[include_str!("../../demo/blue-green.yaml")],
        Strategy::Plain => &[include_str!("../../demo/plain.yaml")],
    }
}

/// Everything that is declared: the Rollout, and what stands beside it.
fn declared(strategy: Strategy) -> Result<(Value, Vec<Value>)> {
    let mut objects = Vec::new();
    for file in files(strategy) {
        objects.extend(serde_saphyr::from_multiple::<Value>(file).context("e2e/demo")?);
    }
    let at = objects.iter().position(|object| object.get("kind").is_some_and(|kind| kind == "Rollout"));
    let rollout = objects.remove(at.context("no Rollout in e2e/demo")?);
    Ok((rollout, objects))
}

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
    pub(super) fn rollout(&self, strategy: Strategy, namespace: &str) -> Result<Value> {
        let (mut rollout, _) = declared(strategy)?;
        let container = "/spec/template/spec/containers/0";
        let env = format!("{container}/env");
        let error_rate = self.error_rate.to_string();
        for (pointer, value) in [
            ("/metadata/namespace".to_owned(), json!(namespace)),
            ("/metadata/annotations".to_owned(), json!({COMMIT_ANNOTATION: self.hash})),
            (format!("{container}/image"), json!(format!("localhost/app:{}", self.version))),
            (format!("{env}/0/value"), json!(self.version)),
            (format!("{env}/1/value"), json!(error_rate)),
        ] {
            rollout = with(rollout, &pointer, value);
        }
        Ok(rollout)
    }

    /// What names the revision that it declares.
    pub(super) fn revision(&self, strategy: Strategy) -> Result<String> {
        let template = self.rollout(strategy, "")?.pointer("/spec/template").cloned().context("no template")?;
        Ok(leadsman_api::pod_template_hash(&template))
    }
}

/// The Service, and the route where there is one, under the name that the gateway is to know in this namespace.
pub(super) fn surroundings(strategy: Strategy, namespace: &str) -> Result<Vec<Value>> {
    let (_, objects) = declared(strategy)?;
    let placed = objects.into_iter().map(|object| {
        let object = with(object, "/metadata/namespace", json!(namespace));
        if object.pointer("/spec/hostnames").is_none() {
            return object;
        }
        with(object, "/spec/hostnames", json!([RouteKind::HttpRouteGateway.host(namespace)]))
    });
    Ok(placed.collect())
}

/// The success rate that a version needs under all of the traffic that it gets, as its condition says.
pub(super) fn limit(strategy: Strategy) -> Option<f64> {
    let (rollout, _) = declared(strategy).ok()?;
    let analysis = match strategy {
        Strategy::Canary | Strategy::Plain => "canary/analysis",
        Strategy::BlueGreen => "blueGreen/postPromotionAnalysis",
    };
    let condition = rollout.pointer(&format!("/spec/strategy/{analysis}/metrics/0/successCondition"))?.as_str()?;
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
        for strategy in Strategy::ALL {
            let rollout = COMMIT.rollout(strategy, "shop").unwrap();
            let env = rollout.pointer("/spec/template/spec/containers/0/env").unwrap();
            let image = rollout.pointer("/spec/template/spec/containers/0/image").unwrap();
            assert_eq!(*image, json!("localhost/app:v7"));
            assert_eq!(*env, json!([{"name": "VERSION", "value": "v7"}, {"name": "ERROR_RATE", "value": "0.3"}]));
            let typed: Rollout = serde_json::from_value(rollout).unwrap();
            assert_eq!(leadsman_api::commit_of(&typed.metadata).as_deref(), Some("3f2c9e1"));
            assert_eq!(typed.metadata.name.as_deref(), Some(APP));
            let revision = |commit: Commit| commit.revision(strategy).unwrap();
            assert_eq!(revision(COMMIT), revision(Commit { hash: "other", ..COMMIT }));
            assert_ne!(revision(COMMIT), revision(Commit { error_rate: 0.0, ..COMMIT }));
        }
    }

    #[test]
    fn the_route_names_both_services_and_the_gateway_knows_it_by_its_namespace() {
        let objects = surroundings(Strategy::Canary, "shop").unwrap();
        let route = objects.iter().find(|object| object["kind"] == "HTTPRoute").unwrap();
        assert_eq!(crate::timeline::canary_weight(route, STABLE, CANARY), Some(0.0));
        assert_eq!(route["spec"]["hostnames"], json!(["podinfo.shop.test"]));
        assert!(objects.iter().all(|object| object["metadata"]["namespace"] == "shop"));
    }

    #[test]
    fn where_a_service_carries_the_traffic_git_gives_it_no_selector_and_has_no_route() {
        for strategy in [Strategy::BlueGreen, Strategy::Plain] {
            let objects = surroundings(strategy, "shop").unwrap();
            let [service] = &objects[..] else { panic!("{objects:?}") };
            assert_eq!((&service["kind"], &service["metadata"]["name"]), (&json!("Service"), &json!(APP)));
            assert_eq!(service["spec"].get("selector"), None);
        }
    }

    #[test]
    fn the_limit_is_read_from_the_condition() {
        for strategy in Strategy::ALL {
            assert_eq!(limit(strategy), Some(0.95), "{strategy:?}");
        }
    }
}
