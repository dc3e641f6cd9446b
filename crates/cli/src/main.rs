//! The plugin's program: reads what was typed, does it, and ends with one of nine codes.

use std::process::ExitCode;

fn main() -> ExitCode {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    ExitCode::from(leadsman_cli::start(std::env::args_os(), environment))
}
