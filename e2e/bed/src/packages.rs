//! Packages of Debian and of `PyPI`.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{
    process::{output, run},
    progress::Progress,
};

/// A file that shows that a package is there, and the package.
pub(crate) type Needed<'a> = (&'a str, &'a str);

/// What the node is made with.
pub(crate) const OF_THE_NODE: [Needed<'_>; 10] = [
    ("/usr/bin/containerd", "containerd"),
    ("/usr/sbin/runc", "runc"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
    ("/usr/sbin/iptables", "iptables"),
    ("/usr/sbin/conntrack", "conntrack"),
    ("/usr/bin/unshare", "util-linux"),
    ("/usr/sbin/ip", "iproute2"),
    ("/usr/bin/openssl", "openssl"),
    ("/usr/bin/python3", "python3-venv"),
    ("/usr/lib/git-core/git-http-backend", "git"),
];

/// Installs what is missing.
pub(crate) fn install(needed: &[Needed<'_>], progress: &Progress) -> Result<()> {
    let missing: Vec<_> = needed.iter().filter(|(file, _)| !exists(file)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !exists("/usr/bin/apt-get") {
        bail!("these programs are missing, and there is no apt-get to install them with: {}", missing.join(", "));
    }
    let name = format!("installing {}", missing.join(" "));
    progress.stage(&name, || {
        let install = |packages: &[&str]| {
            let mut words = vec!["apt-get", "install", "-y", "-qq", "--no-install-recommends"];
            words.extend(packages);
            run(&words)
        };
        // The lists may be there, and current.
        if install(&missing).is_err() {
            run(&["apt-get", "update", "-qq"])?;
            install(&missing)?;
        }
        Ok(())
    })
}

/// A package of `PyPI` in a virtual environment of its own, which is made.
pub(crate) fn from_pypi(package: &str, venv: &Path) -> Result<()> {
    output(Command::new("python3").args(["-m", "venv"]).arg(venv))?;
    let mut pip = Command::new(venv.join("bin/pip"));
    output(pip.args(["install", "--quiet", "--disable-pip-version-check", package])).map(drop)
}

/// Debian has merged /sbin and /bin into /usr on new systems only.
fn exists(file: &str) -> bool {
    Path::new(file).exists()
        || Path::new(file.trim_start_matches("/usr")).exists()
        || Path::new(&file.replace("/sbin/", "/bin/")).exists()
}

/// Less free space than this, MiB, and pods are evicted or images do not fit.
const NEEDED_ON_DISK: u64 = 1024;

/// Free space on the disk that has this file, MiB.
pub(crate) fn free_on_disk(path: &Path) -> Result<u64> {
    let listed = output(Command::new("df").args(["--output=avail", "--block-size=1M"]).arg(path))?;
    let free = listed.lines().nth(1).and_then(|line| line.trim().parse().ok());
    free.with_context(|| format!("df said of {}: {listed}", path.display()))
}

/// What no package gives here.
pub(crate) fn check_machine(cache: &Path) -> Result<()> {
    let uid = run(&["id", "-u"])?;
    if uid.trim() != "0" {
        bail!("the cluster's node is made of namespaces, cgroups and network links: this needs root");
    }
    if !Path::new("/sys/fs/cgroup/memory/cgroup.procs").exists() {
        bail!("the node is made for cgroup v1, and /sys/fs/cgroup/memory is not there");
    }
    if Command::new("go").arg("version").output().is_err() {
        bail!("Go is needed to build the cluster's components: no `go` in PATH");
    }
    let free = free_on_disk(cache)?;
    if free < NEEDED_ON_DISK {
        bail!("{free} MiB are free on the disk of {}: the cluster needs {NEEDED_ON_DISK} MiB", cache.display());
    }
    Ok(())
}
