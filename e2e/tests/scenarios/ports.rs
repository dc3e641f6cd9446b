//! Ports that change together with the application: each version is reached where its own pods listen.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use leadsman_api::Rollout;
use leadsman_e2e::metrics::with;
use leadsman_e2e::routes::{APP, CANARY, STABLE};
use leadsman_e2e::status::{canary_hash, message, weight_in_force};
use leadsman_e2e::{App, Load, Namespace, RolloutBuilder, RouteKind, pause, set_weight};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::scenario;

pub fn trials() -> Vec<Trial> {
    vec![scenario("ports", |ns| async move { ports(&ns).await })]
}

/// Git moves the application and the Service that clients call from 8080 to 9000 in one commit; then to a named port that no
/// container has.
async fn ports(namespace: &Namespace) -> Result<()> {
    let kind = RouteKind::HttpRouteGateway;
    let rollout = RolloutBuilder::new(&namespace.name, kind).drain("1s").steps(&[set_weight(50), pause("5s")]);
    namespace.deploy(&rollout).await?;
    let mut load = Load::through(namespace, kind, 60.0).await?;

    let moved = listening_at(&rollout.version("v2"), 9000, "http");
    namespace.apply(&parent(namespace, json!(9000))).await?;
    namespace.declare(&moved).await?;
    namespace.until_weight(&moved, 50).await?;
    let targets = (target(namespace, STABLE).await?, target(namespace, CANARY).await?);
    ensure!(targets == (IntOrString::Int(8080), IntOrString::Int(9000)), "{targets:?}");
    namespace.until_promoted(&moved).await?;
    ensure!(target(namespace, STABLE).await? == IntOrString::Int(9000), "stable follows with its pods");

    let named = listening_at(&rollout.version("v3"), 9000, "http");
    namespace.apply(&parent(namespace, json!("web"))).await?;
    namespace.declare(&named).await?;
    let says = |seen: &Rollout| canary_hash(seen) == Some(&named.hash()) && message(seen).contains("web");
    let held = namespace.until("to say which port no container has", Duration::from_mins(1), says).await?;
    ensure!(weight_in_force(&held) == 0, "nothing is sent to a port that nobody serves: {}", message(&held));
    let mended = listening_at(&rollout.version("v3"), 9000, "web");
    namespace.declare(&mended).await?;
    namespace.until_promoted(&mended).await?;
    let account = namespace.close(&mut load, &[]).await?;
    ensure!(account.versions.keys().eq(["v1", "v2", "v3"]), "{:?}", account.versions);
    Ok(())
}

/// The application at another port, by whatever name its container gives it.
fn listening_at(rollout: &RolloutBuilder, port: u16, name: &str) -> RolloutBuilder {
    let version = rollout.version_name();
    let app = App { env: vec![("PORT".to_owned(), port.to_string())], ..App::new(version) };
    let container = "/spec/template/spec/containers/0";
    let ports = json!([{"name": name, "containerPort": port}, {"name": "grpc", "containerPort": 9090}]);
    rollout
        .app(app)
        .set(&format!("{container}/ports"), ports)
        .set(&format!("{container}/readinessProbe/httpGet/port"), json!(port))
}

/// The Service that clients call.
fn parent(namespace: &Namespace, target: Value) -> Value {
    with(App::service(&namespace.name, APP, &[("app", APP)]), "/spec/ports/0/targetPort", target)
}

/// Where the port `http` of a Service leads to.
async fn target(namespace: &Namespace, service: &str) -> Result<IntOrString> {
    let service = namespace.api::<Service>().get(service).await?;
    let ports = service.spec.and_then(|spec| spec.ports).unwrap_or_default();
    let http = ports.into_iter().find(|port| port.name.as_deref() == Some("http"));
    http.and_then(|port| port.target_port).ok_or_else(|| anyhow::anyhow!("no port http"))
}
