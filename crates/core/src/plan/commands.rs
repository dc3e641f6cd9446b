//! Commands by annotation: each acts once, only on the revision that it names, and is answered in the same status write as
//! its effect. None passes pods, endpoints, routes or a failing verdict.

use super::{Fact, Pass, leave, steps};
use crate::spec::{Command, Step, Verb};
use crate::state::{Acknowledged, Stage};

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
    if pass.state.last_command.as_ref().is_some_and(|last| last.id == id) {
        return;
    }
    let outcome = match command {
        Ok(command) => execute(pass, command),
        Err(wrong) => Err(wrong.clone()),
    };
    let verb = command.as_ref().ok().map(|command| command.verb);
    pass.tell(Fact::Command { verb, outcome: outcome.clone() });
    let executed = outcome.is_ok();
    let message = outcome.unwrap_or_else(|refusal| refusal);
    pass.state.last_command = Some(Acknowledged { id, verb, executed, message, at: pass.view.now });
}

fn execute(pass: &mut Pass<'_>, command: &Command) -> Result<String, String> {
    if command.verb == Verb::Retry {
        return retry(pass, command);
    }
    let Some(release) = pass.release() else {
        return Err(format!("no release of {} is under way", command.hash));
    };
    if release.canary.hash != command.hash {
        return Err(format!("the release under way is of {}, not of {}", release.canary.hash, command.hash));
    }
    match command.verb {
        Verb::Promote => promote(pass),
        Verb::PromoteFull => {
            clear_question(pass);
            if let Some(release) = pass.release_mut() {
                release.skip = true;
                release.paused = false;
            }
            steps::end(pass);
            Ok("all remaining pauses and analyses are skipped".to_owned())
        }
        Verb::Abort => {
            leave::reject(pass, "Aborted", format!("aborted by command {}", command.id), None);
            Ok("rolled back".to_owned())
        }
        Verb::Pause => set_paused(pass, true),
        Verb::Resume => set_paused(pass, false),
        Verb::Retry => Err("not here".to_owned()),
    }
}

fn promote(pass: &mut Pass<'_>) -> Result<String, String> {
    let Some(release) = pass.release() else { return Err("no release is under way".to_owned()) };
    match release.recipe.steps.get(release.step) {
        Some(Step::Pause(_) | Step::Analysis(_)) => {
            clear_question(pass);
            steps::end(pass);
            Ok("the present step is ended".to_owned())
        }
        _ if release.asked.is_some() => {
            clear_question(pass);
            Ok("the inconclusive result is accepted".to_owned())
        }
        Some(Step::SetWeight(weight)) => {
            Err(format!("the present step brings the canary to {weight}; there is no pause or analysis to end"))
        }
        None => Err("all steps are done".to_owned()),
    }
}

fn retry(pass: &mut Pass<'_>, command: &Command) -> Result<String, String> {
    if !pass.is_rejected(&command.hash) {
        return Err(format!("{} is not rejected", command.hash));
    }
    if pass.view.rollout.hash != command.hash {
        return Err(format!("{} is not what is declared", command.hash));
    }
    if !matches!(pass.state.stage, Stage::Resting) {
        return Err("the rollback is still under way: send it again when the phase is RolledBack".to_owned());
    }
    pass.state.rejected.retain(|rejection| rejection.revision.hash != command.hash);
    Ok("the same template runs again, as a new attempt".to_owned())
}

fn set_paused(pass: &mut Pass<'_>, paused: bool) -> Result<String, String> {
    let Some(release) = pass.release_mut().filter(|release| release.paused != paused) else {
        return Err(if paused { "already paused" } else { "no pause command is in effect" }.to_owned());
    };
    release.paused = paused;
    Ok(if paused { "nothing goes forward until resume" } else { "going on" }.to_owned())
}

/// The person has looked: what was inconclusive, or could not be asked, starts counting anew.
fn clear_question(pass: &mut Pass<'_>) {
    let Some(release) = pass.release_mut() else { return };
    if release.asked.take().is_some() {
        for tally in release.background.values_mut().chain(release.measured.values_mut()) {
            tally.inconclusive = 0;
            tally.errors_in_a_row = 0;
        }
    }
}
