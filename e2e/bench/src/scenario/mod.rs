//! What is measured: each scenario, for one controller after the other.

mod idle;
mod plugin;
mod release;
mod rollback;
mod table;
mod takeover;
mod wave;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::application::Application;
use crate::arena::Arena;
use crate::arguments::{Arguments, Common, Output, What};
use crate::contender::{Entry, Product};
use crate::machine::Machine;
use crate::progress::say;
use crate::report::{Report, Results};
use crate::window::Used;

/// What comes after a release: sets that are kept for a while, events that are written late.
const TAIL: Duration = Duration::from_secs(45);

/// Measures what was asked for, prints it, and keeps it.
pub async fn run(arguments: Arguments) -> Result<()> {
    let what = arguments.what;
    let common = what.common().clone();
    let What::Table { .. } = what else { return report(&what, &common).await.map(drop) };
    let mut reports = Vec::new();
    for part in table::parts(&common) {
        reports.push(report(&part, &common).await?);
    }
    print(&table::of(&reports, what.name(), what.work()), common.output)
}

/// Measures one scenario, and prints what came of it.
async fn report(what: &What, common: &Common) -> Result<Report> {
    let own = Entry { product: Product::Leadsman, program: common.operator.clone() };
    let others = common.against.iter().map(|it| Entry { product: it.product, program: it.program.clone() });
    let (machine, before) = Machine::here();
    let mut report = Report { scenario: what.name(), work: what.work(), machine, results: Vec::new() };
    let mut outcome = Ok(());
    for entry in [own].into_iter().chain(others) {
        match what.measure(&entry, common).await {
            Ok(results) => report.results.push(results),
            // What was measured before it is not lost.
            Err(error) => {
                outcome = Err(error);
                break;
            }
        }
    }
    report.machine.afterwards(&before);
    if !report.results.is_empty() {
        print(&report, common.output)?;
    }
    outcome.map(|()| report)
}

fn print(report: &Report, output: Output) -> Result<()> {
    let kept = report.keep(&folder())?;
    match output {
        Output::Table => println!("{}", report.text()),
        Output::Json => println!("{}", report.json()?),
    }
    say(&format!("kept in {}", kept.display()));
    Ok(())
}

/// `target/bench`.
fn folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    leadsman_e2e::cluster::workspace().join(target).join("bench")
}

impl What {
    fn name(&self) -> &'static str {
        match self {
            Self::Table { .. } => "table",
            Self::Idle { .. } => "idle",
            Self::Release { .. } => "release",
            Self::Wave { .. } => "wave",
            Self::Rollback { .. } => "rollback",
            Self::Takeover { .. } => "takeover",
            Self::Plugin { .. } => "plugin",
        }
    }

    fn common(&self) -> &Common {
        match self {
            Self::Table { common }
            | Self::Idle { common, .. }
            | Self::Release { common, .. }
            | Self::Wave { common, .. }
            | Self::Rollback { common, .. }
            | Self::Takeover { common, .. }
            | Self::Plugin { common, .. } => common,
        }
    }

    /// In a sentence.
    fn work(&self) -> String {
        let what = match self {
            Self::Table { .. } => "one release, what rests, a wave, rollbacks".to_owned(),
            Self::Idle { objects, window, .. } => {
                let numbers: Vec<_> = objects.iter().map(u32::to_string).collect();
                format!("{} settled, looked at for {} s", numbers.join(", "), window.as_secs())
            }
            Self::Release { objects, .. } => format!("{objects} released at once by 20, 50, 80%; figures per release"),
            Self::Wave { objects, at_once, .. } => format!("{at_once} of {objects} released at once by 20, 50, 80%"),
            Self::Rollback { objects, interval, .. } => {
                format!("{objects} fail at once at 50%, measured every {} s", interval.as_secs())
            }
            Self::Takeover { objects, at_once, .. } => {
                format!("a new process with {objects} settled, then {at_once} of them released at once")
            }
            Self::Plugin { objects, .. } => format!("kubectl leadsman among {objects} settled"),
        };
        let Common { replicas, routes, foreign, latency, .. } = self.common();
        let mut all = format!("{what}; {replicas} pod each, {routes:?}");
        if *foreign > 0 {
            let _ = write!(all, ", {foreign} foreign Services");
        }
        if !latency.is_zero() {
            let _ = write!(all, ", {} ms to the API server", latency.as_millis());
        }
        all
    }

    async fn measure(&self, entry: &Entry, common: &Common) -> Result<Results> {
        let folder = folder().join(format!("run-{}", std::process::id()));
        let measured = match self {
            Self::Rollback { objects, interval, .. } => Some((*objects, *interval)),
            _ => None,
        };
        say(&format!("{}: {} ({})", self.name(), entry.contender().name(), self.work()));
        let outcome = async {
            let mut arena = Arena::prepare(entry, common, folder.clone(), measured).await?;
            match self {
                Self::Table { .. } => anyhow::bail!("it is made of other scenarios"),
                Self::Idle { objects, window, .. } => idle::measure(&mut arena, objects, *window).await,
                Self::Release { objects, .. } => release::measure(&mut arena, *objects).await,
                Self::Wave { objects, at_once, .. } => wave::measure(&mut arena, *objects, *at_once).await,
                Self::Rollback { objects, interval, .. } => rollback::measure(&mut arena, *objects, *interval).await,
                Self::Takeover { objects, at_once, window, .. } => {
                    takeover::measure(&mut arena, *objects, *at_once, *window).await
                }
                Self::Plugin { objects, plugin, .. } => plugin::measure(&mut arena, *objects, plugin).await,
            }
        };
        let outcome = outcome.await.with_context(|| format!("the logs are in {}", folder.display()));
        if outcome.is_ok() && !common.keep {
            std::fs::remove_dir_all(&folder)?;
        }
        outcome
    }
}

/// The applications with the numbers from the first to before the last.
fn applications(from: u32, to: u32) -> Vec<Application> {
    (from..to).map(Application).collect()
}

/// Seconds from a moment to each of these.
fn since<'a>(began: Instant, moments: impl IntoIterator<Item = &'a Instant>) -> Vec<f64> {
    moments.into_iter().map(|it| it.saturating_duration_since(began).as_secs_f64()).collect()
}

/// What requests were made for each release.
fn add_requests(results: &mut Results, used: &Used, releases: f64) {
    let requests = &used.requests;
    let each = |number: u64| number as f64 / releases;
    results.number("requests without leases", "", each(requests.without_leases()));
    results.number("writes without events", "", each(requests.writes()));
    results.number("of them of a status", "", each(requests.status_writes()));
    results.number("events", "", each(requests.events()));
    results.number("refused", "", each(requests.refused));
}
