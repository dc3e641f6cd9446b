//! From kubectl's flags to a client, as kubectl does it: kubeconfig files, exec credentials, certificates; without any
//! kubeconfig, the service account of the pod that it runs in.

use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

use crate::args::Common;
use crate::cluster::chain;
use crate::exit::{Exit, Failure};

/// A client, and the namespace of the context.
///
/// # Errors
/// Where no configuration can be found or used.
pub async fn connect(common: &Common) -> Result<(Client, String), Failure> {
    let mut config = config(common).await.map_err(|what| {
        Failure::new(Exit::Unknown, what)
            .advise("--kubeconfig FILE, --context NAME or KUBECONFIG say where the cluster is")
    })?;
    if common.as_user.is_some() {
        config.auth_info.impersonate.clone_from(&common.as_user);
    }
    if !common.as_group.is_empty() {
        config.auth_info.impersonate_groups = Some(common.as_group.clone());
    }
    // Its own retries would hide for minutes that nothing answers.
    config.default_retry = false;
    let namespace = common.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let client = Client::try_from(config)
        .map_err(|error| Failure::new(Exit::Unknown, format!("cannot make a client for the API server: {error}")))?;
    Ok((client, namespace))
}

async fn config(common: &Common) -> Result<Config, String> {
    let options = KubeConfigOptions {
        context: common.context.clone(),
        cluster: common.cluster.clone(),
        user: common.user.clone(),
    };
    match kubeconfig(common).map_err(|error| told(&error))? {
        Some(kubeconfig) => Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| told(&error)),
        None => Config::incluster().map_err(|_| "there is no kubeconfig, and this is no pod of a cluster".to_owned()),
    }
}

/// The kubeconfig that was named, else that of the environment; `None` where there is none.
///
/// # Errors
/// Where one cannot be read.
pub fn kubeconfig(common: &Common) -> Result<Option<Kubeconfig>, KubeconfigError> {
    match &common.kubeconfig {
        Some(file) => Kubeconfig::read_from(file).map(Some),
        None => from_environment(),
    }
}

/// That of `KUBECONFIG`, or the one in the home directory; `None` where there is none.
fn from_environment() -> Result<Option<Kubeconfig>, KubeconfigError> {
    match Kubeconfig::read() {
        Ok(kubeconfig) => Ok(Some(kubeconfig)),
        Err(KubeconfigError::FindPath) => Ok(None),
        Err(KubeconfigError::ReadConfig(error, _)) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn told(error: &dyn std::error::Error) -> String {
    format!("cannot use the kubeconfig: {}", chain(error))
}
