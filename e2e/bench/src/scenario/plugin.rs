//! What `kubectl leadsman` costs those who look: time and requests of each reading verb among many Rollouts.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use leadsman_e2e::audit::AuditLog;
use tokio::process::Command;

use super::applications;
use crate::application::Application;
use crate::arena::Arena;
use crate::progress::say;
use crate::report::Results;
use crate::requests::Requests;

/// How often each command is run.
const RUNS: u32 = 20;
/// How long one may take.
const LIMIT: Duration = Duration::from_mins(2);
/// The last request is in the log shortly after its answer is out.
const AUDITED: Duration = Duration::from_secs(1);

pub async fn measure(arena: &mut Arena, number: u32, plugin: &Path) -> Result<Results> {
    let mut results = Results::of("kubectl leadsman");
    let reader = Reader { program: std::path::absolute(plugin)?, kubeconfig: arena.kubeconfig_of("reader")? };
    arena.start(true)?;
    arena.deploy(&applications(0, number), "v1").await?;
    let one = Application(number / 2);
    let (namespace, name) = (one.namespace(), one.name());
    let commands: [(&str, &[&str]); 5] = [
        ("get", &["get", "-n", &namespace, &name]),
        ("status", &["status", "-n", &namespace, &name, "--watch=false"]),
        ("explain", &["explain", "-n", &namespace, &name]),
        ("list, one namespace", &["list", "-n", &namespace]),
        ("list -A", &["list", "-A"]),
    ];
    for (what, words) in commands {
        say(&format!("kubectl leadsman {}", words.join(" ")));
        let log = arena.audit_log()?;
        let mut times = Vec::new();
        for _ in 0..RUNS {
            times.push(reader.run(words).await?.as_secs_f64());
        }
        let requests = requests(&log).await?;
        results.number(format!("{what}: requests"), "", requests.without_leases() as f64 / f64::from(RUNS));
        results.number(format!("{what}: watches"), "", requests.watches as f64 / f64::from(RUNS));
        results.spread(format!("{what}: time, min / median / max"), times);
    }
    say("kubectl leadsman get -w, through a whole release");
    let log = arena.audit_log()?;
    let words = ["get", "-w", "-n", &namespace, &name];
    let watching = reader.run(&words);
    let releasing = async {
        // Else it would see the end of what was before.
        until_watched(&log).await?;
        arena.release(&[one], "v2", Duration::ZERO).await?;
        arena.settled(&[one], "v2").await
    };
    tokio::try_join!(watching, releasing)?;
    let requests = requests(&log).await?;
    results.number("get -w, a whole release: watches", "", requests.watches as f64);
    results.requests("requests of get -w through a whole release", &requests, 1.0);
    arena.stop().await?;
    Ok(results)
}

async fn requests(log: &AuditLog) -> Result<Requests> {
    tokio::time::sleep(AUDITED).await;
    Ok(Requests::of(&log.requests("reader")?, "reader"))
}

async fn until_watched(log: &AuditLog) -> Result<()> {
    let looking = async {
        while Requests::of(&log.requests("reader")?, "reader").watches == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(LIMIT, looking).await.context("get -w watches nothing")?
}

/// A person with the plugin.
struct Reader {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Reader {
    /// Runs a command to its end; how long that took.
    async fn run(&self, words: &[&str]) -> Result<Duration> {
        let began = Instant::now();
        let mut command = Command::new(&self.program);
        command.args(words).env("KUBECONFIG", &self.kubeconfig).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(LIMIT, command.output()).await.context("it does not end")??;
        let took = began.elapsed();
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kubectl leadsman {}: {}: {said}", words.join(" "), output.status);
        Ok(took)
    }
}
