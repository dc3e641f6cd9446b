//! How it ended, and whether that is how it should have.

use std::fmt::Write as _;

use leadsman_api::{Phase, RejectedRevision, Rollout};
use leadsman_view::svg::marks::Tone;

use super::manifests::Commit;
use super::story::Story;
use super::view::{grouped, percent, wrapped};
use crate::account::Account;
use crate::status::{message, phase, stable_hash};

/// A release that is over.
#[derive(Debug)]
pub(super) struct Ended {
    /// What was released.
    pub commit: Commit,
    /// The revision that it declared.
    pub revision: String,
    /// The Rollout as it was then.
    pub rollout: Rollout,
    /// Seconds from the declaration to the end.
    pub took: f64,
}

impl Ended {
    /// Why it was not promoted; nothing when it was.
    pub(super) fn not_promoted(&self) -> Option<String> {
        let serves = stable_hash(&self.rollout) == Some(&self.revision);
        let promoted = phase(&self.rollout) == Some(Phase::Healthy) && serves;
        (!promoted).then(|| self.as_it_is())
    }

    /// Why it was not rolled back to `stable` because of its analysis; nothing when it was.
    pub(super) fn not_rolled_back(&self, stable: &str) -> Option<String> {
        let reason = self.rejection().map(|it| it.reason.as_str());
        let back = stable_hash(&self.rollout).is_some_and(|hash| hash == stable);
        let rolled_back = phase(&self.rollout) == Some(Phase::RolledBack) && reason == Some("AnalysisFailed") && back;
        (!rolled_back).then(|| self.as_it_is())
    }

    fn as_it_is(&self) -> String {
        let phase = phase(&self.rollout).map_or_else(|| "no phase".to_owned(), |phase| format!("{phase:?}"));
        format!("{phase}: {}", message(&self.rollout))
    }

    fn rejection(&self) -> Option<&RejectedRevision> {
        self.rollout.status.as_ref()?.rejected.iter().find(|rejected| rejected.hash == self.revision)
    }

    /// The query that decided, as it was sent.
    fn query(&self) -> Option<&str> {
        self.rejection()?.query.as_deref()
    }
}

/// What is said at the end.
pub(super) fn closing(good: &Ended, bad: &Ended, story: &Story, account: &Account, width: usize) -> String {
    let mut text = String::new();
    let mut row = |head: &str, words: &str| {
        let _ = writeln!(text, "  {head:<11}{words}");
    };
    let outcome = |failure: Option<String>, otherwise: String| failure.map_or(otherwise, |it| format!("FAILED: {it}"));
    let name = good.commit.version;
    row(name, &outcome(good.not_promoted(), format!("promoted after {:.0} s: {name} is stable", good.took)));
    let (stable, name) = (&good.revision, bad.commit.version);
    let back = format!("rolled back after {:.0} s: {} stays stable", bad.took, good.commit.version);
    row(name, &outcome(bad.not_rolled_back(stable), back));
    let room = width.saturating_sub(13);
    if let Some(rejection) = bad.rejection() {
        row("  because", &format!("{}:", rejection.reason));
        for part in rejection.message.split("; ") {
            for line in wrapped(part, room) {
                row("", &line);
            }
        }
    }
    if let Some((place, answers)) = samples(story, name) {
        let rate = percent(answers.success().unwrap_or_default());
        let (all, failed) = (grouped(u64::from(answers.all)), grouped(u64::from(answers.failed)));
        row("  clients", &format!("{place} answered {all} requests in all, {failed} with errors: {rate} succeeded"));
    }
    if let Some(query) = bad.query() {
        for (place, line) in query.trim().lines().enumerate() {
            row(if place == 0 { "  query" } else { "" }, line);
        }
    }
    if let Some(delay) = way_back(story) {
        row("  back", &delay);
    }
    row("requests", &format!("{}; {}", grouped(account.requests), failed(account, name)));
    text
}

/// What a version answered in all.
fn samples<'a>(story: &'a Story, version: &str) -> Option<(&'a str, super::story::Answers)> {
    let place = story.versions.iter().position(|it| it.name == version)?;
    Some((&story.versions.get(place)?.name, story.last_seconds(usize::MAX).of(place)))
}

/// For the picture: requests and what became of them, and why the bad one was rolled back.
pub(super) fn captions(bad: &Ended, story: &Story, account: &Account) -> Vec<String> {
    let mut requests = format!("{} requests; {}", grouped(account.requests), failed(account, bad.commit.version));
    if let Some(delay) = way_back(story) {
        let _ = write!(requests, "; {delay}");
    }
    let why = bad.rejection().map(|it| it.message.split("; ").next().unwrap_or_default());
    let why = why.map(|why| format!("{} was rolled back because {why}", bad.commit.version));
    [requests].into_iter().chain(why).collect()
}

/// Requests that failed, and whose fault it was.
fn failed(account: &Account, bad: &str) -> String {
    let (own, lost) = (grouped(account.own_failures), grouped(account.lost.len() as u64));
    format!("{own} failed in {bad} itself, {lost} for any other reason")
}

/// From the decision to go back to the write that took the traffic away.
fn way_back(story: &Story) -> Option<String> {
    let decided = story.decisions.iter().find(|it| it.tone == Tone::Bad)?.at;
    let after = |written: f64| format!("{:.0} ms after the decision", (written - decided) * 1000.0);
    if let Some((written, _)) = story.weights.iter().find(|(at, weight)| *at >= decided && *weight == 0.0) {
        return Some(format!("weight 0 was in the route {}", after(*written)));
    }
    let (written, version) = story.selected.iter().find_map(|(at, versions)| match versions[..] {
        [only] if *at >= decided => Some((*at, only)),
        _ => None,
    })?;
    let name = &story.versions.get(version)?.name;
    Some(format!("the Service selected {name} alone {}", after(written)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::story::{Answers, Decision, Second, tests::versions};
    use super::super::strategy::Strategy;
    use super::*;

    fn ended(version: &'static str, revision: &str, status: &Value) -> Ended {
        let commit = Commit { version, error_rate: 0.0, hash: "3f2c9e1" };
        let mut rollout = commit.rollout(Strategy::Canary, "demo").unwrap();
        rollout["status"] = status.clone();
        Ended { commit, revision: revision.to_owned(), rollout: serde_json::from_value(rollout).unwrap(), took: 40.0 }
    }

    fn good() -> Ended {
        ended("v2", "b", &json!({"phase": "Healthy", "stable": {"hash": "b", "revision": 2}}))
    }

    fn bad(reason: &str) -> Ended {
        let rejected = json!({"hash": "c", "revision": 3, "reason": reason, "at": "2026-01-01T00:00:00Z",
            "query": "sum(x)\n / sum(y)",
            "message": "success-rate is 0.7: value >= 0.95 does not hold; 1 of 1 measurements failed, limit 0"});
        let stable = json!({"hash": "b", "revision": 2});
        ended("v3", "c", &json!({"phase": "RolledBack", "stable": stable, "rejected": [rejected]}))
    }

    #[test]
    fn a_release_that_ended_otherwise_is_a_failure() {
        assert_eq!(good().not_promoted(), None);
        assert!(bad("AnalysisFailed").not_promoted().is_some());
        assert_eq!(bad("AnalysisFailed").not_rolled_back("b"), None);
        assert!(bad("AnalysisFailed").not_rolled_back("a").is_some());
        assert!(bad("CrashLooping").not_rolled_back("b").is_some());
        assert!(good().not_rolled_back("b").is_some());
    }

    #[test]
    fn the_reason_is_told_with_the_query_and_what_clients_saw() {
        let second = Second { answers: vec![Answers::default(), Answers::default(), Answers { all: 20, failed: 6 }] };
        let failed = Decision { at: 10.0, label: "analysis failed".to_owned(), tone: Tone::Bad };
        let story = Story {
            versions: versions(),
            seconds: vec![second; 2],
            decisions: vec![failed],
            weights: vec![(2.0, 0.0), (8.0, 10.0), (10.05, 0.0)],
            ..Story::default()
        };
        let account = Account { requests: 12345, own_failures: 12, ..Account::default() };
        let text = closing(&good(), &bad("AnalysisFailed"), &story, &account, 100);
        for words in [
            "promoted after 40 s: v2 is stable",
            "rolled back after 40 s: v2 stays stable",
            "AnalysisFailed:\n             success-rate is 0.7: value >= 0.95 does not hold\n             1 of 1",
            "v3 answered 40 requests in all, 12 with errors: 70.0% succeeded",
            "query    sum(x)\n              / sum(y)",
            "weight 0 was in the route 50 ms after",
            "requests   12,345; 12 failed in v3 itself, 0 for any other reason",
        ] {
            assert!(text.contains(words), "{words}\n{text}");
        }
    }

    #[test]
    fn the_way_back_is_told_of_a_service_as_well() {
        let failed = Decision { at: 10.0, label: "analysis failed".to_owned(), tone: Tone::Bad };
        let selected = vec![(2.0, vec![1]), (8.0, vec![1, 2]), (10.04, vec![1])];
        let mut story = Story { versions: versions(), decisions: vec![failed], selected, ..Story::default() };
        assert_eq!(way_back(&story).unwrap(), "the Service selected v2 alone 40 ms after the decision");
        story.selected.pop();
        assert_eq!(way_back(&story), None);
    }
}
