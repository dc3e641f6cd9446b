//! The demo on a cluster that is up: `demo [--picture PATH]`. `cargo xtask demo` sees to the rest.

use std::path::PathBuf;
use std::process::ExitCode;

use leadsman_e2e::{demo, runtime};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let picture = match (arguments.next(), arguments.next()) {
        (None, _) => None,
        (Some(flag), Some(path)) if flag == "--picture" => Some(PathBuf::from(path)),
        _ => {
            eprintln!("usage: demo [--picture PATH]");
            return ExitCode::from(2);
        }
    };
    match runtime::block_on(demo::run(picture)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("\n{error:#}");
            ExitCode::FAILURE
        }
    }
}
