//! What documentation shows as it was said on the cluster: blocks that a scenario writes, between a marker and the end of a
//! fenced block. With `LEADSMAN_RECORD=1` they are written anew; without it they have to be there.
//!
//! And situations in which a Rollout was there, as fixtures of crates/view: one for each strategy, phase and reason. With the same
//! variable those are added that no scenario has met before.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::audit::Request;
use crate::metrics::with;

const VARIABLE: &str = "LEADSMAN_RECORD";
/// Reports that a situation keeps, the newest.
const REPORTS: usize = 2;

/// Shows `text` in a page of docs/, in the block of this name.
///
/// # Errors
/// When the page has no such block.
pub fn show(page: &str, name: &str, text: &str) -> Result<()> {
    let file = folder().join(page);
    let shown = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let written = replaced(&shown, name, text).with_context(|| format!("docs/{page} has no block {name}"))?;
    if records() {
        std::fs::write(file, written)?;
        return Ok(());
    }
    let block = block(&shown, name).map(|(begin, end)| shown.get(begin..end).unwrap_or_default().trim());
    ensure!(block.is_some_and(|block| !block.is_empty()), "docs/{page}: block {name} is empty: {VARIABLE}=1 fills it");
    Ok(())
}

/// Whether what is recorded is written.
pub fn records() -> bool {
    std::env::var(VARIABLE).is_ok_and(|value| !value.is_empty() && value != "0")
}

/// Adds the situations that these requests about a namespace led to, with the reports that there were, to the fixtures of
/// crates/view.
///
/// # Errors
/// When a file cannot be written.
pub fn add_situations(requests: &[Request], namespace: &str) -> Result<()> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/view/fixtures/bed");
    std::fs::create_dir_all(&fixtures)?;
    for (name, situation) in situations(requests) {
        let file = fixtures.join(format!("{name}.json"));
        if !file.exists() {
            let text = serde_json::to_string(&situation)?.replace(namespace, "shop");
            std::fs::write(&file, text + "\n").with_context(|| file.display().to_string())?;
        }
    }
    Ok(())
}

/// Each situation once, by its name, as it was first met.
fn situations(requests: &[Request]) -> BTreeMap<String, Value> {
    let mut reports: BTreeMap<&str, Value> = BTreeMap::new();
    let mut met = BTreeMap::new();
    for request in requests.iter().filter(|request| request.is_done_write()) {
        // What others own is of no interest to a view.
        let object = with(request.response_object.clone(), "/metadata/managedFields", Value::Null);
        match request.object_ref.resource.as_str() {
            "rolloutreports" if request.verb == "delete" => drop(reports.remove(&*request.object_ref.name)),
            "rolloutreports" => drop(reports.insert(&request.object_ref.name, object)),
            "rollouts" if object.pointer("/status/phase").is_some() => {
                met.entry(name(&object)).or_insert_with(|| {
                    let mut newest: Vec<_> = reports.values().collect();
                    newest.sort_by_key(|report| report.pointer("/spec/revision").and_then(Value::as_i64));
                    let newest = newest.into_iter().rev().take(REPORTS);
                    let objects: Vec<_> = std::iter::once(&object).chain(newest).collect();
                    json!({"now": request.stage_timestamp.to_string(), "objects": objects})
                });
            }
            _ => {}
        }
    }
    met
}

/// Strategy, phase, and what is waited for or was wrong.
fn name(rollout: &Value) -> String {
    let text = |pointer: &str| rollout.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let conditions = rollout.pointer("/status/conditions").and_then(Value::as_array);
    let stalled = conditions.into_iter().flatten().find(|condition| {
        condition.get("type") == Some(&json!("Stalled")) && condition.get("status") == Some(&json!("True"))
    });
    let reason = stalled.and_then(|condition| condition.get("reason")?.as_str()).unwrap_or_default();
    let rejection = if text("/status/phase") == "RolledBack" { text("/status/rejected/0/reason") } else { "" };
    let strategy =
        match (rollout.pointer("/spec/strategy/blueGreen"), rollout.pointer("/spec/strategy/canary/traffic/routes")) {
            (Some(_), _) => "blue-green",
            (None, Some(_)) => "canary",
            (None, None) => "plain",
        };
    let parts = [strategy, text("/status/phase"), text("/status/waiting/reason"), reason, rejection];
    let mut parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).map(str::to_lowercase).collect();
    parts.dedup();
    parts.join("-")
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

/// Where the text of a block begins and ends.
fn block(page: &str, name: &str) -> Option<(usize, usize)> {
    let marker = format!("<!-- recorded: {name} -->\n```");
    let fence = page.find(&marker)? + marker.len();
    let begin = fence + page.get(fence..)?.find('\n')? + 1;
    let end = begin + page.get(begin..)?.find("```")?;
    Some((begin, end))
}

fn replaced(page: &str, name: &str, text: &str) -> Option<String> {
    let (begin, end) = block(page, name)?;
    Some(format!("{}{}\n{}", page.get(..begin)?, text.trim_end(), page.get(end..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_replaced_and_nothing_else() {
        let page = "# Why\n<!-- recorded: a -->\n```console\nold\n```\nwords\n<!-- recorded: b -->\n```\n```\nend\n";
        let written = replaced(page, "a", "$ new\n\n").unwrap();
        assert_eq!(written, page.replace("old", "$ new"));
        assert_eq!(replaced(page, "b", "x").unwrap(), page.replace("```\n```\nend", "```\nx\n```\nend"));
        assert_eq!(replaced(page, "c", "x"), None);
    }
}
