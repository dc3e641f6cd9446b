//! Where things are: the sources of the cluster in the work tree, and the cache outside it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// The work tree this was built from.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("."))
}

/// The folder of what the cluster is made from.
pub(crate) fn sources() -> PathBuf {
    workspace().join("e2e/cluster")
}

/// The cache: `$LEADSMAN_CACHE`, or `~/.cache/leadsman`. What is built stays there; `run/` lives as long as a cluster.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    cache: PathBuf,
}

impl Paths {
    pub(crate) fn from_environment() -> Result<Self> {
        let cache = match std::env::var_os("LEADSMAN_CACHE") {
            Some(folder) => PathBuf::from(folder),
            None => PathBuf::from(std::env::var_os("HOME").context("neither LEADSMAN_CACHE nor HOME is set")?)
                .join(".cache/leadsman"),
        };
        let cache = std::path::absolute(cache)?;
        if let Some(hidden) = ["/run", "/var/lib", "/var/log", "/proc", "/sys"].iter().find(|f| cache.starts_with(f)) {
            bail!("the cache {} is below {hidden}, which the node has for itself", cache.display());
        }
        Ok(Self { cache })
    }

    pub(crate) fn cache(&self) -> &Path {
        &self.cache
    }

    /// Built programs, named by what they were built from.
    pub(crate) fn built(&self) -> PathBuf {
        self.cache.join("built")
    }

    /// Programs for people, by their usual names: `kubectl`.
    pub(crate) fn bin(&self) -> PathBuf {
        self.cache.join("bin")
    }

    /// Images as files, named by content.
    pub(crate) fn images(&self) -> PathBuf {
        self.cache.join("images")
    }

    /// Held by whoever starts or stops the cluster.
    pub(crate) fn lock(&self) -> PathBuf {
        self.cache.join("lock")
    }

    /// The state of the running cluster.
    pub(crate) fn run(&self) -> PathBuf {
        self.cache.join("run")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.run().join("log")
    }

    pub(crate) fn audit_log(&self) -> PathBuf {
        self.logs().join("audit.jsonl")
    }

    pub(crate) fn pki(&self) -> PathBuf {
        self.run().join("pki")
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.pki().join("admin.kubeconfig")
    }

    /// What the running cluster was made from; written when it is complete.
    pub(crate) fn fingerprint(&self) -> PathBuf {
        self.run().join("fingerprint")
    }
}
