//! People: who promote by a command, who edit weights by hand, and clients that go around the mesh.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams, Patch, PatchParams};
use leadsman_api::names::COMMAND_ANNOTATION;
use leadsman_api::{CommandOutcome, Phase, Rollout};
use leadsman_e2e::metrics::success_rate;
use leadsman_e2e::operator::pod_says;
use leadsman_e2e::routes::{APP, CANARY, STABLE};
use leadsman_e2e::runtime::blocking;
use leadsman_e2e::status::{condition, message, phase, weight_in_force};
use leadsman_e2e::timeline::{bindings, weights};
use leadsman_e2e::wait::stays;
use leadsman_e2e::{
    App, Load, Namespace, Operator, RolloutBuilder, RouteKind, figures, pause, pause_until_promoted, set_weight,
};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::scenario;

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("promoted-by-command", |ns| async move { promoted_by_command(&ns).await }),
        scenario("weights-edited-by-hand", |ns| async move { weights_edited(&ns).await }),
        scenario("client-outside-the-mesh", |ns| async move { outside_the_mesh(&ns).await }),
        scenario("nothing-is-sent-twice", |ns| async move { nothing_is_retried(&ns).await }),
    ]
}

/// Writes the command as the plugin does, and expects that it is carried out.
pub async fn command(namespace: &Namespace, verb: &str, rollout: &RolloutBuilder) -> Result<Rollout> {
    let (seen, outcome, message) = answered(namespace, verb, &rollout.hash()).await?;
    ensure!(outcome == CommandOutcome::Executed, "{verb} was refused: {message}");
    Ok(seen)
}

/// Waits for an event with this reason, and gives what it says.
pub async fn until_told(namespace: &Namespace, reason: &str) -> Result<String> {
    let events = namespace.api::<Event>();
    let mut look = tokio::time::interval(Duration::from_millis(200));
    let looking = async {
        loop {
            look.tick().await;
            let told = events.list(&ListParams::default()).await?.items;
            if let Some(event) = told.into_iter().find(|event| event.reason.as_deref() == Some(reason)) {
                return anyhow::Ok(event.note.unwrap_or_default());
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), looking).await.with_context(|| format!("no event {reason}"))?
}

/// Writes a command about a revision, and gives the answer.
pub async fn answered(namespace: &Namespace, verb: &str, hash: &str) -> Result<(Rollout, CommandOutcome, String)> {
    let id = format!("{verb}-{}", Timestamp::now().as_millisecond());
    let patch = json!({"metadata": {"annotations": {COMMAND_ANNOTATION: format!("{verb}/{hash}/{id}")}}});
    let api: Api<Rollout> = namespace.api();
    api.patch(
        APP,
        &PatchParams { field_manager: Some("leadsman-cli".to_owned()), ..PatchParams::default() },
        &Patch::Merge(patch),
    )
    .await?;
    let seen = namespace
        .until(&format!("to answer {verb}"), Duration::from_secs(10), |seen| {
            seen.status.as_ref().and_then(|status| status.last_command.as_ref()).is_some_and(|last| last.id == id)
        })
        .await?;
    let last = seen.status.as_ref().and_then(|status| status.last_command.clone()).context("no answer")?;
    Ok((seen, last.outcome, last.message))
}

async fn promoted_by_command(namespace: &Namespace) -> Result<()> {
    let kind = RouteKind::HttpRouteGateway;
    let rollout = RolloutBuilder::new(&namespace.name, kind).background(&[success_rate()]).steps(&[
        set_weight(25),
        pause_until_promoted(),
        set_weight(50),
        pause("3s"),
    ]);
    namespace.deploy(&rollout).await?;
    let mut load = Load::through(namespace, kind, 60.0).await?;
    let next = rollout.version("v2");
    namespace.declare(&next).await?;
    let is_paused = |seen: &Rollout| phase(seen) == Some(Phase::Paused) && weight_in_force(seen) == 25;
    let paused = namespace.until("to wait for a person", Duration::from_mins(1), is_paused).await?;
    ensure!(message(&paused).contains("leadsman.dev/command=promote/"), "{}", message(&paused));
    ensure!(condition(&paused, "Paused").is_some_and(|it| it.0 == "True"), "{:?}", paused.status);
    // Nobody promotes it but a person.
    let still = |seen: Option<&Rollout>| seen.is_some_and(is_paused);
    stays(namespace.api::<Rollout>(), APP, "paused at 25%", Duration::from_secs(8), still).await?;
    command(namespace, "promote", &next).await?;
    namespace.until_promoted(&next).await?;
    namespace.close(&mut load, &[]).await?;
    Ok(())
}

/// More and less than decided, by somebody with a kubectl: put back, with the pause going on where it was.
async fn weights_edited(namespace: &Namespace) -> Result<()> {
    let kind = RouteKind::VirtualService;
    let rollout = RolloutBuilder::new(&namespace.name, kind)
        .background(&[success_rate()])
        .steps(&[set_weight(30), pause_until_promoted()]);
    namespace.deploy(&rollout).await?;
    let mut load = Load::through(namespace, kind, 60.0).await?;
    let next = rollout.version("v2");
    namespace.declare(&next).await?;
    let is_paused = |seen: &Rollout| phase(seen) == Some(Phase::Paused) && weight_in_force(seen) == 30;
    namespace.until("to wait for a person", Duration::from_mins(1), is_paused).await?;
    load.until_more(120).await?;
    let user = Operator::of(namespace).user();
    for foreign in [90, 5] {
        edit(namespace, foreign).await?;
        namespace.until_written(kind, 30.0, Duration::from_secs(20)).await?;
        let weights = weights(&namespace.requests()?, &kind.route_name());
        let edited = weights.iter().rfind(|it| it.by != user).context("no edit")?;
        let back = weights.iter().find(|it| it.received >= edited.done && it.by == user).context("nothing put back")?;
        let took = back.done - edited.done;
        figures::record(&namespace.scenario, &format!("ms until {foreign}% was healed"), (took * 1e3).round());
        ensure!(took < 1.0, "{foreign}% was put back after {took:.3} s");
        namespace.until("to be paused again", Duration::from_secs(20), is_paused).await?;
        load.until_more(60).await?;
    }
    let events = namespace.api::<Event>().list(&ListParams::default()).await?;
    let told = events.iter().filter(|event| event.reason.as_deref() == Some("WeightsPutBack")).count();
    ensure!(told == 2, "two edits were reported {told} times");
    command(namespace, "promote", &next).await?;
    namespace.until_promoted(&next).await?;
    namespace.close(&mut load, &[]).await?;
    Ok(())
}

async fn edit(namespace: &Namespace, canary: u32) -> Result<()> {
    let api = namespace.route_api(RouteKind::VirtualService)?;
    let patch: json_patch::Patch = serde_json::from_value(json!([
        {"op": "replace", "path": "/spec/http/0/route/0/weight", "value": 100 - canary},
        {"op": "replace", "path": "/spec/http/0/route/1/weight", "value": canary},
    ]))?;
    let name = RouteKind::VirtualService.route_name().name;
    api.patch(&name, &PatchParams::default(), &Patch::Json::<()>(patch)).await?;
    Ok(())
}

/// Calls `stableService`: never meets a canary, neither a bad one at half of the traffic nor a good one before it is
/// stable.
async fn outside_the_mesh(namespace: &Namespace) -> Result<()> {
    let kind = RouteKind::HttpRouteGateway;
    let rollout =
        RolloutBuilder::new(&namespace.name, kind).background(&[success_rate()]).steps(&[set_weight(50), pause("4s")]);
    namespace.deploy(&rollout).await?;
    let mut load = Load::through(namespace, kind, 60.0).await?;
    let mut outside = Load::direct_to_stable(namespace, 60.0).await?;
    namespace.declare(&rollout.app(App { error_rate: 0.5, ..App::new("v2") })).await?;
    namespace.until_rolled_back(Duration::from_mins(1)).await?;
    let good = rollout.version("v3");
    namespace.declare(&good).await?;
    namespace.until_promoted(&good).await?;
    // Its connections to v1 last as long as those pods do.
    outside.until_answered_by("v3", Duration::from_secs(30)).await?;
    namespace.close(&mut load, &["v2"]).await?;

    let records = outside.finish().await?;
    let account = leadsman_e2e::account::account(records, &[]);
    account.expect_nothing_lost("the client outside the mesh")?;
    let bound = bindings(&namespace.requests()?, STABLE);
    let bound = bound.iter().find(|it| it.to == good.hash()).context("stableService was never bound to v3")?;
    let early = records.iter().filter(|it| it.version == "v2" || (it.version == "v3" && it.sent < bound.received));
    let early = early.count();
    ensure!(early == 0, "a client of stableService met a canary {early} times");
    ensure!(account.versions.keys().eq(["v1", "v3"]), "it met both stable versions: {:?}", account.versions);
    Ok(())
}

/// No gap may hide behind a second try: the mesh's default, the routes of gateway and sidecar, and what the pods counted
/// of a release that fails half of its requests say that each was sent once.
async fn nothing_is_retried(namespace: &Namespace) -> Result<()> {
    let kinds = [RouteKind::HttpRouteGateway, RouteKind::VirtualService];
    let rollout = RolloutBuilder::new(&namespace.name, RouteKind::VirtualService)
        .routes(&kinds)
        .steps(&[set_weight(40), pause_until_promoted()]);
    namespace.deploy(&rollout).await?;
    let mut mesh = Load::in_mesh(namespace, RouteKind::VirtualService, 40.0).await?;
    let bad = rollout.app(App { error_rate: 0.5, ..App::new("v2") });
    namespace.declare(&bad).await?;
    namespace.until_weight(&bad, 40).await?;
    mesh.until_more(200).await?;

    let config: Api<ConfigMap> = Api::namespaced(namespace.cluster.client.clone(), "istio-system");
    let config = config.get("mesh").await?.data.unwrap_or_default();
    let config = config.get("mesh").map_or("", String::as_str);
    ensure!(config.contains("defaultHttpRetryPolicy: {attempts: 0}"), "the mesh retries by default: {config}");
    let bed = namespace.cluster.bed.clone();
    let gateway = blocking(move || bed.gateway_routes()).await?;
    let pods: Api<Pod> = namespace.api();
    let sidecar = pod_says(&pods.get(&mesh.name).await?, 15000, "/config_dump?resource=dynamic_route_configs").await?;
    for (who, routes) in [("the gateway", gateway), ("the sidecar", serde_json::from_str(&sidecar)?)] {
        let routes: Value = routes;
        let routes = routes.to_string();
        let cluster = format!("{CANARY}.{}.svc", namespace.name);
        ensure!(routes.contains(&cluster), "{who} has no route to {cluster}");
        ensure!(!routes.contains("retry_policy"), "{who} retries");
    }

    let records = mesh.finish().await?;
    for pod in pods.list(&ListParams::default().labels(&format!("app={APP}"))).await? {
        let name = pod.name_any();
        let said = pod_says(&pod, 8080, "/metrics").await?;
        let count = |line: &str| line.strip_prefix("http_requests_total{")?.rsplit_once(' ')?.1.parse::<usize>().ok();
        let counted: usize = said.lines().filter_map(count).sum();
        let answered = records.iter().filter(|record| record.pod == name).count();
        ensure!(counted == answered, "pod {name} counted {counted} requests, and the client has {answered} answers");
    }
    command(namespace, "abort", &bad).await?;
    namespace.until_rolled_back(Duration::from_secs(30)).await?;
    let own = namespace.close(&mut mesh, &["v2"]).await?.own_failures;
    ensure!(own > 20, "only {own} failures: nothing was there to retry");
    Ok(())
}
