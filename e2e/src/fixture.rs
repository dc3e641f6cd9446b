//! A metric source of a scenario's own, in this process: it is real HTTP, and says what it is told to.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// A question as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Path with what stands behind the ?.
    pub path: String,
    /// Header `X-Key`, `DD-API-KEY` or `Authorization`, the first that there is.
    pub key: String,
    /// The body.
    pub body: String,
}

impl Asked {
    /// True where path or body has this text.
    pub fn names(&self, text: &str) -> bool {
        self.path.contains(text) || self.body.contains(text)
    }
}

type Says = Arc<dyn Fn(&Asked) -> (u16, Value) + Send + Sync>;

/// A source; it ends when this is dropped.
pub struct Fixture {
    address: SocketAddr,
    task: AbortHandle,
}

impl Fixture {
    /// Listens where pods can reach it.
    pub async fn start(says: impl Fn(&Asked) -> (u16, Value) + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind((leadsman_bed::HOST_IP, 0)).await.context("no port for the fixture")?;
        let address = listener.local_addr()?;
        let says: Says = Arc::new(says);
        let service = Router::new().fallback(answer).with_state(says);
        let task = tokio::spawn(async move { axum::serve(listener, service).await }).abort_handle();
        Ok(Self { address, task })
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(says): State<Says>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, 1 << 20).await else { return StatusCode::BAD_REQUEST.into_response() };
    let mut keys = ["x-key", "dd-api-key", "authorization"].into_iter();
    let key = keys.find_map(|name| parts.headers.get(name)?.to_str().ok()).unwrap_or_default().to_owned();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let (status, said) = says(&Asked { path, key, body: String::from_utf8_lossy(&body).into_owned() });
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, "application/json");
    response.body(Body::from(said.to_string())).unwrap_or_else(|error| error.to_string().into_response())
}
