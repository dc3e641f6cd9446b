//! Helm, and the operator's own chart installed by it.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::cluster::workspace;
use crate::namespace::Namespace;
use crate::runtime::blocking;

/// Helm 4, at work in a namespace.
pub struct Helm<'a> {
    namespace: &'a Namespace,
    program: PathBuf,
    home: PathBuf,
}

impl<'a> Helm<'a> {
    /// Builds Helm where it is not there yet.
    pub async fn new(namespace: &'a Namespace) -> Result<Self> {
        let program = blocking(leadsman_bed::helm).await?;
        let home = namespace.cluster.output.join("helm").join(format!("{}.home", namespace.name));
        std::fs::create_dir_all(&home)?;
        Ok(Self { namespace, program, home })
    }

    /// What it prints; what it says, where it fails, is the error.
    pub async fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<String> {
        let mut helm = Command::new(&self.program);
        helm.args(arguments).args(["--namespace", &self.namespace.name]);
        helm.arg("--kubeconfig").arg(self.namespace.cluster.bed.kubeconfig());
        for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            helm.env(variable, &self.home);
        }
        let output = blocking(move || helm.output().context("cannot run helm")).await?;
        ensure!(output.status.success(), "helm: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Options of Helm with which the chart works for this namespace alone, with the image that every scenario has.
pub fn values(namespace: &Namespace) -> Result<Vec<String>> {
    let (repository, tag) = namespace.cluster.image.rsplit_once(':').context("an image without a tag")?;
    let (registry, repository) = repository.split_once('/').context("an image without a registry")?;
    Ok([
        format!("image.registry={registry}"),
        format!("image.repository={repository}"),
        format!("image.tag={tag}"),
        format!("watchNamespaces={{{}}}", namespace.name),
        format!("prometheus.address={}", namespace.proxy.url()),
        // It would be in force for everybody on this cluster.
        "policies.ownRoutes.enabled=false".to_owned(),
    ]
    .into_iter()
    .flat_map(|value| ["--set".to_owned(), value])
    // As the cluster's Prometheus finds its targets.
    .chain(
        ["--set-json", r#"podAnnotations={"prometheus.io/scrape":"true","prometheus.io/port":"8080"}"#]
            .map(str::to_owned),
    )
    .collect())
}

/// `helm install` of the operator for a namespace, as a user would: what it says, where it fails, is the error. The CRDs are
/// the cluster's.
pub async fn install(namespace: &Namespace) -> Result<()> {
    let chart = workspace().join("charts/leadsman").display().to_string();
    let install = ["install", "leadsman", &chart, "--wait", "--timeout", "60s", "--set", "crds.install=false"];
    let options = values(namespace)?;
    let arguments: Vec<_> = install.into_iter().chain(options.iter().map(String::as_str)).collect();
    Helm::new(namespace).await?.run(&arguments).await.map(drop)
}
