//! Laws of a release: verdicts are heeded, steps follow one another, nothing is done before it is decided.

use jiff::SignedDuration;

use super::{Law, Laws, law, short};
use crate::analysis::metric::{Metric, OnNoData};
use crate::analysis::tally::Patience;
use crate::analysis::{Answer, Number, Outcome, Part, Scope};
use crate::names::{Selection, Side};
use crate::observed::Look;
use crate::plan::Action;
use crate::sim::process::Passed;
use crate::sim::world::World;
use crate::spec::{Rollout, Step, Verb};
use crate::state::{Release, Stage, State};
use crate::time::after;
use crate::traffic::{Carrier, Weight};

impl Laws {
    /// I12: with a deletion timestamp nothing is created, scaled or bound.
    pub(super) fn deletion_makes_nothing(passed: &Passed, rollout: &Rollout) -> Law {
        let makes = |action: &&Action| {
            matches!(
                action,
                Action::CreateSet { .. } | Action::ScaleSet { .. } | Action::Bind { .. } | Action::AddFinalizer
            )
        };
        let made = passed.plan.actions.iter().find(makes);
        law(rollout.deleted_at.is_none() || made.is_none(), || format!("I12: {made:?} after the deletion"))
    }

    /// I3: more failures than the limit end the release in the pass that sees them.
    pub(super) fn failure_is_heeded(passed: &Passed) -> Law {
        let (Some(State { stage: Stage::Releasing(before), .. }), Some(after)) = (&passed.before, &passed.plan.state)
        else {
            return Ok(());
        };
        let (Some(background), true) = (&before.recipe.background, before.background_runs()) else { return Ok(()) };
        for metric in background.metrics.iter().filter(|metric| !metric.dry_run) {
            let tally = before.background.get(&metric.name);
            let counted = tally.and_then(|tally| tally.last.as_ref()).map(|last| last.at);
            let bad = passed.observed.answers.iter().filter(|answer| {
                answer.token.metric.scope == Scope::Background
                    && answer.token.metric.name == metric.name
                    && answer.token.attempt == before.canary.number
                    && answer.token.since == before.window_start()
                    && counted.is_none_or(|counted| answer.at > counted)
                    && says(answer, 0.2)
            });
            let failures = tally.map_or(0, |tally| tally.failures) + u32::try_from(bad.count()).unwrap();
            let still =
                matches!(&after.stage, Stage::Releasing(release) if release.canary.number == before.canary.number);
            law(failures <= metric.failure_limit || !still, || {
                format!("I3: {failures} failures, limit {}, and the release goes on", metric.failure_limit)
            })?;
        }
        Ok(())
    }

    /// I3: the pass that decides to go back also writes it, to every route that it can see.
    pub(super) fn the_way_back_is_in_the_same_pass(passed: &Passed) -> Law {
        let (Some(before), Some(after)) = (&passed.before, &passed.plan.state) else { return Ok(()) };
        let turned = matches!(before.stage, Stage::Releasing(_)) && matches!(after.stage, Stage::Leaving(_));
        // While canaryService is bound to stable, a share that somebody else wrote harms nobody.
        let harmless = after.bindings.canary.is_in_force(&after.stable.hash);
        if !turned || harmless || after.split.decided != Weight::ZERO {
            return Ok(());
        }
        let away = passed
            .observed
            .routes
            .iter()
            .filter(|(_, route)| matches!(route, Look::Seen(view) if view.most > Weight::ZERO));
        for (id, _) in away {
            let back = |action: &Action| matches!(action, Action::Split { route, weight: Weight::ZERO, safety: true } if route == id);
            law(passed.plan.actions.iter().any(back), || {
                format!("I3: {id} is not set back in the pass that decides it")
            })?;
        }
        Ok(())
    }

    /// M1: where a canary without pods is sent nothing, no answer without data counts as a success.
    pub(super) fn no_data_is_no_success(&self, passed: &Passed) -> Law {
        let (Some(State { stage: Stage::Releasing(before), .. }), Some(State { stage: Stage::Releasing(after), .. })) =
            (&passed.before, &passed.plan.state)
        else {
            return Ok(());
        };
        let Some(background) = before.recipe.background.as_ref().filter(|_| self.faults.spilling) else {
            return Ok(());
        };
        // What a person declares to be a success is one.
        let asks = |metric: &&Metric| metric.on_no_data != OnNoData::Succeed && metric.proportion.is_none();
        for metric in background.metrics.iter().filter(asks) {
            let successes = |release: &Release| release.background.get(&metric.name).map_or(0, |tally| tally.successes);
            let of_it = |answer: &&Answer| answer.token.metric.name == metric.name;
            let with_data = passed.observed.answers.iter().filter(of_it).filter(|answer| has_data(answer)).count();
            let counted = successes(after).saturating_sub(successes(before)) as usize;
            law(before.canary.number != after.canary.number || counted <= with_data, || {
                format!("M1: {counted} successes of {} of {with_data} answers with data", metric.name)
            })?;
        }
        Ok(())
    }

    /// I8: nothing is raised and nothing promoted without a success of every metric since the present weight came into force.
    pub(super) fn going_forward_needs_evidence(&mut self, passed: &Passed) -> Law {
        let good = |answer: &&Answer| says(answer, 0.999) || counts_few_bad(answer);
        for answer in passed.observed.answers.iter().filter(good) {
            let metric = answer.token.metric.clone();
            self.good.insert((answer.token.attempt, metric.name, answer.token.since));
        }
        let (Some(State { stage: Stage::Releasing(before), .. }), Some(state)) = (&passed.before, &passed.plan.state)
        else {
            return Ok(());
        };
        let (what, goes_on) = match &state.stage {
            Stage::Releasing(after) if after.canary.number == before.canary.number && !after.skip => {
                ("raised", after.goal > before.goal && before.recipe == after.recipe)
            }
            Stage::Promoting(_) => ("promoted", !before.skip && !commanded(passed)),
            _ => ("", false),
        };
        let (Some(background), true) = (&before.recipe.background, goes_on && before.background_runs()) else {
            return Ok(());
        };
        let is_borne_out = |metric: &Metric| {
            let proportion = metric.proportion.as_ref();
            proportion.is_some_and(|it| {
                let over = |since| passed.observed.now >= after(since, it.patience);
                before.patience == Patience::Accepted || before.undecided_since.is_some_and(over)
            })
        };
        let asks =
            |metric: &&Metric| !metric.dry_run && metric.on_no_data != OnNoData::Succeed && !is_borne_out(metric);
        for metric in background.metrics.iter().filter(asks) {
            let since = before.goal_since.map(|since| (before.canary.number, metric.name.clone(), since));
            law(since.is_some_and(|since| self.good.contains(&since)), || {
                format!("I8: {what} from {} without a success of {} at that weight", before.goal, metric.name)
            })?;
        }
        Ok(())
    }

    /// I5: no step twice, none skipped but by command or a changed list, no pause shortened.
    pub(super) fn steps_follow_one_another(&mut self, passed: &Passed, world: &World) -> Law {
        let Some(State { stage: Stage::Releasing(release), .. }) = &world.status else { return Ok(()) };
        if release.preflight.is_some() {
            return Ok(());
        }
        let number = release.canary.number;
        let (index, since) = self.steps.get(&number).copied().unwrap_or((0, release.step_since));
        let commanded = release.skip
            || passed.plan.state.as_ref().is_some_and(|state| {
                state.last_command.as_ref().is_some_and(|command| command.executed && command.at >= since)
            });
        let clock_set = world.skew != 0;
        let changed = passed.before.as_ref().is_some_and(|before| match &before.stage {
            Stage::Releasing(old) => old.recipe.steps != release.recipe.steps,
            _ => false,
        }) || self.faults.clock_steps
            || clock_set;
        if release.step != index && !commanded && !changed {
            for ended in index..release.step {
                if let Some(Step::Pause(pause)) = release.recipe.steps.get(ended) {
                    let lasted = world.now.duration_since(since);
                    let short = pause.is_none_or(|pause| lasted < SignedDuration::try_from(pause).unwrap());
                    law(!short, || format!("I5: pause {ended} of {pause:?} ended after {lasted:?}"))?;
                }
            }
            law(release.step > index, || format!("I5: step {index} is followed by {}", release.step))?;
        }
        let same = release.step == index && self.steps.contains_key(&number);
        law(!same || release.step_since == since || changed || commanded, || {
            format!("I5: step {index} began at {since} and is said to have begun at {}", release.step_since)
        })?;
        if changed || self.steps.get(&number).is_none_or(|(known, _)| *known != release.step) {
            self.steps.insert(number, (release.step, release.step_since));
        }
        Ok(())
    }

    /// I7 and I14: a rejected hash neither runs again by itself nor has traffic at rest.
    pub(super) fn rejected_stays_rejected(&mut self, passed: &Passed, world: &World, rollout: &Rollout) -> Law {
        let Some(state) = &passed.plan.state else { return Ok(()) };
        // One that could not be persisted is not known to the next pass.
        for rejection in world.status.iter().flat_map(|status| &status.rejected) {
            self.rejected.insert(rejection.revision.hash.clone(), rejection.revision.number);
        }
        let retried = |command: &crate::state::Acknowledged| command.verb == Some(Verb::Retry);
        if commanded(passed) && state.last_command.as_ref().is_some_and(retried) {
            self.rejected.retain(|hash, _| *hash != rollout.hash);
        }
        if let Stage::Releasing(release) = &state.stage {
            let again = self.rejected.get(&release.canary.hash);
            law(again.is_none_or(|number| *number >= release.canary.number), || {
                format!(
                    "I7: {} was rejected as #{again:?} and runs again as #{}",
                    release.canary.hash, release.canary.number
                )
            })?;
        }
        let bound = state.bindings.stable.decided.is_only(&state.stable.hash);
        let carries = state.carrier() == Carrier::Service && !matches!(state.stage, Stage::Resting);
        law(bound || carries || matches!(state.stage, Stage::Deploying), || {
            "I14: stableService is bound to something else".to_owned()
        })
    }

    /// I5: what is written follows from a state that had been persisted; only a rollback may run ahead of it.
    pub(super) fn decided_before_done(passed: &Passed, world: &World) -> Law {
        for action in passed.wrote.iter().filter(|action| !action.is_safety()) {
            // What this process knows to be persisted; a former leader may have written in between.
            let persisted = [world.status.as_ref(), passed.before.as_ref()];
            let decided = |state: &State| match action {
                // Less than what was decided is what a route has in another of its rules, or at rest.
                Action::Split { weight, .. } => *weight <= state.split.decided,
                Action::Bind { side, service, selection, .. } => {
                    let in_force = state.targets.as_ref().is_none_or(|targets| targets.has_service(service));
                    let stable = Selection::from(&state.stable.hash);
                    let wanted = if in_force { &state.bindings.of(*side).decided } else { &stable };
                    wanted == selection || *side == Side::Canary && in_force && follows(state, selection)
                }
                _ => true,
            };
            law(persisted.into_iter().flatten().any(decided), || {
                let state = world.status.as_ref().map(short).unwrap_or_default();
                format!("I5: {action:?} is written, and what is persisted is {state}")
            })?;
        }
        Ok(())
    }

    /// No big bang: what has been deployed once is never taken for a first deployment.
    pub(super) fn a_lost_status_is_no_first_deployment(&mut self, passed: &Passed, world: &World) -> Law {
        let Some(state) = &passed.plan.state else { return Ok(()) };
        let deploying = matches!(state.stage, Stage::Deploying);
        law(!(deploying && self.deployed), || "a lost status is taken for a first deployment".to_owned())?;
        let persisted = world.status.as_ref().map(|state| &state.stage);
        self.deployed |= persisted.is_some_and(|stage| !matches!(stage, Stage::Deploying));
        Ok(())
    }
}

/// True for the revision of a release that has begun: `canaryService` follows without another decision.
fn follows(state: &State, selection: &Selection) -> bool {
    let Stage::Releasing(release) = &state.stage else { return false };
    release.preflight.is_none() && selection.is_only(&release.canary.hash)
}

/// True where a person's command was done in this pass.
fn commanded(passed: &Passed) -> bool {
    let executed = |state: &State| state.last_command.clone().filter(|command| command.executed);
    let after = passed.plan.state.as_ref().and_then(executed);
    after.is_some() && after != passed.before.as_ref().and_then(executed)
}

/// True when an answer has requests of the canary, and no more than 1% of them went wrong.
fn counts_few_bad(answer: &Answer) -> bool {
    let [Part { outcome: Outcome::Counted(numbers), .. }] = &answer.parts[..] else { return false };
    let of = |wanted| numbers.iter().find(|it| it.number == wanted).map_or(0.0, |it| it.value);
    of(Number::CanaryTotal) > 0.0 && of(Number::CanaryBad) <= 0.01 * of(Number::CanaryTotal)
}

/// True when an answer says anything of the canary.
fn has_data(answer: &Answer) -> bool {
    answer.parts.iter().any(|part| matches!(&part.outcome, Outcome::Samples(samples) if !samples.is_empty()))
}

/// True when an answer is this value and nothing else.
fn says(answer: &Answer, value: f64) -> bool {
    matches!(&answer.parts[..], [Part { outcome, .. }] if *outcome == Outcome::Samples(vec![value]))
}
