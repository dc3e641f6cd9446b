//! Accounts: no request that the release did not fail itself may have failed, and what clients saw must be what the
//! weights say.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, bail, ensure};

use crate::binomial::{ALPHA, MOST_CHECKS, is_plausible, two_sided};
use crate::load::Record;
use crate::timeline::Plateau;

static CHECKS: AtomicU32 = AtomicU32::new(0);

/// What became of a client's requests.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// All that were sent.
    pub requests: u64,
    /// Failures that a release gave itself.
    pub own_failures: u64,
    /// Failures that are nobody's but ours.
    pub lost: Vec<Record>,
    /// Answers by version.
    pub versions: BTreeMap<String, u64>,
}

/// Accounts for every request. `may_fail` are the versions whose own failures are theirs.
pub fn account(records: &[Record], may_fail: &[&str]) -> Account {
    let mut account = Account { requests: records.len() as u64, ..Account::default() };
    for record in records {
        if record.is_answered() {
            *account.versions.entry(record.version.clone()).or_default() += 1;
        }
        if !record.failed() {
            continue;
        }
        if record.is_answered() && may_fail.contains(&record.version.as_str()) {
            account.own_failures += 1;
        } else {
            account.lost.push(record.clone());
        }
    }
    account
}

impl Account {
    /// Fails when a request was lost; says when, and what came instead of an answer.
    pub fn expect_nothing_lost(&self, client: &str) -> Result<()> {
        let Some(first) = self.lost.first() else { return Ok(()) };
        let mut kinds: BTreeMap<String, (u64, f64, f64)> = BTreeMap::new();
        for lost in &self.lost {
            let kind = format!("status {} {:?} {:?}", lost.status, lost.version, lost.error);
            let entry = kinds.entry(kind).or_insert((0, lost.sent, lost.sent));
            *entry = (entry.0 + 1, entry.1, lost.sent);
        }
        let all: Vec<_> = kinds
            .iter()
            .map(|(kind, (number, from, to))| format!("{number} x {kind}, from {from:.3} to {to:.3}"))
            .collect();
        bail!(
            "{client}: {} of {} requests were lost, the first at {:.3}:\n  {}",
            self.lost.len(),
            self.requests,
            first.sent,
            all.join("\n  ")
        );
    }
}

/// A plateau with what was seen on it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What was to be seen, by version.
    pub expected: BTreeMap<String, f64>,
    /// Answers, by version.
    pub counts: BTreeMap<String, u64>,
    /// In seconds.
    pub length: f64,
}

/// Holds what clients saw on each plateau to what they were to see. `version_of` knows revisions by their hash.
pub fn shares(records: &[Record], plateaus: &[Plateau], version_of: &BTreeMap<String, String>) -> Result<Vec<Seen>> {
    let mut sorted: Vec<_> = records.iter().filter(|record| record.is_answered()).collect();
    sorted.sort_by(|a, b| a.sent.total_cmp(&b.sent));
    let mut found = Vec::new();
    let mut wrong = Vec::new();
    for plateau in plateaus {
        let mut expected: BTreeMap<String, f64> = BTreeMap::new();
        for (hash, share) in &plateau.shares {
            let version = version_of.get(hash).cloned().unwrap_or_else(|| hash.clone());
            *expected.entry(version).or_default() += share;
        }
        let first = sorted.partition_point(|record| record.sent < plateau.from);
        let end = sorted.partition_point(|record| record.sent < plateau.to);
        let sent = sorted.get(first..end).unwrap_or_default();
        // A request that was under way at the change may have gone either way. The plateau ends with the first of them,
        // and not with all others but them: the slower version would seem rarer than it is.
        let ended = |record: &&Record| record.sent + record.milliseconds / 1e3 < plateau.to;
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for record in sent.iter().take_while(|record| ended(record)) {
            *counts.entry(record.version.clone()).or_default() += 1;
        }
        let total: u64 = counts.values().sum();
        if total == 0 {
            continue;
        }
        let versions: std::collections::BTreeSet<_> = expected.keys().chain(counts.keys()).collect();
        for version in versions {
            let (share, count) =
                (expected.get(version).copied().unwrap_or(0.0), counts.get(version).copied().unwrap_or(0));
            CHECKS.fetch_add(1, Ordering::Relaxed);
            if !is_plausible(count, total, share.clamp(0.0, 1.0)) {
                wrong.push(format!(
                    "{version} answered {count} of {total} requests between {:.3} and {:.3}, where its share is {share} \
                     (p = {:e})",
                    plateau.from,
                    plateau.to,
                    two_sided(count, total, share)
                ));
            }
        }
        found.push(Seen { expected, counts, length: plateau.to - plateau.from });
    }
    ensure!(wrong.is_empty(), "what clients saw is not what the weights say:\n  {}", wrong.join("\n  "));
    Ok(found)
}

/// Fails when more checks were made than the level of each was chosen for.
pub fn expect_few_enough_checks() -> Result<u32> {
    let checks = CHECKS.load(Ordering::Relaxed);
    ensure!(checks <= MOST_CHECKS, "{checks} checks share alpha = {ALPHA:e}, which was split for {MOST_CHECKS}");
    Ok(checks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(sent: f64, status: u16, version: &str) -> Record {
        Record {
            sent,
            milliseconds: 1.0,
            status,
            version: version.to_owned(),
            pod: String::new(),
            error: String::new(),
        }
    }

    #[test]
    fn only_a_releases_own_failures_are_its_own() {
        let records = [record(0.0, 200, "v1"), record(0.1, 500, "v2"), record(0.2, 503, ""), record(0.3, 500, "v1")];
        let account = account(&records, &["v2"]);
        assert_eq!((account.requests, account.own_failures, account.lost.len()), (4, 1, 2));
        assert!(account.expect_nothing_lost("load").unwrap_err().to_string().contains("503"));
    }

    #[test]
    fn a_request_that_was_under_way_at_a_change_is_held_against_nobody() {
        let plateau = Plateau { from: 0.0, to: 10.0, shares: [("a".to_owned(), 1.0)].into() };
        let late = Record { milliseconds: 500.0, ..record(9.8, 200, "v2") };
        let seen = shares(&[record(9.7, 200, "a"), late], &[plateau], &BTreeMap::new()).unwrap();
        assert_eq!(seen.first().unwrap().counts, [("a".to_owned(), 1)].into());
    }

    #[test]
    fn a_single_request_to_a_version_without_traffic_is_found() {
        let plateau = Plateau { from: 0.0, to: 10.0, shares: [("a".to_owned(), 1.0), ("b".to_owned(), 0.0)].into() };
        let versions = [("a".to_owned(), "v1".to_owned()), ("b".to_owned(), "v2".to_owned())].into();
        let mut records: Vec<_> = (0..900).map(|i| record(f64::from(i) / 100.0, 200, "v1")).collect();
        assert!(shares(&records, std::slice::from_ref(&plateau), &versions).is_ok());
        records.push(record(5.0, 200, "v2"));
        let wrong = shares(&records, &[plateau], &versions).unwrap_err().to_string();
        assert!(wrong.contains("v2 answered 1 of 901"), "{wrong}");
    }
}
