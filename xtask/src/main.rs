//! `cargo xtask`: the project's own commands.

mod bench;
mod chart;
mod cluster;
mod crds;
mod demo;
mod image;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Leadsman's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// What is measured, as tables
    #[command(subcommand)]
    Bench(bench::Bench),
    /// A real Kubernetes with a real mesh on this machine
    #[command(subcommand)]
    Cluster(cluster::Cluster),
    /// Write what the charts have of the code: rights and CRDs
    Chart,
    /// Write the CRDs into crds/ from the types
    Crds,
    /// A good release and a bad one on a real cluster, shown as they go
    Demo(demo::Demo),
    /// The operator's image as an OCI layout, without Docker
    Image(image::Image),
    /// Everything that CI checks
    Test(test::Test),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Task::Bench(bench) => bench.run(),
        Task::Cluster(cluster) => cluster.run(),
        Task::Chart => chart::run(),
        Task::Crds => crds::run(),
        Task::Demo(demo) => demo.run(),
        Task::Image(image) => image.run(),
        Task::Test(test) => test.run(),
    };
    // The chain of causes, and no backtrace: what failed has said where.
    outcome.map_or_else(
        |error| {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}
