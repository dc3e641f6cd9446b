//! `rollback`: back to the revision that was stable before, without touching what is declared.

use leadsman_api::{Rollout, RolloutReport};
use leadsman_core::spec::Verb;

use super::declared::{Declared, declared};
use super::{hash_for, send};
use crate::args;
use crate::exit::{Exit, Failure, Outcome};
use crate::session::Session;

/// Says what will happen, asks, and gives the command.
///
/// # Errors
/// Where it cannot be given, is refused, or is not answered.
pub async fn rollback(session: &mut Session, args: &args::Rollback) -> Outcome {
    let (namespace, name) = session.resolve(&args.name);
    let rollout = session.cluster.rollout(&namespace, &name).await?;
    // Whoever is refused should not be asked first.
    hash_for(Verb::Rollback, &rollout)?;
    let reports = session.cluster.reports(&namespace, &name).await.unwrap_or_default();
    let former = former(&rollout, &reports).map(|report| report.spec.revision);
    if args.to.is_some() && args.to != former {
        let what = former.map_or_else(
            || "it is not known which revision was stable before".to_owned(),
            |former| format!("only revision {former} can be gone back to: it was stable last"),
        );
        return Err(Failure::new(Exit::Usage, what).advise("leave --to out, or revert in Git"));
    }
    for line in plan(session, &rollout, former) {
        session.screen.note(&line);
    }
    if !session.screen.confirm("Go back?", args.answer.yes)? {
        return Ok(Exit::Done);
    }
    send(session, Verb::Rollback, rollout, &args.answer).await
}

/// The last attempt that was promoted, is not what serves now, and was not rejected.
fn former<'a>(rollout: &Rollout, reports: &'a [RolloutReport]) -> Option<&'a RolloutReport> {
    let status = rollout.status.as_ref()?;
    let serves = status.stable.as_ref().map(|stable| stable.hash.as_str());
    let is_rejected = |hash: &str| status.rejected.iter().any(|rejection| rejection.hash == hash);
    let was_stable = |report: &&RolloutReport| {
        let (spec, hash) = (&report.spec, report.spec.canary.hash.as_str());
        matches!(spec.outcome.as_str(), "Promoted" | "First") && Some(hash) != serves && !is_rejected(hash)
    };
    reports.iter().filter(was_stable).max_by_key(|report| report.spec.revision)
}

fn plan(session: &Session, rollout: &Rollout, former: Option<i64>) -> Vec<String> {
    let status = rollout.status.clone().unwrap_or_default();
    let from = status.stable.map_or_else(|| "what serves".to_owned(), |stable| format!("revision {}", stable.revision));
    let to = former.map_or_else(|| "what was stable before".to_owned(), |former| format!("revision {former}"));
    let mut lines = vec![
        format!("Going back from {from} to {to}:"),
        format!("  1. traffic goes to {to} as soon as its pods are ready; {from} is rejected until retry"),
    ];
    let Declared::InGit { by } = declared(session, rollout) else {
        lines.push("  2. what is declared stays as it is: phase RolledBack until it is changed".to_owned());
        return lines;
    };
    lines.push(format!("  2. Git ({by}) still declares {from}: phase RolledBack until it does not"));
    if let Some(commit) = leadsman_api::commit_of(&rollout.metadata) {
        lines.push(format!("         git revert {commit}"));
    }
    lines
}
