//! A pod's processes, as the machine sees them: the node's processes are its own.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

/// The process of a pod whose program has this name.
pub fn of_pod(uid: &str, program: &str) -> Result<u32> {
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // Any process may end while it is looked at.
        let Ok(groups) = fs::read_to_string(entry.path().join("cgroup")) else { continue };
        let Ok(name) = fs::read_to_string(entry.path().join("comm")) else { continue };
        if groups.contains(uid) && name.trim() == program {
            return Ok(pid);
        }
    }
    bail!("no process {program} of pod {uid}")
}

/// Ends a process as a crash would: it cannot do anything about it.
pub fn kill(pid: u32) -> Result<()> {
    let status = Command::new("kill").args(["-KILL", &pid.to_string()]).status()?;
    ensure!(status.success(), "process {pid} could not be killed");
    Ok(())
}

/// Resident memory in KiB: now, and the most there ever was.
pub fn resident(pid: u32) -> Result<(u64, u64)> {
    let status = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"))?;
    let value = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Ok((value("VmRSS:").context("no VmRSS")?, value("VmHWM:").context("no VmHWM")?))
}

/// The processor's time that a process has used, in user code and in the kernel.
pub fn processor_time(pid: u32) -> Result<Duration> {
    // As the kernel counts for programs: hundredths of a second.
    const TICK: Duration = Duration::from_millis(10);
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"))?;
    // What follows the program's name, which may have spaces in it: fields 14 and 15 of all.
    let fields = stat.rsplit_once(')').context("no name")?.1.split_whitespace().skip(11).take(2);
    let ticks = fields.map(str::parse::<u32>).sum::<Result<u32, _>>()?;
    Ok(TICK * ticks)
}
