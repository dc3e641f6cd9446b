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

/// Resident memory in KiB: now, and the most there ever was, or since [`forget_peak`].
pub fn resident(pid: u32) -> Result<(u64, u64)> {
    resident_in(&status_of(pid)?)
}

/// Of the resident memory, what is no copy of a file, in KiB: what a process has allocated, however its code was compiled.
pub fn allocated(pid: u32) -> Result<u64> {
    value_in(&status_of(pid)?, "RssAnon:")
}

fn status_of(pid: u32) -> Result<String> {
    Ok(fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"))?)
}

fn resident_in(status: &str) -> Result<(u64, u64)> {
    Ok((value_in(status, "VmRSS:")?, value_in(status, "VmHWM:")?))
}

fn value_in(status: &str, key: &str) -> Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.with_context(|| format!("no {key}"))
}

/// The most memory is counted anew from now on.
pub fn forget_peak(pid: u32) -> Result<()> {
    fs::write(Path::new("/proc").join(pid.to_string()).join("clear_refs"), "5").context("the peak cannot be reset")
}

/// The processor's time that a process has used, in user code and in the kernel.
pub fn processor_time(pid: u32) -> Result<Duration> {
    processor_time_in(&fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"))?)
}

fn processor_time_in(stat: &str) -> Result<Duration> {
    // As the kernel counts for programs: hundredths of a second.
    const TICK: Duration = Duration::from_millis(10);
    // What follows the program's name, which may have spaces in it: fields 14 and 15 of all.
    let fields = stat.rsplit_once(')').context("no name")?.1.split_whitespace().skip(11).take(2);
    let ticks = fields.map(str::parse::<u32>).sum::<Result<u32, _>>()?;
    Ok(TICK * ticks)
}

/// How long its threads were ready to run and had no processor: what others on the machine cost it.
pub fn waited_for_processor(pid: u32) -> Result<Duration> {
    let mut all = Duration::ZERO;
    for thread in fs::read_dir(Path::new("/proc").join(pid.to_string()).join("task"))? {
        // A thread may end while it is looked at.
        let text = fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
        all += waited_in(&text);
    }
    Ok(all)
}

/// Time on a processor, time waited for one, and how often it had one; nanoseconds.
fn waited_in(schedstat: &str) -> Duration {
    let waited = schedstat.split_whitespace().nth(1).and_then(|it| it.parse().ok());
    Duration::from_nanos(waited.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_thread_waited_is_the_second_of_three_numbers() {
        assert_eq!(waited_in("405861 601076 5\n"), Duration::from_nanos(601_076));
        assert_eq!(waited_in(""), Duration::ZERO);
    }

    #[test]
    fn the_processors_time_is_read_behind_a_name_with_spaces_and_brackets() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 900 0 0 0 150 25 0 0 20 0 9 0 100 1000 200";
        assert_eq!(processor_time_in(stat).unwrap(), Duration::from_millis(1750));
        assert!(processor_time_in("7 no name").is_err());
    }

    #[test]
    fn memory_now_and_the_most_are_read_from_a_status() {
        let status = "Name:\tx\nVmPeak:\t  9000 kB\nVmHWM:\t  3000 kB\nVmRSS:\t  2000 kB\n";
        assert_eq!(resident_in(status).unwrap(), (2000, 3000));
        assert!(resident_in("Name:\tx\n").is_err());
    }

    #[test]
    fn what_is_allocated_is_less_than_what_is_resident() {
        let own = std::process::id();
        assert!((1..resident(own).unwrap().0).contains(&allocated(own).unwrap()));
    }

    #[test]
    fn the_peak_of_a_process_can_be_forgotten() {
        let own = std::process::id();
        let large = vec![1_u8; 64 << 20];
        assert!(large.contains(&1));
        let before = resident(own).unwrap().1;
        drop(large);
        forget_peak(own).unwrap();
        assert!(resident(own).unwrap().1 < before);
    }
}
