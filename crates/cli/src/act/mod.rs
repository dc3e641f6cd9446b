//! The acting verbs: an annotation that names a verb, the revision that was shown, and an id; and the operator's answer.
//!
//! It is written with the resourceVersion that was read, so that nobody's newer word is overwritten and no command reaches
//! a revision that its author has not seen. The operator acts once per id; the plugin moves nothing itself.

mod answer;
mod declared;
mod restart;
mod rollback;
mod set_image;

use leadsman_api::names::{COMMAND_ANNOTATION, COMMANDER_ANNOTATION};
use leadsman_api::{Phase, Rollout};
use leadsman_core::spec::{Command, Verb};
use serde_json::{Value, json};

use crate::args;
use crate::exit::{Exit, Failure, Outcome};
use crate::fate::Goal;
use crate::session::Session;
use crate::status;
use crate::target::Target;
pub use restart::restart;
pub use rollback::rollback;
pub use set_image::set_image;

/// Somebody may be faster this many times in a row.
const TRIES: u32 = 5;

/// A verb that takes a name and nothing else.
///
/// # Errors
/// Where the command cannot be given, is refused, or is not answered.
pub async fn act(session: &mut Session, verb: Verb, args: &args::Act) -> Outcome {
    give(session, verb, &args.name, &args.answer).await
}

/// `promote`.
///
/// # Errors
/// As with [`act`].
pub async fn promote(session: &mut Session, args: &args::Promote) -> Outcome {
    if !args.full {
        return give(session, Verb::Promote, &args.name, &args.answer).await;
    }
    let (_, name) = session.resolve(&args.name);
    let question = format!("This passes all pauses and all analysis of {name} that remain. Go on?");
    if !session.screen.confirm(&question, args.answer.yes)? {
        return Ok(Exit::Done);
    }
    give(session, Verb::PromoteFull, &args.name, &args.answer).await
}

/// Gives a command, waits for its answer, and, where that was asked for, for what comes of it.
async fn give(session: &mut Session, verb: Verb, target: &Target, answer: &args::Answer) -> Outcome {
    let (namespace, name) = session.resolve(target);
    let rollout = session.cluster.rollout(&namespace, &name).await?;
    send(session, verb, rollout, answer).await
}

/// Sends a command about a Rollout as it was read.
async fn send(session: &mut Session, verb: Verb, rollout: Rollout, answer: &args::Answer) -> Outcome {
    let (namespace, name) = identity(&rollout);
    let hash = hash_for(verb, &rollout)?;
    let id = session.now().to_string();
    let reason = answer.reason.as_ref().map(|reason| format!(" {reason}")).unwrap_or_default();
    let command = format!("{}/{hash}/{id}{reason}", verb.as_str());
    // What the operator would not read must not be written.
    Command::parse(&command).map_err(|wrong| Failure::new(Exit::Usage, wrong))?;
    let by = session.cluster.who_am_i().await;
    write(session, verb, rollout, &hash, |version| annotation(version, &command, by.as_deref())).await?;
    if answer.no_wait {
        session.screen.line(&format!("{}: written, not waiting for the answer", verb.as_str()))?;
        return Ok(Exit::Done);
    }
    let told = answer::wait(session, &namespace, &name, &command, &id).await?;
    session.screen.line(&told)?;
    if answer.wait {
        return status::follow_command(session, &namespace, &name, goal_of(verb), answer.timeout).await;
    }
    Ok(Exit::Done)
}

/// Writes with the version that was read; where somebody was faster, looks whether the command still means the same.
async fn write(
    session: &Session,
    verb: Verb,
    mut rollout: Rollout,
    hash: &str,
    patch: impl Fn(&str) -> Value,
) -> Result<(), Failure> {
    let (namespace, name) = identity(&rollout);
    for _ in 0..TRIES {
        let version = rollout.metadata.resource_version.clone().unwrap_or_default();
        if session.cluster.patch(&namespace, &name, &patch(&version)).await?.is_ok() {
            return Ok(());
        }
        rollout = session.cluster.rollout(&namespace, &name).await?;
        let now = hash_for(verb, &rollout)?;
        if now != hash {
            let what = format!("{namespace}/{name} changed meanwhile: it would be about {now} now, not about {hash}");
            return Err(Failure::new(Exit::Stuck, what)
                .advise(format!("look again: kubectl leadsman get -n {namespace} {name}")));
        }
    }
    Err(Failure::new(Exit::Unknown, format!("{namespace}/{name} changes faster than it can be written"))
        .advise("try again"))
}

/// The command, and who gives it. A name that is left from another command goes.
fn annotation(version: &str, command: &str, by: Option<&str>) -> Value {
    let annotations = json!({COMMAND_ANNOTATION: command, COMMANDER_ANNOTATION: by});
    json!({"metadata": {"resourceVersion": version, "annotations": annotations}})
}

/// The revision that a command has to name. The operator says which, and whether it would refuse; one that says neither
/// is asked all the same.
fn hash_for(verb: Verb, rollout: &Rollout) -> Result<String, Failure> {
    let status = rollout.status.as_ref();
    let is_it = |command: &&leadsman_api::CommandStatus| command.verb == verb.as_str();
    if let Some(command) = status.and_then(|status| status.commands.iter().find(is_it)) {
        return match &command.refused {
            Some(why) => Err(refused(verb, why)),
            None => Ok(command.hash.clone()),
        };
    }
    if matches!(verb, Verb::Retry | Verb::Rollback) {
        return Ok(rollout.spec.template.hash());
    }
    let is_over = status.is_none_or(|status| matches!(status.phase, Some(Phase::Healthy | Phase::RolledBack)));
    let canary = status.and_then(|status| status.canary.as_ref()).filter(|_| !is_over);
    canary.map(|canary| canary.hash.clone()).ok_or_else(|| refused(verb, "no release is under way"))
}

fn refused(verb: Verb, why: &str) -> Failure {
    Failure::new(Exit::Stuck, format!("{} refused: {why}", verb.as_str()))
}

/// Namespace and name.
fn identity(rollout: &Rollout) -> (String, String) {
    let metadata = &rollout.metadata;
    (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

/// What is waited for after a command was carried out.
fn goal_of(verb: Verb) -> Goal {
    match verb {
        Verb::Promote | Verb::PromoteFull | Verb::Retry | Verb::Resume => Goal::Promoted,
        Verb::Abort | Verb::Rollback => Goal::RolledBack,
        Verb::Pause => Goal::Paused,
    }
}
