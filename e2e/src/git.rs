//! A Git repository on the cluster, and a work tree of it on the machine that commits are pushed from.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::namespace::Namespace;
use crate::runtime::blocking;

/// The branch that is pushed.
pub const BRANCH: &str = "main";

/// A work tree.
#[derive(Clone, Debug)]
pub struct Repository {
    /// The repository's name on the server: the namespace's.
    name: String,
    tree: PathBuf,
    remote: String,
}

impl Repository {
    /// A new one, by the name of the namespace. The server makes it at the first push.
    pub async fn create(namespace: &Namespace) -> Result<Self> {
        let server = namespace.cluster_service("git", "git").await?;
        let name = namespace.name.clone();
        let tree = namespace.cluster.output.join("git").join(&name);
        let remote = format!("http://{server}/{name}.git");
        let repository = Self { name, tree, remote };
        std::fs::create_dir_all(&repository.tree)?;
        repository.git(&["init", "--quiet", "--initial-branch", BRANCH]).await?;
        Ok(repository)
    }

    /// Where the cluster finds it.
    pub fn url(&self) -> String {
        format!("http://git.git.svc.cluster.local/{}.git", self.name)
    }

    /// Writes files with a manifest each, commits and pushes. The commit, as Flux names it.
    pub async fn commit(&self, message: &str, files: &[(&str, Value)]) -> Result<String> {
        for (file, object) in files {
            let file = self.tree.join(file);
            std::fs::create_dir_all(file.parent().unwrap_or(Path::new("/")))?;
            std::fs::write(&file, serde_json::to_string_pretty(object)?)?;
        }
        self.git(&["add", "--all"]).await?;
        self.git(&["commit", "--quiet", "--message", message]).await?;
        self.push().await
    }

    /// Takes the last commit back by another one, as people do, and pushes it.
    pub async fn revert(&self) -> Result<String> {
        self.git(&["revert", "--no-edit", "HEAD"]).await?;
        self.push().await
    }

    async fn push(&self) -> Result<String> {
        self.git(&["push", "--quiet", &self.remote, BRANCH]).await?;
        self.head().await
    }

    /// The last commit, as Flux names it.
    pub async fn head(&self) -> Result<String> {
        let commit = self.git(&["rev-parse", "HEAD"]).await?;
        Ok(format!("{BRANCH}@sha1:{}", commit.trim()))
    }

    async fn git(&self, arguments: &[&str]) -> Result<String> {
        let mut git = Command::new("git");
        git.arg("-C").arg(&self.tree).args(["-c", "user.name=scenario", "-c", "user.email=scenario@localhost"]);
        git.args(arguments).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        let words = arguments.join(" ");
        blocking(move || {
            let output = git.output().context("cannot run git")?;
            ensure!(output.status.success(), "git {words}: {}", String::from_utf8_lossy(&output.stderr));
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        })
        .await
    }
}
