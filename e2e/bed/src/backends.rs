//! What is asked by `PromQL`: the cluster's own Prometheus, and two of Debian that many have.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::binaries;
use crate::paths::Paths;
use crate::process::output;

/// A program that scrapes and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The cluster's.
    Prometheus3,
    /// Debian's, a Prometheus 2.
    Prometheus2,
    /// Debian's.
    VictoriaMetrics,
}

impl Backend {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Prometheus3, Self::Prometheus2, Self::VictoriaMetrics];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prometheus3 => "prometheus-3",
            Self::Prometheus2 => "prometheus-2",
            Self::VictoriaMetrics => "victoria-metrics",
        }
    }

    /// The program, made or fetched where it is not there; nothing is installed.
    ///
    /// # Errors
    /// When it cannot be built, or Debian does not give it.
    pub fn program(self) -> Result<PathBuf> {
        match self {
            Self::Prometheus3 => binaries::prometheus(),
            Self::Prometheus2 => of_debian("prometheus", "usr/bin/prometheus"),
            Self::VictoriaMetrics => of_debian("victoria-metrics", "usr/bin/victoria-metrics"),
        }
    }

    /// How it is started to scrape by `config`, keep its data in `data` and listen at `address`.
    pub fn arguments(self, config: &Path, data: &Path, address: SocketAddr) -> Vec<String> {
        let (config, data) = (config.display(), data.display());
        match self {
            Self::Prometheus3 | Self::Prometheus2 => vec![
                format!("--config.file={config}"),
                format!("--storage.tsdb.path={data}"),
                format!("--web.listen-address={address}"),
            ],
            Self::VictoriaMetrics => vec![
                format!("-promscrape.config={config}"),
                format!("-storageDataPath={data}"),
                format!("-httpListenAddr={address}"),
                // What it hides by default is what `delay` is for.
                "-search.latencyOffset=0s".to_owned(),
                "-search.disableCache".to_owned(),
            ],
        }
    }
}

/// A program of a package of Debian, unpacked into the cache.
fn of_debian(package: &str, program: &str) -> Result<PathBuf> {
    let folder = Paths::from_environment()?.built().join(format!("debian-{package}"));
    let location = folder.join(program);
    if location.exists() {
        return Ok(location);
    }
    fs::create_dir_all(&folder)?;
    let download = || output(Command::new("apt-get").args(["download", "-qq", package]).current_dir(&folder));
    // The lists may be there, and current.
    if download().is_err() {
        output(Command::new("apt-get").args(["update", "-qq"]))?;
        download()?;
    }
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == "deb") {
            output(Command::new("dpkg").arg("-x").arg(&path).arg(&folder))?;
            fs::remove_file(path)?;
        }
    }
    Ok(location)
}
