//! A controller that is measured: how it is started, what its objects are, and how they say that they are done.

mod argo_rollouts;
mod flagger;
mod leadsman;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use kube::api::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use crate::application::Application;
use crate::arguments::Routes;

/// Where controllers are: their own namespace.
pub const NAMESPACE: &str = "controller";

/// The controllers that the bench knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    Leadsman,
    ArgoRollouts,
    Flagger,
}

impl FromStr for Product {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        Ok(match name {
            "leadsman" => Self::Leadsman,
            "argo-rollouts" => Self::ArgoRollouts,
            "flagger" => Self::Flagger,
            other => bail!("no controller is called {other}: there are leadsman, argo-rollouts and flagger"),
        })
    }
}

/// What every application of a run is like.
#[derive(Clone, Debug)]
pub struct Work {
    pub routes: Routes,
    /// Pods.
    pub replicas: u32,
    /// Time between two measurements. With it a release stays at 50% for as long as they succeed; without it, it goes by
    /// 20, 50 and 80% without waiting for anything.
    pub measured: Option<Duration>,
    /// Where Prometheus is, as a URL.
    pub prometheus: String,
    /// Whether Services have no addresses of their own, and are all declared.
    pub headless: bool,
}

impl Work {
    /// The weights that a release goes by.
    pub fn weights(&self) -> &'static [u32] {
        if self.measured.is_some() { &[50] } else { &[20, 50, 80] }
    }
}

/// What a controller's process needs to know.
pub struct Surroundings<'a> {
    /// Where Prometheus is, as a URL.
    pub prometheus: &'a str,
    /// Ports of its own.
    pub ports: [u16; 2],
    pub kubeconfig: &'a Path,
    /// Whether it is to take on many objects at once: limits on its own requests are raised.
    pub raised: bool,
}

/// A controller. An application is released by a change of its pod template.
pub trait Contender {
    /// As in tables.
    fn name(&self) -> &'static str;
    /// Its definitions, and whatever else it needs.
    fn definitions(&self) -> Result<Vec<Value>>;
    /// The rights of its account.
    fn rights(&self) -> Result<Vec<Value>>;
    /// Words of its command, after the program.
    fn command(&self, surroundings: &Surroundings<'_>) -> Vec<String>;
    /// How long a process of it is left alone before it is looked at.
    fn warm_up(&self) -> Duration;
    /// The kind of object that says where a release is.
    fn kind(&self) -> ApiResource;
    /// The objects of an application, in the order in which they are brought in.
    fn objects(&self, application: Application, work: &Work, version: &str) -> Vec<Value>;
    /// The object, of those, whose new version begins a release.
    fn released(&self) -> &'static str {
        "Rollout"
    }
    /// Whether what [`Contender::kind`] names says that this version serves, and that nothing is under way.
    fn is_settled(&self, seen: &Value, application: Application, version: &str) -> bool;
    /// The text of a metric that is there once for each object it has looked at, where there is one.
    fn looked_at(&self) -> Option<&'static str> {
        None
    }
}

/// A controller with its program.
pub struct Entry {
    pub product: Product,
    pub program: PathBuf,
}

impl Entry {
    /// As the bench deals with it.
    pub fn contender(&self) -> Box<dyn Contender> {
        match self.product {
            Product::Leadsman => Box::new(leadsman::Leadsman),
            Product::ArgoRollouts => Box::new(argo_rollouts::ArgoRollouts { definitions: self.beside() }),
            Product::Flagger => Box::new(flagger::Flagger { definitions: self.beside() }),
        }
    }

    fn beside(&self) -> PathBuf {
        self.program.with_file_name("crds")
    }
}

/// The account that a controller asks the API server as.
pub fn user() -> String {
    format!("system:serviceaccount:{NAMESPACE}:{NAMESPACE}")
}

/// Every right, for controllers whose own roles the bench does not have.
fn all_rights() -> Vec<Value> {
    vec![json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": NAMESPACE},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": NAMESPACE, "namespace": NAMESPACE}],
    })]
}

/// Every definition in a folder.
pub fn definitions_in(folder: &Path) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = std::fs::read_to_string(&path)?;
            let documents: Vec<Value> =
                serde_saphyr::from_multiple(&text).with_context(|| path.display().to_string())?;
            all.extend(documents.into_iter().filter(|it| it.get("kind") == Some(&json!("CustomResourceDefinition"))));
        }
    }
    Ok(all)
}

/// A kind of objects.
pub fn resource(group: &str, version: &str, kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

fn text<'a>(seen: &'a Value, pointer: &str) -> &'a str {
    seen.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
