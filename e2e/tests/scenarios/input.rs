//! Bad input: what the API server refuses, and what it cannot see is wrong. The latter says which object and field, what
//! to do, leaves stable serving, and goes on as soon as it is mended.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use leadsman_api::{Phase, Rollout};
use leadsman_e2e::cluster::workspace;
use leadsman_e2e::metrics::{success_rate, template, with};
use leadsman_e2e::objects::{judged, refusal};
use leadsman_e2e::routes::{APP, CANARY, STABLE};
use leadsman_e2e::status::{condition, is_current, message, phase, stable_hash};
use leadsman_e2e::{App, Load, Namespace, RolloutBuilder, RouteKind, pause, set_weight};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::{scenario, scenario_without_operator};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("bad-input-under-way", |ns| async move { under_way(&ns).await }),
        scenario("bad-input-service-with-a-selector", |ns| async move { selector(&ns).await }),
        scenario_without_operator("admission", |ns| async move { admission(&ns).await }),
    ]
}

/// Waits until the Rollout says what is wrong; the words must be in the message.
async fn until_invalid(namespace: &Namespace, reason: &str, words: &[&str]) -> Result<Rollout> {
    let what = format!("to be Invalid: {reason}");
    let seen = namespace
        .until(&what, Duration::from_secs(30), |seen| {
            is_current(seen)
                && phase(seen) == Some(Phase::Invalid)
                && condition(seen, "Stalled").is_some_and(|it| it.0 == "True" && it.1 == reason)
        })
        .await?;
    for word in words {
        ensure!(message(&seen).contains(word), "{reason} does not name {word}: {}", message(&seen));
    }
    Ok(seen)
}

/// One after the other in the life of one Rollout, each with a new version that does not start until it is mended.
async fn under_way(namespace: &Namespace) -> Result<()> {
    let kind = RouteKind::HttpRouteGateway;
    let steps = [set_weight(50), pause("1s")];
    let rollout = RolloutBuilder::new(&namespace.name, kind).steps(&steps).drain("1s");
    namespace.deploy(&rollout).await?;
    let mut load = Load::through(namespace, kind, 60.0).await?;

    let analysis = "/spec/strategy/canary/analysis";
    let unknown = rollout.version("v2").set(analysis, json!({"templates": [{"templateName": "nope"}]}));
    namespace.declare(&unknown).await?;
    // What is declared beside a Rollout may come a moment later: it is waited for before it is called wrong.
    let names_it = |seen: &Rollout| is_current(seen) && message(seen).contains("AnalysisTemplate nope does not exist");
    let seen = namespace.until("to wait for its template", Duration::from_secs(30), names_it).await?;
    ensure!(phase(&seen) == Some(Phase::Progressing), "{:?}", seen.status);
    ensure!(condition(&seen, "Stalled").is_none(), "{:?}", seen.status);
    ensure!(stable_hash(&seen) == Some(&rollout.hash()), "stable stays: {:?}", seen.status);
    ensure!(condition(&seen, "Available").is_some_and(|it| it.0 == "True"), "stable serves: {:?}", seen.status);
    namespace.apply(&template(&namespace.name, "nope", &[success_rate()])).await?;
    namespace.until_promoted(&unknown).await?;

    let broken = with(success_rate(), "/successCondition", json!("value >="));
    let broken = rollout.version("v3").background(&[broken]);
    namespace.declare(&broken).await?;
    until_invalid(namespace, "InvalidAnalysis", &["success-rate", "successCondition"]).await?;
    let mended = rollout.version("v3").background(&[success_rate()]);
    namespace.declare(&mended).await?;
    namespace.until_promoted(&mended).await?;

    let mut route = kind.manifest(&namespace.name);
    let backends = json!([{"name": STABLE, "port": 80, "weight": 100}]);
    route = with(route, "/spec/rules", json!([{"backendRefs": backends}]));
    namespace.apply(&route).await?;
    let next = rollout.version("v4");
    namespace.declare(&next).await?;
    until_invalid(namespace, "InvalidRoute", &["HTTPRoute", APP, CANARY]).await?;
    namespace.apply(&kind.manifest(&namespace.name)).await?;
    namespace.until_promoted(&next).await?;

    let account = namespace.close(&mut load, &[]).await?;
    ensure!(account.versions.keys().eq(["v1", "v2", "v3", "v4"]), "{:?}", account.versions);
    Ok(())
}

async fn selector(namespace: &Namespace) -> Result<()> {
    let kind = RouteKind::HttpRouteService;
    let rollout = RolloutBuilder::new(&namespace.name, kind).steps(&[set_weight(50), pause("1s")]);
    let foreign = App::service(&namespace.name, STABLE, &[("app", APP)]);
    namespace.apply(&foreign).await?;
    namespace.apply_all(&rollout.surroundings()).await?;
    namespace.declare(&rollout).await?;
    until_invalid(namespace, "ServiceConflict", &["Service", STABLE, "selector"]).await?;
    namespace.apply(&App::service(&namespace.name, STABLE, &[])).await?;
    namespace.until_promoted(&rollout).await?;
    let mut load = Load::through(namespace, kind, 60.0).await?;
    let next = rollout.version("v2");
    namespace.declare(&next).await?;
    namespace.until_promoted(&next).await?;
    namespace.close(&mut load, &[]).await?;
    Ok(())
}

/// The API crate's manifests, before the real API server: what is sound is taken, what is not is refused with these words.
async fn admission(namespace: &Namespace) -> Result<()> {
    let client = &namespace.cluster.client;
    let mut number = 0;
    for (file, text) in fixtures("accepted")? {
        for object in objects(&text, namespace)? {
            judged(client, &object, true).await.with_context(|| file.clone())?;
            number += 1;
        }
    }
    let mut wrong = Vec::new();
    for folder in ["rejected", "refused-updates"] {
        for (file, text) in fixtures(folder)? {
            let expected = text.lines().next().and_then(|line| line.strip_prefix("# message: "));
            let expected = expected.with_context(|| format!("{file} does not begin with # message:"))?;
            let mut objects = objects(&text, namespace)?;
            let refused = objects.pop().with_context(|| format!("{file} is empty"))?;
            let is_new = objects.is_empty();
            for before in objects {
                namespace.apply(&before).await.with_context(|| file.clone())?;
            }
            match judged(client, &refused, is_new).await {
                Ok(()) => wrong.push(format!("{file} was taken")),
                Err(error) => {
                    let Some(status) = refusal(&error) else { bail!("{file}: {error:#}") };
                    if !status.message.contains(expected) {
                        wrong.push(format!("{file}: {expected:?} is not in: {}", status.message));
                    }
                }
            }
            number += 1;
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    ensure!(number > 50, "only {number} manifests");
    leadsman_e2e::figures::record(&namespace.scenario, "manifests", number);
    Ok(())
}

fn objects(text: &str, namespace: &Namespace) -> Result<Vec<Value>> {
    let objects: Vec<Value> = serde_saphyr::from_multiple(text)?;
    let placed = |object: Value| match object.get("kind").and_then(Value::as_str) {
        Some(kind) if kind.starts_with("Cluster") => object,
        _ => with(object, "/metadata/namespace", json!(namespace.name)),
    };
    Ok(objects.into_iter().filter(|object| !object.is_null()).map(placed).collect())
}

fn fixtures(folder: &str) -> Result<Vec<(String, String)>> {
    let folder = workspace().join("crates/api/fixtures").join(folder);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(Path::new(&folder))? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        files.push((name, std::fs::read_to_string(&path)?));
    }
    files.sort();
    Ok(files)
}
