//! `cargo xtask bench idle|wave|rollback|takeover|release`: the operator under load. A program of its own measures, so that
//! xtask builds without kube.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;

use anyhow::{Context as _, Result, ensure};
use leadsman_bed::{Backend, build_released_operator, cargo_command, hyperkube, kwok, mesh_definitions};

/// Release code without the long link: what the bench itself uses of the machine is not to be measured.
const PROGRAM: [&str; 4] = ["--profile", "e2e", "--package", "leadsman-bench"];
/// What says that no operator needs to be built.
const GIVEN: [&str; 3] = ["--operator", "--help", "-h"];

/// Builds what is measured and what measures, and hands over to the latter.
pub fn run(scenario: &str, arguments: Vec<OsString>) -> Result<()> {
    let is_given = arguments.iter().any(|it| GIVEN.iter().any(|given| it.to_string_lossy().starts_with(given)));
    let operator = if is_given {
        None
    } else {
        eprintln!("building the operator as it is published");
        Some(build_released_operator()?)
    };
    // What takes minutes the first time, while nothing runs yet.
    for program in [hyperkube, kwok, mesh_definitions, || Backend::Prometheus3.program()] {
        program()?;
    }
    eprintln!("building the bench");
    // Apart from running it, so that cargo shows how far it is but not how it runs it.
    let built = cargo_command().arg("build").args(PROGRAM).status().context("cannot run cargo")?;
    ensure!(built.success(), "building the bench: {built}");
    let mut bench = cargo_command();
    bench.args(["run", "--quiet"]).args(PROGRAM).args(["--", scenario]);
    if let Some(operator) = operator {
        bench.arg("--operator").arg(operator);
    }
    // In our place: an interrupt is then the bench's alone, which ends what it has started.
    Err(bench.args(arguments).exec().into())
}
