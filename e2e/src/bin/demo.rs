//! The demo on a cluster that is up: `demo [--strategy STRATEGY] [--picture PATH]`. `cargo xtask demo` sees to the rest.

use std::path::PathBuf;
use std::process::ExitCode;

use leadsman_e2e::demo::{self, Strategy};
use leadsman_e2e::runtime;

fn main() -> ExitCode {
    let Some((strategy, picture)) = arguments() else {
        let strategies = Strategy::ALL.map(Strategy::word).join("|");
        eprintln!("usage: demo [--strategy {strategies}] [--picture PATH]");
        return ExitCode::from(2);
    };
    match runtime::block_on(demo::run(strategy, picture)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("\n{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Option<(Strategy, Option<PathBuf>)> {
    let (mut strategy, mut picture) = (Strategy::default(), None);
    let mut arguments = std::env::args_os().skip(1);
    while let Some(flag) = arguments.next() {
        let value = arguments.next()?;
        match flag.to_str()? {
            "--strategy" => strategy = Strategy::of_word(value.to_str()?)?,
            "--picture" => picture = Some(PathBuf::from(value)),
            _ => return None,
        }
    }
    Some((strategy, picture))
}
