//! What Prometheus said, and when, taken from outside: a proxy in front of it, in this process, that keeps every answer
//! before it hands it on. The queries are the operator's, the answers Prometheus' own.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use crate::audit::seconds;

/// A proxy; it ends when this is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    answers: Answers,
    task: AbortHandle,
}

type Answers = Arc<Mutex<Vec<Answer>>>;

/// An answer of Prometheus.
#[derive(Clone, Debug)]
pub struct Answer {
    /// When it was complete here; seconds since 1970.
    pub at: f64,
    /// The question as it was sent: path, query and body, still encoded.
    pub question: String,
    /// HTTP status.
    pub status: u16,
    /// JSON, or null.
    pub body: Value,
}

impl Answer {
    /// The only sample's value.
    pub fn value(&self) -> Option<f64> {
        self.body.pointer("/data/result/0/value/1")?.as_str()?.parse().ok()
    }
}

#[derive(Clone)]
struct Forward {
    upstream: String,
    client: reqwest::Client,
    answers: Answers,
}

impl Proxy {
    /// Listens where pods can reach it, in front of `upstream`, like `http://10.96.0.7:9090`.
    pub async fn start(upstream: &str) -> Result<Self> {
        let listener = TcpListener::bind((leadsman_bed::HOST_IP, 0)).await.context("no port for the proxy")?;
        let address = listener.local_addr()?;
        let answers = Answers::default();
        let forward = Forward {
            upstream: upstream.to_owned(),
            client: reqwest::Client::builder().no_proxy().build()?,
            answers: Arc::clone(&answers),
        };
        let service = Router::new().fallback(pass_on).with_state(forward);
        let task = tokio::spawn(async move { axum::serve(listener, service).await }).abort_handle();
        Ok(Self { address, answers, task })
    }

    /// What to give the operator as the address of Prometheus.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All answers so far.
    pub fn answers(&self) -> Vec<Answer> {
        self.answers.lock().map(|answers| answers.clone()).unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass_on(State(forward): State<Forward>, request: Request) -> Response {
    match forward.pass_on(request).await {
        Ok(response) => response,
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response(),
    }
}

impl Forward {
    async fn pass_on(&self, request: Request) -> Result<Response> {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, 1 << 20).await?;
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let question = format!("{path} {}", String::from_utf8_lossy(&body));
        let hop = |name: &HeaderName| name == header::HOST || name == header::CONNECTION;
        let headers = parts.headers.into_iter().filter_map(|(name, value)| Some((name?, value)));
        let headers = headers.filter(|(name, _)| !hop(name)).collect();
        let asked = self.client.request(parts.method, format!("{}{path}", self.upstream)).headers(headers).body(body);
        let answer = asked.send().await?;
        let (status, kind) = (answer.status(), answer.headers().get(header::CONTENT_TYPE).cloned());
        let bytes = answer.bytes().await?;
        let kept = Answer {
            at: seconds(Timestamp::now()),
            question,
            status: status.as_u16(),
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
        };
        if let Ok(mut answers) = self.answers.lock() {
            answers.push(kept);
        }
        let mut response = Response::builder().status(status);
        if let Some(kind) = kind {
            response = response.header(header::CONTENT_TYPE, kind);
        }
        Ok(response.body(Body::from(bytes))?)
    }
}
