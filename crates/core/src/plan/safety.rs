//! What protects users' traffic, before anything else: failing verdicts, crash loops, a share larger than the pods that are
//! ready can carry, and the way back.

use super::{Fact, Pass, compare, hold, leave, questions, share, spill};
use crate::analysis::Scope;
use crate::analysis::metric::Metric;
use crate::analysis::run::Run;
use crate::analysis::tally::{Call, Tally};
use crate::observed::ContainerWords;
use crate::state::{Release, Return};

/// Containers whose restarts before the step are remembered.
const MOST_COUNTED: usize = 64;

pub(super) fn keep(pass: &mut Pass<'_>) {
    questions::fold(pass);
    compare::fold(pass);
    heed_verdicts(pass);
    heed_crashes(pass);
    share::keep_within_pods(pass);
    leave::take_traffic_away(pass);
    spill::tell(pass);
}

fn heed_verdicts(pass: &mut Pass<'_>) {
    let Some(release) = pass.release().filter(|release| release.preflight.is_none()) else { return };
    let runs = release.runs(&pass.state.stable.hash);
    let gravest = runs.iter().filter_map(|run| Some((run, run.gravest()?))).min_by_key(|(_, (call, ..))| *call);
    let Some((run, (call, metric, tally))) = gravest else { return };
    let Some(last) = &tally.last else { return };
    let message = what_was_measured(release, run, metric, tally);
    match call {
        Call::RollBack => {
            let (scope, query, metric, since) = (run.scope, last.query.clone(), metric.clone(), run.since);
            leave::reject_by(pass, (scope, &metric.name), message, query);
            compare::with_stable(pass, metric, since);
        }
        Call::Ask if release.asked.is_none() => {
            pass.tell(Fact::Inconclusive { what: message.clone() });
            if let Some(release) = pass.release_mut() {
                release.asked = Some(message);
            }
        }
        Call::Ask | Call::Hold | Call::Measure | Call::Pass => {}
    }
}

/// Value, limit, counts, and since when, on one line.
fn what_was_measured(release: &Release, run: &Run<'_>, metric: &Metric, tally: &Tally) -> String {
    let judgement = tally.last.as_ref().map(|last| &last.judgement);
    let value = judgement.filter(|it| !it.value.is_empty()).map_or_else(String::new, |it| format!(" is {}", it.value));
    let because = judgement.map_or("", |it| it.because.as_str());
    let place = if run.scope == Scope::Background { "background analysis" } else { "step analysis" };
    format!(
        "{}{value} ({place}): {because}; {} of {} measurements failed, limit {}; weight {} in force since {}",
        metric.name,
        tally.failures,
        tally.measurements,
        metric.failure_limit,
        release.goal,
        hold::time(run.since)
    )
}

/// A canary of which no pod is ready, and one goes on crashing, will not come up by waiting.
fn heed_crashes(pass: &mut Pass<'_>) {
    count_restarts(pass);
    let Some(release) = pass.release().filter(|release| release.returns != Some(Return::Commanded)) else { return };
    if pass.view.set(&release.canary.hash).is_none_or(|set| set.ready > 0) {
        return;
    }
    let limit = release.recipe.crash_limit.max(1);
    let in_step = |container: &ContainerWords| {
        let before = release.restarts.get(&key(container)).copied().unwrap_or(0);
        container.restarts.saturating_sub(before)
    };
    let loops = |container: &&ContainerWords| container.looping && in_step(container) >= limit;
    let Some(container) = pass.view.words(&release.canary.hash).find(loops) else { return };
    let message = format!(
        "container {} of pod {} restarted {} times, limit {limit}: {}",
        container.container,
        container.pod,
        in_step(container),
        container.words
    );
    leave::reject(pass, "CrashLooping", message);
}

/// Notes how often the containers of pods from before the step had restarted by then, as nearly as can be told now.
fn count_restarts(pass: &mut Pass<'_>) {
    let view = pass.view;
    let Some(release) = pass.release_mut() else { return };
    let since = release.step_since;
    let hash = release.canary.hash.clone();
    for container in view.words(&hash).filter(|it| it.created_at < since && it.restarts > 0) {
        if release.restarts.len() >= MOST_COUNTED {
            return;
        }
        let of_this_step = u32::from(container.ended_at.is_some_and(|at| at >= since));
        release.restarts.entry(key(container)).or_insert(container.restarts - of_this_step);
    }
}

fn key(container: &ContainerWords) -> String {
    format!("{}/{}", container.pod, container.container)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::plan::scene::Scene;
    use crate::state::Stage;

    const SECOND: Duration = Duration::from_secs(1);

    /// A pod of the canary was made in this step, and its only container has ended so often, the last time a moment ago.
    fn container(scene: &Scene, restarts: u32) -> ContainerWords {
        ContainerWords {
            revision: "new".into(),
            pod: "shop-new-1".to_owned(),
            container: "app".to_owned(),
            created_at: scene.seen.now,
            restarts,
            looping: true,
            ended_at: Some(scene.seen.now),
            words: "CrashLoopBackOff".to_owned(),
        }
    }

    /// One pass, in which no pod of the canary is ready and this is said; true when the release is rejected for it.
    fn is_rejected(scene: &mut Scene, words: ContainerWords) -> bool {
        scene.pods("new", 1, 0);
        scene.seen.words = Some(vec![words]);
        scene.pass();
        matches!(&scene.state().stage, Stage::Leaving(_)) && scene.state().rejected[0].reason == "CrashLooping"
    }

    #[test]
    fn a_crash_loop_is_as_many_restarts_as_the_limit_says_of_a_canary_without_a_ready_pod() {
        let mut scene = Scene::releasing();
        let (second, third) = (container(&scene, 2), container(&scene, 3));
        assert!(!is_rejected(&mut scene, second.clone()));
        assert!(is_rejected(&mut scene.clone(), third.clone()));
        let others = [
            ("it runs again, or ended well", ContainerWords { looping: false, ..third.clone() }),
            ("a pod of another revision", ContainerWords { revision: "old".into(), ..third.clone() }),
        ];
        for (what, words) in others {
            assert!(!is_rejected(&mut scene.clone(), words), "{what}");
        }
        scene.release().recipe.crash_limit = 1;
        assert!(is_rejected(&mut scene, second), "the limit is the Rollout's");
    }

    #[test]
    fn a_pod_that_is_ready_beside_it_is_reason_enough_to_wait() {
        let mut scene = Scene::releasing();
        scene.pods("new", 2, 1);
        scene.seen.words = Some(vec![container(&scene, 9)]);
        scene.pass();
        assert!(matches!(scene.state().stage, Stage::Releasing(_)));
    }

    #[test]
    fn restarts_of_earlier_steps_do_not_count() {
        let mut scene = Scene::releasing();
        let created_at = scene.seen.now;
        scene.later(SECOND);
        scene.release().step_since = scene.seen.now;
        let restarted = |scene: &Scene, times| ContainerWords { created_at, ..container(scene, times) };
        let mut answers = Vec::new();
        for times in 4..=6 {
            scene.later(SECOND);
            let words = restarted(&scene, times);
            answers.push(is_rejected(&mut scene, words));
        }
        assert_eq!(answers, [false, false, true], "three before the step, three in it");
    }
}
