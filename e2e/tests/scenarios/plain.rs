//! Canaries without a proxy, behind one Service, and workers that have none.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Service;
use kube::api::ListParams;
use leadsman_api::{Phase, Rollout};
use leadsman_e2e::account::account;
use leadsman_e2e::binomial::{is_plausible, two_sided};
use leadsman_e2e::flux::{self, DELIVERY};
use leadsman_e2e::git::Repository;
use leadsman_e2e::metrics::success_rate;
use leadsman_e2e::rollout::SETTLE;
use leadsman_e2e::routes::APP;
use leadsman_e2e::status::{message, phase, weight_in_force};
use leadsman_e2e::timeline::{selections, sizes};
use leadsman_e2e::{
    App, Connections, Load, Namespace, Operator, RolloutBuilder, figures, pause, pause_until_promoted, set_weight,
};
use libtest_mimic::Trial;
use serde_json::json;

use crate::harness::{now, scenario};
use crate::people::{command, until_told};

pub fn trials() -> Vec<Trial> {
    vec![
        scenario("plain-good", |ns| async move { good(&ns).await }),
        scenario("plain-bad", |ns| async move { bad(&ns).await }),
        scenario("plain-one-replica", |ns| async move { one_replica(&ns).await }),
        scenario("plain-crashes", |ns| async move { crashes(&ns).await }),
        scenario("plain-third", |ns| async move { third(&ns).await }),
        scenario("plain-keep-stable", |ns| async move { keep_stable(&ns).await }),
        scenario("plain-gitops", |ns| async move { gitops(&ns).await }),
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
    let told = until_told(namespace, "CoarseShare").await?;
    ensure!(told.contains("10% was asked; with 1 stable pods, 1 canary pod gets 50%"), "{told}");
    command(namespace, "promote", &next).await?;
    namespace.until_promoted(&next).await?;
    load.until_more(60).await?;
    account(load.finish().await?, &[]).expect_nothing_lost("load")
}

/// All pods of the canary crash under traffic: it is taken back for their own words, and from then on nothing is lost.
async fn crashes(namespace: &Namespace) -> Result<()> {
    let rollout = RolloutBuilder::plain(&namespace.name).steps(&[set_weight(50), pause("2m")]);
    namespace.deploy(&rollout).await?;
    let mut load = Load::direct(namespace, APP, Connections::New, 40.0).await?;
    load.until_answered(100).await?;
    let crashing = App { env: vec![("CRASH_AFTER_S".to_owned(), "12".to_owned())], ..App::new("v2") };
    let bad = rollout.app(crashing);
    namespace.declare(&bad).await?;
    let rolled_back = namespace.until_rolled_back(Duration::from_mins(2)).await?;
    ensure!(message(&rolled_back).contains("CrashLooping"), "{}", message(&rolled_back));
    let selected = selections(&namespace.requests()?, APP);
    let back = selected.last().filter(|it| it.to == rollout.hash()).context("stable was not selected alone")?;
    load.until_more(300).await?;
    let account = account(load.finish().await?, &["v2"]);
    let after = account.lost.iter().filter(|it| it.sent > back.done + SETTLE).count();
    ensure!(after == 0, "{after} requests were lost after the way back");
    ensure!(account.versions.contains_key("v2"), "the canary never answered");
    figures::record(&namespace.scenario, "requests", account.requests);
    figures::record(&namespace.scenario, "lost to crashing pods", account.lost.len());
    Ok(())
}

/// A third template while the second has a share: the second is gone before the third gets any.
async fn third(namespace: &Namespace) -> Result<()> {
    let rollout = RolloutBuilder::plain(&namespace.name).steps(&[set_weight(25), pause("10s")]);
    namespace.deploy(&rollout).await?;
    let mut load = Load::direct(namespace, APP, Connections::New, 60.0).await?;
    namespace.declare(&rollout.version("v2")).await?;
    load.until_answered_by("v2", Duration::from_mins(1)).await?;
    let third = rollout.version("v3");
    namespace.declare(&third).await?;
    namespace.until_promoted(&third).await?;
    load.until_more(200).await?;
    let account = account(load.finish().await?, &[]);
    figures::record(&namespace.scenario, "requests", account.requests);
    account.expect_nothing_lost("load")?;
    let sent = |version: &'static str| load.records().iter().filter(move |it| it.version == version).map(|it| it.sent);
    let (last, first) = (sent("v2").fold(0.0, f64::max), sent("v3").fold(f64::MAX, f64::min));
    ensure!(last < first, "v2 answered until {last}, and v3 from {first} on");
    Ok(())
}

/// Stable may shrink to a quarter: weights go beyond a half, and a way back goes as fast as stable's pods come.
async fn keep_stable(namespace: &Namespace) -> Result<()> {
    let rollout = RolloutBuilder::plain(&namespace.name)
        .set("/spec/strategy/canary/keepStable", json!("25%"))
        .background(&[success_rate()])
        .steps(&[set_weight(75), pause_until_promoted()]);
    namespace.deploy(&rollout).await?;
    let mut load = Load::direct(namespace, APP, Connections::New, 60.0).await?;
    load.until_answered(100).await?;
    let good = rollout.version("v2");
    namespace.declare(&good).await?;
    namespace.until("to wait for a person", Duration::from_mins(2), waits_at(75)).await?;
    let wanted = |hash: &str| -> Result<Option<u64>> {
        Ok(sizes(&namespace.requests()?, &format!("{APP}-{hash}")).last().map(|change| change.to))
    };
    let shape = (wanted(&rollout.hash())?, wanted(&good.hash())?);
    ensure!(shape == (Some(1), Some(3)), "stable and canary have {shape:?} pods");
    command(namespace, "abort", &good).await?;
    namespace.until_rolled_back(Duration::from_mins(2)).await?;
    let all_back = |seen: &Rollout| {
        seen.status.as_ref().and_then(|it| it.stable.as_ref()).is_some_and(|stable| stable.ready_replicas == 4)
    };
    namespace.until("to have all stable pods again", Duration::from_mins(1), all_back).await?;
    load.until_more(200).await?;
    let account = account(load.finish().await?, &[]);
    figures::record(&namespace.scenario, "requests", account.requests);
    account.expect_nothing_lost("load")
}

/// Git brings a Service without a selector, and Flux applies it again every ten seconds: it never touches ours.
async fn gitops(namespace: &Namespace) -> Result<()> {
    let steps = [set_weight(25), pause("25s"), set_weight(50), pause("5s")];
    let rollout = RolloutBuilder::plain(&namespace.name).steps(&steps);
    let repository = Repository::create(namespace).await?;
    let [service] = <[_; 1]>::try_from(rollout.surroundings()).map_err(|all| anyhow::anyhow!("{all:?}"))?;
    let files = [("delivery/service.yaml", service), ("delivery/rollout.yaml", rollout.manifest())];
    repository.commit("first version", &files).await?;
    namespace.apply(&flux::source(&namespace.name, &repository)).await?;
    namespace.apply(&flux::kustomization(&namespace.name, DELIVERY, json!({}))).await?;
    namespace.until_promoted(&rollout).await?;
    let mut load = Load::direct(namespace, APP, Connections::New, 60.0).await?;
    load.until_answered(100).await?;
    let next = rollout.version("v2");
    repository.commit("v2", &[("delivery/rollout.yaml", next.manifest())]).await?;
    namespace.until_promoted(&next).await?;
    load.until_more(200).await?;
    let user = Operator::of(namespace).user();
    let written = selections(&namespace.requests()?, APP);
    let seen: Vec<_> = written.iter().map(|change| change.to.as_str()).collect();
    ensure!(seen == [rollout.hash().as_str(), "any", next.hash().as_str()], "the Service selected {seen:?}");
    ensure!(written.iter().all(|change| change.by == user), "somebody else wrote a selector: {written:?}");
    let account = account(load.finish().await?, &[]);
    figures::record(&namespace.scenario, "requests", account.requests);
    account.expect_nothing_lost("load")
}

/// Nothing is sent to a worker; its gate measures what it does, and its pods go as soon as that is wrong. Sets of former
/// versions are not kept.
async fn worker(namespace: &Namespace) -> Result<()> {
    let working = |version: &str, error_rate: f64| {
        let env = vec![("WORK_RATE".to_owned(), "20".to_owned())];
        App { error_rate, env, ..App::new(version) }
    };
    let rollout = RolloutBuilder::worker(&namespace.name)
        .set("/spec/revisionHistoryLimit", json!(0))
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
