//! One runtime for the whole process: the Kubernetes client's connections live in it.

use std::future::Future;
use std::sync::OnceLock;

use anyhow::{Context as _, Result};
use tokio::runtime::{Builder, Runtime};

/// More than there are processors: a scenario that reads a long audit log must not hold up the proxies of all others.
const THREADS: usize = 16;

static RUNTIME: OnceLock<std::io::Result<Runtime>> = OnceLock::new();

/// Runs a future to its end, from any thread that is not in the runtime.
pub fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = RUNTIME.get_or_init(|| Builder::new_multi_thread().worker_threads(THREADS).enable_all().build());
    match runtime {
        Ok(runtime) => runtime.block_on(future),
        Err(error) => anyhow::bail!("no runtime: {error}"),
    }
}

/// Runs what blocks, such as kubectl, beside the runtime.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.context("the thread panicked")?
}
