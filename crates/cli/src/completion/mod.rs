//! Completion: kubectl asks an executable `kubectl_complete-leadsman` with the words so far, and reads candidates.
//!
//! The answer is one candidate a line, `value<TAB>description`, and a last line `:4` (offer no files). It never says what went
//! wrong, takes a second at most, and offers 500 names at most. The shells' own scripts ask in the same way.

mod candidates;
mod install;

use std::ffi::OsString;
use std::time::Duration;

use clap::Parser;
use kube::config::Context;

use crate::args::{Cli, Common};
use crate::cluster::Cluster;
use crate::connect;
use candidates::{Wanted, wanted};
pub use install::{install, script};

/// The name under which kubectl asks.
const NAME: &str = "kubectl_complete-leadsman";
/// The first word by which the shells' scripts ask.
const WORD: &str = "__complete";
/// How long a person waits after TAB.
const PATIENCE: Duration = Duration::from_secs(1);
/// More names than these are no help.
const MOST: usize = 500;

/// The words so far, where this is a question for completion.
pub fn asked_for(words: &[OsString]) -> Option<Vec<String>> {
    let program = words.first().map(std::path::Path::new)?.file_stem()?.to_str()?;
    let text = |words: &[OsString]| words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    if program == NAME {
        return Some(text(words.get(1..)?));
    }
    (words.get(1)? == WORD).then(|| text(words.get(2..).unwrap_or_default()))
}

/// Answers the question.
pub fn complete(so_far: &[String]) -> u8 {
    let mut answer = String::new();
    for (value, description) in offers(so_far).into_iter().take(MOST) {
        let description: String = description.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
        let gap = if description.is_empty() { "" } else { "\t" };
        answer.extend([&value, gap, &description, "\n"]);
    }
    println!("{answer}:4");
    0
}

fn offers(so_far: &[String]) -> Vec<(String, String)> {
    let begun = so_far.last().cloned().unwrap_or_default();
    let all = match wanted(so_far) {
        Wanted::Words(words) => words,
        Wanted::Names(verb) => {
            let verb = verb.as_deref();
            asked(so_far, async |cluster: Cluster, namespace: String| {
                let (rollouts, _) = cluster.rollouts(Some(&namespace), "").await.ok()?;
                Some(candidates::names(&rollouts, verb))
            })
        }
        Wanted::Namespaces => asked(so_far, async |cluster: Cluster, _| {
            Some(cluster.namespaces().await.ok()?.into_iter().map(|name| (name, String::new())).collect())
        }),
        Wanted::Contexts => contexts(&common(so_far)),
        Wanted::Nothing => Vec::new(),
    };
    all.into_iter().filter(|(value, _)| value.starts_with(&begun)).collect()
}

/// What the cluster says, asked in the namespace that was named; nothing where that cannot be had in time.
fn asked<T: Default>(so_far: &[String], question: impl AsyncFnOnce(Cluster, String) -> Option<T>) -> T {
    let common = common(so_far);
    let asking = async {
        let (client, namespace) = connect::connect(&common).await.ok()?;
        question(Cluster::new(client, PATIENCE), namespace).await
    };
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().ok();
    let answer = crate::run::prepare()
        .ok()
        .and_then(|()| runtime())
        .and_then(|runtime| runtime.block_on(async { tokio::time::timeout(PATIENCE, asking).await.ok().flatten() }));
    answer.unwrap_or_default()
}

/// The contexts of the kubeconfig, with their clusters.
fn contexts(common: &Common) -> Vec<(String, String)> {
    let read = connect::kubeconfig(common).ok().flatten();
    let contexts = read.map(|config| config.contexts).unwrap_or_default();
    let cluster = |context: Option<Context>| context.map(|context| context.cluster).unwrap_or_default();
    contexts.into_iter().map(|named| (named.name, cluster(named.context))).collect()
}

/// Which cluster and namespace were said, as far as the words can be read.
fn common(so_far: &[String]) -> Common {
    let mut words = vec!["kubectl leadsman".to_owned(), "list".to_owned()];
    let mut rest = so_far.iter().take(so_far.len().saturating_sub(1)).peekable();
    while let Some(word) = rest.next() {
        let name = word.split('=').next().unwrap_or_default();
        let is_common = ["-n", "--namespace", "--context", "--cluster", "--user", "--kubeconfig", "--as", "--as-group"]
            .contains(&name);
        if !is_common {
            continue;
        }
        words.push(word.clone());
        if !word.contains('=') {
            words.extend(rest.next().cloned());
        }
    }
    Cli::try_parse_from(words).map_or_else(|_| default(), |cli| cli.common)
}

fn default() -> Common {
    Common { request_timeout: PATIENCE, ..Common::default() }
}
