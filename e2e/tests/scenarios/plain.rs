//! Canaries without a proxy, behind one Service, and workers that have none.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Service;
use kube::api::ListParams;
use leadsman_api::{Phase, Rollout};
use leadsman_e2e::account::account;
use leadsman_e2e::binomial::{is_plausible, two_sided};
use leadsman_e2e::metrics::success_rate;
use leadsman_e2e::rollout::SETTLE;
use leadsman_e2e::routes::APP;
use leadsman_e2e::status::{message, phase, weight_in_force};
use leadsman_e2e::timeline::{selections, sizes};
use leadsman_e2e::{
    App, Connections, Load, Namespace, RolloutBuilder, figures, pause, pause_until_promoted, set_weight,
};
use libtest_mimic::Trial;

use crate::harness::{now, scenario};
use crate::people::command;

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("plain-good", |ns| async move { good(&ns).await }),
        scenario("plain-bad", |ns| async move { bad(&ns).await }),
        scenario("plain-one-replica", |ns| async move { one_replica(&ns).await }),
        scenario("worker", |ns| async move { worker(&ns).await }),
    ]
}

fn waits_at(percent: i32) -> impl Fn(&Rollout) -> bool {
    move |seen| phase(seen) == Some(Phase::Paused) && weight_in_force(seen) == percent
}

/// One of five pods gets a fifth of new connections, one of two halves a half.
async fn good(namespace: &Namespace) -> Result<()> {
    let steps = [set_weight(25), pause_until_promoted(), set_weight(50), pause_until_promoted()];
    let rollout = RolloutBuilder::plain(&namespace.name).background(&[success_rate()]).steps(&steps);
    namespace.deploy(&rollout).await?;
    let mut load = Load::direct(namespace, APP, Connections::New, 60.0).await?;
    load.until_answered(100).await?;
    let next = rollout.version("v2");
    namespace.declare(&next).await?;
    for (percent, share) in [(20, 0.2), (50, 0.5)] {
        namespace.until("to wait for a person", Duration::from_mins(1), waits_at(percent)).await?;
        let from = now();
        load.until_more(1500).await?;
        let to = now() - 1.0;
        let within = load.records().iter().filter(|it| it.sent > from && it.sent < to && it.is_answered());
        let (all, new) = within.fold((0, 0), |(all, new), it| (all + 1, new + u64::from(it.version == "v2")));
        ensure!(
            is_plausible(new, all, share),
            "v2 answered {new} of {all}, where its share is {share} (p = {:e})",
            two_sided(new, all, share)
        );
        figures::record(
            &namespace.scenario,
            &format!("share at {percent}%"),
            figures::rounded(new as f64 / all as f64),
        );
        command(namespace, "promote", &next).await?;
    }
    namespace.until_promoted(&next).await?;
    load.until_more(300).await?;
    let account = account(load.finish().await?, &[]);
    figures::record(&namespace.scenario, "requests", account.requests);
    account.expect_nothing_lost("load")
}

/// 30% errors: back in the pass of the verdict.
async fn bad(namespace: &Namespace) -> Result<()> {
    let rollout = RolloutBuilder::plain(&namespace.name).background(&[success_rate()]).steps(&[
        set_weight(25),
        pause("30s"),
        set_weight(50),
        pause("30s"),
    ]);
    namespace.deploy(&rollout).await?;
    let mut load = Load::direct(namespace, APP, Connections::New, 60.0).await?;
    load.until_answered(100).await?;
    let bad = rollout.app(App { error_rate: 0.3, ..App::new("v2") });
    namespace.declare(&bad).await?;
    let rolled_back = namespace.until_rolled_back(Duration::from_mins(1)).await?;
    ensure!(message(&rolled_back).contains("AnalysisFailed: success-rate is"), "{}", message(&rolled_back));
    let (hash, answers) = (bad.hash(), namespace.proxy.answers());
    let failing = answers.iter().find(|it| it.question.contains(&hash) && it.value().is_some_and(|it| it < 0.95));
    let failing = failing.context("Prometheus never said that it was bad")?;
    let selected = selections(&namespace.requests()?, APP);
    let seen: Vec<_> = selected.iter().map(|change| change.to.as_str()).collect();
    ensure!(seen == [rollout.hash().as_str(), "any", rollout.hash().as_str()], "the Service selected {seen:?}");
    let back = selected.last().context("nothing was selected")?;
    let latency = back.done - failing.at;
    ensure!(latency < 1.0, "the way back came {latency:.3} s after the failing answer");
    figures::record(&namespace.scenario, "way back ms", (latency * 1e3).round());
    load.until_more(600).await?;
    let records = load.finish().await?;
    let late = records.iter().filter(|it| it.version == "v2" && it.sent > back.done + SETTLE).count();
    ensure!(late == 0, "{late} requests reached the canary after it was rolled back");
    let account = account(records, &["v2"]);
    figures::record(&namespace.scenario, "requests", account.requests);
    ensure!(account.own_failures > 0, "the bad release failed nothing");
    account.expect_nothing_lost("load")
}

/// Of two pods the canary is one: that is said, and it is what it gets.
async fn one_replica(namespace: &Namespace) -> Result<()> {
    let rollout = RolloutBuilder::plain(&namespace.name).replicas(1).steps(&[set_weight(10), pause_until_promoted()]);
    namespace.deploy(&rollout).await?;
    let mut load = Load::direct(namespace, APP, Connections::New, 60.0).await?;
    let next = rollout.version("v2");
    namespace.declare(&next).await?;
    let paused = namespace.until("to wait for a person", Duration::from_mins(1), waits_at(50)).await?;
    let weight = paused.status.and_then(|status| status.weight).context("no weight")?;
    ensure!(weight.desired == 10, "{weight:?}");
    let events = namespace.api::<k8s_openapi::api::events::v1::Event>().list(&ListParams::default()).await?;
    let told =
        events.iter().find(|event| event.reason.as_deref() == Some("CoarseShare")).and_then(|it| it.note.clone());
    ensure!(
        told.as_deref().is_some_and(|note| note.contains("10% was asked; with 1 stable pods, 1 canary pod gets 50%")),
        "{told:?}"
    );
    command(namespace, "promote", &next).await?;
    namespace.until_promoted(&next).await?;
    load.until_more(60).await?;
    account(load.finish().await?, &[]).expect_nothing_lost("load")
}

/// Nothing is sent to a worker; its gate measures what it does, and its pods go as soon as that is wrong.
async fn worker(namespace: &Namespace) -> Result<()> {
    let working = |version: &str, error_rate: f64| {
        let env = vec![("WORK_RATE".to_owned(), "20".to_owned())];
        App { error_rate, env, ..App::new(version) }
    };
    let rollout = RolloutBuilder::worker(&namespace.name)
        .app(working("v1", 0.0))
        .background(&[success_rate()])
        .steps(&[set_weight(25), pause("10m"), set_weight(50)]);
    namespace.deploy(&rollout).await?;
    let bad = rollout.app(working("v2", 0.3));
    namespace.declare(&bad).await?;
    let rolled_back = namespace.until_rolled_back(Duration::from_mins(2)).await?;
    ensure!(message(&rolled_back).contains("AnalysisFailed: success-rate is"), "{}", message(&rolled_back));
    let sets = |hash: &str| sizes(&namespace.requests().unwrap_or_default(), &format!("{APP}-{hash}"));
    let seen: Vec<_> = sets(&bad.hash()).into_iter().map(|change| change.to).collect();
    ensure!(seen == [1, 0], "the new workers' set had {seen:?} pods");
    let good = rollout.app(working("v3", 0.0)).steps(&[set_weight(50), pause("3s")]);
    namespace.declare(&good).await?;
    namespace.until_promoted(&good).await?;
    let services = namespace.api::<Service>().list(&ListParams::default()).await?;
    ensure!(services.items.iter().all(|it| it.metadata.name.as_deref() != Some(APP)), "a worker has no Service");
    let left = namespace.api::<ReplicaSet>();
    let old = format!("{APP}-{}", rollout.hash());
    let gone =
        |set: Option<&ReplicaSet>| set.is_none_or(|set| set.spec.as_ref().is_some_and(|it| it.replicas == Some(0)));
    leadsman_e2e::wait::wait_for(left, &old, "to end", Duration::from_secs(30), gone).await.map(drop)
}
