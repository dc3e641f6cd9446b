//! Blue-green behind one Service, with nothing but kube-proxy between clients and pods: clients with a connection for each
//! request, and clients that keep theirs.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::ResourceExt as _;
use kube::api::{ListParams, Patch, PatchParams};
use leadsman_api::names::REVISION_LABEL;
use leadsman_api::{Phase, Rollout};
use leadsman_e2e::account::account;
use leadsman_e2e::metrics::{success_rate, with};
use leadsman_e2e::rollout::SETTLE;
use leadsman_e2e::routes::{APP, PREVIEW};
use leadsman_e2e::status::{condition, is_current, message, phase, stable_hash};
use leadsman_e2e::timeline::{Change, bindings, endpoints, selections};
use leadsman_e2e::wait::wait_for;
use leadsman_e2e::{App, Connections, Load, Namespace, Operator, Record, RolloutBuilder, RouteKind, figures};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::{now, scenario};
use crate::people::{command, until_told};

/// Each kind of client asks so often, where that is what is shown.
const RATE: f64 = 150.0;
/// The same where something else is.
const CALM: f64 = 40.0;
/// Until every new connection follows the slices of a Service, in seconds: kube-proxy writes its rules at most once in a second, and
/// where two cores had much else to do, slices and rules together have taken five.
const NODES_FOLLOW: f64 = 10.0;
/// Answers that show where all go: more than a hundred.
const ENOUGH: usize = 101;
/// Both revisions are selected for so long, in seconds.
const OVERLAP: f64 = 3.0;

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("blue-green-good", |ns| async move { good(&ns).await }),
        scenario("blue-green-post-fails", |ns| async move { post_fails(&ns).await }),
        scenario("blue-green-post-fails-while-new-crashes", |ns| async move { new_crashes(&ns).await }),
        scenario("blue-green-revert-warm", |ns| async move { revert_warm(&ns).await }),
        scenario("blue-green-third-at-overlap", |ns| async move { third_at_overlap(&ns).await }),
        scenario("blue-green-rolled-back-by-command", |ns| async move { by_command(&ns).await }),
        scenario("blue-green-routes", |ns| async move { routes(&ns).await }),
        scenario("blue-green-pre-fails", |ns| async move { pre_fails(&ns).await }),
        scenario("blue-green-selector-edited-and-aborted", |ns| async move { edited_and_aborted(&ns).await }),
    ]
}

/// So many measurements as a step.
fn measured(count: u32) -> Value {
    json!({"metrics": [with(success_rate(), "/count", json!(count))]})
}

/// One client of each kind, all of them sending.
async fn clients(namespace: &Namespace, rate: f64) -> Result<[Load; 3]> {
    let mut all = Vec::new();
    for connections in [Connections::New, Connections::KeepAlive, Connections::Http2] {
        let mut load = Load::direct(namespace, APP, connections, rate).await?;
        load.until_answered(100).await?;
        all.push(load);
    }
    all.try_into().map_err(|_| anyhow::anyhow!("not three clients"))
}

/// Ends the sending, and expects that nothing was lost that a version did not fail itself.
async fn nothing_lost(namespace: &Namespace, clients: &mut [Load], may_fail: &[&str]) -> Result<()> {
    for load in clients {
        let name = load.name.clone();
        let account = account(load.finish().await?, may_fail);
        figures::add(&namespace.scenario, "requests", account.requests);
        figures::add(&namespace.scenario, "own failures", account.own_failures);
        figures::add(&namespace.scenario, "lost", account.lost.len() as u64);
        account.expect_nothing_lost(&name)?;
    }
    Ok(())
}

/// When the active Service was last given to a revision alone.
fn given_to(namespace: &Namespace, hash: &str) -> Result<Change<String>> {
    let changes = selections(&namespace.requests()?, APP);
    changes.into_iter().rfind(|change| change.to == hash).with_context(|| format!("{APP} never selected {hash}"))
}

/// The nodes go over to a revision as soon as the slices of the active Service name no other: within seconds it alone answers
/// new connections, all of them and from then on.
fn nodes_follow(namespace: &Namespace, records: &[Record], version: &str, hash: &str) -> Result<()> {
    let given = given_to(namespace, hash)?;
    let requests = namespace.requests()?;
    let alone = |it: &Change<BTreeSet<String>>| it.done >= given.received && it.to.iter().eq([hash]);
    let slices = endpoints(&requests, APP).into_iter().find(alone).context("its slices still name others")?;
    let answered = |it: &Record| it.is_answered() && it.version == version;
    let last = records.iter().filter(|it| !answered(it)).map(|it| it.sent).fold(slices.done, f64::max);
    let (slices_took, nodes_took) = (slices.done - given.done, last - slices.done);
    ensure!(
        nodes_took < NODES_FOLLOW,
        "{nodes_took:.1} s after the slices a new connection was not answered by {version}"
    );
    let after = records.iter().filter(|it| it.sent > last).count();
    ensure!(after >= ENOUGH, "only {after} requests since all were answered by {version}");
    figures::record(&namespace.scenario, "s until the slices followed", figures::rounded(slices_took));
    figures::record(&namespace.scenario, "s until the nodes followed them", figures::rounded(nodes_took));
    Ok(())
}

/// The last answer of a version, in seconds after an instant.
fn last_answer(records: &[Record], version: &str, after: f64) -> f64 {
    let last = records.iter().filter(|it| it.version == version).map(|it| it.sent).fold(after, f64::max);
    figures::rounded(last - after)
}

async fn good(namespace: &Namespace) -> Result<()> {
    let fields = json!({
        "previewReplicas": 1, "autoPromotionAfter": "4s", "postPromotionAnalysis": measured(3), "scaleDownDelay": "15s",
    });
    let rollout = RolloutBuilder::blue_green(&namespace.name, fields);
    namespace.deploy(&rollout).await?;
    let mut clients = clients(namespace, RATE).await?;
    let mut preview = Load::direct(namespace, PREVIEW, Connections::New, 5.0).await?;
    let next = rollout.version("v2");
    namespace.declare(&next).await?;
    preview.until_answered_by("v2", Duration::from_mins(1)).await?;
    let promoted = namespace.until_promoted(&next).await?;
    ensure!(condition(&promoted, "Promoted").is_some_and(|it| it.0 == "True"), "not Promoted: {:?}", promoted.status);
    let seen: Vec<_> = selections(&namespace.requests()?, APP).into_iter().map(|change| change.to).collect();
    ensure!(seen == [rollout.hash(), "any".to_owned(), next.hash()], "the active Service selected {seen:?}");
    let switched = given_to(namespace, &next.hash())?;
    // Kept connections go over as their pods end.
    for load in &mut clients {
        until_only(load, "v2").await?;
    }
    nothing_lost(namespace, &mut clients, &[]).await?;
    nothing_lost(namespace, std::slice::from_mut(&mut preview), &[]).await?;
    let [new, kept, http2] = &clients;
    nodes_follow(namespace, new.records(), "v2", &next.hash())?;
    for (what, load) in [("new", new), ("keep-alive", kept), ("http2", http2)] {
        let last = last_answer(load.records(), "v1", switched.done);
        figures::record(&namespace.scenario, &format!("s until the last answer of the old one, {what}"), last);
    }
    Ok(())
}

/// Until a client has had enough answers of a version, and of no other.
async fn until_only(load: &mut Load, version: &str) -> Result<()> {
    let deadline = now() + 60.0;
    loop {
        load.until_more(ENOUGH).await?;
        let last = load.records().iter().rev().take(ENOUGH);
        if last.filter(|it| it.is_answered()).all(|it| it.version == version) {
            return Ok(());
        }
        ensure!(now() < deadline, "{} still meets others than {version}", load.name);
    }
}

/// 30% errors, seen by those who use the preview: the active Service never selects it.
async fn pre_fails(namespace: &Namespace) -> Result<()> {
    let rollout = RolloutBuilder::blue_green(&namespace.name, json!({"prePromotionAnalysis": measured(10)}));
    namespace.deploy(&rollout).await?;
    let mut clients = clients(namespace, CALM).await?;
    let mut preview = Load::direct(namespace, PREVIEW, Connections::New, 20.0).await?;
    let bad = rollout.app(App { error_rate: 0.3, ..App::new("v2") });
    namespace.declare(&bad).await?;
    preview.until_answered_by("v2", Duration::from_mins(1)).await?;
    let rolled_back = namespace.until_rolled_back(Duration::from_mins(2)).await?;
    ensure!(message(&rolled_back).contains("AnalysisFailed: success-rate is"), "{}", message(&rolled_back));
    let seen: Vec<_> = selections(&namespace.requests()?, APP).into_iter().map(|change| change.to).collect();
    ensure!(seen == [rollout.hash()], "the active Service selected {seen:?}");
    nothing_lost(namespace, &mut clients, &[]).await?;
    for load in &clients {
        let others = load.records().iter().filter(|it| it.is_answered() && it.version != "v1").count();
        ensure!(others == 0, "{}: {others} answers of what only the preview shows", load.name);
        ensure!(load.records().len() >= ENOUGH, "{}: only {} requests", load.name, load.records().len());
    }
    nothing_lost(namespace, std::slice::from_mut(&mut preview), &["v2"]).await
}

/// While a person is waited for, somebody has the active Service select the preview: put back within a second, and told. Then
/// the person says no.
async fn edited_and_aborted(namespace: &Namespace) -> Result<()> {
    let rollout = RolloutBuilder::blue_green(&namespace.name, json!({"autoPromotion": false}));
    namespace.deploy(&rollout).await?;
    let mut clients = clients(namespace, CALM).await?;
    let next = rollout.version("v2");
    namespace.declare(&next).await?;
    let waits = |seen: &Rollout| is_current(seen) && phase(seen) == Some(Phase::Paused);
    namespace.until("to wait for a person", Duration::from_mins(1), waits).await?;
    let edited = now();
    let selector = json!({"spec": {"selector": {REVISION_LABEL: next.hash()}}});
    let services = namespace.api::<Service>();
    services.patch(APP, &PatchParams::default(), &Patch::Merge(selector)).await?;
    let is_back = |service: Option<&Service>| {
        let selector = service.and_then(|service| service.spec.as_ref()?.selector.as_ref());
        selector.and_then(|selector| selector.get(REVISION_LABEL)) == Some(&rollout.hash())
    };
    wait_for(services, APP, "to select stable again", Duration::from_secs(5), is_back).await?;
    let user = Operator::of(namespace).user();
    let healed = bindings(&namespace.requests()?, APP)
        .into_iter()
        .find(|it| it.by == user && it.received > edited && it.to == rollout.hash())
        .context("nobody put it back")?;
    let took = healed.done - edited;
    ensure!(took < 1.0, "the selector came back only after {took:.3} s");
    figures::record(&namespace.scenario, "healing ms", (took * 1e3).round());
    let note = until_told(namespace, "SelectorPutBack").await?;
    ensure!(note.contains("put back"), "{note}");
    command(namespace, "abort", &next).await?;
    let aborted = namespace.until_rolled_back(Duration::from_mins(1)).await?;
    ensure!(stable_hash(&aborted) == Some(&rollout.hash()), "{:?}", aborted.status);
    for load in &mut clients {
        load.until_more(60).await?;
    }
    nothing_lost(namespace, &mut clients, &[]).await
}

/// 30% errors, seen once it has all traffic: new connections are back within a second of the answer that said so first, and
/// kept ones as soon as the rejected pods have ended.
async fn post_fails(namespace: &Namespace) -> Result<()> {
    let fields = json!({"postPromotionAnalysis": measured(30), "scaleDownDelay": "30s", "overlap": "2s"});
    let rollout = RolloutBuilder::blue_green(&namespace.name, fields);
    namespace.deploy(&rollout).await?;
    let mut clients = clients(namespace, RATE).await?;
    let bad = rollout.app(App { error_rate: 0.3, ..App::new("v2") });
    namespace.declare(&bad).await?;
    let rolled_back = namespace.until_rolled_back(Duration::from_mins(2)).await?;
    ensure!(message(&rolled_back).contains("AnalysisFailed: success-rate is"), "{}", message(&rolled_back));
    let hash = bad.hash();
    let answers = namespace.proxy.answers();
    let switched = given_to(namespace, &hash)?;
    let failing = answers
        .iter()
        .find(|it| it.at > switched.done && it.question.contains(&hash) && it.value().is_some_and(|it| it < 0.95));
    let failing = failing.context("Prometheus never said that it was bad")?;
    let back = given_to(namespace, &rollout.hash())?;
    let latency = back.done - failing.at;
    ensure!(latency < 1.0, "the way back came {latency:.3} s after the failing answer");
    figures::record(&namespace.scenario, "way back ms", (latency * 1e3).round());
    for load in &mut clients {
        until_only(load, "v1").await?;
    }
    nothing_lost(namespace, &mut clients, &["v2"]).await?;
    let [new, kept, http2] = &clients;
    nodes_follow(namespace, new.records(), "v1", &rollout.hash())?;
    for (what, load) in [("keep-alive", kept), ("http2", http2)] {
        let last = last_answer(load.records(), "v2", back.done);
        ensure!(last < SETTLE + 10.0, "{what}: the rejected revision answered for {last} s");
        figures::record(&namespace.scenario, &format!("s until the last answer of the rejected one, {what}"), last);
    }
    Ok(())
}

/// All new pods crash after they have got all traffic: back at once, without a verdict, and nothing is lost from then on.
async fn new_crashes(namespace: &Namespace) -> Result<()> {
    let late = with(with(success_rate(), "/count", json!(3)), "/minWindow", json!("40s"));
    let late = with(late, "/window", json!("60s"));
    let fields = json!({"postPromotionAnalysis": {"metrics": [late]}, "overlap": "3s"});
    let rollout = RolloutBuilder::blue_green(&namespace.name, fields).deadline(60);
    namespace.deploy(&rollout).await?;
    let mut load = Load::direct(namespace, APP, Connections::New, CALM).await?;
    load.until_answered(100).await?;
    // Preview, overlap and switch take some ten seconds.
    let crashing = App { env: vec![("CRASH_AFTER_S".to_owned(), "16".to_owned())], ..App::new("v2") };
    let bad = rollout.app(crashing);
    namespace.declare(&bad).await?;
    let rolled_back = namespace.until_rolled_back(Duration::from_mins(3)).await?;
    let switched = given_to(namespace, &bad.hash())?;
    let back = given_to(namespace, &rollout.hash())?;
    ensure!(back.received > switched.done, "it never had all traffic: {}", message(&rolled_back));
    load.until_more(300).await?;
    let records = load.finish().await?;
    let account = account(records, &["v2"]);
    nodes_follow(namespace, records, "v1", &rollout.hash())?;
    let first = account.lost.iter().map(|it| it.sent).fold(f64::MAX, f64::min);
    figures::record(&namespace.scenario, "requests", account.requests);
    figures::record(&namespace.scenario, "lost to crashing pods", account.lost.len());
    if first < f64::MAX {
        figures::record(
            &namespace.scenario,
            "s from the first crash to the way back",
            figures::rounded(back.done - first),
        );
    }
    Ok(())
}

async fn pods_of(namespace: &Namespace, hash: &str) -> Result<BTreeSet<String>> {
    let selector = format!("{REVISION_LABEL}={hash}");
    let pods = namespace.api::<Pod>().list(&ListParams::default().labels(&selector)).await?;
    Ok(pods.into_iter().map(|pod| pod.name_any()).collect())
}

/// Git goes back while the old revision is warm: all new connections are on it as soon as the selector has gone over, and no
/// pod is started.
async fn revert_warm(namespace: &Namespace) -> Result<()> {
    let fields = json!({"prePromotionAnalysis": measured(2), "autoPromotionAfter": "2s", "scaleDownDelay": "10m"});
    let rollout = RolloutBuilder::blue_green(&namespace.name, fields);
    namespace.deploy(&rollout).await?;
    let mut load = Load::direct(namespace, APP, Connections::New, CALM).await?;
    let preview = Load::direct(namespace, PREVIEW, Connections::New, 20.0).await?;
    load.until_answered(100).await?;
    let next = rollout.version("v2");
    namespace.declare(&next).await?;
    namespace.until_promoted(&next).await?;
    let warm = pods_of(namespace, &rollout.hash()).await?;
    ensure!(warm.len() == 4, "{} pods are warm", warm.len());
    let began = now();
    namespace.declare(&rollout).await?;
    namespace.until_promoted(&rollout).await?;
    let back = given_to(namespace, &rollout.hash())?;
    let took = back.done - began;
    // The preview settles, both are selected, and then the old one alone.
    let limit = 2.0 * SETTLE + OVERLAP + 1.0;
    ensure!(took < limit, "it took {took:.1} s, not {limit:.1}");
    figures::record(&namespace.scenario, "s from the revert to the switch", figures::rounded(took));
    ensure!(pods_of(namespace, &rollout.hash()).await? == warm, "other pods than the warm ones");
    load.until_more(400).await?;
    let mut clients = [load, preview];
    nothing_lost(namespace, &mut clients, &[]).await?;
    let [load, _] = &clients;
    nodes_follow(namespace, load.records(), "v1", &rollout.hash())
}

/// A third template while both revisions are selected: the second is gone before the third is shown to anybody.
async fn third_at_overlap(namespace: &Namespace) -> Result<()> {
    let rollout = RolloutBuilder::blue_green(&namespace.name, json!({"overlap": "8s"}));
    namespace.deploy(&rollout).await?;
    let mut clients = clients(namespace, CALM).await?;
    let second = rollout.version("v2");
    namespace.declare(&second).await?;
    let [new, ..] = &mut clients;
    new.until_answered_by("v2", Duration::from_mins(1)).await?;
    let third = rollout.version("v3");
    namespace.declare(&third).await?;
    namespace.until_promoted(&third).await?;
    for load in &mut clients {
        until_only(load, "v3").await?;
    }
    let seen: Vec<_> = selections(&namespace.requests()?, APP).into_iter().map(|change| change.to).collect();
    let any = || "any".to_owned();
    ensure!(
        seen == [rollout.hash(), any(), rollout.hash(), any(), third.hash()],
        "the active Service selected {seen:?}"
    );
    nothing_lost(namespace, &mut clients, &[]).await?;
    let [new, ..] = &clients;
    let last_of_second = new.records().iter().filter(|it| it.version == "v2").map(|it| it.sent).fold(0.0, f64::max);
    let first_of_third =
        new.records().iter().filter(|it| it.version == "v3").map(|it| it.sent).fold(f64::MAX, f64::min);
    ensure!(last_of_second < first_of_third, "both answered at once");
    Ok(())
}

/// Promoted, and then taken back by a person: what was stable before takes over again, and Git's template is rejected.
async fn by_command(namespace: &Namespace) -> Result<()> {
    let rollout = RolloutBuilder::blue_green(&namespace.name, json!({"scaleDownDelay": "10m"}));
    namespace.deploy(&rollout).await?;
    let mut clients = clients(namespace, CALM).await?;
    let next = rollout.version("v2");
    namespace.declare(&next).await?;
    namespace.until_promoted(&next).await?;
    command(namespace, "rollback", &next).await?;
    let back = namespace.until_rolled_back(Duration::from_mins(1)).await?;
    ensure!(stable_hash(&back) == Some(&rollout.hash()), "{:?}", back.status);
    for load in &mut clients {
        until_only(load, "v1").await?;
    }
    nothing_lost(namespace, &mut clients, &[]).await
}

/// With a route: the same order, and the route's weights carry it.
async fn routes(namespace: &Namespace) -> Result<()> {
    let kind = RouteKind::HttpRouteGateway;
    let fields = json!({
        "previewReplicas": 1, "prePromotionAnalysis": null, "postPromotionAnalysis": measured(3), "scaleDownDelay": "10s",
    });
    let rollout = RolloutBuilder::blue_green_behind(&namespace.name, kind, without_nulls(fields));
    namespace.deploy(&rollout).await?;
    let mut load = Load::through(namespace, kind, 100.0).await?;
    load.until_answered(100).await?;
    let next = rollout.version("v2");
    namespace.declare(&next).await?;
    namespace.until_promoted(&next).await?;
    load.until_more(200).await?;
    let bound = bindings(&namespace.requests()?, &kind.route_name().stable);
    ensure!(bound.last().is_some_and(|change| change.to == next.hash()), "{bound:?}");
    let account = namespace.close(&mut load, &[]).await?;
    ensure!(account.versions.keys().eq(["v1", "v2"]), "both versions answered: {:?}", account.versions);
    Ok(())
}

fn without_nulls(mut fields: Value) -> Value {
    if let Some(members) = fields.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    fields
}
