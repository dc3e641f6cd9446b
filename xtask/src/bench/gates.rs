//! Simulated releases judged by the operator's own code, beside what is usual: a test at a fixed level at every look, and a
//! threshold on the share of the last minute.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use leadsman_core::analysis::proportion::sequence::{ln_above, requests_to_pass};
use leadsman_core::analysis::proportion::trials::{Revision, Together, fails_at, limited_to};
use leadsman_core::analysis::proportion::{Against, Baseline, Counts, Finding, Gate, Proportion, Share};
use leadsman_core::dice::Dice;

use super::picture;

/// Looks that a release is watched for.
const LOOKS: u32 = 100;
/// 5%, one-sided.
const Z: f64 = 1.644_853_626_951_472_2;
/// Looks of a minute.
const MINUTE: usize = 6;
/// Releases of a row.
const RELEASES: u32 = 20_000;
/// Of a row that takes longer.
const FEWER: u32 = 4000;
const SEED: u64 = 20_261_127;
const BEGIN: &str = "<!-- cargo xtask bench gates: from here -->\n";
const END: &str = "<!-- to here -->\n";

pub fn run(write: bool) -> Result<()> {
    let tables = [false_alarms(), together(), until_failure(), until_success(), outages(), releases()];
    for table in &tables {
        println!("{table}");
    }
    if write {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        put(&docs.join("gates.md"), &tables.concat())?;
        fs::write(docs.join("gates.svg"), picture::draw())?;
    }
    Ok(())
}

/// Puts the tables between the two marks of a page.
fn put(page: &Path, tables: &str) -> Result<()> {
    let text = fs::read_to_string(page)?;
    let (before, rest) = text.split_once(BEGIN).context("docs/gates.md has no mark where tables begin")?;
    let (_, after) = rest.split_once(END).context("docs/gates.md has no mark where tables end")?;
    ensure!(!after.contains(BEGIN), "docs/gates.md has the marks twice");
    Ok(fs::write(page, format!("{before}{BEGIN}{tables}{END}{after}"))?)
}

/// A table in Markdown.
struct Table(String);

impl Table {
    fn new(title: &str, columns: &[&str]) -> Self {
        let line = format!("| {} |\n|{}\n", columns.join(" | "), "---|".repeat(columns.len()));
        Self(format!("### {title}\n\n{line}"))
    }

    fn row(&mut self, cells: &[String]) {
        let _ = writeln!(self.0, "| {} |", cells.join(" | "));
    }

    fn end(mut self) -> String {
        self.0.push('\n');
        self.0
    }
}

fn of(part: u32, all: u32) -> String {
    format!("{:.1}%", f64::from(part) * 100.0 / f64::from(all))
}

/// Which ways to judge had rolled a release back within a hundred looks.
#[derive(Default)]
struct Fallen {
    fixed_level: u32,
    last_minute: u32,
    per_request: u32,
    ours: u32,
}

/// One kind of release, again and again.
fn fallen(limit: Share, revision: Revision, requests: u32, releases: u32, dice: &mut Dice) -> Fallen {
    let (proportion, max) = (limited_to(limit), limit.as_f64());
    let mut fallen = Fallen::default();
    for _ in 0..releases {
        let mut gate = Gate::default();
        let (mut sum, mut bad): (Counts, Vec<f64>) = (Counts::default(), Vec::new());
        let (mut level, mut minute, mut mixture) = (false, false, false);
        for _ in 0..LOOKS {
            let counts = revision.counts(dice, requests);
            gate.count(&proportion, counts, None);
            bad.push(counts.bad);
            sum = Counts { bad: sum.bad + counts.bad, total: sum.total + counts.total };
            let expected = sum.total * max;
            level |= sum.bad - expected > Z * (expected * (1.0 - max)).sqrt();
            let lately: f64 = bad.iter().rev().take(MINUTE).sum();
            minute |= bad.len() >= MINUTE && lately > max * f64::from(requests) * MINUTE as f64;
            mixture |= ln_above(sum.bad, sum.total, max) >= 20_f64.ln();
        }
        fallen.fixed_level += u32::from(level);
        fallen.last_minute += u32::from(minute);
        fallen.per_request += u32::from(mixture);
        fallen.ours += u32::from(gate.failed.is_some());
    }
    fallen
}

fn false_alarms() -> String {
    let mut table = Table::new(
        "Rolled back within 100 looks though it is no worse than it may be (requests fail independently, 95%)",
        &[
            "limit",
            "requests a look",
            "true share",
            "test at a fixed level at each look",
            "share of the last minute > limit",
            "mixture per request",
            "Leadsman",
        ],
    );
    let mut dice = Dice::new(SEED);
    for (limit, looks) in
        [(1000, [200, 1000, 6000]), (5000, [40, 200, 1200]), (10_000, [20, 100, 600]), (50_000, [4, 20, 120])]
    {
        for (index, requests) in looks.into_iter().enumerate() {
            let parts: &[u32] = if index == 1 { &[100, 80, 50] } else { &[100] };
            for part in parts {
                let (limit, truth) = (Share(limit), Share(limit * part / 100));
                let fallen = fallen(limit, Revision::failing(truth.as_f64()), requests, RELEASES, &mut dice);
                table.row(&[
                    limit.to_string(),
                    requests.to_string(),
                    truth.to_string(),
                    of(fallen.fixed_level, RELEASES),
                    of(fallen.last_minute, RELEASES),
                    of(fallen.per_request, RELEASES),
                    format!("**{}**", of(fallen.ours, RELEASES)),
                ]);
            }
        }
    }
    table.end()
}

fn together() -> String {
    let mut table = Table::new(
        "The same at a limit of 1% where the failures of one look hang together (100 requests a look)",
        &["failures", "test at a fixed level", "mixture per request", "Leadsman, at the limit", "Leadsman, at 0.3%"],
    );
    let mut dice = Dice::new(SEED + 1);
    for (words, together) in [
        ("independent", Together::Not),
        ("correlated, 0.01", Together::Correlated(0.01)),
        ("correlated, 0.05", Together::Correlated(0.05)),
        ("correlated, 0.2", Together::Correlated(0.2)),
        ("ten stand and fall together", Together::ClustersOfTen),
        ("bursts: 3 looks of 100 have most", Together::Bursts),
    ] {
        let mut at = |rate| fallen(Share(10_000), Revision { rate, together }, 100, FEWER, &mut dice);
        let (limit, calm) = (at(0.01), at(0.003));
        table.row(&[
            words.to_owned(),
            of(limit.fixed_level, FEWER),
            of(limit.per_request, FEWER),
            format!("**{}**", of(limit.ours, FEWER)),
            format!("**{}**", of(calm.ours, FEWER)),
        ]);
    }
    table.end()
}

/// Mean, and what nine of ten do not need more than.
fn mean_and_most(mut needed: Vec<u32>) -> String {
    needed.sort_unstable();
    let mean = needed.iter().map(|it| f64::from(*it)).sum::<f64>() / needed.len().max(1) as f64;
    let most = needed.get(needed.len() * 9 / 10).copied().unwrap_or_default();
    format!("{mean:.0} / {most}")
}

fn until_failure() -> String {
    let mut table = Table::new(
        "Requests of the canary until it is rolled back: mean / nine of ten (95%)",
        &["limit", "true share", "no test can do with fewer on average", "20 a look", "50 a look", "100 a look"],
    );
    let mut dice = Dice::new(SEED + 2);
    for (limit, truth) in [(10_000, 30_000), (5000, 20_000), (1000, 10_000), (10_000, 50_000), (10_000, 100_000)] {
        let (limit, truth) = (Share(limit), Share(truth));
        let (p, q) = (limit.as_f64(), truth.as_f64());
        // Wald 1945.
        let bound = 20_f64.ln() / (q * (q / p).ln() + (1.0 - q) * ((1.0 - q) / (1.0 - p)).ln());
        let mut cells = vec![limit.to_string(), truth.to_string(), format!("{bound:.0}")];
        for requests in [20, 50, 100] {
            let fails = |_| {
                let revision = Revision::failing(q);
                let at = fails_at(&limited_to(limit), revision, requests, 2000, &mut dice);
                at.unwrap_or(2000) * requests
            };
            cells.push(mean_and_most((0..FEWER).map(fails).collect()));
        }
        table.row(&cells);
    }
    table.end()
}

fn until_success() -> String {
    let mut table = Table::new(
        "Requests of the canary at a weight until it passes a limit of 1% (passes below 2%)",
        &["true share", "requests without noise", "mean / nine of ten", "ends in a rollback instead"],
    );
    let mut dice = Dice::new(SEED + 3);
    let proportion = limited_to(Share(10_000));
    for truth in [0, 1000, 3000, 5000, 8000, 10_000] {
        let truth = Share(truth);
        let (mut needed, mut failed) = (Vec::new(), 0);
        for _ in 0..FEWER {
            let mut gate = Gate::default();
            let end = (1..=600).find(|_| {
                gate.count(&proportion, Revision::failing(truth.as_f64()).counts(&mut dice, 20), None);
                matches!(gate.finding(&proportion), Finding::Shown | Finding::Failed(_))
            });
            failed += u32::from(gate.failed.is_some());
            needed.push(end.unwrap_or(600) * 20);
        }
        let without = requests_to_pass(truth.as_f64(), 0.02, 0.05).map(|it| it.to_string()).unwrap_or_default();
        table.row(&[truth.to_string(), without, mean_and_most(needed), of(failed, FEWER)]);
    }
    table.end()
}

fn outages() -> String {
    let mut table = Table::new(
        "An outage of 50 s that hits both revisions (10 points more fail; limit 1%, 0.3% otherwise): rolled back",
        &["canary / stable, requests a look", "test at a fixed level", "Leadsman"],
    );
    let mut dice = Dice::new(SEED + 4);
    let proportion = limited_to(Share(10_000));
    for (canary, stable) in [(20, 380), (100, 1900), (100, 100), (1900, 100)] {
        let (mut level, mut ours) = (0, 0);
        for _ in 0..FEWER {
            let (mut gate, mut sum, mut fell) = (Gate::default(), Counts::default(), false);
            for look in 0..LOOKS {
                let rate = if (40..45).contains(&look) { 0.103 } else { 0.003 };
                let [one, other] = [canary, stable].map(|requests| Revision::failing(rate).counts(&mut dice, requests));
                gate.count(&proportion, one, Some(other));
                sum = Counts { bad: sum.bad + one.bad, total: sum.total + one.total };
                fell |= sum.bad - sum.total * 0.01 > Z * (sum.total * 0.01 * 0.99).sqrt();
            }
            level += u32::from(fell);
            ours += u32::from(gate.failed.is_some());
        }
        table.row(&[format!("{canary} / {stable}"), of(level, FEWER), format!("**{}**", of(ours, FEWER))]);
    }
    table.end()
}

/// What became of a simulated release.
enum End {
    RolledBack,
    Promoted,
    Undecided,
}

/// Weights 5, 20, 50 and 100%, at least six looks of 10 s at each, and until it passes.
fn release(proportion: &Proportion, rate: u32, canary: Revision, stable: Revision, dice: &mut Dice) -> (End, u32) {
    let before = stable.counts(dice, rate * 1800);
    let mut gate = Gate::with_baseline(Baseline { stable: before, ..Baseline::default() });
    let mut looks = 0;
    for (index, percent) in [5, 20, 50, 100].into_iter().enumerate() {
        gate.weigh(jiff_at(index));
        let mut passed = false;
        for look in 0..60 {
            let requests = rate * 10;
            let of_canary = dice.failures(requests, f64::from(percent) / 100.0);
            let counts = canary.counts(dice, of_canary);
            let beside = (percent < 100).then(|| stable.counts(dice, requests - of_canary));
            gate.count(proportion, counts, beside);
            looks += 1;
            if gate.failed.is_some() {
                return (End::RolledBack, looks);
            }
            if look >= 5 && gate.finding(proportion) == Finding::Shown {
                passed = true;
                break;
            }
        }
        if !passed {
            return (End::Undecided, looks);
        }
    }
    (End::Promoted, looks)
}

fn jiff_at(index: usize) -> jiff::Timestamp {
    jiff::Timestamp::UNIX_EPOCH + std::time::Duration::from_secs(index as u64 + 1)
}

fn releases() -> String {
    let mut table = Table::new(
        "Whole releases: 5, 20, 50 and 100%, each for at least a minute and until it passes (at most ten)",
        &["traffic", "gate", "canary, stable", "rolled back", "promoted", "a person is asked", "mean time"],
    );
    let mut dice = Dice::new(SEED + 5);
    let limit = limited_to(Share(10_000));
    let against = Against { margin: Share(5000), pass_within: Share(10_000) };
    let alone = Proportion { limit: None, against: Some(against), ..limit.clone() };
    let both = Proportion { against: Some(against), ..limit.clone() };
    let independent = Together::Not;
    for (rate, words, proportion, canary, stable, together) in [
        (200, "limit 1%", &limit, 3000, 3000, independent),
        (200, "limit 1%", &limit, 8000, 3000, independent),
        (200, "limit 1%", &limit, 10_000, 3000, independent),
        (200, "limit 1%", &limit, 20_000, 3000, independent),
        (200, "limit 1%", &limit, 30_000, 3000, independent),
        (20, "limit 1%", &limit, 3000, 3000, independent),
        (20, "limit 1%", &limit, 30_000, 3000, independent),
        (200, "stable + 0.5 points", &alone, 5000, 5000, independent),
        (200, "stable + 0.5 points", &alone, 10_000, 5000, independent),
        (200, "both", &both, 3000, 3000, independent),
        (200, "both", &both, 30_000, 3000, independent),
        (200, "limit 1%, failures ten at a time", &limit, 3000, 3000, Together::ClustersOfTen),
        (200, "limit 1%, failures ten at a time", &limit, 30_000, 3000, Together::ClustersOfTen),
    ] {
        let (canary, stable) = (Share(canary), Share(stable));
        let [one, other] = [canary, stable].map(|it| Revision { rate: it.as_f64(), together });
        let (mut back, mut promoted, mut undecided, mut looks) = (0, 0, 0, 0);
        let trials = FEWER / 4;
        for _ in 0..trials {
            let (end, took) = release(proportion, rate, one, other, &mut dice);
            looks += took;
            match end {
                End::RolledBack => back += 1,
                End::Promoted => promoted += 1,
                End::Undecided => undecided += 1,
            }
        }
        table.row(&[
            format!("{rate}/s"),
            words.to_owned(),
            format!("{canary}, {stable}"),
            of(back, trials),
            of(promoted, trials),
            of(undecided, trials),
            format!("{:.0} s", f64::from(looks) * 10.0 / f64::from(trials)),
        ]);
    }
    table.end()
}
