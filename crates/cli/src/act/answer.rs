//! The operator's answer to a command.

use std::time::Duration;

use futures::StreamExt;
use leadsman_api::names::COMMAND_ANNOTATION;
use leadsman_api::{CommandOutcome, Rollout};

use crate::cluster::Seen;
use crate::exit::{Exit, Failure};
use crate::session::Session;

/// How long an answer is waited for. The operator answers within a second or two of seeing the command.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits for the answer to `command`, whose id is `id`; gives it as a line.
pub(super) async fn wait(
    session: &mut Session,
    namespace: &str,
    name: &str,
    command: &str,
    id: &str,
) -> Result<String, Failure> {
    let mut seen = std::pin::pin!(session.cluster.follow(namespace, name));
    let looking = async {
        while let Some(seen) = seen.next().await {
            match seen {
                Seen::Is(rollout) => {
                    if let Some(answer) = answer(&rollout, command, id) {
                        return answer;
                    }
                }
                Seen::Gone => {
                    return Err(Failure::new(Exit::Unknown, format!("Rollout {namespace}/{name} was deleted")));
                }
                Seen::Refused(failure) => return Err(failure),
                Seen::Lost(_) => {}
            }
        }
        Err(silence())
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| Err(silence()))
}

/// What a Rollout says about a command; `None` while it says nothing.
fn answer(rollout: &Rollout, command: &str, id: &str) -> Option<Result<String, Failure>> {
    let last = rollout.status.as_ref().and_then(|status| status.last_command.as_ref()).filter(|last| last.id == id);
    if let Some(last) = last {
        let verb = last.verb.as_deref().unwrap_or("command");
        return Some(match last.outcome {
            CommandOutcome::Executed => Ok(format!("{verb}: {}", last.message)),
            CommandOutcome::Refused => Err(Failure::new(Exit::Stuck, format!("{verb} refused: {}", last.message))),
            CommandOutcome::Unknown => Ok(format!("{verb}: answered in a word of another version: {}", last.message)),
        });
    }
    let written = rollout.metadata.annotations.as_ref().and_then(|annotations| annotations.get(COMMAND_ANNOTATION));
    let is_ours = written.is_some_and(|written| written == command);
    (!is_ours).then(|| Err(Failure::new(Exit::Stuck, "another command was written before this one was answered")))
}

fn silence() -> Failure {
    Failure::new(Exit::TimeUp, format!("the operator has not answered within {}s", PATIENCE.as_secs()))
        .advise("the command is written, and is carried out once an operator sees it, if it still fits then")
        .advise("is one running? kubectl leadsman doctor")
}
