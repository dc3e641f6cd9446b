//! The fate of what was deployed: a fold over successive Rollouts, without a client and without a clock.
//!
//! What is followed is one pod template, known by its hash from the moment it is declared, and never whatever happens to
//! be there: a newer template supersedes it. The hash is computed here as the operator does, so that the first look
//! already knows whether what was deployed is declared.

mod goal;
mod pin;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use leadsman_api::{Phase, Rollout, RolloutReport, RolloutStatus};
use leadsman_view::without_commands;

pub use self::goal::Goal;
pub use self::pin::Pin;
use crate::exit::Exit;

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// What the process ends with.
    pub exit: Exit,
    /// In a word, for the last line and for programs.
    pub word: &'static str,
    /// Why, in a sentence.
    pub why: String,
}

/// What is known of the fate of what was deployed.
#[derive(Clone, Debug)]
pub struct Fate {
    /// What was deployed; `None` for whatever is declared at the first look.
    pub pin: Option<Pin>,
    /// What is waited for.
    pub goal: Goal,
    /// Whether a person's turn is an end.
    pub exit_on_pause: bool,
    /// When it has to be declared.
    pub appear_by: Timestamp,
    /// When it has to have ended.
    pub end_by: Timestamp,
    /// Known once it is declared.
    subject: Option<Subject>,
}

/// What is followed.
#[derive(Clone, Debug)]
struct Subject {
    hash: String,
    revision: Option<i64>,
    /// Whether it was seen on its way: then a rejection is of now and not of before.
    was_on_trial: bool,
}

impl Fate {
    /// Nothing has been looked at yet.
    pub fn new(pin: Option<Pin>, goal: Goal, appear_by: Timestamp, end_by: Timestamp) -> Self {
        Self { pin, goal, exit_on_pause: false, appear_by, end_by, subject: None }
    }

    /// Whether what was deployed is declared, or was.
    pub fn is_declared(&self) -> bool {
        self.subject.is_some()
    }

    /// Number of the attempt that is followed, once it is known.
    pub fn revision(&self) -> Option<i64> {
        self.subject.as_ref().and_then(|subject| subject.revision)
    }

    /// When time is up, as far as is known.
    pub fn due(&self) -> Timestamp {
        if self.is_declared() { self.end_by } else { self.end_by.min(self.appear_by) }
    }

    /// Whether only reports can tell what became of it: it was declared, and is not any more.
    pub fn needs_reports(&self, rollout: &Rollout) -> bool {
        self.subject.as_ref().is_some_and(|subject| subject.hash != rollout.spec.template.hash())
    }

    /// Looks at the Rollout as it is now. `reports` are those of its attempts, as far as they have been read.
    pub fn look(&mut self, rollout: &Rollout, reports: &[RolloutReport]) -> Option<End> {
        let declared = rollout.spec.template.hash();
        if self.subject.is_none() {
            let found = self.pin.as_ref().map_or_else(|| Some(declared.clone()), |pin| pin.find(rollout));
            let Some(hash) = found else { return self.made_before(reports) };
            self.subject = Some(Subject { hash, revision: None, was_on_trial: false });
        }
        let default = RolloutStatus::default();
        let status = rollout.status.as_ref().unwrap_or(&default);
        self.subject.as_mut()?.note(status);
        let subject = self.subject.as_ref()?;
        if subject.hash != declared {
            return Some(self.gone(subject, &declared, status, reports));
        }
        // Until the operator has looked at this generation, the status is about another one.
        let generation = rollout.metadata.generation.unwrap_or(0);
        if status.observed_generation.is_none_or(|observed| observed < generation) {
            return None;
        }
        self.standing(subject, status)
    }

    /// The end, where time is up.
    pub fn time_up(&self, now: Timestamp, rollout: Option<&Rollout>) -> Option<End> {
        if now < self.due() {
            return None;
        }
        let pinned = self.pin.as_ref().map(Pin::words).unwrap_or_default();
        let why = match rollout.and_then(|rollout| rollout.status.as_ref()) {
            _ if !self.is_declared() => format!("{pinned} was not declared in time"),
            Some(status) if !status.message.is_empty() => status.message.clone(),
            _ => "the operator has not said anything".to_owned(),
        };
        Some(End { exit: Exit::TimeUp, word: "TIME IS UP", why })
    }

    /// What is not declared, but was tried: a commit or an attempt comes only once.
    fn made_before(&self, reports: &[RolloutReport]) -> Option<End> {
        let pin = self.pin.as_ref()?;
        let report = reports.iter().filter(|report| pin.is_of(report)).max_by_key(|report| report.spec.revision)?;
        self.told_by(report)
    }

    /// What a report says of an attempt that is over.
    fn told_by(&self, report: &RolloutReport) -> Option<End> {
        let spec = &report.spec;
        let why = if spec.message.is_empty() { spec.reason.clone() } else { spec.message.clone() };
        match spec.outcome.as_str() {
            "Progressing" => None,
            "Promoted" | "First" => Some(self.promoted(spec.revision)),
            "RolledBack" | "Aborted" => Some(self.rolled_back(&spec.reason, &why)),
            _ => Some(self.superseded(why)),
        }
    }

    /// What was declared is not any more.
    fn gone(&self, subject: &Subject, declared: &str, status: &RolloutStatus, reports: &[RolloutReport]) -> End {
        let report = reports.iter().filter(|report| report.spec.canary.hash == subject.hash);
        let report = report.filter(|report| subject.revision.is_none_or(|number| number == report.spec.revision));
        if let Some(end) = report.max_by_key(|it| it.spec.revision).and_then(|report| self.told_by(report)) {
            return end;
        }
        let stable = status.stable.as_ref();
        if let Some(stable) = stable.filter(|stable| stable.hash == subject.hash && subject.was_on_trial) {
            return self.promoted(stable.revision);
        }
        if let Some(rejection) = status.rejected.iter().find(|rejection| rejection.hash == subject.hash) {
            return self.rolled_back(&rejection.reason, &rejection.message);
        }
        self.superseded(if stable.is_some_and(|stable| stable.hash == declared) {
            "Git went back to what serves".to_owned()
        } else {
            format!("{declared} is declared now")
        })
    }

    /// What is declared, and has been looked at by the operator.
    fn standing(&self, subject: &Subject, status: &RolloutStatus) -> Option<End> {
        let is_moving = matches!(status.phase, Some(Phase::RollingBack | Phase::Progressing));
        let rejection = status.rejected.iter().find(|rejection| rejection.hash == subject.hash);
        if let Some(rejection) = rejection.filter(|_| !is_moving) {
            let before = if subject.was_on_trial { "" } else { "rejected before: " };
            return Some(self.rolled_back(&rejection.reason, &format!("{before}{}", rejection.message)));
        }
        if is_true(status, "Promoted").is_some() {
            let number = status.stable.as_ref().map_or(0, |stable| stable.revision);
            return Some(self.promoted(number));
        }
        if let Some(end) = self.on_the_way(subject, status) {
            return Some(end);
        }
        if let Some(stalled) = is_true(status, "Stalled") {
            return Some(End { exit: Exit::Stuck, word: "STALLED", why: told(&stalled.reason, &stalled.message) });
        }
        if status.phase == Some(Phase::Invalid) {
            return Some(End { exit: Exit::Stuck, word: "INVALID", why: status.message.clone() });
        }
        (self.exit_on_pause && is_a_persons_turn(status)).then(|| Self::paused(Exit::Paused, status))
    }

    /// Goals that are reached before the end.
    fn on_the_way(&self, subject: &Subject, status: &RolloutStatus) -> Option<End> {
        let is_on_trial = status.canary.as_ref().is_some_and(|canary| canary.hash == subject.hash);
        let reached = |why: String| Some(End { exit: Exit::Done, word: "REACHED", why });
        match self.goal {
            Goal::Paused if is_a_persons_turn(status) => Some(Self::paused(Exit::Done, status)),
            Goal::Step(number) => {
                let step = status.step.as_ref().filter(|step| is_on_trial && step.index + 1 >= number)?;
                reached(format!("step {}", step.display))
            }
            Goal::Weight(percent) => {
                let weight = status.weight.as_ref().filter(|weight| is_on_trial && weight.in_force >= percent)?;
                reached(format!("{}% in force", weight.in_force))
            }
            Goal::Serving if is_true(status, "Stalled").is_none() && status.phase != Some(Phase::Invalid) => {
                let available = is_true(status, "Available")?;
                reached(available.message.clone())
            }
            _ => None,
        }
    }

    fn promoted(&self, revision: i64) -> End {
        let why = format!("revision {revision} serves");
        let exit = match self.goal {
            Goal::RolledBack | Goal::Paused => Exit::Stuck,
            _ => Exit::Done,
        };
        End { exit, word: "PROMOTED", why }
    }

    fn rolled_back(&self, reason: &str, message: &str) -> End {
        let exit = match self.goal {
            Goal::RolledBack | Goal::Settled => Exit::Done,
            _ => Exit::RolledBack,
        };
        End { exit, word: "ROLLED BACK", why: told(reason, message) }
    }

    fn superseded(&self, why: String) -> End {
        let exit = if self.goal == Goal::Settled { Exit::Done } else { Exit::Superseded };
        End { exit, word: "SUPERSEDED", why }
    }

    fn paused(exit: Exit, status: &RolloutStatus) -> End {
        let waiting = status.waiting.as_ref().map(|waiting| waiting.what.clone());
        End { exit, word: "PAUSED", why: without_commands(&waiting.unwrap_or_else(|| status.message.clone())) }
    }
}

impl Subject {
    fn note(&mut self, status: &RolloutStatus) {
        let of_it = [&status.canary, &status.stable].into_iter().flatten().find(|it| it.hash == self.hash);
        self.revision = of_it.map(|it| it.revision).or(self.revision);
        let is_rejected = status.rejected.iter().any(|rejection| rejection.hash == self.hash);
        let is_going_back = status.phase == Some(Phase::RollingBack);
        let is_canary = status.canary.as_ref().is_some_and(|canary| canary.hash == self.hash);
        let serves = status.stable.as_ref().is_some_and(|stable| stable.hash == self.hash);
        self.was_on_trial |= serves || (is_canary && (!is_rejected || is_going_back));
    }
}

/// A condition, where it is true and not of an older generation.
fn is_true<'a>(
    status: &'a RolloutStatus,
    kind: &str,
) -> Option<&'a k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition> {
    let is_of_now = |observed: Option<i64>| observed.is_none() || observed >= status.observed_generation;
    let mut conditions = status.conditions.iter();
    conditions.find(|it| it.type_ == kind && it.status == "True" && is_of_now(it.observed_generation))
}

/// Whether nothing goes on until a person does something.
fn is_a_persons_turn(status: &RolloutStatus) -> bool {
    status.phase == Some(Phase::Paused) || is_true(status, "Paused").is_some()
}

fn told(reason: &str, message: &str) -> String {
    match (reason.is_empty(), message.is_empty()) {
        (false, true) => reason.to_owned(),
        (false, false) if !message.starts_with(reason) => format!("{reason}: {message}"),
        _ => message.to_owned(),
    }
}
