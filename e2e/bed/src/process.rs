//! Running other programs: what went wrong says which command, how it ended and what it wrote.

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, Result, bail};

/// The command as one would type it, for messages.
pub(crate) fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs to the end; an exit code other than 0 is an error with what was written to stderr.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {}", shown(command)))?;
    checked(command, &output)
}

/// As [`output`], with `input` on stdin.
pub(crate) fn output_with_input(command: &mut Command, input: &str) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", shown(command)))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input ends with a better message than "broken pipe".
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output()?;
    checked(command, &output)
}

fn checked(command: &Command, output: &Output) -> Result<String> {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let said = if stderr.trim().is_empty() { stdout.trim() } else { stderr.trim() };
        bail!("{}: {}\n{said}", shown(command), output.status);
    }
    Ok(stdout)
}

/// A command from words: `run(&["ip", "netns", "add", "x"])`.
pub(crate) fn run(words: &[&str]) -> Result<String> {
    let (program, arguments) = words.split_first().context("no command")?;
    output(Command::new(program).args(arguments))
}
