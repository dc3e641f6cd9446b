//! Rollouts that are deleted, in every phase, with what belongs to them or without: nothing stays behind that waits for
//! somebody, and what Git declares is as Git declares it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Namespace as KubernetesNamespace, Service};
use kube::api::{Api, DeleteParams, ListParams, PropagationPolicy};
use leadsman_api::names::{REVISION_LABEL, ROLLOUT_LABEL};
use leadsman_api::{Phase, Rollout};
use leadsman_e2e::routes::{APP, CANARY, STABLE};
use leadsman_e2e::status::{message, phase};
use leadsman_e2e::timeline::canary_weight;
use leadsman_e2e::wait::wait_for;
use leadsman_e2e::{
    App, Namespace, Operator, RolloutBuilder, RouteKind, Setup, figures, pause_until_promoted, set_weight,
};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::harness::{scenario, scenario_without_operator};
use crate::people::command;

/// The operator lets go of a Rollout within 30 s in any case; collecting garbage takes a few more.
const GONE: Duration = Duration::from_secs(45);

pub fn trials() -> Vec<Trial> {
    vec![
        scenario(
            "deleted-in-each-phase-httproute",
            |ns| async move { deleted(&ns, RouteKind::HttpRouteGateway).await },
        ),
        scenario(
            "deleted-in-each-phase-virtualservice",
            |ns| async move { deleted(&ns, RouteKind::VirtualService).await },
        ),
        scenario_without_operator("deleted-with-its-namespace", |ns| async move { with_its_namespace(&ns).await }),
    ]
}

/// One Rollout after the other, each deleted in another phase, with the propagations in turn.
async fn deleted(namespace: &Namespace, kind: RouteKind) -> Result<()> {
    let rollout =
        RolloutBuilder::new(&namespace.name, kind).drain("20s").steps(&[set_weight(40), pause_until_promoted()]);
    // Both Services are Git's as well.
    let services = [App::service(&namespace.name, STABLE, &[]), App::service(&namespace.name, CANARY, &[])];
    namespace.apply_all(&services).await?;
    let next = rollout.version("v2");
    let slow = rollout.app(App { env: vec![("READY_AFTER_S".to_owned(), "600".to_owned())], ..App::new("v2") });
    let mut slowest = 0.0_f64;
    for (number, stage) in
        ["at rest", "pods", "split", "rolling back", "promoting", "without an operator"].into_iter().enumerate()
    {
        namespace.deploy(&rollout).await.with_context(|| format!("before it is deleted {stage}"))?;
        namespace
            .declare(if stage == "pods" {
                &slow
            } else if stage == "at rest" {
                &rollout
            } else {
                &next
            })
            .await?;
        let deletes_in_foreground = number % 2 == 0;
        match stage {
            "pods" => {
                namespace
                    .until("to wait for pods", Duration::from_secs(30), |seen| message(seen).contains("pods"))
                    .await?;
            }
            "split" | "rolling back" | "promoting" => {
                namespace.until_weight(&next, 40).await?;
            }
            "without an operator" => {
                namespace.until_weight(&next, 40).await?;
                command(namespace, "abort", &next).await?;
                namespace.until_rolled_back(Duration::from_secs(30)).await?;
                Operator::of(namespace).scale(0).await?;
            }
            _ => {}
        }
        // Neither lasts: it is watched for before it can begin.
        if stage == "rolling back" {
            let goes_back = |seen: &Rollout| phase(seen) == Some(Phase::RollingBack);
            let back = namespace.until("to go back", Duration::from_mins(1), goes_back);
            tokio::try_join!(back, command(namespace, "abort", &next))?;
        }
        if stage == "promoting" {
            let is_promoting = |seen: &Rollout| message(seen).starts_with("promoting");
            let promoting = namespace.until("to be promoting", Duration::from_mins(1), is_promoting);
            tokio::try_join!(promoting, command(namespace, "promote", &next))?;
        }
        let began = std::time::Instant::now();
        delete(namespace, deletes_in_foreground).await?;
        if stage == "without an operator" {
            // Git's Services have to be given back, which is the operator's to do: it comes back and does.
            let waits = |seen: &Rollout| seen.metadata.deletion_timestamp.is_some();
            namespace.until("to wait for its finalizer", Duration::from_secs(5), waits).await?;
            Operator::of(namespace).scale(1).await?;
        }
        until_nothing_is_left(namespace, kind).await.with_context(|| format!("deleted {stage}"))?;
        slowest = slowest.max(began.elapsed().as_secs_f64());
    }
    figures::record(&namespace.scenario, "slowest deletion s", figures::rounded(slowest));
    ensure!(slowest < 30.0, "{slowest:.1} s: let go of only because time was up");
    let free = operator_made_services(namespace, kind).await;
    free.context("at rest without an operator, Services its own")
}

/// At rest nothing of Git's differs where the operator made the Services itself: no operator is needed to delete.
async fn operator_made_services(namespace: &Namespace, kind: RouteKind) -> Result<()> {
    let services = namespace.api::<Service>();
    for name in [STABLE, CANARY] {
        services.delete(name, &DeleteParams::default()).await?;
    }
    let rollout = RolloutBuilder::new(&namespace.name, kind);
    let deployed = namespace.deploy(&rollout).await?;
    let none = |seen: &Rollout| seen.metadata.finalizers.as_ref().is_none_or(Vec::is_empty);
    ensure!(none(&deployed), "{:?}", deployed.metadata.finalizers);
    Operator::of(namespace).scale(0).await?;
    delete(namespace, true).await?;
    wait_for(namespace.api::<Rollout>(), APP, "to be gone", GONE, |seen| seen.is_none()).await?;
    for name in [STABLE, CANARY] {
        wait_for(namespace.api::<Service>(), name, "to be gone", GONE, |seen| seen.is_none()).await?;
    }
    Operator::of(namespace).scale(1).await
}

async fn delete(namespace: &Namespace, foreground: bool) -> Result<()> {
    let policy = if foreground { PropagationPolicy::Foreground } else { PropagationPolicy::Background };
    let params = DeleteParams { propagation_policy: Some(policy), ..DeleteParams::default() };
    namespace.api::<Rollout>().delete(APP, &params).await?;
    Ok(())
}

/// The Rollout and its sets are gone, the route is Git's, and so are the Services.
async fn until_nothing_is_left(namespace: &Namespace, kind: RouteKind) -> Result<()> {
    wait_for(namespace.api::<Rollout>(), APP, "to be gone", GONE, |seen| seen.is_none()).await?;
    let sets = namespace.api::<ReplicaSet>();
    for set in sets.list(&ListParams::default().labels(ROLLOUT_LABEL)).await? {
        let name = set.metadata.name.context("no name")?;
        wait_for(sets.clone(), &name, "to be gone", GONE, |seen| seen.is_none()).await?;
    }
    let route = namespace.route_api(kind)?.get(&kind.route_name().name).await?;
    let route = serde_json::to_value(route)?;
    ensure!(canary_weight(&route, STABLE, CANARY) == Some(0.0), "the route is not Git's: {route}");
    let labels = |object: &Value| object.pointer("/metadata/labels").map(Value::to_string).unwrap_or_default();
    ensure!(!labels(&route).contains("leadsman.dev"), "{}", labels(&route));
    for name in [STABLE, CANARY] {
        let service = serde_json::to_value(namespace.api::<Service>().get(name).await?)?;
        let selector = service.pointer("/spec/selector").cloned().unwrap_or_default();
        // Without any selector its slices would list dead pods for ever.
        ensure!(
            selector.get(REVISION_LABEL).is_none() && selector.as_object().is_some_and(|labels| !labels.is_empty()),
            "{name} selects {selector}"
        );
        ensure!(!labels(&service).contains(REVISION_LABEL), "{name} still has {}", labels(&service));
    }
    Ok(())
}

/// In the middle of a release the namespace goes, with everything in it; the operator lives elsewhere.
async fn with_its_namespace(namespace: &Namespace) -> Result<()> {
    let kind = RouteKind::HttpRouteGateway;
    let inner = Namespace::create("namespace-to-delete").await?;
    Operator::install_as(namespace, Setup { watches: Some(&inner.name), ..Setup::default() }).await?;
    let outcome = async {
        let rollout = RolloutBuilder::new(&inner.name, kind).steps(&[set_weight(40), pause_until_promoted()]);
        inner.deploy(&rollout).await?;
        let next = rollout.version("v2");
        inner.declare(&next).await?;
        inner.until_weight(&next, 40).await?;
        let seen = inner.until("to be held", Duration::from_secs(5), |seen| seen.metadata.finalizers.is_some()).await?;
        ensure!(seen.metadata.finalizers.is_some_and(|all| !all.is_empty()), "nothing that could get stuck");
        let namespaces: Api<KubernetesNamespace> = Api::all(inner.cluster.client.clone());
        let began = std::time::Instant::now();
        namespaces.delete(&inner.name, &DeleteParams::default()).await?;
        wait_for(namespaces, &inner.name, "to be gone", Duration::from_mins(1), |seen| seen.is_none()).await?;
        figures::record(&namespace.scenario, "seconds until it was gone", began.elapsed().as_secs());
        anyhow::Ok(())
    }
    .await;
    if outcome.is_err() {
        inner.remove().await?;
    }
    outcome
}
