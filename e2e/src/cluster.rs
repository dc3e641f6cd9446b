//! The cluster, as a process that uses it sees it: up, with our CRDs and the operator's image in it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, ResourceExt as _};
use leadsman_bed::{Bed, build_operator};
use tokio::sync::OnceCell;

use crate::history::Recorder;
use crate::runtime::blocking;
use crate::wait::wait_for;

/// Names an operator image that is in the cluster already; without it the operator is built and brought in.
pub const IMAGE_VARIABLE: &str = "LEADSMAN_E2E_OPERATOR_IMAGE";
/// Label on every namespace that a run makes: the id of its process.
pub const RUN_LABEL: &str = "leadsman.dev/e2e-run";

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();

/// The cluster.
pub struct Cluster {
    /// Node, components, kubectl.
    pub bed: Bed,
    /// As its administrator.
    pub client: Client,
    /// Reference of the operator's image.
    pub image: String,
    /// Where results go: `target/e2e`.
    pub output: PathBuf,
    /// What becomes of everything that traffic depends on.
    pub recorder: Recorder,
}

impl Cluster {
    /// The cluster; made, or brought up to date, by the first call in a process.
    pub async fn get() -> Result<&'static Self> {
        CLUSTER.get_or_try_init(|| Self::make(Bed::up)).await
    }

    /// The same where nothing of Git is shown.
    pub async fn get_without_flux() -> Result<&'static Self> {
        CLUSTER.get_or_try_init(|| Self::make(Bed::up_without_flux)).await
    }

    async fn make(up: fn() -> Result<Bed>) -> Result<Self> {
        // Where another part of the process has installed it already, that is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (bed, image) = blocking(move || {
            let bed = up()?;
            let image = match std::env::var(IMAGE_VARIABLE) {
                Ok(image) if !image.is_empty() => image,
                _ => bed.load_operator_image(&build_operator()?)?,
            };
            for file in std::fs::read_dir(workspace().join("crds"))? {
                bed.apply(&std::fs::read_to_string(file?.path())?)?;
            }
            Ok((bed, image))
        })
        .await?;
        let client = Client::try_from(config(&bed).await?).context("no client for the cluster")?;
        for (name, _) in leadsman_api::crds::values() {
            until_established(&client, name).await?;
        }
        let recorder = Recorder::start(&client).await?;
        let cluster = Self { bed, client, image, output: target().join("e2e"), recorder };
        cluster.remove_what_killed_runs_left().await?;
        Ok(cluster)
    }

    /// How its administrator reaches the API server.
    pub async fn config(&self) -> Result<Config> {
        config(&self.bed).await
    }

    /// Namespaces of processes that are gone.
    async fn remove_what_killed_runs_left(&self) -> Result<()> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        for namespace in api.list(&ListParams::default().labels(RUN_LABEL)).await? {
            let run = namespace.labels().get(RUN_LABEL).cloned().unwrap_or_default();
            let kept = namespace.annotations().contains_key(crate::namespace::KEEP_ANNOTATION);
            if !kept && !Path::new("/proc").join(&run).exists() {
                let _ = api.delete(&namespace.name_any(), &DeleteParams::background()).await;
                crate::objects::remove_finalizers(&self.client, &namespace.name_any()).await?;
            }
        }
        Ok(())
    }
}

/// Waits until objects of a custom resource definition can be brought in.
pub async fn until_established(client: &Client, name: &str) -> Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let established = |crd: Option<&CustomResourceDefinition>| {
        let conditions = crd.and_then(|crd| crd.status.as_ref()?.conditions.as_ref());
        conditions.is_some_and(|all| all.iter().any(|it| it.type_ == "Established" && it.status == "True"))
    };
    wait_for(api, name, "to be established", Duration::from_secs(30), established).await.map(drop)
}

/// The administrator's way to the API server.
async fn config(bed: &Bed) -> Result<Config> {
    let kubeconfig = Kubeconfig::read_from(bed.kubeconfig())?;
    Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
}

/// The folder that the workspace's manifest is in.
pub fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    workspace().join(target)
}
