//! A process that ends with the bench, however that ends.
//!
//! It is in a process group of its own, so that an interrupt of the terminal's is the bench's alone. It is killed when it is
//! dropped, and by the kernel when the thread that has started it ends: only the main thread starts any.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

/// How long a process may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// A process.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program. What it says is appended to `<name>.log` in the folder, which is where it runs.
    pub fn start(
        name: &str,
        program: &Path,
        words: &[String],
        environment: &[(&str, &Path)],
        folder: &Path,
    ) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let output = File::options().create(true).append(true).open(&log)?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program).args(words).envs(environment.iter().copied());
        command.current_dir(folder).process_group(0);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Fails, with the end of its log, where it has ended.
    pub fn expect_alive(&self) -> Result<()> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        // It is there until it is waited for.
        if stat.rsplit_once(')').is_none_or(|(_, rest)| !rest.trim_start().starts_with('Z')) {
            return Ok(());
        }
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(15)..).unwrap_or_default().join("\n");
        bail!("{} has ended:\n{tail}", self.name)
    }

    /// Tells it to end, and waits until it has.
    pub async fn stop(mut self) -> Result<()> {
        let told = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status()?;
        ensure!(told.success(), "{} could not be told to end", self.name);
        let began = Instant::now();
        while self.child.try_wait()?.is_none() {
            ensure!(began.elapsed() < PATIENCE, "{} does not end", self.name);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("leadsman-bench-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn is_there(pid: u32) -> bool {
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[test]
    fn what_is_dropped_is_gone() {
        let folder = folder("dropped");
        let process = Process::start("sleep", Path::new("sleep"), &["60".to_owned()], &[], &folder).unwrap();
        let pid = process.pid();
        assert!(is_there(pid));
        drop(process);
        assert!(!is_there(pid));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_has_ended_says_so_with_its_last_words() {
        let folder = folder("ended");
        let words = ["-c", "echo no room; exit 3"].map(str::to_owned);
        let process = Process::start("shell", Path::new("sh"), &words, &[], &folder).unwrap();
        let said = loop {
            if let Err(error) = process.expect_alive() {
                break error.to_string();
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        assert!(said.contains("shell has ended") && said.contains("no room"), "{said}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
