//! The fake API server behind a socket, and a kubeconfig for it.

use std::path::PathBuf;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use leadsman_testkit::{ApiServer, Application, Connection, Name};
use serde_json::{Value, json};
use tower::ServiceExt;

pub struct Served {
    pub server: ApiServer,
    pub kubeconfig: PathBuf,
}

pub fn name() -> Name {
    Application::new("shop", "cart").name()
}

impl Served {
    /// With shop/cart, which declares v2.
    pub async fn start(test: &str) -> Self {
        let server = ApiServer::new();
        server.hand("git").create(&Application::new("shop", "cart").version("v2").rollout()).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new().fallback(forward).with_state(server.connect("plugin"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let kubeconfig = std::env::temp_dir().join(format!("leadsman-cli-{test}-{}.yaml", std::process::id()));
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "fake", "users": [],
            "clusters": [{"name": "fake", "cluster": {"server": format!("http://127.0.0.1:{port}")}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "", "namespace": "shop"}}],
        });
        std::fs::write(&kubeconfig, config.to_string()).unwrap();
        Self { server, kubeconfig }
    }

    /// The operator writes this into the status, for the generation that is declared.
    pub fn say(&self, status: &Value) {
        assert!(self.server.hand("leadsman").edit_status(&name(), |rollout| {
            let mut status = status.clone();
            status["observedGeneration"] = rollout["metadata"]["generation"].clone();
            rollout["status"] = status;
        }));
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.kubeconfig);
    }
}

async fn forward(State(connection): State<Connection>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let request = Request::from_parts(parts, kube::client::Body::from(body.to_vec()));
    match connection.oneshot(request).await {
        Ok(response) => response,
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

pub fn revision(version: &str, number: i64) -> Value {
    let application = Application::new("shop", "cart").version(version);
    json!({"hash": application.hash(), "revision": number, "replicas": 4, "readyReplicas": 4,
        "images": [format!("app={}", application.image())]})
}

/// v2 is on trial; `what` is waited for.
pub fn moving(what: &str) -> Value {
    json!({"phase": "Progressing", "message": "step 2/4", "stable": revision("v1", 1), "canary": revision("v2", 2),
        "step": {"index": 1, "of": 4, "display": "2/4"}, "weight": {"desired": 25, "written": 25, "inForce": 25},
        "waiting": {"reason": "Pods", "for": what}, "commands": [
            {"verb": "abort", "hash": "h"}, {"verb": "promote", "hash": "h", "refused": "no pause to end"}]})
}

pub fn promoted() -> Value {
    json!({"phase": "Healthy", "message": "revision 2 serves with 4 pods", "stable": revision("v2", 2)})
}
