//! `logs`: what the new revision's pods write, or what those of stable do.

use futures::stream::{StreamExt, select_all};
use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use leadsman_api::Rollout;
use leadsman_api::names::REVISION_LABEL;

use crate::args;
use crate::exit::{Exit, Failure, Outcome};
use crate::session::Session;

/// More logs at once would be more connections than anybody reads.
const MOST_PODS: usize = 20;

/// Prints the logs of a revision's pods, each line with the pod's name before it where there are several.
///
/// # Errors
/// Where there is no such revision, it has no pods, or none of their logs can be read.
pub async fn logs(session: &mut Session, args: &args::Logs) -> Outcome {
    let (namespace, name) = session.resolve(&args.name);
    let rollout = session.cluster.rollout(&namespace, &name).await?;
    let hash = revision(&rollout, args.stable)?;
    let mut pods = session.cluster.pods_of(&namespace, &name, &hash).await?;
    pods.sort_by_key(|pod| pod.metadata.name.clone());
    if pods.len() > MOST_PODS {
        session.screen.note(&format!("{} pods; the logs of the first {MOST_PODS} are shown", pods.len()));
        pods.truncate(MOST_PODS);
    }
    let (mut streams, mut failures) = (Vec::new(), Vec::new());
    for pod in &pods {
        match open(session, &namespace, pod, args).await {
            Ok(lines) => {
                let before = if pods.len() > 1 { format!("{}  ", short(pod)) } else { String::new() };
                streams.push(lines.map_ok(move |line| format!("{before}{line}")).boxed());
            }
            Err(failure) => failures.push(failure),
        }
    }
    if streams.is_empty() {
        let nothing = || Failure::new(Exit::Unknown, format!("revision {hash} has no pods"));
        return Err(failures.pop().unwrap_or_else(nothing));
    }
    for failure in &failures {
        session.screen.note(&format!("warning: {}", failure.what));
    }
    let mut lines = select_all(streams);
    while let Some(line) = lines.next().await {
        match line {
            Ok(line) => session.screen.line(&line)?,
            Err(error) => session.screen.note(&format!("warning: a log broke off: {error}")),
        }
    }
    Ok(Exit::Done)
}

async fn open(
    session: &Session,
    namespace: &str,
    pod: &Pod,
    args: &args::Logs,
) -> Result<impl futures::Stream<Item = std::io::Result<String>> + Send + use<>, Failure> {
    let first = pod.spec.as_ref().and_then(|spec| spec.containers.first()).map(|container| container.name.clone());
    let parameters = LogParams {
        container: args.container.clone().or(first),
        follow: args.follow,
        previous: args.previous,
        tail_lines: Some(args.tail).filter(|lines| *lines >= 0),
        ..LogParams::default()
    };
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    Ok(session.cluster.log(namespace, name, &parameters).await?.lines())
}

/// The hash of what is on trial or was rejected, or of what serves.
fn revision(rollout: &Rollout, stable: bool) -> Result<String, Failure> {
    let status = rollout.status.as_ref();
    let side = status.and_then(|status| if stable { status.stable.as_ref() } else { status.canary.as_ref() });
    side.map(|side| side.hash.clone()).ok_or_else(|| {
        let what = if stable { "no revision serves yet" } else { "no new revision is there" };
        let failure = Failure::new(Exit::Unknown, what);
        if stable { failure } else { failure.advise("--stable shows the logs of the one that serves") }
    })
}

/// A pod's name without its Rollout's: hash and suffix.
fn short(pod: &Pod) -> String {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let hash = pod.metadata.labels.as_ref().and_then(|labels| labels.get(REVISION_LABEL));
    hash.and_then(|hash| name.find(hash.as_str())).and_then(|at| name.get(at..)).unwrap_or(name).to_owned()
}
