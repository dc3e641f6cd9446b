//! `diff`: what differs between two revisions, by their ReplicaSets.

use k8s_openapi::api::apps::v1::ReplicaSet;
use leadsman_api::names::REVISION_LABEL;
use leadsman_api::{Rollout, RolloutReport, RolloutStatus};
use leadsman_view::{Named, json, text};
use serde_json::{Value, json};

use super::shown::{Document, show};
use crate::args;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Format;
use crate::session::Session;

/// Compares what serves with what is declared, or two revisions by their numbers.
///
/// # Errors
/// Where they cannot be read, or a revision is not there any more. With `--exit-code` it ends with 1 where there is a
/// difference.
pub async fn diff(session: &mut Session, args: &args::Diff) -> Outcome {
    let (namespace, name) = session.resolve(&args.name);
    let cluster = &session.cluster;
    let rollout = cluster.rollout(&namespace, &name).await?;
    let (sets, reports) = tokio::join!(cluster.sets(&namespace, &name), cluster.reports(&namespace, &name));
    let known = Known { rollout: &rollout, sets: sets?, reports: reports.unwrap_or_default() };
    let before = known.revision(args.from.or_else(|| known.stable()))?;
    let after = match args.to {
        Some(number) => known.revision(Some(number))?,
        None => known.declared(),
    };
    if args.printed.output == Some(Format::Yaml) {
        let document = json!({"before": before.template, "after": after.template});
        session.screen.yaml(&document)?;
    } else {
        let difference = leadsman_view::difference(&before, &after);
        show(
            session,
            &args.printed,
            &Document {
                json: &|| json::difference(&difference),
                names: &|| vec![name.clone()],
                text: &|style| text::difference(&difference, style),
                markdown: None,
                svg: None,
            },
        )?;
    }
    let differs = !leadsman_view::difference(&before, &after).changes.is_empty();
    Ok(if args.exit_code && differs { Exit::Unknown } else { Exit::Done })
}

/// What is known of revisions.
struct Known<'a> {
    rollout: &'a Rollout,
    sets: Vec<ReplicaSet>,
    reports: Vec<RolloutReport>,
}

impl Known<'_> {
    fn status(&self) -> Option<&RolloutStatus> {
        self.rollout.status.as_ref()
    }

    fn stable(&self) -> Option<i64> {
        self.status().and_then(|status| status.stable.as_ref()).map(|stable| stable.revision)
    }

    /// A revision by its number.
    fn revision(&self, number: Option<i64>) -> Result<Named, Failure> {
        let number = number
            .ok_or_else(|| Failure::new(Exit::Unknown, "no revision serves yet, so there is nothing to compare"))?;
        let (hash, commit) = self.identity(number).ok_or_else(|| gone(number))?;
        let template = self.template(&hash).ok_or_else(|| gone(number))?;
        let role = if self.stable() == Some(number) { "stable" } else { "" };
        Ok(Named { name: format!("revision {number}"), commit, role: role.to_owned(), template })
    }

    /// What is declared: with the API server's defaults where its ReplicaSet is there.
    fn declared(&self) -> Named {
        let hash = self.rollout.spec.template.hash();
        let canary = self.status().and_then(|status| status.canary.as_ref()).filter(|canary| canary.hash == hash);
        let name = canary.map_or_else(|| "declared".to_owned(), |canary| format!("revision {}", canary.revision));
        let is_rejected = self.status().is_some_and(|status| status.rejected.iter().any(|it| it.hash == hash));
        let role = if is_rejected { "rolled back" } else { "declared" };
        let template = self.template(&hash).unwrap_or_else(|| self.rollout.spec.template.as_value().clone());
        Named { name, commit: leadsman_api::commit_of(&self.rollout.metadata), role: role.to_owned(), template }
    }

    fn identity(&self, number: i64) -> Option<(String, Option<String>)> {
        let status = self.status();
        let current = status.into_iter().flat_map(|status| [&status.stable, &status.canary]).flatten();
        let current = current.map(|it| (it.revision, &it.hash, &it.commit));
        let rejected = status.into_iter().flat_map(|status| &status.rejected);
        let rejected = rejected.map(|it| (it.revision, &it.hash, &it.commit));
        let tried = self.reports.iter().map(|report| &report.spec.canary);
        let tried = tried.map(|it| (it.revision, &it.hash, &it.commit));
        let mut all = current.chain(rejected).chain(tried);
        all.find(|(revision, ..)| *revision == number).map(|(_, hash, commit)| (hash.clone(), commit.clone()))
    }

    fn template(&self, hash: &str) -> Option<Value> {
        let is_it = |set: &&ReplicaSet| {
            set.metadata.labels.as_ref().and_then(|labels| labels.get(REVISION_LABEL)).is_some_and(|it| it == hash)
        };
        let template = self.sets.iter().find(is_it)?.spec.as_ref()?.template.as_ref()?;
        serde_json::to_value(template).ok()
    }
}

fn gone(number: i64) -> Failure {
    Failure::new(Exit::Unknown, format!("the template of revision {number} is not kept any more"))
        .advise("history lists attempts; spec.revisionHistoryLimit says how many templates are kept")
}
