//! `get -w` where nobody sees frames: one line per change, or one object a line.

use futures::StreamExt;
use jiff::Timestamp;
use leadsman_view::json;

use super::end::Followed;
use super::kept::{Kept, News};
use crate::args;
use crate::cluster::changes;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Format;
use crate::session::Session;
use crate::status::Words;

/// Follows a release until it ends.
pub(super) async fn watch(session: &mut Session, args: &args::Get, namespace: &str, name: &str) -> Outcome {
    let mut changes = changes(&session.cluster, namespace, name);
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    let (mut kept, mut followed, mut last) = (Kept::default(), Followed::default(), None);
    loop {
        let change = tokio::select! {
            biased;
            _ = &mut interrupted => return Ok(Exit::Interrupted),
            change = changes.next() => change,
        };
        match kept.take(change) {
            News::Something => {}
            News::Nothing | News::Lost => continue,
            News::Deleted => {
                return Err(Failure::new(Exit::Unknown, format!("Rollout {namespace}/{name} is not there any more")));
            }
            News::Refused(failure) => return Err(failure),
        }
        let Some(objects) = kept.objects().filter(|_| kept.is_complete()) else { continue };
        let words = Words::of(&objects.rollout);
        if last.as_ref().is_none_or(|last| words.differs(last)) {
            let now = session.now();
            if args.printed.output == Some(Format::Json) {
                session.screen.json_line(&json::release(&leadsman_view::release(objects, now)))?;
            } else {
                session.screen.line(&line(now, &words))?;
            }
        }
        last = Some(words);
        if followed.has_ended(&objects.rollout) && !args.follow {
            return Ok(Exit::Done);
        }
    }
}

fn line(now: Timestamp, words: &Words) -> String {
    format!("{}  {}", now.strftime("%H:%M:%SZ"), words.words)
}
