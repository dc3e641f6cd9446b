//! The plugin as people and pipelines call it, against the cluster of the tests.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::cluster::Cluster;
use crate::runtime::blocking;

/// Names the plugin that is tried, instead of a new build.
const PROGRAM_VARIABLE: &str = "LEADSMAN_E2E_PLUGIN";

/// What the plugin said, and how it ended.
#[derive(Clone, Debug)]
pub struct Said {
    /// Its output.
    pub stdout: String,
    /// What it said beside that.
    pub stderr: String,
    /// Its exit code.
    pub code: i32,
}

/// Runs the plugin with these words to its end.
///
/// # Errors
/// When it cannot be built or started, or is killed.
pub async fn plugin(words: &[&str]) -> Result<Said> {
    said(command(program().await?).await?.args(words), &words.join(" ")).await
}

/// The same for what answers in JSON and ends well.
///
/// # Errors
/// When it does not.
pub async fn plugin_json(words: &[&str]) -> Result<Value> {
    let said = plugin(&[words, &["-o", "json"]].concat()).await?;
    ensure!(said.code == 0, "{words:?} ended with {}: {}", said.code, said.stderr);
    serde_json::from_str(&said.stdout).with_context(|| format!("no JSON: {}", said.stdout))
}

/// Runs a shell's script in a folder, as a pipeline does: with these variables, `kubectl`, and the plugin where kubectl finds
/// it.
///
/// # Errors
/// When the shell cannot be started, or is killed.
pub async fn script(script: &str, folder: &Path, variables: &[(&str, &str)]) -> Result<Said> {
    let mut shell = command(Path::new("/bin/sh")).await?;
    shell.args(["-e", "-c", script]).current_dir(folder).envs(variables.iter().copied());
    said(&mut shell, script).await
}

/// The plugin while it runs.
pub struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    words: String,
    heard: String,
}

impl Running {
    /// Starts the plugin with these words.
    ///
    /// # Errors
    /// When it cannot be built or started.
    pub async fn start(words: &[&str]) -> Result<Self> {
        let mut command = command(program().await?).await?;
        let mut child = command.args(words).kill_on_drop(true).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        Ok(Self { child, lines, words: words.join(" "), heard: String::new() })
    }

    /// Waits for a line of its output that has this in it.
    ///
    /// # Errors
    /// When it ends before, or says nothing of the kind in time.
    pub async fn until_says(&mut self, part: &str, limit: Duration) -> Result<()> {
        let listening = async {
            while let Some(line) = self.lines.next_line().await? {
                self.hear(&line);
                if line.contains(part) {
                    return Ok(());
                }
            }
            bail!("it ended")
        };
        let heard = timeout(limit, listening).await.context("it goes on").flatten();
        heard.with_context(|| format!("{}: did not say {part:?}, but:\n{}", self.words, self.heard))
    }

    fn hear(&mut self, line: &str) {
        self.heard.push_str(line);
        self.heard.push('\n');
    }

    /// What Ctrl-C does.
    ///
    /// # Errors
    /// When it has ended.
    pub async fn interrupt(&self) -> Result<()> {
        let id = self.child.id().with_context(|| format!("{}: has ended", self.words))?;
        let killed = Command::new("kill").args(["-INT", &id.to_string()]).status().await?;
        ensure!(killed.success(), "kill: {killed}");
        Ok(())
    }

    /// Waits until it ends.
    ///
    /// # Errors
    /// When it does not in time, or is killed.
    pub async fn end(mut self, limit: Duration) -> Result<Said> {
        let mut stderr = String::new();
        let mut errors = self.child.stderr.take().context("no second output")?;
        let ending = async {
            while let Some(line) = self.lines.next_line().await? {
                self.hear(&line);
            }
            errors.read_to_string(&mut stderr).await?;
            anyhow::Ok(self.child.wait().await?)
        };
        let status = timeout(limit, ending).await;
        let status = status.with_context(|| format!("{} goes on: {}", self.words, self.heard))??;
        let code = status.code().with_context(|| format!("{} was killed", self.words))?;
        Ok(Said { stdout: self.heard, stderr, code })
    }
}

async fn said(command: &mut Command, words: &str) -> Result<Said> {
    let output = command.output().await.with_context(|| words.to_owned())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().with_context(|| format!("{words} was killed"))?;
    Ok(Said { stdout: text(&output.stdout), stderr: text(&output.stderr), code })
}

/// A program that finds the cluster, `kubectl`, and the plugin.
async fn command(program: &Path) -> Result<Command> {
    let bed = &Cluster::get().await?.bed;
    let own = self::program().await?.parent().context("no folder")?.to_owned();
    let usual = std::env::var_os("PATH").unwrap_or_default();
    let folders = [bed.bin_dir(), own].into_iter().chain(std::env::split_paths(&usual));
    let path: OsString = std::env::join_paths(folders)?;
    let mut command = Command::new(program);
    command.env("KUBECONFIG", bed.kubeconfig()).env("PATH", path).stdin(Stdio::null());
    Ok(command)
}

/// What [`PROGRAM_VARIABLE`] names, else built once in a process.
async fn program() -> Result<&'static PathBuf> {
    static PROGRAM: OnceLock<std::result::Result<PathBuf, String>> = OnceLock::new();
    let named = || std::env::var_os(PROGRAM_VARIABLE).map(|path| Ok(PathBuf::from(path)));
    let built = || leadsman_bed::build_plugin().map_err(|error| format!("{error:#}"));
    blocking(move || {
        let built = PROGRAM.get_or_init(|| named().unwrap_or_else(built));
        built.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
    })
    .await
}
