//! What lies between an operator and its API server, and can fail: a proxy in this process that an operator's pods reach
//! the API server through, each with its own credentials, so that the audit log still tells them apart.
//!
//! It delays calls, cuts every connection, lets watches fall silent, and kills the leader at a chosen write, before or
//! after that reached the API server.

mod front;
mod strike;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::future::{Either, select};
use futures::{Stream, StreamExt as _};
use jiff::Timestamp;
use kube::Client;
use kube::config::AuthInfo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::audit::seconds;
use crate::cluster::Cluster;
pub(crate) use strike::Victim;
pub use strike::{Effect, Strike, Struck, When};

/// A way to the API server; it ends when this is dropped.
pub struct Wire {
    address: SocketAddr,
    namespace: String,
    faults: Arc<Faults>,
    tasks: [AbortHandle; 2],
}

struct Faults {
    upstream: Client,
    victim: Victim,
    delay: watch::Sender<Duration>,
    connected: watch::Sender<bool>,
    /// Watches that were started before this changed hear nothing any more.
    hushed: watch::Sender<u32>,
    strikes: Mutex<strike::Strikes>,
}

impl Wire {
    /// Listens where pods can reach it. The leader of `namespace` is the one that strikes hit.
    pub async fn start(cluster: &Cluster, namespace: &str) -> Result<Self> {
        let mut config = cluster.config().await?;
        // Whoever asks has to say who they are.
        config.auth_info = AuthInfo::default();
        let faults = Arc::new(Faults {
            upstream: Client::try_from(config).context("no client for the proxy")?,
            victim: Victim { client: cluster.client.clone(), namespace: namespace.to_owned() },
            delay: watch::Sender::new(Duration::ZERO),
            connected: watch::Sender::new(true),
            hushed: watch::Sender::new(0),
            strikes: Mutex::default(),
        });
        let inner = TcpListener::bind(("127.0.0.1", 0)).await.context("no port for the proxy")?;
        let behind = inner.local_addr()?;
        let service = Router::new().fallback(pass_on).with_state(Arc::clone(&faults));
        let serving = tokio::spawn(async move { axum::serve(inner, service).await }).abort_handle();
        let listener = TcpListener::bind((leadsman_bed::HOST_IP, 0)).await.context("no port for the proxy")?;
        let address = listener.local_addr()?;
        let forwarding = front::forward(listener, address, behind, faults.connected.subscribe());
        let tasks = [serving, tokio::spawn(forwarding).abort_handle()];
        Ok(Self { address, namespace: namespace.to_owned(), faults, tasks })
    }

    /// For an operator's pods: this way, as the account that they run as.
    pub fn kubeconfig(&self) -> Value {
        let account = "/var/run/secrets/kubernetes.io/serviceaccount";
        // Nothing is encrypted on this way, but a client without any certificate authority does not start.
        let server =
            json!({"server": format!("http://{}", self.address), "certificate-authority": format!("{account}/ca.crt")});
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "wire", "cluster": server}],
            "users": [{"name": "pod", "user": {"tokenFile": format!("{account}/token")}}],
            "contexts": [{"name": "wire", "context": {"cluster": "wire", "user": "pod", "namespace": self.namespace}}],
            "current-context": "wire",
        })
    }

    /// Every call takes this much longer from now on.
    pub fn delay(&self, delay: Duration) {
        self.faults.delay.send_replace(delay);
    }

    /// The API server is gone: connections end, and none can be made.
    pub fn cut(&self) {
        self.faults.connected.send_replace(false);
    }

    /// It is back.
    pub fn mend(&self) {
        self.faults.connected.send_replace(true);
    }

    /// Watches that there are stay open and hear nothing any more.
    pub fn hush(&self) {
        self.faults.hushed.send_modify(|times| *times += 1);
    }

    /// Kills the leader at these writes, counted from now on.
    pub fn strike(&self, strikes: Vec<Strike>) {
        self.faults.strikes().aim(strikes);
    }

    /// What was struck since the last call of [`Wire::strike`].
    pub fn struck(&self) -> Vec<Struck> {
        self.faults.strikes().struck.clone()
    }

    /// Strikes that have not come yet.
    pub fn to_come(&self) -> usize {
        self.faults.strikes().aimed.len()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

async fn pass_on(State(faults): State<Arc<Faults>>, request: Request) -> Response {
    // In a task of its own: what is on its way arrives, also when nobody waits for the answer any more.
    let passed = tokio::spawn(async move { faults.pass_on(request).await }).await;
    match passed.map_err(anyhow::Error::from).flatten() {
        Ok(response) => response,
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response(),
    }
}

impl Faults {
    fn strikes(&self) -> std::sync::MutexGuard<'_, strike::Strikes> {
        self.strikes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn pass_on(&self, request: Request) -> Result<Response> {
        let hushed = self.hushed.subscribe();
        let delay = *self.delay.borrow();
        tokio::time::sleep(delay).await;
        let effect = Effect::of(request.method(), request.uri().path());
        let what = format!("{} {}", request.method(), request.uri().path());
        let strike = effect.and_then(|effect| self.strikes().due_before(effect));
        if let Some(strike) = strike {
            self.hit(strike, &what).await?;
        }
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        let answer = self.upstream.send(forwarded(request).await?).await?;
        let done = effect.filter(|_| answer.status().is_success());
        let strike = done.and_then(|effect| self.strikes().due_after(effect));
        if let Some(strike) = strike {
            self.hit(strike, &what).await?;
        }
        let (mut parts, body) = answer.into_parts();
        parts.headers.remove(header::TRANSFER_ENCODING);
        parts.headers.remove(header::CONNECTION);
        let body = Body::new(body);
        let body = if is_watch { Body::from_stream(until_hushed(body, hushed)) } else { body };
        Ok(Response::from_parts(parts, body))
    }

    /// Kills the leader; whoever waits for an answer waits for ever.
    async fn hit(&self, strike: Strike, what: &str) -> Result<Infallible> {
        let victim = self.victim.kill().await?;
        let at = seconds(Timestamp::now());
        self.strikes().struck.push(Struck { strike, what: what.to_owned(), at, victim });
        std::future::pending().await
    }
}

/// The same request as kube's client sends it.
async fn forwarded(request: Request) -> Result<axum::http::Request<kube::client::Body>> {
    let (mut parts, body) = request.into_parts();
    let body = to_bytes(body, 4 << 20).await?;
    let hop = [header::HOST, header::CONNECTION, header::CONTENT_LENGTH, HeaderName::from_static("keep-alive")];
    for name in hop {
        parts.headers.remove(name);
    }
    parts.version = axum::http::Version::HTTP_11;
    Ok(axum::http::Request::from_parts(parts, kube::client::Body::from(body.to_vec())))
}

/// The body for as long as nobody hushes it; from then on neither a byte nor an end.
fn until_hushed(body: Body, hushed: watch::Receiver<u32>) -> impl Stream<Item = Result<Bytes, axum::Error>> {
    futures::stream::unfold((body.into_data_stream(), hushed), |(mut body, mut hushed)| async move {
        let next = match select(pin!(hushed.changed()), body.next()).await {
            Either::Left(_) => None,
            Either::Right((next, _)) => Some(next),
        };
        match next {
            None => std::future::pending().await,
            Some(next) => Some((next?, (body, hushed))),
        }
    })
}
