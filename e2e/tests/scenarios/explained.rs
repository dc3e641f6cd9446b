//! Why: what the plugin tells of releases that ended badly, once every event is gone. It asks no metric source.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, ListParams};
use leadsman_api::{Rollout, RolloutReport};
use leadsman_e2e::metrics::{errors, p99, success_rate, with};
use leadsman_e2e::plugin::{plugin, plugin_json};
use leadsman_e2e::routes::{APP, PREVIEW};
use leadsman_e2e::status::weight_in_force;
use leadsman_e2e::{
    App, Connections, Load, Namespace, RolloutBuilder, RouteKind, pause, recorded, set_weight, step_analysis,
};
use leadsman_view::{Line, Objects, Style, text};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::scenario;

const KIND: RouteKind = RouteKind::HttpRouteGateway;
const SOON: Duration = Duration::from_mins(1);
const PAGE: &str = "explain.md";
/// The namespace as documentation has it.
const SHOWN: &str = "shop";

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("explained", |ns| async move { explained(&ns).await }),
        scenario("explained-held", |ns| async move { held(&ns).await }),
        scenario("explained-blue-green", |ns| async move { blue_green(&ns).await }),
    ]
}

/// An attempt that failed, and what has to be told of it.
struct Told<'a> {
    attempt: i64,
    /// Of the block in docs/explain.md.
    name: &'a str,
    reason: &'a str,
    /// In the first two lines.
    answer: &'a str,
}

/// A canary that asks for errors and latency, in few steps.
fn canary(namespace: &Namespace) -> RolloutBuilder {
    RolloutBuilder::new(&namespace.name, KIND)
        .background(&[errors()])
        .deadline(20)
        .set("/spec/revisionHistoryLimit", json!(10))
        .drain("1s")
}

/// The first version serves so many requests that something is known of it. The plugin is built before anything that it has to
/// be in time for.
async fn deployed(namespace: &Namespace, rollout: &RolloutBuilder) -> Result<Load> {
    plugin(&["version"]).await?;
    namespace.deploy(rollout).await?;
    let mut load = Load::through(namespace, KIND, 200.0).await?;
    load.until_answered(2000).await?;
    Ok(load)
}

/// An hour later.
async fn without_events(namespace: &Namespace) -> Result<()> {
    let events = namespace.api::<Event>();
    events.delete_collection(&DeleteParams::default(), &ListParams::default()).await.map(drop).context("events")
}

/// Errors, latency, a crash, an image that is not there, and a person: one after the other.
async fn explained(namespace: &Namespace) -> Result<()> {
    let rollout =
        canary(namespace).steps(&[set_weight(20), step_analysis(&[with(p99(), "/count", json!(3))]), pause("2m")]);
    let mut load = deployed(namespace, &rollout).await?;
    namespace.declare(&rollout.app(App { error_rate: 0.3, ..App::new("v2") })).await?;
    namespace.until_rolled_back(SOON).await?;
    namespace.declare(&rollout.app(App { latency_ms: 400.0, ..App::new("v3") })).await?;
    namespace.until_rolled_back(SOON).await?;
    let env = [("READY_AFTER_S", "600"), ("CRASH_AFTER_S", "1")];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let crashing = rollout.app(App { env, ..App::new("v4") }).set("/spec/progressDeadlineSeconds", json!(300));
    namespace.declare(&crashing).await?;
    namespace.until_rolled_back(2 * SOON).await?;
    let missing = rollout.version("v5").set("/spec/template/spec/containers/0/image", json!("nowhere.test/shop:v5"));
    let missing = missing.set("/spec/template/spec/containers/0/imagePullPolicy", json!("IfNotPresent"));
    namespace.declare(&missing).await?;
    namespace.until_rolled_back(2 * SOON).await?;
    let unwanted = rollout.version("v6");
    namespace.declare(&unwanted).await?;
    namespace.until("to have counted requests of the new revision", SOON, is_measured).await?;
    let shown = plugin(&["get", APP, "-n", &namespace.name]).await?;
    ensure!(shown.code == 0 && shown.stdout.contains("errors"), "{shown:?}");
    let release =
        leadsman_view::release(&in_namespace(&objects(namespace).await?, &namespace.name, SHOWN)?, Timestamp::now());
    let screen = drawn(&text::release(&release, &Style::default()));
    recorded::show("../README.md", "get", &format!("$ kubectl leadsman get podinfo -w\n{screen}"))?;
    let aborted = plugin(&["abort", APP, "-n", &namespace.name]).await?;
    ensure!(aborted.code == 0, "{aborted:?}");
    namespace.until_rolled_back(SOON).await?;
    namespace.close(&mut load, &["v2", "v3", "v4", "v6"]).await?;
    without_events(namespace).await?;

    let errors =
        told(namespace, &Told { attempt: 2, name: "errors", reason: "AnalysisFailed", answer: "errors was" }).await?;
    measured(&errors, "errors")?;
    for pointer in ["/gate/stable", "/gate/samples", "/requests/total", "/requests/failed"] {
        ensure!(errors.pointer(pointer).is_some(), "{pointer}: {errors:#}");
    }
    recorded::show("../README.md", "explain", &explain(namespace, 2).await?)?;
    let slow =
        told(namespace, &Told { attempt: 3, name: "latency", reason: "AnalysisFailed", answer: "p99 was" }).await?;
    measured(&slow, "p99")?;
    ensure!(slow.pointer("/gate/stable").is_some(), "stable was asked the same: {slow:#}");
    let crash =
        told(namespace, &Told { attempt: 4, name: "crash", reason: "CrashLooping", answer: "CrashLooping" }).await?;
    let pod = crash.pointer("/pods/0").context("no pod has a word")?;
    ensure!(text(pod, "/words").contains("exit code 42"), "{pod:#}");
    ensure!(pod.pointer("/log/0").is_some(), "its last lines: {pod:#}");
    let late = "ProgressDeadlineExceeded";
    let pull = told(namespace, &Told { attempt: 5, name: "image", reason: late, answer: late }).await?;
    ensure!(pull.to_string().contains("nowhere.test/shop:v5"), "{pull:#}");
    told(namespace, &Told { attempt: 6, name: "abort", reason: "Aborted", answer: "aborted by admin" }).await?;
    let history = plugin(&["history", APP, "-n", &namespace.name]).await?;
    ensure!(history.code == 0 && history.stdout.contains("Aborted"), "{history:?}");
    recorded::show(PAGE, "history", &format!("$ kubectl leadsman history podinfo\n{}", history.stdout))
}

/// Whether a gate of the new revision has counted some hundred requests.
fn is_measured(seen: &Rollout) -> bool {
    let gates = seen.status.as_ref().map(|status| status.analysis.as_slice()).unwrap_or_default();
    weight_in_force(seen) == 20 && gates.iter().any(|gate| gate.samples.is_some_and(|samples| samples > 100))
}

/// What is neither good nor bad, until its time is up: pods that never become ready, a revision that nobody measures, and
/// errors that the stable revision has as well.
async fn held(namespace: &Namespace) -> Result<()> {
    let rollout = canary(namespace).steps(&[set_weight(20), pause("4s"), set_weight(50)]);
    let mut load = deployed(namespace, &rollout).await?;
    let env = vec![("READY_AFTER_S".to_owned(), "600".to_owned())];
    namespace.declare(&rollout.app(App { env, ..App::new("v2") })).await?;
    namespace.until_rolled_back(SOON).await?;
    let unmeasured = |rollout: RolloutBuilder| {
        rollout.set("/spec/template/metadata/annotations", json!({"prometheus.io/scrape": "false"}))
    };
    namespace.declare(&unmeasured(rollout.version("v3"))).await?;
    namespace.until_rolled_back(2 * SOON).await?;
    let of_latency = rollout.clone().background(&[]).steps(&[set_weight(20), step_analysis(&[p99()])]);
    namespace.declare(&unmeasured(of_latency.version("v4"))).await?;
    namespace.until_rolled_back(2 * SOON).await?;
    let innocent = rollout.version("v5");
    namespace.declare(&innocent).await?;
    namespace.until_weight(&innocent, 20).await?;
    let mut broken = Load::broken(namespace, KIND, 40.0).await?;
    namespace.until_rolled_back(2 * SOON).await?;
    broken.finish().await?;
    namespace.close(&mut load, &[]).await?;
    without_events(namespace).await?;

    let late = "ProgressDeadlineExceeded";
    let deadline = told(namespace, &Told { attempt: 2, name: "deadline", reason: late, answer: late }).await?;
    ensure!(deadline.pointer("/pods/0/words").is_some(), "its pods have no word: {deadline:#}");
    for (attempt, name, reason, gate) in [
        (3, "traffic-share", "TrafficShare", "errors"),
        (4, "no-data", "NoEvidence", "p99"),
        (5, "shared", "SharedFailure", "errors"),
    ] {
        let held = told(namespace, &Told { attempt, name, reason, answer: reason }).await?;
        ensure!(held.to_string().contains(gate), "{gate} is not named: {held:#}");
    }
    Ok(())
}

/// Analysis before and after the promotion.
async fn blue_green(namespace: &Namespace) -> Result<()> {
    let measured_for = |count: u32| json!({"metrics": [with(success_rate(), "/count", json!(count))]});
    let pre = RolloutBuilder::blue_green(&namespace.name, json!({"prePromotionAnalysis": measured_for(10)}));
    let pre = pre.set("/spec/revisionHistoryLimit", json!(10));
    plugin(&["version"]).await?;
    namespace.deploy(&pre).await?;
    let mut active = Load::direct(namespace, APP, Connections::New, 40.0).await?;
    let mut preview = Load::direct(namespace, PREVIEW, Connections::New, 20.0).await?;
    active.until_answered(100).await?;
    namespace.declare(&pre.app(App { error_rate: 0.3, ..App::new("v2") })).await?;
    namespace.until_rolled_back(2 * SOON).await?;
    let fields = json!({"postPromotionAnalysis": measured_for(30), "scaleDownDelay": "30s", "overlap": "2s"});
    let post = RolloutBuilder::blue_green(&namespace.name, fields).set("/spec/revisionHistoryLimit", json!(10));
    namespace.declare(&post.app(App { error_rate: 0.3, ..App::new("v3") })).await?;
    namespace.until_rolled_back(2 * SOON).await?;
    active.finish().await?;
    preview.finish().await?;
    without_events(namespace).await?;
    for (attempt, name) in [(2, "pre-promotion"), (3, "post-promotion")] {
        let answer = "success-rate was";
        let failed = told(namespace, &Told { attempt, name, reason: "AnalysisFailed", answer }).await?;
        measured(&failed, "success-rate")?;
    }
    Ok(())
}

/// The Rollout and its reports.
async fn objects(namespace: &Namespace) -> Result<Value> {
    let rollout = namespace.api::<Rollout>().get(APP).await?;
    let reports = namespace.api::<RolloutReport>().list(&ListParams::default()).await?;
    Ok(json!({"rollout": rollout, "reports": reports.items}))
}

/// The same in a namespace of another name.
fn in_namespace(objects: &Value, from: &str, to: &str) -> Result<Objects> {
    let mut renamed: Value = serde_json::from_str(&objects.to_string().replace(from, to))?;
    let mut taken = |name: &str| renamed.get_mut(name).map(Value::take).unwrap_or_default();
    let reports = serde_json::from_value(taken("reports"))?;
    Ok(Objects { reports, ..Objects::of(serde_json::from_value(taken("rollout"))?) })
}

fn drawn(lines: &[Line]) -> String {
    lines.iter().map(|line| line.plain().trim_end().to_owned() + "\n").collect()
}

/// What people see of an attempt, in a namespace that is called shop. The plugin says the same of the one that there is.
async fn explain(namespace: &Namespace, attempt: i64) -> Result<String> {
    let number = attempt.to_string();
    let said = plugin(&["explain", APP, "-n", &namespace.name, "--attempt", &number, "--utc"]).await?;
    ensure!(said.code == 0, "{said:?}");
    let objects = objects(namespace).await?;
    let draw = |name: &str| -> Result<String> {
        let objects = in_namespace(&objects, &namespace.name, name)?;
        let explanation = leadsman_view::explain(&objects, Some(attempt), Timestamp::now());
        Ok(drawn(&text::explain(&explanation, &Style::default())))
    };
    let same = draw(&namespace.name)?;
    ensure!(said.stdout == same, "{}\nis not\n{same}", said.stdout);
    let screen = draw(SHOWN)?;
    Ok(format!("$ kubectl leadsman explain podinfo --attempt {attempt}\n{screen}"))
}

/// What the plugin says of an attempt: shown in docs/explain.md, and checked for what is told of each.
async fn told(namespace: &Namespace, Told { attempt, name, reason, answer }: &Told<'_>) -> Result<Value> {
    let said = explain(namespace, *attempt).await?;
    recorded::show(PAGE, name, &said)?;
    // The answer takes two sentences.
    let first: Vec<_> = said.lines().skip(1).take_while(|line| !line.is_empty()).collect();
    ensure!(first.join(" ").contains(answer), "{name}: {answer} is not in the first lines: {first:?}");
    let told = plugin_json(&["explain", APP, "-n", &namespace.name, "--attempt", &attempt.to_string()]).await?;
    ensure!(text(&told, "/reason") == *reason, "{name}: {told:#}");
    for pointer in ["/to/commit", "/from/commit", "/changes/0", "/decidedAt", "/endedAt"] {
        ensure!(told.pointer(pointer).is_some(), "{name}: {pointer} is not told: {told:#}");
    }
    Ok(told)
}

/// Metric, value, limit and query.
fn measured(told: &Value, metric: &str) -> Result<()> {
    ensure!(text(told, "/gate/metric") == metric, "{told:#}");
    for pointer in ["/gate/value", "/gate/limit", "/gate/query"] {
        ensure!(told.pointer(pointer).is_some(), "{metric}: {pointer} is not told: {told:#}");
    }
    Ok(())
}

fn text<'a>(told: &'a Value, pointer: &str) -> &'a str {
    told.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
