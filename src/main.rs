//! The operator's program: reads its arguments and runs until it is told to stop or loses the lease.

use std::process::ExitCode;

use clap::Parser;
use leadsman::args::Args;

fn main() -> ExitCode {
    let args = Args::parse();
    leadsman::runtime::logging::init(args.log_format);
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::error!("another TLS provider is installed already");
        return ExitCode::FAILURE;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start the runtime");
            return ExitCode::FAILURE;
        }
    };
    if args.check {
        return runtime.block_on(leadsman::check::run(&args)).map_or_else(
            |words| {
                println!("{words}");
                ExitCode::FAILURE
            },
            |()| ExitCode::SUCCESS,
        );
    }
    match runtime.block_on(leadsman::run(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "stopped");
            ExitCode::FAILURE
        }
    }
}
