//! What is going on, on stderr: a line per stage with the time it took, and the last line of what a long build says.

use std::{
    io::{BufRead as _, BufReader, IsTerminal as _, Write as _, stderr},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::process::shown;

/// Where output is no terminal, how often a long build says that it is still at it.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

pub(crate) struct Progress {
    start: Instant,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now() }
    }

    /// A line with the seconds since the start.
    pub(crate) fn say(&self, line: &str) {
        eprintln!("{:>7.1}s  {line}", self.start.elapsed().as_secs_f64());
    }

    /// Does `work` and then says how long it took.
    pub(crate) fn stage<T>(&self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let began = Instant::now();
        let done = work().with_context(|| name.to_owned())?;
        self.say(&format!("{name} ({:.1} s)", began.elapsed().as_secs_f64()));
        Ok(done)
    }

    /// Runs a command that may take minutes and talks on stderr; shows its last line in place.
    pub(crate) fn long(&self, name: &str, command: &mut Command) -> Result<()> {
        let began = Instant::now();
        self.say(&format!("{name} ..."));
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", shown(command)))?;
        let terminal = stderr().is_terminal();
        let mut said = Vec::new();
        let mut lines = 0;
        let mut last_sign = Instant::now();
        if let Some(output) = child.stderr.take() {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                lines += 1;
                let short: String = line.chars().take(90).collect();
                if terminal {
                    eprint!("\r\x1b[2K{:>7.1}s    {lines:>5}  {short}", self.start.elapsed().as_secs_f64());
                    let _ = stderr().flush();
                } else if last_sign.elapsed() >= SIGN_OF_LIFE {
                    self.say(&format!("  {lines} {short}"));
                    last_sign = Instant::now();
                }
                said.push(line);
                if said.len() > 40 {
                    said.remove(0);
                }
            }
        }
        if terminal && lines > 0 {
            eprint!("\r\x1b[2K");
        }
        let status = child.wait()?;
        if !status.success() {
            bail!("{}: {status}\n{}", shown(command), said.join("\n"));
        }
        self.say(&format!("{name} ({:.1} s)", began.elapsed().as_secs_f64()));
        Ok(())
    }
}
