//! The command line.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::contender::Product;

/// Leadsman, and others beside it, under load
#[derive(Parser)]
#[command(name = "cargo xtask bench")]
pub struct Arguments {
    #[command(subcommand)]
    pub what: What,
}

/// What is measured.
#[derive(Subcommand)]
pub enum What {
    /// One table of what controllers are compared by: a release, memory of 100, 500 and 1000, a wave, and rollbacks
    Table {
        #[command(flatten)]
        common: Common,
    },
    /// What settled objects cost: memory of a fresh process, requests and CPU of a minute
    Idle {
        /// How many there are; several, like 100,500,1000, one after the other
        #[arg(long, value_delimiter = ',', default_value = "100")]
        objects: Vec<u32>,
        /// How long is looked at
        #[arg(long, value_parser = duration, default_value = "60s", value_name = "DURATION")]
        window: Duration,
        #[command(flatten)]
        common: Common,
    },
    /// One release through 20, 50 and 80%: CPU, requests, writes, events
    Release {
        /// How many are released, at once; figures are per release
        #[arg(long, default_value_t = 10)]
        objects: u32,
        #[command(flatten)]
        common: Common,
    },
    /// Many releases at once: time until all are promoted, CPU, requests, peak memory
    Wave {
        /// How many there are
        #[arg(long, default_value_t = 500)]
        objects: u32,
        /// How many of them are released
        #[arg(long, default_value_t = 100)]
        at_once: u32,
        #[command(flatten)]
        common: Common,
    },
    /// Many fail at once at 50%: time from Prometheus serving the failing value to weight 0
    Rollback {
        /// How many fail
        #[arg(long, default_value_t = 20)]
        objects: u32,
        /// Time between two measurements
        #[arg(long, value_parser = duration, default_value = "5s", value_name = "DURATION")]
        interval: Duration,
        #[command(flatten)]
        common: Common,
    },
    /// Another process begins with what there is: time until it has looked at the last one; a minute at rest, and a wave
    Takeover {
        /// How many there are
        #[arg(long, default_value_t = 10_000)]
        objects: u32,
        /// How many of them are released at once afterwards
        #[arg(long, default_value_t = 100)]
        at_once: u32,
        /// How long is looked at before that
        #[arg(long, value_parser = duration, default_value = "60s", value_name = "DURATION")]
        window: Duration,
        #[command(flatten)]
        common: Common,
    },
    /// `kubectl leadsman` among many Rollouts: time and requests of the verbs that read
    Plugin {
        /// How many there are
        #[arg(long, default_value_t = 1000)]
        objects: u32,
        /// The plugin that is measured
        #[arg(long, value_name = "PATH")]
        plugin: PathBuf,
        #[command(flatten)]
        common: Common,
    },
}

/// What all have.
#[derive(Args, Clone)]
pub struct Common {
    /// The operator that is measured
    #[arg(long, value_name = "PATH")]
    pub operator: PathBuf,
    /// Another controller under the same work: argo-rollouts=PATH or flagger=PATH; its CRDs are in a folder crds beside it
    #[arg(long, value_name = "NAME=PATH")]
    pub against: Vec<Against>,
    /// What carries the traffic
    #[arg(long, value_enum, default_value = "virtualService")]
    pub routes: Routes,
    /// Pods of an object
    #[arg(long, default_value_t = 1)]
    pub replicas: u32,
    /// Services of other people, with their EndpointSlices
    #[arg(long, default_value_t = 0)]
    pub foreign: u32,
    /// What a call to the API server takes longer
    #[arg(long, value_parser = duration, default_value = "0s", value_name = "DURATION")]
    pub latency: Duration,
    /// As it is printed; what is kept in target/bench is JSON
    #[arg(long, short, value_enum, default_value = "table")]
    pub output: Output,
    /// Whether the folder with the logs stays
    #[arg(long)]
    pub keep: bool,
}

/// What carries the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "camelCase")]
pub enum Routes {
    HttpRoute,
    VirtualService,
}

/// How figures are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Table,
    Json,
}

/// Another controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Against {
    pub product: Product,
    pub program: PathBuf,
}

impl FromStr for Against {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, path) = text.split_once('=').context("not NAME=PATH")?;
        ensure!(!path.is_empty(), "no path after the =");
        Ok(Self { product: name.parse()?, program: PathBuf::from(path) })
    }
}

/// Whole numbers with ms, s or m.
fn duration(text: &str) -> Result<Duration> {
    let digits = text.find(|it: char| !it.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().context("a duration begins with a whole number")?;
    Ok(match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number * 60),
        _ => bail!("a duration ends with ms, s or m"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit() {
        assert_eq!(duration("20ms").unwrap(), Duration::from_millis(20));
        assert_eq!(duration("90s").unwrap(), Duration::from_secs(90));
        assert_eq!(duration("2m").unwrap(), Duration::from_mins(2));
        assert!(duration("20").is_err());
        assert!(duration("s").is_err());
        assert!(duration("1.5s").is_err());
    }

    #[test]
    fn another_controller_is_named_with_its_program() {
        let against: Against = "flagger=/opt/flagger".parse().unwrap();
        assert_eq!(against, Against { product: Product::Flagger, program: PathBuf::from("/opt/flagger") });
        assert!("flagger".parse::<Against>().is_err());
        assert!("flagger=".parse::<Against>().is_err());
        assert!("other=/opt/other".parse::<Against>().is_err());
    }

    #[test]
    fn routes_are_called_as_in_a_rollout() {
        let line = ["bench", "release", "--operator", "x", "--routes", "httpRoute"];
        let What::Release { objects, common } = Arguments::parse_from(line).what else { panic!("not a release") };
        assert_eq!((objects, common.routes, common.output), (10, Routes::HttpRoute, Output::Table));
    }
}
