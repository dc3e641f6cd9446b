//! The nodes, and each one's first process: how it is started, told to start things, and ended. See
//! `e2e/cluster/node/init.sh`.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{network::netns_file, paths::Paths, process::run};

/// A node.
#[derive(Debug)]
pub(crate) struct Node {
    /// Its name in the cluster, its host name and its cgroup's.
    pub(crate) name: &'static str,
    /// Its network namespace; also the machine's end of its link.
    pub(crate) netns: &'static str,
    pub(crate) ip: &'static str,
    /// The addresses of its pods.
    pub(crate) pod_net: &'static str,
    /// What it is tainted with from the start, as in kubelet's configuration.
    pub(crate) taints: &'static str,
    /// Its part of the run folder.
    folder: Option<&'static str>,
}

/// The node with the control plane, and everything that asks for no other.
pub(crate) const MAIN: Node = Node {
    name: "leadsman-node",
    netns: "leadsman",
    ip: crate::network::NODE_IP,
    pod_net: "10.244.0.0/24",
    taints: "[]",
    folder: None,
};
/// Name of the node for scenarios that drain or lose one.
pub const SPARE_NODE: &str = "leadsman-spare";
/// A node for scenarios that drain or lose one. Nothing is placed on it that does not tolerate its taint.
pub(crate) const SPARE: Node = Node {
    name: SPARE_NODE,
    netns: "leadsman-spare",
    ip: "192.168.77.2",
    pod_net: "10.244.1.0/24",
    taints: "[{key: leadsman.dev/spare, effect: NoSchedule}]",
    folder: Some("spare"),
};
pub(crate) const NODES: [&Node; 2] = [&MAIN, &SPARE];
pub(crate) const INIT: &str = include_str!("../../cluster/node/init.sh");

impl Node {
    /// Where its files are, its logs below `log`.
    pub(crate) fn run(&self, paths: &Paths) -> PathBuf {
        self.folder.map_or_else(|| paths.run(), |folder| paths.run().join(folder))
    }
}

/// Starts a node's first process, which outlives this one, and waits until it takes commands.
pub(crate) fn start(node: &Node, paths: &Paths) -> Result<()> {
    let run = node.run(paths);
    let script = run.join("init.sh");
    fs::write(&script, INIT)?;
    fs::create_dir_all(run.join("log"))?;
    let log_file = run.join("log/node.log");
    let log = fs::File::create(&log_file)?;
    let mut child = Command::new("setsid")
        .arg("bash")
        .arg(&script)
        .args([node.netns, node.name])
        .arg(&run)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    let commands = run.join("commands");
    let started = Instant::now();
    while !commands.exists() {
        if child.try_wait()?.is_some() || started.elapsed() > Duration::from_secs(10) {
            bail!("{} did not start: {}", node.name, fs::read_to_string(&log_file)?);
        }
        sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Has a node run a line of shell.
pub(crate) fn tell(node: &Node, paths: &Paths, line: &str) -> Result<()> {
    // Read and write: opening a pipe that nobody reads for writing alone would wait for ever.
    let mut pipe = OpenOptions::new().read(true).write(true).open(node.run(paths).join("commands"))?;
    pipe.write_all(format!("{line}\n").as_bytes())?;
    Ok(())
}

/// A process of a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    /// Its number on the machine.
    pub(crate) pid: u32,
    /// Its number in the node.
    pub(crate) inner_pid: u32,
    /// Resident memory, MiB.
    pub(crate) memory: u64,
}

/// The processes in a node's network namespace (not those in pods), by their number in the node. The node's outermost
/// process, which is not in its process namespace, is there by its number on the machine.
pub(crate) fn processes(node: &Node) -> Result<BTreeMap<u32, Process>> {
    let mut found = BTreeMap::new();
    let Ok(namespace) = fs::metadata(netns_file(node)).map(|m| m.ino()) else { return Ok(found) };
    for entry in fs::read_dir("/proc")? {
        let folder = entry?.path();
        let Some(pid) = folder.file_name().and_then(|name| name.to_str()?.parse().ok()) else { continue };
        // Processes come and go meanwhile.
        if fs::metadata(folder.join("ns/net")).is_ok_and(|m| m.ino() == namespace)
            && let Some(process) = read(pid, &folder)
        {
            found.insert(process.inner_pid, process);
        }
    }
    Ok(found)
}

fn read(pid: u32, folder: &Path) -> Option<Process> {
    let status = fs::read_to_string(folder.join("status")).ok()?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    if field("State:").is_some_and(|state| state.starts_with('Z')) {
        return None;
    }
    let inner_pid = field("NSpid:")?.split_whitespace().next_back()?.parse().ok()?;
    let kilobytes: u64 = field("VmRSS:").and_then(|v| v.split(' ').next()?.parse().ok()).unwrap_or(0);
    Some(Process { pid, inner_pid, memory: kilobytes / 1024 })
}

/// Ends every process of a node at once, and with them its mounts; then removes its cgroups.
pub(crate) fn kill(node: &Node) -> Result<()> {
    let started = Instant::now();
    loop {
        let mut pids: Vec<_> = processes(node)?.values().map(|process| process.pid.to_string()).collect();
        for group in cgroups(node) {
            pids.extend(members(&group));
        }
        if pids.is_empty() {
            break;
        }
        if started.elapsed() > Duration::from_secs(20) {
            bail!("processes of {} do not end: {}", node.name, pids.join(" "));
        }
        let mut words = vec!["kill", "-KILL"];
        words.extend(pids.iter().map(String::as_str));
        // Some are gone by now.
        let _ = run(&words);
        sleep(Duration::from_millis(50));
    }
    for group in cgroups(node) {
        remove_cgroup(&group).with_context(|| group.display().to_string())?;
    }
    Ok(())
}

/// A node's cgroup in each hierarchy, below whichever group it was started in.
fn cgroups(node: &Node) -> Vec<PathBuf> {
    fn search(name: &str, folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if entry.file_name() == name {
                found.push(entry.path());
            } else if depth > 0 {
                search(name, &entry.path(), depth - 1, found);
            }
        }
    }
    let mut found = Vec::new();
    search(node.name, Path::new("/sys/fs/cgroup"), 5, &mut found);
    found
}

fn members(group: &Path) -> Vec<String> {
    let mut pids: Vec<_> = fs::read_to_string(group.join("cgroup.procs"))
        .unwrap_or_default()
        .lines()
        .filter(|pid| !zombie(pid))
        .map(str::to_owned)
        .collect();
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            pids.extend(members(&entry.path()));
        }
    }
    pids
}

/// A process that has ended while its parent, perhaps this one, has not looked.
fn zombie(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z')))
}

fn remove_cgroup(group: &Path) -> Result<()> {
    for entry in fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_cgroup(&entry.path())?;
        }
    }
    // For a moment after its last process the kernel still calls it busy.
    for _ in 0..100 {
        if fs::remove_dir(group).is_ok() {
            return Ok(());
        }
        sleep(Duration::from_millis(50));
    }
    Ok(fs::remove_dir(group)?)
}
