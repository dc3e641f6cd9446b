//! `cargo xtask bench idle|wave|rollback|takeover|release|plugin`: the operator under load, and the plugin. A program of its
//! own measures, so that xtask builds without kube.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;

use anyhow::{Context as _, Result, ensure};
use leadsman_bed::{
    Backend, build_released_operator, build_released_plugin, cargo_command, hyperkube, kwok, mesh_definitions,
};

/// Release code without the long link: what the bench itself uses of the machine is not to be measured.
const PROGRAM: [&str; 4] = ["--profile", "load", "--package", "leadsman-bench"];
/// Nothing needs to be built for that.
const HELP: [&str; 2] = ["--help", "-h"];

/// As [`run`], for `kubectl leadsman`.
pub fn run_plugin(mut arguments: Vec<OsString>) -> Result<()> {
    if !is_given(&arguments, &["--plugin"]) {
        eprintln!("building the plugin as it is published");
        arguments.splice(0..0, ["--plugin".into(), build_released_plugin()?.into()]);
    }
    run("plugin", arguments)
}

/// Builds what is measured and what measures, and hands over to the latter.
pub fn run(scenario: &str, arguments: Vec<OsString>) -> Result<()> {
    let operator = if is_given(&arguments, &["--operator"]) {
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

/// Whether one of these options is among the arguments, or help is wanted.
fn is_given(arguments: &[OsString], options: &[&str]) -> bool {
    let is_one = |it: &OsString| options.iter().chain(&HELP).any(|given| it.to_string_lossy().starts_with(given));
    arguments.iter().any(is_one)
}
