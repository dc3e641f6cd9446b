//! Commands by annotation: each acts once, only on the revision that it names, and is answered in the same status write as
//! its effect. None passes pods, endpoints, routes or a failing verdict.

use super::Pass;
use crate::spec::{Command, Step, Verb};
use crate::state::{Acknowledged, Stage};

/// What tells one command from the next; the text itself where it cannot be read.
pub(super) fn id_of(command: &Result<Command, String>) -> String {
    match command {
        Ok(command) => command.id.clone(),
        Err(text) => text.chars().take(100).collect(),
    }
}

impl Pass<'_> {
    pub(super) fn obey(&mut self) {
        let Some(command) = &self.rollout.command else { return };
        let id = id_of(command);
        if self.state.last_command.as_ref().is_some_and(|last| last.id == id) {
            return;
        }
        let outcome = match command {
            Ok(command) => self.execute(command),
            Err(wrong) => Err(wrong.clone()),
        };
        let executed = outcome.is_ok();
        let message = outcome.unwrap_or_else(|refusal| refusal);
        let verb = command.as_ref().ok().map(|command| command.verb);
        let name = verb.map_or("command", Verb::as_str);
        let (reason, done) = if executed { ("CommandExecuted", "executed") } else { ("CommandRefused", "refused") };
        self.event(!executed, reason, format!("{name} {done}: {message}"));
        self.state.last_command = Some(Acknowledged { id, verb, executed, message, at: self.now });
    }

    fn execute(&mut self, command: &Command) -> Result<String, String> {
        if command.verb == Verb::Retry {
            return self.retry(command);
        }
        let Some(release) = self.release() else {
            return Err(format!("no release of {} is under way", command.hash));
        };
        if release.canary.hash != command.hash {
            return Err(format!("the release under way is of {}, not of {}", release.canary.hash, command.hash));
        }
        let step = release.recipe.steps.get(release.step).cloned();
        let asked = release.asked.is_some();
        match command.verb {
            Verb::Promote => match step {
                Some(Step::Pause(_) | Step::Analysis(_)) => {
                    self.clear_question();
                    self.end_step();
                    Ok("the present step is ended".to_owned())
                }
                _ if asked => {
                    self.clear_question();
                    Ok("the inconclusive result is accepted".to_owned())
                }
                Some(Step::SetWeight(weight)) => {
                    Err(format!("the present step brings the canary to {weight}; there is no pause or analysis to end"))
                }
                None => Err("all steps are done".to_owned()),
            },
            Verb::PromoteFull => {
                self.clear_question();
                if let Some(release) = self.release_mut() {
                    release.skip = true;
                    release.paused = false;
                }
                self.end_step();
                Ok("all remaining pauses and analyses are skipped".to_owned())
            }
            Verb::Abort => {
                self.reject("Aborted", format!("aborted by command {}", command.id), None);
                Ok("rolled back".to_owned())
            }
            Verb::Pause => self.set_paused(true),
            Verb::Resume => self.set_paused(false),
            Verb::Retry => Err("not here".to_owned()),
        }
    }

    fn retry(&mut self, command: &Command) -> Result<String, String> {
        if !self.is_rejected(&command.hash) {
            return Err(format!("{} is not rejected", command.hash));
        }
        if self.rollout.hash != command.hash {
            return Err(format!("{} is not what is declared", command.hash));
        }
        if !matches!(self.state.stage, Stage::Resting) {
            return Err("the rollback is still under way: send it again when the phase is RolledBack".to_owned());
        }
        self.state.rejected.retain(|rejection| rejection.revision.hash != command.hash);
        Ok("the same template runs again, as a new attempt".to_owned())
    }

    fn set_paused(&mut self, paused: bool) -> Result<String, String> {
        let Some(release) = self.release_mut().filter(|release| release.paused != paused) else {
            return Err(if paused { "already paused" } else { "no pause command is in effect" }.to_owned());
        };
        release.paused = paused;
        Ok(if paused { "nothing goes forward until resume" } else { "going on" }.to_owned())
    }

    /// The person has looked: what was inconclusive, or could not be asked, starts counting anew.
    fn clear_question(&mut self) {
        let Some(release) = self.release_mut() else { return };
        if release.asked.take().is_some() {
            for tally in release.background.values_mut().chain(release.measured.values_mut()) {
                tally.inconclusive = 0;
                tally.errors_in_a_row = 0;
            }
        }
    }
}
