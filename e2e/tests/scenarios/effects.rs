//! Two operators, and the leader killed before and after its writes to Services, routes and sets: the other goes on, and
//! nothing is done twice.
//!
//! By default a few of the writes, each kind of them before and after; with `LEADSMAN_FULL` every single one.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use leadsman_api::{Phase, Rollout};
use leadsman_e2e::account::account;
use leadsman_e2e::leaders::Leaders;
use leadsman_e2e::metrics::success_rate;
use leadsman_e2e::routes::{APP, CANARY, PREVIEW, STABLE};
use leadsman_e2e::status::{canary_hash, is_current, phase, stable_hash, weight_in_force};
use leadsman_e2e::timeline::{Change, selections, sizes, weights};
use leadsman_e2e::wire::{Effect, Strike, When};
use leadsman_e2e::{
    Connections, Load, Namespace, Operator, RolloutBuilder, RouteKind, Wire, figures, pause, pause_until_promoted,
    set_weight,
};
use libtest_mimic::Trial;
use serde_json::json;

use crate::harness::{full, now, scenario_on_the_wire};
use crate::people::command;

/// From the leader's death until another leads.
const TAKEN_OVER: f64 = 20.0;
/// From the lease given back until another leads.
const HANDED_OVER: f64 = 1.0;
/// More writes of a kind than any release or rollback makes.
const MOST_WRITES: usize = 12;

pub fn trials() -> Vec<Trial> {
    use Effect::{Route, Service, Set};
    use When::{After, Before};
    let some = |strikes: &[(Effect, usize, When)]| {
        let strikes = strikes.iter().map(|(effect, nth, when)| Strike { effect: *effect, nth: *nth, when: *when });
        strikes.collect::<Vec<_>>()
    };
    let trial = |way: Way, word: &str, release: Vec<Strike>, rollback: Vec<Strike>| {
        let [release, rollback] = if full() { [every(), every()] } else { [release, rollback] };
        scenario_on_the_wire(format!("leader-killed-at-every-effect-{word}"), 1, move |ns, wire| async move {
            killed(&ns, &wire, way, release, rollback).await
        })
    };
    vec![
        trial(
            Way::Route(RouteKind::HttpRouteGateway),
            "httproute",
            some(&[(Service, 0, Before), (Route, 0, After), (Set, 1, Before)]),
            some(&[(Route, 1, Before), (Service, 1, After)]),
        ),
        trial(
            Way::Route(RouteKind::VirtualService),
            "virtualservice",
            some(&[(Set, 0, After), (Service, 1, After), (Route, 2, Before)]),
            some(&[(Route, 1, After), (Service, 1, Before)]),
        ),
        trial(
            Way::BlueGreen,
            "blue-green",
            some(&[(Set, 0, After), (Service, 1, After), (Service, 2, Before)]),
            some(&[(Service, 1, Before)]),
        ),
        scenario_on_the_wire("leader-hands-over", 1, |ns, _| async move { hands_over(&ns).await }),
    ]
}

/// What is released, and by what.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// A canary through a route.
    Route(RouteKind),
    /// A preview that takes over behind one Service.
    BlueGreen,
}

impl Way {
    fn rollout(self, namespace: &str) -> RolloutBuilder {
        let rollout = match self {
            Self::Route(kind) => {
                RolloutBuilder::new(namespace, kind).background(&[success_rate()]).steps(&[set_weight(40), pause("2s")])
            }
            Self::BlueGreen => {
                let fields = json!({"previewReplicas": 1, "autoPromotionAfter": "2s", "scaleDownDelay": "2s"});
                RolloutBuilder::blue_green(namespace, fields).replicas(2)
            }
        };
        rollout.drain("2s").set("/spec/revisionHistoryLimit", json!(9))
    }

    /// The same, until somebody aborts it.
    fn held(self, rollout: &RolloutBuilder) -> RolloutBuilder {
        match self {
            Self::Route(_) => rollout.clone().steps(&[set_weight(40), pause_until_promoted()]),
            Self::BlueGreen => rollout
                .set("/spec/strategy/blueGreen/autoPromotion", json!(false))
                .without("/spec/strategy/blueGreen/autoPromotionAfter"),
        }
    }

    /// The share at which it is held.
    fn held_at(self) -> i32 {
        match self {
            Self::Route(_) => 40,
            Self::BlueGreen => 0,
        }
    }

    async fn load(self, namespace: &Namespace) -> Result<Load> {
        match self {
            Self::Route(kind) => Load::through(namespace, kind, 200.0).await,
            Self::BlueGreen => Load::direct(namespace, APP, Connections::New, 60.0).await,
        }
    }

    async fn settle_accounts(self, namespace: &Namespace, load: &mut Load) -> Result<()> {
        match self {
            Self::Route(_) => namespace.close(load, &[]).await.map(drop),
            Self::BlueGreen => account(load.finish().await?, &[]).expect_nothing_lost("load"),
        }
    }
}

/// Before and after every write there may be.
fn every() -> Vec<Strike> {
    let of = |effect| {
        (0..MOST_WRITES).flat_map(move |nth| [When::Before, When::After].map(|when| Strike { effect, nth, when }))
    };
    Effect::ALL.into_iter().flat_map(of).collect()
}

/// A release and a rollback that nobody disturbs, then the same again with kills: the same effects, each once.
async fn killed(
    namespace: &Namespace,
    wire: &Wire,
    way: Way,
    release: Vec<Strike>,
    rollback: Vec<Strike>,
) -> Result<()> {
    let rollout = way.rollout(&namespace.name);
    namespace.deploy(&rollout).await?;
    let mut load = way.load(namespace).await?;
    let leaders = Leaders::of(namespace);
    let aborted = |version: &str| way.held(&rollout.version(version));
    let mut slowest = 0.0_f64;
    let mut kills = 0;
    let versions = [
        ("v2", "v1", vec![], false),
        ("v3", "v2", vec![], true),
        ("v4", "v2", release, false),
        ("v5", "v4", rollback, true),
    ];
    let mut undisturbed = BTreeMap::new();
    for (version, stable, strikes, goes_back) in versions {
        let declared = if goes_back { aborted(version) } else { rollout.version(version) };
        let (is_struck, began) = (!strikes.is_empty(), now());
        wire.strike(strikes);
        namespace.declare(&declared).await?;
        if goes_back {
            until_goes_back(namespace, &declared, way.held_at()).await?;
        } else {
            until_promoted(namespace, &declared).await?;
        }
        let effects = effects(namespace, way, &declared.hash(), &rollout.version(stable).hash(), began)?;
        if !is_struck {
            undisturbed.insert(goes_back, effects);
            continue;
        }
        let expected = undisturbed.get(&goes_back).context("nothing to compare with")?;
        ensure!(effects == *expected, "with kills the effects were {effects:#?}, without {expected:#?}");
        ensure!(full() || wire.to_come() == 0, "{} kills never came", wire.to_come());
        for struck in wire.struck() {
            let taken = leaders.successor_of(&struck.victim, struck.at);
            let took = taken.with_context(|| format!("nobody took over after {struck:?}"))? - struck.at;
            ensure!(took < TAKEN_OVER, "it took {took:.1} s until another led: {struck:?}");
            slowest = slowest.max(took);
            kills += 1;
        }
    }
    wire.strike(Vec::new());
    figures::record(&namespace.scenario, "kills", kills);
    figures::record(&namespace.scenario, "slowest take-over s", figures::rounded(slowest));
    Operator::of(namespace).until_ready().await?;
    way.settle_accounts(namespace, &mut load).await
}

/// Longer than the usual wait: every kill costs a lease.
const LONG: Duration = Duration::from_mins(12);

async fn until_promoted(namespace: &Namespace, rollout: &RolloutBuilder) -> Result<()> {
    let hash = rollout.hash();
    let promoted = |seen: &Rollout| {
        is_current(seen) && phase(seen) == Some(Phase::Healthy) && stable_hash(seen) == Some(&hash) && is_clean(seen)
    };
    namespace.until("to be promoted and cleaned up", LONG, promoted).await.map(drop)
}

async fn until_goes_back(namespace: &Namespace, rollout: &RolloutBuilder, percent: i32) -> Result<()> {
    let hash = rollout.hash();
    let waits = |seen: &Rollout| {
        canary_hash(seen) == Some(&hash) && weight_in_force(seen) == percent && phase(seen) == Some(Phase::Paused)
    };
    namespace.until(&format!("to wait at {percent}%"), LONG, waits).await?;
    command(namespace, "abort", rollout).await?;
    let back = |seen: &Rollout| is_current(seen) && phase(seen) == Some(Phase::RolledBack) && is_clean(seen);
    namespace.until("to be rolled back and cleaned up", LONG, back).await.map(drop)
}

/// No set is on its way out any more.
fn is_clean(rollout: &Rollout) -> bool {
    let idle = rollout.status.as_ref().and_then(|status| status.progress.as_ref()?.get("idle"));
    idle.and_then(|idle| idle.as_object()).is_none_or(serde_json::Map::is_empty)
}

/// What the operator did since then, object by object, with revisions by their part in it.
fn effects(
    namespace: &Namespace,
    way: Way,
    new: &str,
    stable: &str,
    since: f64,
) -> Result<BTreeMap<&'static str, Vec<String>>> {
    let requests = namespace.requests()?;
    let part = |hash: &String| match hash.as_str() {
        "any" => "any".to_owned(),
        hash if hash == new => "new".to_owned(),
        _ => "stable".to_owned(),
    };
    let services = match way {
        Way::Route(_) => [STABLE, CANARY],
        Way::BlueGreen => [APP, PREVIEW],
    };
    let selected = services.map(|service| (service, told(&selections(&requests, service), since, part)));
    let weights = match way {
        Way::Route(kind) => told(&weights(&requests, &kind.route_name()), since, f64::to_string),
        Way::BlueGreen => Vec::new(),
    };
    Ok(BTreeMap::from([
        ("weights", weights),
        ("new set", told(&sizes(&requests, &format!("{APP}-{new}")), since, u64::to_string)),
        ("stable set", told(&sizes(&requests, &format!("{APP}-{stable}")), since, u64::to_string)),
    ])
    .into_iter()
    .chain(selected)
    .collect())
}

fn told<T>(changes: &[Change<T>], since: f64, words: impl Fn(&T) -> String) -> Vec<String> {
    changes.iter().filter(|change| change.received > since).map(|change| words(&change.to)).collect()
}

/// The leader is told to stop: it gives the lease back, and the other leads.
async fn hands_over(namespace: &Namespace) -> Result<()> {
    let kind = RouteKind::HttpRouteGateway;
    let rollout = RolloutBuilder::new(&namespace.name, kind).steps(&[set_weight(50), pause("4s")]);
    namespace.deploy(&rollout).await?;
    let mut load = Load::through(namespace, kind, 50.0).await?;
    let leaders = Leaders::of(namespace);
    let operator = Operator::of(namespace);
    let (mut slowest, mut longest) = (0.0_f64, 0.0_f64);
    for version in ["v2", "v3", "v4"] {
        let next = rollout.version(version);
        namespace.declare(&next).await?;
        namespace.until_weight(&next, 50).await?;
        let former = namespace.api::<Lease>().get("leadsman").await?.spec.and_then(|spec| spec.holder_identity);
        let former = former.context("nobody leads")?;
        let pod = former.split('_').next().context("no pod")?.to_owned();
        let told = now();
        namespace.api::<Pod>().delete(&pod, &DeleteParams::default()).await?;
        operator.until_led_by_another(&former).await?;
        namespace.until_promoted(&next).await?;
        operator.until_ready().await?;
        let released = leaders.released(told).context("the lease was never given back")?;
        let taken = leaders.successor_of(&former, told).context("nobody took over")?;
        (slowest, longest) = (slowest.max(taken - released), longest.max(taken - told));
    }
    figures::record(&namespace.scenario, "slowest hand-over, from the lease given back, ms", (slowest * 1e3).round());
    figures::record(&namespace.scenario, "the same from the pod's deletion, ms", (longest * 1e3).round());
    ensure!(slowest < HANDED_OVER, "{slowest:.2} s from one leader to the next");
    namespace.close(&mut load, &[]).await?;
    Ok(())
}
