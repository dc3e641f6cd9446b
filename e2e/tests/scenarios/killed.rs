//! The operator is killed in every phase of a release, and of a rollback, right after it has written down what it is
//! about to do; another takes over when the lease has expired.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use kube::runtime::{WatchStreamExt as _, watcher};
use leadsman_api::{Phase, Rollout};
use leadsman_e2e::metrics::{success_rate, with};
use leadsman_e2e::routes::APP;
use leadsman_e2e::status::{is_current, phase, stable_hash};
use leadsman_e2e::{
    App, Load, Namespace, Operator, RolloutBuilder, RouteKind, figures, pause, set_weight, step_analysis,
};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::AbortHandle;

use crate::harness::scenario;

/// Phases that a release goes through, other than those of a rollback, and those that follow by themselves: what is persisted
/// of these stands there only after ten seconds.
const FORWARD: [&str; 8] =
    ["preflight", "step 0: pods", "step 0: split", "step 1", "step 2", "last: split", "promoting: binding", "draining"];
/// Phases of a rollback.
const BACK: [&str; 3] = ["leaving: split", "leaving: binding", "draining"];

pub fn trials() -> Vec<Trial> {
    let trial = |kind: RouteKind| {
        scenario(format!("killed-in-every-phase-{}", kind.word()), move |ns| async move { killed(&ns, kind).await })
    };
    RouteKind::MAIN.map(trial).into()
}

async fn killed(namespace: &Namespace, kind: RouteKind) -> Result<()> {
    // Draining takes longer than taking over, so that it is seen.
    let rollout = RolloutBuilder::new(&namespace.name, kind).drain("25s").background(&[success_rate()]).steps(&[
        set_weight(40),
        pause("2s"),
        step_analysis(&[with(success_rate(), "/count", json!(2))]),
    ]);
    namespace.apply_all(&rollout.surroundings()).await?;
    namespace.declare(&rollout).await?;
    let mut seen = Seen::of(namespace).await?;
    let healthy = |seen: &Rollout| is_current(seen) && phase(seen) == Some(Phase::Healthy);
    let mut kills = seen.killing(namespace, healthy).await?;
    let mut load = Load::through(namespace, kind, 40.0).await?;

    let good = rollout.version("v2");
    namespace.declare(&good).await?;
    let hash = good.hash();
    let promoted = |seen: &Rollout| healthy(seen) && is_at_rest(seen) && stable_hash(seen) == Some(&hash);
    let forward = seen.killing(namespace, promoted).await?;
    namespace.until_promoted(&good).await?;
    for wanted in FORWARD {
        ensure!(forward.contains(wanted), "never killed in {wanted:?}, only in {forward:?}");
    }
    kills.extend(forward);

    let bad = rollout.app(App { error_rate: 0.4, ..App::new("v3") });
    namespace.declare(&bad).await?;
    // The way to the failure was walked above: kill from there on.
    while !stage(&seen.last).starts_with("leaving") {
        seen.next().await?;
    }
    let rolled_back = |seen: &Rollout| phase(seen) == Some(Phase::RolledBack) && is_at_rest(seen);
    let back = seen.killing(namespace, rolled_back).await?;
    for wanted in BACK {
        ensure!(back.contains(wanted), "never killed in {wanted:?}, only in {back:?}");
    }
    kills.extend(back);
    namespace.until_rolled_back(Duration::from_secs(5)).await?;

    figures::record(&namespace.scenario, "kills", kills.len());
    let account = namespace.close(&mut load, &["v3"]).await?;
    ensure!(account.versions.contains_key("v2") && account.own_failures > 0, "{:?}", account.versions);
    Ok(())
}

/// What becomes of the Rollout, write by write.
struct Seen {
    rollouts: UnboundedReceiver<Rollout>,
    last: Rollout,
    task: AbortHandle,
}

impl Seen {
    async fn of(namespace: &Namespace) -> Result<Self> {
        let (sender, mut rollouts) = unbounded_channel();
        let mut watch = watcher::watch_object(namespace.api::<Rollout>(), APP).default_backoff().boxed();
        let task = tokio::spawn(async move {
            while let Some(seen) = watch.next().await {
                if let Ok(Some(rollout)) = seen
                    && sender.send(rollout).is_err()
                {
                    return;
                }
            }
        });
        let last = rollouts.recv().await.context("the watch ended")?;
        Ok(Self { rollouts, last, task: task.abort_handle() })
    }

    async fn next(&mut self) -> Result<()> {
        let next = tokio::time::timeout(Duration::from_mins(1), self.rollouts.recv()).await;
        self.last = next.context("the Rollout does not go on")?.context("the watch ended")?;
        Ok(())
    }

    /// Kills the operator the first time that the Rollout is seen in each phase, until it is where it is to be. Gives the
    /// phases.
    async fn killing(&mut self, namespace: &Namespace, until: impl Fn(&Rollout) -> bool) -> Result<BTreeSet<String>> {
        let operator = Operator::of(namespace);
        let mut killed = BTreeSet::new();
        while !until(&self.last) {
            let phase = stage(&self.last);
            if phase.is_empty() || phase == "at rest" || !killed.insert(phase) {
                self.next().await?;
                continue;
            }
            let crashed = operator.crash().await?;
            // What it still wrote before its end.
            while let Ok(last) = self.rollouts.try_recv() {
                self.last = last;
            }
            // In a phase that is new as well, its successor is killed as soon as it leads.
            operator.until_led_by_another(&crashed).await?;
        }
        Ok(killed)
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The phase of a release, as finely as the operator's own record tells phases apart.
fn stage(rollout: &Rollout) -> String {
    let Some(progress) = rollout.status.as_ref().and_then(|status| status.progress.as_ref()) else {
        return String::new();
    };
    let at = |pointer: &str| progress.pointer(pointer).unwrap_or(&Value::Null);
    let settled = |side: &str, hash: &Value| {
        at(&format!("/bindings/{side}/decided")) == hash && at(&format!("/bindings/{side}/inForce")) == hash
    };
    let split = if at("/traffic/decided") == at("/traffic/inForce") { "settled" } else { "split" };
    let stage = at("/stage");
    if let Some(release) = stage.get("releasing") {
        if release.get("preflight").is_some() {
            return "preflight".to_owned();
        }
        let canary = release.pointer("/canary/hash").unwrap_or(&Value::Null);
        let step = release.get("step").and_then(Value::as_u64).unwrap_or_default();
        let name = if step >= 3 { "last".to_owned() } else { format!("step {step}") };
        return match step {
            1 | 2 => name,
            _ if at("/bindings/canary/decided") != canary => format!("{name}: pods"),
            _ if !settled("canary", canary) => format!("{name}: binding"),
            _ => format!("{name}: {split}"),
        };
    }
    if stage.get("promoting").is_some() {
        let bound = settled("stable", at("/stable/hash"));
        return format!("promoting: {}", if bound { split } else { "binding" });
    }
    if stage.get("leaving").is_some() {
        let bound = at("/bindings/canary/decided") == at("/stable/hash");
        return format!("leaving: {}", if bound { "binding" } else { split });
    }
    match stage.as_str() {
        Some("resting") if is_at_rest(rollout) => "at rest".to_owned(),
        Some("resting") => "draining".to_owned(),
        Some(other) => other.to_owned(),
        None => String::new(),
    }
}

/// Nothing is on its way out any more.
fn is_at_rest(rollout: &Rollout) -> bool {
    let progress = rollout.status.as_ref().and_then(|status| status.progress.as_ref());
    progress.is_some_and(|progress| {
        let none =
            |pointer: &str| progress.pointer(pointer).and_then(Value::as_object).is_none_or(serde_json::Map::is_empty);
        progress.pointer("/stage").and_then(Value::as_str) == Some("resting") && none("/idle")
    })
}
