//! The way forward, one step at a time. A weight is raised only onto pods that were seen ready behind a binding in force,
//! and only past a gate that was passed at the present weight.

use std::time::Duration;

use jiff::Timestamp;

use super::hold::{Hold, Timed};
use super::{Fact, Next, Pass, contention, deadline, pods, record};
use crate::analysis::Scope;
use crate::analysis::run::{Run, Wanting};
use crate::analysis::tally::Patience;
use crate::names::{Hash, Revision, Side};
use crate::spec::{CanaryScale, Problem, Reason, Step, Verb};
use crate::state::{Clock, Promotion, Release, Return, Stage};
use crate::time::after;
use crate::traffic::{Carrier, Split, Weight, sizes};

/// A share that is larger than asked by more than this is told of, in percent points.
const COARSE: Weight = Weight::FIVE;
/// Revisions that were stable before and are remembered.
const FORMER_KEPT: usize = 10;

pub(super) fn step(pass: &mut Pass<'_>) -> Next {
    let Some(release) = pass.release() else { return Next::Rest };
    let done = match release.present_step() {
        Some(Step::SetWeight(weight)) => bring_to(pass, *weight),
        Some(Step::Pause(duration)) => pause(pass, *duration),
        Some(Step::Analysis(_)) => analyse(pass),
        Some(Step::Scale(scale)) => bring_to_size(pass, *scale),
        None => return promote(pass),
    };
    match done {
        Ok(()) => {
            end(pass);
            Next::Again
        }
        Err(hold) => Next::Wait(hold),
    }
}

/// Ends the present step, whether it is done or was cut short by a command.
pub(super) fn end(pass: &mut Pass<'_>) {
    record::note_step(pass);
    let now = pass.view.now;
    let Some(release) = pass.release_mut() else { return };
    let (step, of, weight) = (release.step, release.recipe.steps.len(), release.goal);
    if step < of {
        release.step += 1;
    }
    release.step_since = now;
    release.measured.clear();
    release.bear_anew();
    release.most_ready = 0;
    release.enough_since = None;
    release.restarts.clear();
    release.clock = Clock::default();
    if step < of {
        pass.tell(Fact::StepCompleted { step, of, weight });
    }
}

/// What holds a release back whatever its step: less than the decided share, or somebody who wants it to wait.
fn held(pass: &mut Pass<'_>) -> Option<Hold> {
    let (view, decided) = (pass.view, pass.state.split.decided);
    let release = pass.release()?;
    let hash = release.canary.hash.clone();
    if release.shrunk.is_some() {
        let ready = view.endpoints(Side::Canary, &hash).unwrap_or(0);
        let needed = pass.needs(release.goal, release.base_replicas).max(1);
        return Some(pods::wait(pass, &hash, ready, needed));
    }
    if contention::is_contended(&pass.state) {
        let message =
            "the weights are rewritten by somebody else again and again: find who else manages these routes".to_owned();
        return Some(Hold::Problem(Problem::new(Reason::RouteContended, message)));
    }
    if let Some(problem) = pass.problem_of_release() {
        return Some(Hold::Problem(problem));
    }
    if release.goal_since.is_some() && decided == release.goal && !pass.traffic_is_at(decided) {
        return Some(pass.behind(decided));
    }
    if let Some(what) = &release.asked {
        return Some(Hold::Person { what: what.clone(), verb: Verb::Promote, hash });
    }
    if release.paused {
        return Some(Hold::Person { what: "paused by command".to_owned(), verb: Verb::Resume, hash });
    }
    if view.rollout.paused && release.returns != Some(Return::Commanded) {
        return Some(Hold::SpecPaused);
    }
    pass.go_over()
}

/// Brings the canary to exactly this share, in force.
fn bring_to(pass: &mut Pass<'_>, weight: Weight) -> Result<(), Hold> {
    let Some(canary) = pass.release().map(|release| release.canary.hash.clone()) else { return Ok(()) };
    if let Some(hold) = held(pass) {
        pods::ask(pass, &canary);
        return Err(hold);
    }
    let replicas = pass.view.replicas();
    let shares_by_pods = pass.carrier().shares_by_pods();
    if !shares_by_pods {
        bring_up(pass, &canary, sizes_for(pass, weight), weight.needs(replicas))?;
    } else if pass.carrier() == Carrier::Service && pass.state.split.decided == Weight::ZERO {
        let needed = pass.shape().canary;
        bring_up(pass, &canary, needed, needed)?;
    }
    decide(pass, &canary, weight)?;
    if shares_by_pods && weight != Weight::ZERO {
        let (available, needed) = (pass.view.available(&canary), pass.enough(pass.shape().canary));
        if available < needed {
            pods::note_ready(pass, available);
            return Err(pods::wait(pass, &canary, available, needed));
        }
    }
    if let Some(hold) = pass.go_over() {
        return Err(hold);
    }
    if let Some(hold) = pass.wait_for_split(weight) {
        return Err(hold);
    }
    let now = pass.view.now;
    if let Some(release) = pass.release_mut().filter(|release| release.goal_since.is_none()) {
        release.goal_since = Some(now);
        deadline::reset(pass);
    }
    Ok(())
}

/// Pods of the canary behind routes that give it this share.
fn sizes_for(pass: &Pass<'_>, weight: Weight) -> u32 {
    let least = pass.release().map_or(0, |release| release.recipe.least_canary);
    let replicas = pass.view.replicas();
    if replicas == 0 { 0 } else { weight.needs(replicas).max(least).max(1) }
}

/// Brings the canary to at least this size, ready behind its own Service, without giving it anything.
fn bring_to_size(pass: &mut Pass<'_>, scale: CanaryScale) -> Result<(), Hold> {
    let Some(canary) = pass.release().map(|release| release.canary.hash.clone()) else { return Ok(()) };
    if pass.carrier() == Carrier::Pods {
        return Ok(());
    }
    pass.set_scale(scale);
    if let Some(hold) = held(pass) {
        pods::ask(pass, &canary);
        return Err(hold);
    }
    let needed = pass.size_of(&canary).max(scale.of(pass.view.replicas()));
    bring_up(pass, &canary, needed, needed)
}

/// So many pods, ready behind a binding in force, of which so many have to be seen as endpoints.
fn bring_up(pass: &mut Pass<'_>, canary: &Hash, needed: u32, seen: u32) -> Result<(), Hold> {
    let view = pass.view;
    if view.sets().is_none() {
        return Err(Hold::Unseen("the ReplicaSets"));
    }
    let (needed, seen) = (pass.enough(needed), pass.enough(seen));
    let available = view.available(canary);
    if pass.release().is_some_and(|release| release.recipe.bind_early) {
        bind(pass, canary)?;
    }
    if available < needed {
        pods::note_ready(pass, available);
        return Err(pods::wait(pass, canary, available, needed));
    }
    bind(pass, canary)?;
    if let Some(hold) = pass.wait_for_binding(Side::Canary, canary, needed) {
        return Err(hold);
    }
    endpoints(pass, canary, seen, needed)
}

/// Decides that `canaryService` is the canary's, once no route sends to it.
fn bind(pass: &mut Pass<'_>, canary: &Hash) -> Result<(), Hold> {
    if !pass.state.bindings.canary.decided.is_only(canary) {
        if !pass.reach().is_out_of(Side::Canary) {
            return Err(pass.behind(Weight::ZERO));
        }
        pass.decide_binding(Side::Canary, canary);
    }
    Ok(())
}

/// As many ready endpoints as the share needs, for as long as they take to be known where that is declared.
fn endpoints(pass: &mut Pass<'_>, canary: &Hash, seen: u32, needed: u32) -> Result<(), Hold> {
    let view = pass.view;
    let there = view.endpoints(Side::Canary, canary).unwrap_or(0) >= seen;
    let settle = pass.state.timing.settle_endpoints;
    let Some(release) = pass.release_mut() else { return Ok(()) };
    if !there {
        release.enough_since = None;
        return Err(view.lacks_endpoints(Side::Canary, canary, needed));
    }
    let since = *release.enough_since.get_or_insert(view.now);
    let until = after(since, settle.unwrap_or_default());
    if view.now < until {
        return Err(Hold::Until { what: Timed::Settling(format!("{needed} ready endpoints")), until });
    }
    Ok(())
}

/// Decides the share, past the gate where it grows and onto stable pods where it falls.
fn decide(pass: &mut Pass<'_>, canary: &Hash, weight: Weight) -> Result<(), Hold> {
    let (now, replicas) = (pass.view.now, pass.view.replicas());
    let Some(goal) = pass.release().map(|release| release.goal) else { return Ok(()) };
    debug_assert!(pass.carrier().shares_by_pods() || pass.state.bindings.canary.is_in_force(canary));
    // Where one Service carries the traffic, both revisions are selected before the new one is alone.
    let goes_over = pass.carrier() == Carrier::Service && weight == Weight::FULL;
    let first = if goes_over { Weight::HALF } else { weight };
    let is_decided = if goes_over { goal == weight } else { pass.state.split.decided == weight };
    if !is_decided {
        if weight != Weight::ZERO
            && let Some(hold) = pass.others_end()
        {
            return Err(hold);
        }
        if weight > goal
            && let Some(hold) = gate(pass)
        {
            return Err(hold);
        }
        if weight < goal {
            let needed = match pass.carrier() {
                Carrier::Routes => pass.needs(weight.rest(), replicas),
                Carrier::Service | Carrier::Pods => sizes::half_of_stable(replicas),
            };
            if pass.ready_stable() < needed {
                return Err(pass.view.lacks_endpoints(Side::Stable, &pass.state.stable.hash, needed));
            }
        }
        pass.tell(Fact::WeightDecided { from: goal, to: weight });
        set_goal(pass, weight, now);
        pass.decide_split(first);
        tell_of_coarse_share(pass, weight);
    }
    set_goal(pass, weight, now);
    Ok(())
}

fn set_goal(pass: &mut Pass<'_>, weight: Weight, now: Timestamp) {
    let replicas = pass.view.replicas();
    if let Some(release) = pass.release_mut().filter(|release| release.goal != weight) {
        release.goal = weight;
        release.was_shrunk = false;
        release.bear_anew();
        release.goal_since = None;
        release.pending_since = Some(now);
        release.base_replicas = replicas;
    }
}

/// Whole pods share the traffic: with few of them the canary gets more than was asked.
fn tell_of_coarse_share(pass: &mut Pass<'_>, asked: Weight) {
    let shape = pass.shape();
    let given = shape.share();
    if pass.carrier().shares_by_pods() && asked.is_shared() && given.less(asked) > COARSE {
        pass.tell(Fact::CoarseShare { asked, given, shape });
    }
}

/// What keeps a weight from being raised and a release from being promoted, as far as background analysis goes: each metric
/// has to succeed since the present weight came into force.
fn gate(pass: &mut Pass<'_>) -> Option<Hold> {
    bear(pass, Scope::Background);
    let release = pass.release()?;
    release.background_run(&pass.state.stable.hash)?.wants().map(Hold::from)
}

/// Bears an undecided proportion for as long as it may stay so, once nothing else is wanted of a step.
fn bear(pass: &mut Pass<'_>, scope: Scope) {
    let (now, stable) = (pass.view.now, pass.state.stable.hash.clone());
    let Some(release) = pass.release_mut() else { return };
    let run = match scope {
        Scope::Step => release.step_run(&stable),
        _ => release.background_run(&stable),
    };
    let Some(patience) = run.as_ref().and_then(Run::patience_with) else { return };
    let since = *release.undecided_since.get_or_insert(now);
    let until = after(since, patience);
    if release.patience == Patience::Lasts && now >= until {
        release.patience = Patience::Over;
        // What follows from that is decided by the next pass, where verdicts are heeded.
        pass.wake_at(now);
    } else {
        pass.wake_at(until);
    }
}

/// True when nothing speaks against giving the canary back what was decided for it: less traffic may have left a metric
/// without data, so that only a failure counts here.
pub(super) fn may_raise(release: &Release, stable: &Hash) -> bool {
    !release.runs(stable).iter().any(Run::fails_at_present)
}

fn pause(pass: &mut Pass<'_>, duration: Option<Duration>) -> Result<(), Hold> {
    if let Some(hold) = held(pass) {
        return Err(hold);
    }
    let Some(release) = pass.release() else { return Ok(()) };
    let Some(duration) = duration else {
        let (what, hash) = ("a pause without duration".to_owned(), release.canary.hash.clone());
        return Err(Hold::Person { what, verb: Verb::Promote, hash });
    };
    let until = after(release.step_since, duration);
    if pass.view.now < until { Err(Hold::Until { what: Timed::Pause, until }) } else { Ok(()) }
}

fn analyse(pass: &mut Pass<'_>) -> Result<(), Hold> {
    if let Some(hold) = held(pass) {
        return Err(hold);
    }
    bear(pass, Scope::Step);
    let run = pass.release().and_then(|release| release.step_run(&pass.state.stable.hash));
    let wanting = run.and_then(|run| run.wants());
    wanting.map_or(Ok(()), |wanting| Err(wanting.into()))
}

fn promote(pass: &mut Pass<'_>) -> Next {
    let done = bring_to(pass, Weight::FULL).and_then(|()| gate(pass).map_or(Ok(()), Err)).and_then(|()| commit(pass));
    match done {
        Ok(()) => Next::Again,
        Err(hold) => Next::Wait(hold),
    }
}

/// The point of no return: from here the new revision is stable, and everything else follows.
fn commit(pass: &mut Pass<'_>) -> Result<(), Hold> {
    if !pass.reach().is_out_of(Side::Stable) {
        return Err(pass.behind(Weight::FULL));
    }
    let Some(release) = pass.release() else { return Ok(()) };
    let (canary, returns) = (release.canary.clone(), release.returns);
    record::note_release(pass, None);
    let old = std::mem::replace(&mut pass.state.stable, canary);
    remember(pass, &old, returns);
    if returns.is_some() {
        // Its pods may be older than the last restart that was asked for.
        pass.state.restarted_at = None;
    }
    let stable = pass.state.stable.hash.clone();
    pass.tell(Fact::Promoting { hash: stable.clone(), old: old.hash.clone() });
    pass.state.stage = Stage::Promoting(Promotion { old, since: pass.view.now });
    if pass.carrier().shares_by_pods() {
        // Nothing moves any more: what has all traffic is called stable from now on.
        pass.state.split = Split { seen_since: Some(pass.view.now), ..Split::at_rest(Weight::ZERO, pass.view.now) };
    }
    pass.decide_binding(Side::Stable, &stable);
    Ok(())
}

/// Notes what was stable before, unless it was rejected meanwhile.
pub(super) fn remember(pass: &mut Pass<'_>, old: &Revision, returns: Option<Return>) {
    let stable = pass.state.stable.hash.clone();
    let former = &mut pass.state.former;
    former.retain(|known| known.hash != stable && known.hash != old.hash);
    if returns != Some(Return::Commanded) {
        former.insert(0, old.clone());
    }
    former.truncate(FORMER_KEPT);
}

impl From<Wanting> for Hold {
    fn from(wanting: Wanting) -> Self {
        match wanting {
            Wanting::Data(what) => Self::Data(what),
            Wanting::Answers(what) => Self::Measuring(what),
            Wanting::Shared(what) => Self::Shared(what),
            Wanting::Traffic(what) => Self::Traffic(what),
        }
    }
}
