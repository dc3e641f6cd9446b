//! Commands by annotation: each acts once, only on the revision that it names, and is answered in the same status write as
//! its effect. None passes pods, endpoints or routes; only `promote-full` passes analysis.

use super::{Fact, Pass, begin, leave, steps};
use crate::analysis::tally::Patience;
use crate::names::Hash;
use crate::report::Offer;
use crate::spec::{Command, Step, Verb};
use crate::state::{Acknowledged, Release, Return, Stage, Why};
use crate::traffic::Weight;

/// Ids of answered commands that are kept beside the last one.
const IDS_KEPT: usize = 15;

/// What tells one command from the next; the text itself where it cannot be read.
pub(super) fn id_of(command: &Result<Command, String>) -> String {
    match command {
        Ok(command) => command.id.clone(),
        Err(text) => text.chars().take(100).collect(),
    }
}

pub(super) fn obey(pass: &mut Pass<'_>) {
    let Some(command) = &pass.view.rollout.command else { return };
    let id = id_of(command);
    let answered = pass.state.last_command.iter().map(|last| &last.id).chain(&pass.state.commands);
    if answered.into_iter().any(|answered| *answered == id) {
        return;
    }
    let needs_sets = |command: &Command| command.verb == Verb::Rollback;
    if pass.view.sets().is_none() && command.as_ref().is_ok_and(needs_sets) {
        // It is answered once they are seen.
        return;
    }
    let outcome = match command {
        Ok(command) => execute(pass, command),
        Err(wrong) => Err(wrong.clone()),
    };
    let verb = command.as_ref().ok().map(|command| command.verb);
    let by = pass.view.rollout.commander.clone();
    let reason = command.as_ref().ok().and_then(|command| command.reason.clone());
    pass.tell(Fact::Command { verb, by: by.clone(), reason, outcome: outcome.clone() });
    let executed = outcome.is_ok();
    let message = outcome.unwrap_or_else(|refusal| refusal);
    let acknowledged = Acknowledged { id, verb, by, executed, message, at: pass.view.now };
    let before = pass.state.last_command.replace(acknowledged);
    pass.state.commands.splice(0..0, before.map(|before| before.id));
    pass.state.commands.truncate(IDS_KEPT);
}

/// Does what a command asks for, unless something speaks against it.
fn execute(pass: &mut Pass<'_>, command: &Command) -> Result<String, String> {
    if let Some(refusal) = refusal(pass, command.verb, &command.hash) {
        return Err(refusal);
    }
    match command.verb {
        Verb::Promote => Ok(promote(pass)),
        Verb::PromoteFull => {
            clear_question(pass);
            if let Some(release) = pass.release_mut() {
                release.skip = true;
                release.paused = false;
            }
            if release_has_begun(pass) {
                steps::end(pass);
            }
            Ok("all remaining pauses and all analysis are passed over; pods, endpoints and routes still count"
                .to_owned())
        }
        Verb::Abort if is_commanded(pass) => {
            leave::begin(pass, Why::GivenUp);
            Ok("the rollback is given up; what serves is still rejected, until retry".to_owned())
        }
        Verb::Abort => {
            leave::reject(pass, "Aborted", format!("aborted by {}", words(pass, command)));
            Ok("rolled back".to_owned())
        }
        Verb::Pause | Verb::Resume => {
            let paused = command.verb == Verb::Pause;
            if let Some(release) = pass.release_mut() {
                release.paused = paused;
            }
            Ok(if paused { "nothing goes forward until resume" } else { "going on" }.to_owned())
        }
        Verb::Retry => {
            pass.state.rejected.retain(|rejection| rejection.revision.hash != command.hash);
            Ok("the same template runs again, as a new attempt".to_owned())
        }
        Verb::Rollback => rollback(pass, command),
    }
}

/// The commands that mean something at present: each with the revision that it has to name, and why it would be refused.
pub(super) fn offered(pass: &Pass<'_>) -> Vec<Offer> {
    let offer = |verb: Verb, hash: &Hash| Offer { verb, hash: hash.clone(), refused: refusal(pass, verb, hash) };
    let declared = &pass.view.rollout.hash;
    if pass.view.rollout.deleted_at.is_some() {
        return Vec::new();
    }
    match &pass.state.stage {
        Stage::Releasing(release) => {
            let turn = if release.paused { Verb::Resume } else { Verb::Pause };
            [Verb::Promote, Verb::PromoteFull, Verb::Abort, turn].map(|verb| offer(verb, &release.canary.hash)).into()
        }
        Stage::Leaving(_) | Stage::Resting if pass.is_rejected(declared) => vec![offer(Verb::Retry, declared)],
        Stage::Resting if pass.state.stable.hash == *declared => vec![offer(Verb::Rollback, declared)],
        Stage::Resting | Stage::Deploying | Stage::Promoting(_) | Stage::Leaving(_) => Vec::new(),
    }
}

/// Why a command is not carried out now; `None` where it is.
fn refusal(pass: &Pass<'_>, verb: Verb, hash: &Hash) -> Option<String> {
    match verb {
        Verb::Retry => return refusal_of_retry(pass, hash),
        Verb::Rollback => return refusal_of_rollback(pass, hash),
        Verb::Promote | Verb::PromoteFull | Verb::Abort | Verb::Pause | Verb::Resume => {}
    }
    let Some(release) = pass.release() else {
        return Some(format!("no release of {hash} is under way"));
    };
    if release.canary.hash != *hash {
        return Some(format!("the release under way is of {}, not of {hash}", release.canary.hash));
    }
    match verb {
        Verb::Promote => refusal_of_promote(pass, release),
        Verb::Abort if is_commanded(pass) && !pass.state.split.is_in_force(Weight::ZERO) => {
            Some("this is a rollback already, and traffic is moving".to_owned())
        }
        Verb::Pause if release.paused => Some("already paused".to_owned()),
        Verb::Resume if !release.paused => Some("no pause command is in effect".to_owned()),
        _ => None,
    }
}

fn refusal_of_promote(pass: &Pass<'_>, release: &Release) -> Option<String> {
    if release.preflight.is_some() || release.asked.is_some() {
        return None;
    }
    match release.recipe.steps.get(release.step) {
        Some(Step::Pause(_) | Step::Analysis(_)) => None,
        Some(Step::SetWeight(weight)) => {
            let trial = pass.strategy().trial();
            Some(format!("the present step brings the {trial} to {weight}; there is no pause or analysis to end"))
        }
        Some(Step::Scale(_)) => {
            Some("the present step waits for pods; there is no pause or analysis to end".to_owned())
        }
        None => Some("all steps are done".to_owned()),
    }
}

fn refusal_of_retry(pass: &Pass<'_>, hash: &Hash) -> Option<String> {
    if !pass.is_rejected(hash) {
        Some(format!("{hash} is not rejected"))
    } else if pass.view.rollout.hash != *hash {
        Some(format!("{hash} is not what is declared"))
    } else if !matches!(pass.state.stage, Stage::Resting) {
        Some("the rollback is still under way: send it again when the phase is RolledBack".to_owned())
    } else {
        None
    }
}

fn refusal_of_rollback(pass: &Pass<'_>, hash: &Hash) -> Option<String> {
    let (view, stable) = (pass.view, &pass.state.stable);
    if !matches!(pass.state.stage, Stage::Resting) {
        return Some("something is under way: abort a release, or wait for its end".to_owned());
    }
    if stable.hash != *hash || view.rollout.hash != *hash {
        return Some(format!("{hash} is not what is declared and serves; that is {}", stable.hash));
    }
    let Some(former) = pass.state.predecessor() else {
        return Some("no revision is known that was stable before and was not rejected: revert in Git".to_owned());
    };
    // Sets that have not been seen are waited for.
    if view.sets().is_some() && view.set(&former.hash).is_none() {
        return Some(format!("the ReplicaSet of revision {} ({}) is gone: revert in Git", former.number, former.hash));
    }
    let problem = view.rollout.spec.as_ref().err();
    problem.map(|problem| format!("{}; or revert in Git", problem.message))
}

/// True for a rollback that a person asked for.
fn is_commanded(pass: &Pass<'_>) -> bool {
    pass.release().is_some_and(|release| release.returns == Some(Return::Commanded))
}

/// A command, and who gave it and why where that is told.
fn words(pass: &Pass<'_>, command: &Command) -> String {
    let by = pass.view.rollout.commander.as_ref().map(|by| format!(" of {by}")).unwrap_or_default();
    let reason = command.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("command {}{by}{reason}", command.id)
}

/// True once the preflight is over.
fn release_has_begun(pass: &Pass<'_>) -> bool {
    pass.release().is_some_and(|release| release.preflight.is_none())
}

fn promote(pass: &mut Pass<'_>) -> String {
    if let Some(preflight) = pass.release_mut().and_then(|release| release.preflight.as_mut()) {
        preflight.waived = true;
        return "what is measured of stable is passed over; the new revision's own analysis counts".to_owned();
    }
    let ends = matches!(pass.release().and_then(Release::declared_step), Some(Step::Pause(_) | Step::Analysis(_)));
    clear_question(pass);
    if ends {
        steps::end(pass);
        "the present step is ended".to_owned()
    } else {
        "the inconclusive result is accepted".to_owned()
    }
}

/// Back to what was stable before: what is declared is rejected, and its predecessor takes over as soon as it is ready.
fn rollback(pass: &mut Pass<'_>, command: &Command) -> Result<String, String> {
    let (view, stable) = (pass.view, pass.state.stable.clone());
    let (Some(former), Ok(recipe)) = (pass.state.predecessor().cloned(), &view.rollout.spec) else {
        return Err("revert in Git".to_owned());
    };
    let message = format!("rolled back by {}", words(pass, command));
    let from = stable.hash.clone();
    leave::note_rejection(pass, stable, "RolledBackByCommand", message, None);
    begin::come_back(pass, former.clone(), recipe, Return::Commanded);
    pass.tell(Fact::RollbackCommanded { from, to: former.clone() });
    Ok(format!("going back to revision {} ({})", former.number, former.hash))
}

/// The person has looked: what was inconclusive, or could not be asked, starts counting anew.
fn clear_question(pass: &mut Pass<'_>) {
    let Some(release) = pass.release_mut() else { return };
    if release.asked.take().is_some() {
        if release.patience == Patience::Over {
            release.patience = Patience::Accepted;
        }
        for tally in release.background.values_mut().chain(release.measured.values_mut()) {
            tally.inconclusive = 0;
            tally.errors_in_a_row = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::Scene;
    use super::*;
    use crate::spec::Commander;

    fn say(scene: &mut Scene, verb: Verb, id: &str) -> super::super::Plan {
        scene.rollout.command = Some(Ok(Command { verb, hash: Hash::new("new"), id: id.to_owned(), reason: None }));
        scene.pass()
    }

    #[test]
    fn an_id_acts_once_also_after_another_one() {
        let mut scene = Scene::releasing();
        assert_eq!(say(&mut scene, Verb::Pause, "a").told(), ["CommandExecuted"]);
        assert_eq!(say(&mut scene, Verb::Resume, "b").told(), ["CommandExecuted"]);
        assert_eq!(say(&mut scene, Verb::Pause, "a").told(), [""; 0]);
        assert!(!scene.release().paused);
    }

    #[test]
    fn who_gave_a_command_is_told_and_kept_with_its_answer() {
        let mut scene = Scene::releasing();
        let by = |name: &str, verified| Some(Commander { name: name.to_owned(), verified });
        scene.rollout.commander = by("alice", true);
        let plan = say(&mut scene, Verb::Abort, "7");
        let told: Vec<_> = plan.facts.iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|it| it == "abort by alice executed: rolled back"), "{told:?}");
        assert!(told.iter().any(|it| it.ends_with("aborted by command 7 of alice")), "{told:?}");
        // What stands beside it later changes nothing of what was answered.
        scene.rollout.commander = by("mallory", false);
        scene.pass();
        assert_eq!(scene.state().last_command.as_ref().unwrap().by, by("alice", true));
        say(&mut scene, Verb::Pause, "8");
        assert_eq!(scene.state().last_command.as_ref().unwrap().by, by("mallory", false));
    }

    #[test]
    fn the_reason_of_a_command_is_told_and_stands_with_the_rejection() {
        let mut scene = Scene::releasing();
        scene.rollout.command = Some(Command::parse("abort/new/7 support calls: checkout/cart is slow"));
        let plan = scene.pass();
        let told: Vec<_> = plan.facts.iter().map(ToString::to_string).collect();
        let reason = "(support calls: checkout/cart is slow)";
        assert!(told.contains(&format!("abort {reason} executed: rolled back")), "{told:?}");
        let rejection = &scene.state().rejected[0];
        assert_eq!(rejection.message, "aborted by command 7: support calls: checkout/cart is slow");
    }

    #[test]
    fn what_is_offered_is_what_would_be_done() {
        let offered = |plan: &super::super::Plan| -> Vec<(Verb, bool)> {
            plan.report.commands.iter().map(|it| (it.verb, it.refused.is_none())).collect()
        };
        let all = [Verb::Promote, Verb::PromoteFull, Verb::Abort, Verb::Pause];
        assert_eq!(offered(&Scene::releasing().pass()), all.map(|verb| (verb, true)));
        assert_eq!(offered(&Scene::resting().pass()), [(Verb::Rollback, false)]);
        let mut scene = Scene::releasing();
        scene.release().step = 0;
        for verb in Verb::ALL {
            for mut scene in [Scene::resting(), Scene::preflight(), Scene::releasing(), scene.clone()] {
                let offer = scene.pass().report.commands.into_iter().find(|offer| offer.verb == verb);
                let Some(offer) = offer else { continue };
                scene.rollout.command = Some(Ok(Command { verb, hash: offer.hash, id: "a".to_owned(), reason: None }));
                scene.pass();
                let answer = scene.state().last_command.clone().unwrap();
                assert_eq!((answer.executed, offer.refused.is_none()), (offer.refused.is_none(), answer.executed));
                assert!(offer.refused.is_none_or(|refused| refused == answer.message), "{verb:?}");
            }
        }
    }

    #[test]
    fn the_ids_that_are_kept_are_bounded() {
        let mut scene = Scene::releasing();
        for id in 0..100 {
            say(&mut scene, Verb::Resume, &id.to_string());
        }
        assert_eq!(scene.state().commands.len(), IDS_KEPT);
        assert_eq!(scene.state().commands.first().map(String::as_str), Some("98"));
    }

    #[test]
    fn promote_before_anything_moves_ends_no_pause_that_has_not_begun() {
        let mut scene = Scene::preflight();
        let steps = vec![Step::Pause(None), Step::SetWeight(crate::traffic::Weight::clamped(25))];
        scene.rollout.spec.as_mut().unwrap().steps = steps;
        scene.release().recipe = scene.rollout.spec.clone().unwrap();
        scene.state().tried = Some("new".into());
        let plan = say(&mut scene, Verb::Promote, "a");
        assert_eq!(plan.told(), ["CommandExecuted"]);
        assert_eq!(scene.release().step, 0);
        assert_eq!(plan.report.waiting.map(|it| it.reason), Some("Person"), "{}", plan.report.message);
    }
}
