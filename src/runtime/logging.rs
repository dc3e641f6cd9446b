//! Log lines on standard error: one for each decision, as JSON or for people.

use tracing_subscriber::EnvFilter;

use crate::args::LogFormat;

/// Which lines are written, in the syntax of tracing's filters.
const VARIABLE: &str = "LEADSMAN_LOG";

/// Starts logging. A second call changes nothing.
pub fn init(format: LogFormat) {
    // kube's own lines repeat what we say of each watch and request.
    let filter = EnvFilter::try_from_env(VARIABLE)
        .unwrap_or_else(|_| EnvFilter::new("info,kube_runtime=error,kube_client::client::builder=off"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
        LogFormat::Text => lines.with_target(false).try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "logging was started before");
    }
}
