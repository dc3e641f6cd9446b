//! Every way to measure, with a release that does well and one that does not: latencies, what the mesh counts by itself, what
//! other sources say, Jobs, and traffic that does not follow the weights.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::batch::v1::Job;
use kube::api::ListParams;
use leadsman_api::Rollout;
use leadsman_e2e::fixture::{Asked, Fixture};
use leadsman_e2e::metrics::{errors, of_istio, slow, with};
use leadsman_e2e::routes::APP;
use leadsman_e2e::status::{condition, message, weight_in_force};
use leadsman_e2e::wait::stays;
use leadsman_e2e::{App, Load, Namespace, Operator, RolloutBuilder, RouteKind, pause, set_weight};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::scenario;

const KIND: RouteKind = RouteKind::HttpRouteGateway;

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("gate-latency", |ns| async move { latency(&ns).await }),
        scenario("gate-istio", |ns| async move { istio(&ns).await }),
        scenario("gate-web-and-datadog", |ns| async move { web_and_datadog(&ns).await }),
        scenario("gate-job", |ns| async move { job(&ns).await }),
        scenario("gate-traffic-share", |ns| async move { traffic_share(&ns).await }),
        scenario("gate-without-a-sound-source", |ns| async move { unsound(&ns).await }),
    ]
}

/// Some requests of stable, so that something is known of it.
async fn deployed(namespace: &Namespace, rollout: &RolloutBuilder, rate: f64) -> Result<Load> {
    namespace.deploy(rollout).await?;
    let mut load = Load::through(namespace, KIND, rate).await?;
    load.until_answered(500).await?;
    Ok(load)
}

/// Declares a version that is promoted, and then one that is rolled back; what is said of it.
async fn good_and_bad(namespace: &Namespace, good: &RolloutBuilder, bad: &RolloutBuilder) -> Result<String> {
    namespace.declare(good).await?;
    namespace.until_promoted(good).await?;
    namespace.declare(bad).await?;
    let rolled_back = namespace.until_rolled_back(Duration::from_mins(2)).await?;
    Ok(message(&rolled_back).to_owned())
}

/// A hundredth of the requests may take longer than 250 ms: 20 ms are fine, 600 ms are not, and nobody waits for a quantile.
async fn latency(namespace: &Namespace) -> Result<()> {
    let rollout = RolloutBuilder::new(&namespace.name, KIND)
        .background(&[slow()])
        .steps(&[set_weight(20), set_weight(50)])
        .drain("1s");
    let mut load = deployed(namespace, &rollout, 100.0).await?;
    let timed = |version: &str, latency_ms| rollout.app(App { latency_ms, ..App::new(version) });
    let words = good_and_bad(namespace, &timed("v2", 20.0), &timed("v3", 600.0)).await?;
    for part in ["p99 is ", "requests slower than 250 ms, limit 1% (p99 <= 250 ms): above it at 95%"] {
        ensure!(words.contains(part), "{part}: {words}");
    }
    namespace.close(&mut load, &[]).await.map(drop)
}

/// Without a query: what the gateway's proxies count, failures and latencies, by the reporter that knows stable.
async fn istio(namespace: &Namespace) -> Result<()> {
    let successes = of_istio("successes", "requestSuccessRate", &json!({"min": "99%"}));
    let p99 = of_istio("p99", "requestDuration", &json!({"quantile": 0.99, "max": "1s"}));
    let rollout = RolloutBuilder::new(&namespace.name, KIND)
        .background(&[successes, p99])
        .steps(&[set_weight(20), set_weight(50)])
        .drain("1s");
    let mut load = deployed(namespace, &rollout, 100.0).await?;
    let bad = rollout.app(App { error_rate: 0.1, ..App::new("v3") });
    let words = good_and_bad(namespace, &rollout.version("v2"), &bad).await?;
    ensure!(words.contains("successes is ") && words.contains("limit 1%: above it at 95%"), "{words}");
    namespace.close(&mut load, &["v3"]).await.map(drop)
}

/// A step that asks others than Prometheus: each of them lets a release pass, and takes one back.
async fn web_and_datadog(namespace: &Namespace) -> Result<()> {
    let bad: Arc<Mutex<BTreeSet<(&'static str, String)>>> = Arc::default();
    let known = Arc::clone(&bad);
    let fixture = Fixture::start(move |asked| {
        let is_bad = |what| known.lock().is_ok_and(|bad| bad.iter().any(|(of, hash)| *of == what && asked.names(hash)));
        answer(asked, is_bad)
    })
    .await?;
    namespace.apply(&keys(namespace)).await?;
    let web = json!({
        "url": format!("{}/rate?revision={{{{canary.hash}}}}", fixture.url()),
        "headers": [{"key": "X-Key", "secretRef": {"name": "keys", "key": "key"}}],
        "jsonPath": "$.data.rate",
    });
    let datadog = |fields: &[(&str, Value)]| {
        let provider = json!({"address": fixture.url(), "secretRef": {"name": "keys", "apiKeyKey": "key", "applicationKeyKey": "key"}});
        let filled = |provider, (name, value): &(&str, Value)| with(provider, &format!("/{name}"), value.clone());
        json!({"datadog": fields.iter().fold(provider, filled)})
    };
    let series = datadog(&[("query", json!("avg:errors{version:{{canary.hash}}}"))]);
    let queries = json!({"errors": "sum:errors{version:{{canary.hash}}}", "hits": "sum:hits{version:{{canary.hash}}}"});
    let formula = datadog(&[("queries", queries), ("formula", json!("errors / hits"))]);
    let metric = |name: &str, provider: Value| json!({"name": name, "interval": "1s", "minWindow": "1s", "successCondition": "value < 0.01", "provider": provider});
    let metrics = [metric("web", json!({"web": web})), metric("series", series), metric("formula", formula)];
    let rollout = RolloutBuilder::new(&namespace.name, KIND)
        .steps(&[set_weight(20), json!({"analysis": {"metrics": metrics}})])
        .drain("1s");
    let mut load = deployed(namespace, &rollout, 60.0).await?;
    let good = rollout.version("v2");
    namespace.declare(&good).await?;
    namespace.until_promoted(&good).await?;
    for (version, what) in [("v3", "web"), ("v4", "series"), ("v5", "formula")] {
        let next = rollout.version(version);
        bad.lock().ok().context("poisoned")?.insert((what, next.hash()));
        namespace.declare(&next).await?;
        let rolled_back = namespace.until_rolled_back(Duration::from_mins(1)).await?;
        let words = message(&rolled_back);
        ensure!(words.contains(&format!("AnalysisFailed: {what} is 0.2")), "{words}");
    }
    namespace.close(&mut load, &[]).await.map(drop)
}

/// What the fixture says as each of the three; without the key of the Secret it says nothing.
fn answer(asked: &Asked, is_bad: impl Fn(&'static str) -> bool) -> (u16, Value) {
    let rate = |what| if is_bad(what) { 0.2 } else { 0.001 };
    if asked.key != "open sesame" {
        return (403, json!({"errors": ["Forbidden"]}));
    }
    if asked.path.starts_with("/rate") {
        return (200, json!({"data": {"rate": rate("web")}}));
    }
    if asked.path.starts_with("/api/v1/query") {
        return (200, json!({"status": "ok", "series": [{"pointlist": [[1.0, 0.5], [2.0, rate("series")]]}]}));
    }
    let column = json!({"name": "errors / hits", "type": "number", "values": [rate("formula")]});
    (200, json!({"data": {"attributes": {"columns": [column]}}}))
}

fn keys(namespace: &Namespace) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys", "namespace": namespace.name},
        "stringData": {"key": "open sesame"},
    })
}

/// A smoke test as a Job: it lets a release pass, takes one back with its last words, and one whose image is not there is no
/// word about the release.
async fn job(namespace: &Namespace) -> Result<()> {
    let smoke = |container: Value| json!({"name": "smoke", "interval": "1s", "provider": {"job": {"spec": {"template": {"spec": {"containers": [container]}}}}}});
    let template = App::new("any").template(&[]);
    let image = template.pointer("/spec/containers/0/image").context("the application has no image")?;
    let policy =
        template.pointer("/spec/containers/0/imagePullPolicy").cloned().unwrap_or_else(|| json!("IfNotPresent"));
    let check = json!({
        "name": "smoke", "image": image, "imagePullPolicy": policy,
        "args": ["check", "http://{{canary.service}}.{{namespace}}.svc.cluster.local"],
    });
    let load_test =
        with(smoke(with(check.clone(), "/args", json!(["check", "http://nobody"]))), "/name", json!("load"));
    let load_test = with(load_test, "/dryRun", json!(true));
    let step = |container: Value| json!({"analysis": {"metrics": [smoke(container), load_test.clone()]}});
    let rollout = RolloutBuilder::new(&namespace.name, KIND).steps(&[set_weight(20), step(check.clone())]).drain("1s");
    let mut load = deployed(namespace, &rollout, 60.0).await?;
    let good = rollout.version("v2");
    namespace.declare(&good).await?;
    // The operator dies while its Job runs: the next one finds it.
    let mut look = tokio::time::interval(Duration::from_millis(100));
    while smokes(namespace).await? == 0 {
        look.tick().await;
    }
    Operator::of(namespace).crash().await?;
    namespace.until_promoted(&good).await?;
    ensure!(smokes(namespace).await? == 1, "the new operator has made another Job");
    let bad = rollout.app(App { error_rate: 0.5, ..App::new("v3") });
    namespace.declare(&bad).await?;
    let rolled_back = namespace.until_rolled_back(Duration::from_mins(2)).await?;
    let words = message(&rolled_back);
    for part in ["AnalysisFailed: smoke is failed", "BackoffLimitExceeded", "of 20 was answered with 500"] {
        ensure!(words.contains(part), "{part}: {words}");
    }
    let smokes = smokes(namespace).await?;
    ensure!(smokes == 2, "each release has one Job for its measurement: {smokes}");

    let missing = with(check, "/image", json!("nowhere.example/nothing:1"));
    let missing = with(missing, "/imagePullPolicy", json!("IfNotPresent"));
    let lost = rollout.steps(&[set_weight(20), step(missing)]).deadline(20).version("v4");
    namespace.declare(&lost).await?;
    let held = |seen: &Rollout| message(seen).contains("cannot start: ");
    namespace.until("to say that the Job cannot start", Duration::from_mins(1), held).await?;
    let rolled_back = namespace.until_rolled_back(Duration::from_mins(1)).await?;
    ensure!(message(&rolled_back).contains("NoEvidence"), "{}", message(&rolled_back));
    namespace.close(&mut load, &["v3"]).await.map(drop)
}

/// Jobs that were made for the smoke test.
async fn smokes(namespace: &Namespace) -> Result<usize> {
    let ours = ListParams::default().labels(&format!("leadsman.dev/job-of={APP}"));
    let jobs = namespace.api::<Job>().list(&ours).await?;
    let is_smoke = |job: &&Job| job.metadata.name.as_ref().is_some_and(|name| name.contains("-smoke-"));
    Ok(jobs.items.iter().filter(is_smoke).count())
}

/// Most requests go around the route: the canary has a fifth of what is split and next to nothing of all. That is no release
/// without data, and it is not raised.
async fn traffic_share(namespace: &Namespace) -> Result<()> {
    let rollout = RolloutBuilder::new(&namespace.name, KIND)
        .background(&[errors()])
        .steps(&[set_weight(20), set_weight(50)])
        .deadline(30)
        .drain("1s");
    let mut load = deployed(namespace, &rollout, 20.0).await?;
    let mut around = Load::direct_to_stable(namespace, 200.0).await?;
    around.until_answered(500).await?;
    namespace.declare(&rollout.version("v2")).await?;
    let does_not_follow =
        |seen: &Rollout| message(seen).contains("the traffic does not follow the weights: errors has ");
    let held = namespace.until("to see where the traffic is", Duration::from_mins(1), does_not_follow).await?;
    ensure!(weight_in_force(&held) == 20, "{:?}", held.status);
    let seen = held.status.as_ref().and_then(|status| status.weight.as_ref()?.seen.clone());
    ensure!(seen.as_deref().is_some_and(|seen| seen.ends_with('%')), "the share that was seen: {seen:?}");
    let rolled_back = namespace.until_rolled_back(Duration::from_mins(1)).await?;
    ensure!(message(&rolled_back).contains("TrafficShare"), "{}", message(&rolled_back));

    let off = rollout.background(&[with(errors(), "/proportion/trafficShare", json!("Off"))]).version("v3");
    namespace.declare(&off).await?;
    namespace.until_promoted(&off).await?;
    around.finish().await?;
    namespace.close(&mut load, &[]).await.map(drop)
}

/// A Prometheus that is broken, has nothing, has no numbers, or warns: the release stands, and goes on once it is sound. One
/// that has nothing for good is taken back by the deadline alone.
async fn unsound(namespace: &Namespace) -> Result<()> {
    let says = Arc::new(Mutex::new("sound"));
    let now = Arc::clone(&says);
    let fixture = Fixture::start(move |asked| prometheus(now.lock().map_or("broken", |now| *now), asked)).await?;
    let asked = with(errors(), "/provider", json!({"prometheus": {"address": fixture.url()}}));
    // It says the same at every weight.
    let asked = with(asked, "/proportion/trafficShare", json!("Off"));
    let rollout = RolloutBuilder::new(&namespace.name, KIND)
        .background(&[asked])
        .steps(&[set_weight(20), pause("2s"), set_weight(50)])
        .deadline(60)
        .drain("1s");
    let mut load = deployed(namespace, &rollout, 60.0).await?;
    let next = rollout.version("v2");
    let say = |what| says.lock().map(|mut now| *now = what).map_err(|_| anyhow::anyhow!("poisoned"));
    say("broken after the baseline")?;
    namespace.declare(&next).await?;
    namespace.until_weight(&next, 20).await?;
    let stands = |seen: Option<&Rollout>| {
        seen.is_some_and(|seen| {
            weight_in_force(seen) == 20 && condition(seen, "Promoted").is_some_and(|it| it.0 == "False")
        })
    };
    for what in ["broken after the baseline", "empty after the baseline", "NaN", "warns"] {
        say(what)?;
        stays(
            namespace.api::<Rollout>(),
            APP,
            &format!("at 20% while its source is: {what}"),
            Duration::from_secs(8),
            stands,
        )
        .await?;
    }
    say("sound")?;
    namespace.until_promoted(&next).await?;
    say("empty after the baseline")?;
    namespace.declare(&rollout.deadline(10).version("v3")).await?;
    let rolled_back = namespace.until_rolled_back(Duration::from_mins(2)).await?;
    ensure!(message(&rolled_back).contains("NoEvidence"), "{}", message(&rolled_back));
    namespace.close(&mut load, &[]).await.map(drop)
}

/// 100 requests of the canary and 400 of stable in each look, none of which failed, or something else.
fn prometheus(what: &str, asked: &Asked) -> (u16, Value) {
    let is_baseline = !asked.names("canary");
    let series = |count: &str, value: &str| json!({"metric": {"count": count}, "value": [1, value]});
    let names = [("canary bad", "0"), ("canary total", "100"), ("stable bad", "0"), ("stable total", "400")];
    let all = |change: fn(&'static str) -> &'static str| -> Vec<Value> {
        let names = names.iter().filter(|(count, _)| !is_baseline || count.starts_with("stable"));
        names.map(|(count, value)| series(count, change(value))).collect()
    };
    let success = |result: Vec<Value>| json!({"status": "success", "data": {"resultType": "vector", "result": result}});
    match what {
        _ if is_baseline => (200, success(all(|value| value))),
        "broken after the baseline" => (503, json!({"status": "error", "errorType": "unavailable", "error": "closed"})),
        "empty after the baseline" => (200, success(Vec::new())),
        "NaN" => (200, success(all(|_| "NaN"))),
        "warns" => (200, with(success(all(|value| value)), "/warnings", json!(["one store did not answer"]))),
        _ => (200, success(all(|value| value))),
    }
}
