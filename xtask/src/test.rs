//! `cargo xtask test`: what CI runs, with the time each stage took.

use std::{
    ffi::OsString,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use leadsman_bed::{Architecture, Bed, Release, cargo_command, tested_programs};

/// What names the operator's image and the plugin to scenarios, which build them otherwise.
const IMAGE_VARIABLE: &str = "LEADSMAN_E2E_OPERATOR_IMAGE";
const PLUGIN_VARIABLE: &str = "LEADSMAN_E2E_PLUGIN";

/// Options of `test`.
#[derive(Args)]
pub struct Test {
    /// Leave out the scenarios on the cluster
    #[arg(long, conflicts_with = "full")]
    fast: bool,
    /// Every case of what is tried only in part otherwise
    #[arg(long)]
    full: bool,
    /// Nothing but the scenarios whose names contain one of these; also those that are left to --full
    #[arg(long, value_name = "NAMES", value_delimiter = ',', conflicts_with_all = ["fast", "full"])]
    only: Vec<String>,
}

/// The stages that are over, and how long they took.
#[derive(Default)]
struct Stages {
    over: Vec<(&'static str, Duration)>,
    full: bool,
    /// What scenarios are told of the programs that they try.
    programs: Vec<(&'static str, OsString)>,
}

impl Test {
    /// Runs every stage; the first that fails ends it.
    pub fn run(self) -> Result<()> {
        let mut stages = Stages { full: self.full, ..Stages::default() };
        let outcome = self.stages(&mut stages);
        eprintln!();
        for (name, took) in &stages.over {
            eprintln!("{:>7.1} s  {name}", took.as_secs_f64());
        }
        outcome
    }

    fn stages(&self, stages: &mut Stages) -> Result<()> {
        let scenarios = ["--workspace", "--test", "scenarios"];
        if !self.only.is_empty() {
            stages.cargo("build", &["test", "--workspace", "--no-run"])?;
            let bed = stages.stage("cluster up", Bed::up)?;
            stages.bring_in(&bed)?;
            let names = self.only.join(",");
            return stages
                .cargo("scenarios", &[&["test"], &scenarios[..], &["--", &names, "--include-ignored"]].concat());
        }
        stages.cargo("format", &["fmt", "--all", "--check"])?;
        stages.cargo("clippy", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
        // Always of the whole workspace: a package alone asks for less of its dependencies, which are compiled anew then.
        // A target that no `cargo test` is to run by itself is in no list of all targets either.
        stages.cargo("clippy of the scenarios", &[&["clippy"], &scenarios[..], &["--", "-D", "warnings"]].concat())?;
        stages.cargo("tests", &["test", "--workspace"])?;
        if self.fast {
            return Ok(());
        }
        let bed = stages.stage("cluster up", Bed::up)?;
        // What is ignored otherwise is what needs the cluster.
        stages.cargo("cluster check", &["test", "--workspace", "--lib", "--tests", "--", "--ignored"])?;
        stages.bring_in(&bed)?;
        stages.cargo("scenarios", &[&["test"], &scenarios[..]].concat())
    }
}

/// Brings in the image as others would pull it, for this machine.
fn published(bed: &Bed) -> Result<String> {
    let release = Release {
        output: bed.log_dir().with_file_name("published"),
        name: "localhost/leadsman:published".to_owned(),
        architectures: vec![Architecture::own()?],
    };
    let digest = release.write()?;
    bed.load_layout(&release.output, &digest)
}

impl Stages {
    fn stage<T>(&mut self, name: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        eprintln!("\n== {name}");
        let began = Instant::now();
        let outcome = work();
        self.over.push((name, began.elapsed()));
        outcome.with_context(|| name.to_owned())
    }

    /// Has the scenarios try the operator and the plugin that the unit tests were built with, or what is published.
    fn bring_in(&mut self, bed: &Bed) -> Result<()> {
        let [operator, plugin] = tested_programs();
        let image = if self.full {
            self.stage("published image", || published(bed))?
        } else {
            self.stage("operator image", || bed.load_operator_image(&operator))?
        };
        self.programs = vec![(IMAGE_VARIABLE, image.into()), (PLUGIN_VARIABLE, plugin.into())];
        Ok(())
    }

    fn cargo(&mut self, name: &'static str, arguments: &[&str]) -> Result<()> {
        let (full, programs) = (self.full, self.programs.clone());
        self.stage(name, || {
            let mut command = cargo_command();
            if full {
                command.env("LEADSMAN_FULL", "1");
            }
            let status = command.envs(programs).args(arguments).status()?;
            if !status.success() {
                bail!("cargo {}: {status}", arguments.join(" "));
            }
            Ok(())
        })
    }
}
