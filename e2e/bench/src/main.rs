//! `cargo xtask bench table|idle|release|wave|rollback|takeover|plugin`: what the operator costs under load, and others beside it.
//!
//! Every controller gets a cluster of its own, fresh and alike: etcd, API server and controller manager as processes on
//! loopback, pods played by kwok, Prometheus where something is measured. Whatever is said of a controller comes from
//! outside: the API server's audit log, `/proc`, and watches.
//!
//! | module | |
//! |---|---|
//! | [`arguments`] | the command line |
//! | [`cluster`] | the cluster: its processes, certificates, ports |
//! | [`contender`] | a controller that is measured: how it is started, what its objects are, how they say that they are done |
//! | [`application`] | what is released, the same for all |
//! | [`arena`] | a contender in its cluster: objects brought in, released, awaited |
//! | [`scenario`] | what is measured |
//! | [`window`], [`requests`], [`spread`] | figures of a stretch of time |
//! | [`watching`] | when something was seen |
//! | [`source`] | Prometheus, with values that are flipped |
//! | [`delay`], [`foreign`], [`gateway`] | what lies around: a slow network, other people's objects, a gateway's controller |
//! | [`machine`], [`report`], [`table`] | what comes out |

mod application;
mod arena;
mod arguments;
mod cluster;
mod contender;
mod delay;
mod foreign;
mod gateway;
mod machine;
mod progress;
mod report;
mod requests;
mod scenario;
mod source;
mod spread;
mod table;
mod watching;
mod window;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};

use arguments::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Processes are started by the main thread, which lives as long as this one: see [`cluster::process`].
fn run(arguments: Arguments) -> Result<()> {
    // Where another part of the process has installed it already, that is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        // What is dropped ends what it has started.
        tokio::select! {
            outcome = scenario::run(arguments) => outcome,
            _ = interrupt.recv() => anyhow::bail!("interrupted"),
            _ = terminate.recv() => anyhow::bail!("terminated"),
        }
    })
}
