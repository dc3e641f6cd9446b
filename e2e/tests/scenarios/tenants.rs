//! Tenants: who may write Rollouts and no routes gets none made, and who fixes a broken stable is not held up by it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kube::Client;
use leadsman_api::Rollout;
use leadsman_e2e::cluster::workspace;
use leadsman_e2e::metrics::success_rate;
use leadsman_e2e::objects::{judged, refusal};
use leadsman_e2e::status::{condition, message};
use leadsman_e2e::timeline::weights;
use leadsman_e2e::{App, Load, Namespace, RolloutBuilder, RouteKind, pause, set_weight};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::admission::{acting_as, role, until_refused, until_taken};
use crate::harness::{scenario, scenario_without_operator};
use crate::people::command;

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("broken-stable-and-its-fix", |ns| async move { fixed(&ns).await }),
        scenario_without_operator("routes-only-by-who-may-make-them", |ns| async move { admitted(&ns).await }),
    ]
}

/// Stable fails half of its requests: its fix is not started of itself, and the command in the message starts it.
async fn fixed(namespace: &Namespace) -> Result<()> {
    let kind = RouteKind::HttpRouteGateway;
    let rollout =
        RolloutBuilder::new(&namespace.name, kind).background(&[success_rate()]).steps(&[set_weight(50), pause("3s")]);
    let broken = rollout.app(App { error_rate: 0.5, ..App::new("v1") });
    namespace.deploy(&broken).await?;
    let mut load = Load::through(namespace, kind, 60.0).await?;
    load.until_more(300).await?;
    let fix = rollout.version("v2");
    namespace.declare(&fix).await?;
    let stopped = |seen: &Rollout| condition(seen, "Paused").is_some_and(|it| (it.0, it.1) == ("True", "StableFails"));
    let seen = namespace.until("to find that stable fails", Duration::from_mins(1), stopped).await?;
    for words in ["success-rate", "leadsman.dev/command=promote/", "leadsman.dev/command=promote-full/"] {
        ensure!(message(&seen).contains(words), "{words}: {}", message(&seen));
    }
    let moved = weights(&namespace.requests()?, &kind.route_name());
    ensure!(moved.iter().all(|it| it.to == 0.0), "{moved:?}");
    command(namespace, "promote", &fix).await?;
    namespace.until_promoted(&fix).await?;
    let account = namespace.close(&mut load, &["v1"]).await?;
    ensure!(account.own_failures > 0 && account.versions.contains_key("v2"), "{:?}", account.versions);
    Ok(())
}

/// The policy that is shipped, before the real API server: a Rollout that declares a route is taken from who may create such
/// a route in its namespace, and from nobody else.
async fn admitted(namespace: &Namespace) -> Result<()> {
    let file = workspace().join("charts/leadsman/policies/owned-routes.yaml");
    // One of its own: another that ran before may be in force for a while after its end.
    let text = std::fs::read_to_string(&file)?.replace("leadsman-owned-routes", &format!("routes-{}", namespace.name));
    let policy: Vec<Value> = serde_saphyr::from_multiple(&text)?;
    namespace.apply_all(&policy).await?;
    let author = author(namespace).await?;
    let plain = RolloutBuilder::new(&namespace.name, RouteKind::HttpRouteGateway);
    judged(&author, &plain.manifest(), true).await.context("a route of Git's needs no right")?;
    for (kind, resource, group) in [
        (RouteKind::HttpRouteGateway, "httproutes", "gateway.networking.k8s.io"),
        (RouteKind::GrpcRouteGateway, "grpcroutes", "gateway.networking.k8s.io"),
        (RouteKind::VirtualService, "virtualservices", "networking.istio.io"),
    ] {
        let owning = RolloutBuilder::new(&namespace.name, kind).owning_routes().manifest();
        // The policy takes effect a moment after it was written.
        let words = until_refused(&author, resource, &owning, true).await?;
        ensure!(words.contains(resource) && words.contains("spec.strategy declares the spec of"), "{words}");
        let blue_green = RolloutBuilder::blue_green_behind(&namespace.name, kind, json!({})).owning_routes().manifest();
        let refused = judged(&author, &blue_green, true).await.err();
        ensure!(refused.as_ref().and_then(refusal).is_some(), "blue-green with {resource} was taken");
        namespace.apply_all(&author_of(namespace, resource, group)).await?;
        until_taken(&author, resource, &owning, true).await?;
    }
    // Nor does what has no route at all.
    for (what, other) in [
        ("workers", RolloutBuilder::worker(&namespace.name)),
        ("one Service", RolloutBuilder::plain(&namespace.name)),
        ("blue-green", RolloutBuilder::blue_green(&namespace.name, json!({}))),
    ] {
        let other = other.manifest();
        until_taken(&author, what, &other, true).await?;
    }
    Ok(())
}

/// Somebody who may write Rollouts in the namespace, and nothing else.
async fn author(namespace: &Namespace) -> Result<Client> {
    namespace.apply_all(&author_of(namespace, "rollouts", "leadsman.dev")).await?;
    acting_as(namespace, "author").await
}

fn author_of(namespace: &Namespace, resource: &str, group: &str) -> [Value; 2] {
    let rules = json!([{"apiGroups": [group], "resources": [resource], "verbs": ["create", "patch", "get"]}]);
    role(namespace, resource, "author", &rules)
}
