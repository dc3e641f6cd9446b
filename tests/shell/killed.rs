//! The leader is stopped right before and right after each of its writes, while another instance stands by.
//!
//! Whatever the write was (a status, a set, a Service, a route, the lease, an event), the other leads within [`TAKEN_OVER`],
//! goes on where it stopped, and what comes of it is the same: the same end, every object through the same states in the
//! same order as in a run that nobody disturbed, no step twice, no pause shortened or begun anew, and traffic with
//! somewhere to go at every moment.
//!
//! By default some of the writes are tried; with `LEADSMAN_FULL=1`, which `cargo xtask test --full` sets, all of them.

use std::collections::BTreeMap;
use std::time::Duration;

use leadsman_api::names::REVISION_LABEL;
use leadsman_testkit::object::{label, list, number, text};
use leadsman_testkit::{Application, Change, Moment, Route, kind};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::bed::{Bed, NAMESPACE, canary_weight, is_at_rest, seconds};

/// In this time the other instance leads.
const TAKEN_OVER: Duration = Duration::from_secs(20);
/// The pauses of the application.
const PAUSE: Duration = Duration::from_secs(5);

/// What happens to the application.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Story {
    Good,
    Bad,
    Deleted,
}

/// What came of it.
struct Played {
    /// Object: the states that it went through.
    states: BTreeMap<String, Vec<String>>,
    /// Writes of the leader from the beginning of the story.
    writes: u32,
    /// Whether the leader was stopped.
    killed: bool,
}

/// What carries the traffic of the application, and how a new version takes over.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Carried {
    By(Route),
    Plain,
    BlueGreen,
}

impl Carried {
    fn application(self) -> Application {
        let podinfo = Application::new(NAMESPACE, "podinfo");
        let watched = |application: Application| application.watched_by("errors{revision=\"{{canary.hash}}\"}");
        match self {
            Self::By(route) => watched(podinfo.route(route)),
            Self::Plain => watched(podinfo.plain()),
            Self::BlueGreen => podinfo.plain().blue_green(),
        }
    }

    /// The same, so that the story has a moment to turn in: the last step waits for longer than anything else takes.
    fn told_in(self, story: Story) -> Application {
        let application = self.application();
        match (story, self) {
            (Story::Good, _) => application,
            // The verdict comes while the new revision has all traffic and the old one is whole.
            (Story::Bad | Story::Deleted, Self::BlueGreen) => {
                application.measured_after_promotion("errors{revision=\"{{canary.hash}}\"}")
            }
            // The verdict comes within the last pause, whoever leads.
            (Story::Bad, _) => application.steps(&json!([
                {"setWeight": 25}, {"pause": {"duration": "5s"}}, {"setWeight": 50}, {"pause": {"duration": "2m"}},
            ])),
            (Story::Deleted, _) => application.steps(&json!([{"setWeight": 25}, {"pause": {}}])),
        }
    }

    /// The step in which the story turns.
    fn turns_at(self, story: Story) -> u64 {
        match (self, story) {
            (Self::BlueGreen, _) => 4,
            (_, Story::Deleted) => 1,
            (_, _) => 3,
        }
    }

    /// The steps that are pauses.
    fn pauses(self) -> &'static [u64] {
        match self {
            Self::By(_) | Self::Plain => &[1, 3],
            Self::BlueGreen => &[1],
        }
    }
}

async fn play(carried: Carried, story: Story, kill: Option<(u32, Moment)>) -> Played {
    let bed = Bed::new();
    let old = carried.told_in(story);
    let new = old.version("v2");
    bed.prometheus.says_value(&old.hash(), 0.0);
    bed.prometheus.says_value(&new.hash(), 0.0);
    let first = bed.operator("first");
    bed.declare(&old);
    bed.until_at_rest(&old).await;
    let second = bed.operator("second");
    seconds(4).await;
    let (from, since, before) = (bed.server.history().len(), bed.version(), first.connection.writes());

    if story == Story::Deleted {
        bed.release(&new);
        bed.until(&new, |rollout| step(rollout) == Some(carried.turns_at(story))).await;
        seconds(3).await;
    }
    let already = first.connection.writes() - before;
    if let Some((nth, moment)) = kill {
        first.connection.cut_at_write(nth, moment);
    }
    match story {
        Story::Good => bed.release(&new),
        Story::Bad => {
            bed.release(&new);
            bed.until(&new, |rollout| step(rollout) == Some(carried.turns_at(story))).await;
            bed.prometheus.says_value(&new.hash(), 0.3);
        }
        Story::Deleted => assert!(bed.server.hand("person").delete(&new.name(), "Background")),
    }
    end(&bed, story, &old, &new).await;
    let writes = first.connection.writes() - before - already;
    // An event, or a renewal of the lease, may be the last that it writes.
    seconds(2).await;
    let killed = first.connection.is_cut();
    // Else they would go on beside the plays that follow.
    first.kill();
    second.kill();

    let history = bed.server.history_from(from);
    let what = format!("{story:?} of {carried:?}, stopped at {kill:?}");
    assert_eq!(bed.breaches_until_deleted(since), [], "{what}");
    let taken = if killed { taken_over(&history, &what) } else { None };
    if story == Story::Good {
        pauses(carried, &history, taken, &what);
    }
    Played { states: states(&history), writes, killed }
}

/// Waits for the end of the story, and checks that it is the right one.
async fn end(bed: &Bed, story: Story, old: &Application, new: &Application) {
    let (stable, other) = match story {
        Story::Good => (new, old),
        Story::Bad | Story::Deleted => (old, new),
    };
    match story {
        Story::Good => drop(bed.until_at_rest(new).await),
        Story::Bad => {
            let rollout = bed.until(new, |it| text(it, "/status/phase") == "RolledBack" && is_at_rest(it)).await;
            assert_eq!(list(&rollout, "/status/rejected").len(), 1);
        }
        Story::Deleted => bed.until_gone(&new.name()).await,
    }
    assert_eq!(bed.weight(new), 0);
    if story == Story::Deleted {
        bed.until_gone(&old.set_name()).await;
        bed.until_gone(&new.set_name()).await;
        return;
    }
    bed.until_pods(stable, (4, 4)).await;
    bed.until_pods(other, (0, 0)).await;
    for service in new.services() {
        let service = bed.server.get(&kind::SERVICE, NAMESPACE, &service.name).unwrap();
        assert_eq!(selected(&service), stable.hash());
    }
}

/// The other instance leads soon after the last sign of the first. Gives since when.
fn taken_over(history: &[Change], what: &str) -> Option<Instant> {
    let last = history.iter().filter(|change| &*change.by == "first").map(|change| change.at).max();
    let leases = history.iter().filter(|change| change.name.kind == &kind::LEASE && &*change.by == "second");
    let taken = leases.map(|change| change.at).next()?;
    let took = last.map_or(Duration::ZERO, |last| taken.duration_since(last));
    assert!(took <= TAKEN_OVER, "{what}: taken over after {took:?}");
    Some(taken)
}

/// The present step, while a release is under way.
fn step(rollout: &Value) -> Option<u64> {
    rollout.pointer("/status/progress/stage/releasing/step")?.as_u64()
}

/// Every pause lasted as long as it was meant to, and no longer than until another instance led, if that was later.
fn pauses(carried: Carried, history: &[Change], taken: Option<Instant>, what: &str) {
    for pause in carried.pauses().iter().copied() {
        let during = |change: &&Change| step(change.object()) == Some(pause);
        let rollouts: Vec<_> = history.iter().filter(|change| change.name.kind == &kind::ROLLOUT).collect();
        let began = rollouts.iter().copied().find(during).map(|change| change.at).expect(what);
        let ended =
            rollouts.iter().find(|change| step(change.object()).is_none_or(|step| step > pause) && change.at > began);
        let lasted = ended.expect(what).at.duration_since(began);
        assert!(lasted >= PAUSE, "{what}: the pause of step {pause} lasted {lasted:?}");
        let taken = taken.map_or(PAUSE, |taken| taken.saturating_duration_since(began));
        let longest = PAUSE.max(taken) + Duration::from_secs(2);
        assert!(lasted < longest, "{what}: the pause of step {pause} lasted {lasted:?}");
    }
}

/// What each object went through: only what matters of it, and no state twice in a row.
fn states(history: &[Change]) -> BTreeMap<String, Vec<String>> {
    let mut states: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for change in history {
        let state = match (&change.after, change.name.kind.kind) {
            (_, "Lease" | "Event" | "Pod" | "EndpointSlice") => continue,
            (None, _) => "gone".to_owned(),
            (Some(rollout), "Rollout") => stage(rollout),
            (Some(set), "ReplicaSet") => {
                let annotation =
                    |name: &str| text(set, &format!("/metadata/annotations/leadsman.dev~1{name}")).to_owned();
                let rejected = if annotation("rejected").is_empty() { "" } else { ", rejected" };
                format!("{} pods, attempt {}{rejected}", number(set, "/spec/replicas"), annotation("revision-number"))
            }
            (Some(service), "Service") => selected(service),
            (Some(report), "RolloutReport") => {
                // How much of it a write adds depends on when steps end; what it has in the end does not.
                states.insert(change.name.to_string(), vec![told(report)]);
                continue;
            }
            (Some(route), _) => format!("{}%", canary_weight(route)),
        };
        let seen = states.entry(change.name.to_string()).or_default();
        if seen.last() != Some(&state) {
            seen.push(state);
        }
    }
    states
}

/// The revision that a Service selects, or what its label says of one that selects them all.
fn selected(service: &Value) -> String {
    let revision = text(service, "/spec/selector/leadsman.dev~1revision");
    if revision.is_empty() { label(service, REVISION_LABEL).unwrap_or_default() } else { revision }.to_owned()
}

/// The outcome of an attempt, and everything that happened in it. A leader that finds a way back which was decided long ago
/// and not written takes the second way as well.
fn told(report: &Value) -> String {
    let facts = list(report, "/spec/facts");
    let kinds: Vec<_> = facts.iter().map(|fact| text(fact, "/kind")).filter(|kind| *kind != "SecondWay").collect();
    let indices: Vec<_> = facts.iter().map(|fact| number(fact, "/index")).collect();
    let in_order = indices.iter().copied().eq(0..indices.len() as u64);
    assert!(in_order, "something is told twice, or is missing: {indices:?}");
    format!("{}: {}", text(report, "/spec/outcome"), kinds.join(", "))
}

fn stage(rollout: &Value) -> String {
    let progress = rollout.pointer("/status/progress").unwrap_or(&Value::Null);
    let split = number(progress, "/traffic/decided");
    let bound = |side: &str| text(progress, &format!("/bindings/{side}/decided")).to_owned();
    let stage = match progress.get("stage") {
        Some(Value::Object(stage)) => stage.keys().next().map_or("", String::as_str),
        Some(Value::String(stage)) => stage,
        _ => "",
    };
    // What follows from the stage by itself is persisted with what is decided next, or earlier.
    match (stage, split) {
        ("promoting", _) => format!("{stage}, {} and {}", bound("stable"), bound("canary")),
        ("releasing", _) => {
            let canary = if split > 0 { bound("canary") } else { String::new() };
            let step = number(progress, "/stage/releasing/step");
            format!("{stage} step {step}, {split}%, {} and {canary}", bound("stable"))
        }
        _ => format!("{stage}, {split}%, {} and {}", bound("stable"), bound("canary")),
    }
}

/// Stops the leader at every `every`th write, before and after it. Gives how often.
async fn matrix(carried: Carried, story: Story, every: usize) -> u32 {
    let undisturbed = play(carried, story, None).await;
    assert!(!undisturbed.killed && undisturbed.writes > 0);
    let mut kills = 0;
    for nth in (1..=undisturbed.writes).step_by(every) {
        for moment in [Moment::Before, Moment::After] {
            let played = play(carried, story, Some((nth, moment))).await;
            let what = format!("{story:?} of {carried:?}, stopped at {nth} {moment:?}");
            for (object, states) in &undisturbed.states {
                assert_eq!(played.states.get(object), Some(states), "{what}: {object}");
            }
            assert_eq!(played.states.len(), undisturbed.states.len(), "{what}");
            kills += u32::from(played.killed);
        }
    }
    kills
}

fn is_full() -> bool {
    std::env::var_os("LEADSMAN_FULL").is_some()
}

async fn all(story: Story) {
    let of_routes = [(Carried::By(Route::HttpRoute), 3), (Carried::By(Route::VirtualService), 17)];
    for (carried, some) in of_routes {
        some_or_all(carried, story, some).await;
    }
}

/// At all writes, or at every so many of them.
async fn some_or_all(carried: Carried, story: Story, some: usize) {
    let began = std::time::Instant::now();
    let kills = matrix(carried, story, if is_full() { 1 } else { some }).await;
    println!("{story:?} of {carried:?}: stopped {kills} times, in {:?}", began.elapsed());
    assert!(kills > 0);
}

#[tokio::test(start_paused = true)]
async fn at_every_write_of_a_good_release() {
    all(Story::Good).await;
}

#[tokio::test(start_paused = true)]
async fn at_every_write_of_a_canary_without_routes() {
    some_or_all(Carried::Plain, Story::Good, 3).await;
    some_or_all(Carried::Plain, Story::Bad, 5).await;
    some_or_all(Carried::Plain, Story::Deleted, 3).await;
}

#[tokio::test(start_paused = true)]
async fn at_every_write_of_a_blue_green_release() {
    some_or_all(Carried::BlueGreen, Story::Good, 3).await;
    some_or_all(Carried::BlueGreen, Story::Bad, 5).await;
    some_or_all(Carried::BlueGreen, Story::Deleted, 3).await;
}

#[tokio::test(start_paused = true)]
async fn at_every_write_of_a_rollback() {
    all(Story::Bad).await;
}

#[tokio::test(start_paused = true)]
async fn at_every_write_of_a_deletion() {
    all(Story::Deleted).await;
}
