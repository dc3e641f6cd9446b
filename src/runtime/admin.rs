//! The admin server: `/livez`, `/readyz`, `/metrics`.
//!
//! Ready is who has listed everything that it needs, whether it leads or waits to: a standby is as good as the leader.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use tokio::net::TcpListener;

/// What keeps the operator from being ready, if anything does.
pub type Readiness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;
/// The text of `/metrics`.
pub type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

/// Serves for as long as the process runs.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve(address: SocketAddr, ready: Readiness, metrics: Metrics) -> std::io::Result<()> {
    let metrics = move || async move {
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        ([(header::CONTENT_TYPE, kind)], metrics())
    };
    let readyz = move || async move {
        match ready() {
            Ok(()) => (StatusCode::OK, "ok".to_owned()),
            Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
        }
    };
    let router = Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics));
    let listener = TcpListener::bind(address).await?;
    axum::serve(listener, router).await
}
