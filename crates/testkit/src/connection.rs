//! A client's way to the server. It can be cut, also at an exact write: that is how a process is stopped there.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use futures::stream::{StreamExt, unfold};
use http::{Request, Response};
use kube::client::Body as RequestBody;
use tokio_util::sync::CancellationToken;

use crate::answer::answer;
use crate::fault::{self, Fault, Verb};
use crate::request::Asked;
use crate::server::{self, ApiServer};

/// Where a process is stopped in relation to a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The write is not sent any more.
    Before,
    /// The write is done, and its answer is never seen.
    After,
}

/// A client's way to the server.
#[derive(Clone)]
pub struct Connection {
    server: ApiServer,
    by: Arc<str>,
    cut: CancellationToken,
    writes: Arc<Mutex<Writes>>,
}

#[derive(Default)]
struct Writes {
    sent: u32,
    stop_at: Option<(u32, Moment)>,
}

/// Nobody answered.
#[derive(Debug)]
pub struct NoAnswer(&'static str);

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for NoAnswer {}

impl Connection {
    pub(crate) fn new(server: &ApiServer, by: &str) -> Self {
        Self { server: server.clone(), by: by.into(), cut: CancellationToken::new(), writes: Arc::default() }
    }

    /// A client that uses this connection.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.clone(), "default")
    }

    /// The name that it was given.
    pub fn by(&self) -> &str {
        &self.by
    }

    /// From now on nothing gets through in either direction, and nobody is told.
    pub fn cut(&self) {
        self.cut.cancel();
    }

    /// Waits until the connection has been cut.
    pub async fn until_cut(&self) {
        self.cut.cancelled().await;
    }

    /// Whether the connection has been cut.
    pub fn is_cut(&self) -> bool {
        self.cut.is_cancelled()
    }

    /// Cuts the connection at the `nth` write from now on, the first being 1.
    pub fn cut_at_write(&self, nth: u32, moment: Moment) {
        let mut writes = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
        writes.stop_at = Some((writes.sent + nth, moment));
    }

    /// How many writes have been sent so far.
    pub fn writes(&self) -> u32 {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner).sent
    }

    /// Counts a write; says whether the process ends with it.
    fn count(&self, verb: Verb) -> Option<Moment> {
        if !verb.is_write() {
            return None;
        }
        let mut writes = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
        writes.sent += 1;
        writes.stop_at.filter(|(nth, _)| *nth == writes.sent).map(|(_, moment)| moment)
    }

    async fn exchange(self, request: Request<RequestBody>) -> Result<Response<Body>, NoAnswer> {
        let cut = self.cut.clone();
        tokio::select! {
            biased;
            () = cut.cancelled() => std::future::pending().await,
            response = self.serve(request) => {
                let (parts, body) = response?.into_parts();
                // What is still to come of a body does not get through once cut either, nor does its end.
                let stream = unfold((body.into_data_stream(), cut), |(mut stream, cut)| async move {
                    tokio::select! {
                        biased;
                        () = cut.cancelled() => std::future::pending().await,
                        chunk = stream.next() => chunk.map(|chunk| (chunk, (stream, cut))),
                    }
                });
                Ok(Response::from_parts(parts, Body::from_stream(stream)))
            }
        }
    }

    async fn serve(self, request: Request<RequestBody>) -> Result<Response<Body>, NoAnswer> {
        let asked = Asked::read(&request);
        let (verb, kind) = asked.as_ref().map_or((Verb::Get, None), |asked| (asked.verb, asked.kind()));
        let target = asked.as_ref().and_then(|asked| asked.target.as_ref());
        let namespace = target.and_then(|target| target.namespace.as_deref()).unwrap_or_default();
        let name = target.map_or("", |target| &target.name);
        let entry = self.note(verb, kind, (namespace, name));
        let body = request.into_body().collect_bytes().await.map_err(|_| NoAnswer("the request broke off"))?;
        let stops = self.count(verb);
        if stops == Some(Moment::Before) {
            self.cut.cancel();
            return std::future::pending().await;
        }
        let strict =
            asked.as_ref().and_then(|asked| asked.query.get("fieldValidation")).is_some_and(|it| it == "Strict");
        let looked_at = fault::Asked { verb, kind, namespace, name, strict };
        let fault = self.server.0.lock().faults.strike(&self.by, &looked_at);
        if let Some(Fault::Slow(delay)) = &fault {
            tokio::time::sleep(*delay).await;
        }
        if let Some(Fault::Meanwhile(meanwhile)) = &fault {
            meanwhile.happen(&self.server);
        }
        if let Some(Fault::Gone) = &fault {
            // Time passes, so that a client that tries again without a pause is one that a test can count.
            tokio::time::sleep(Duration::from_millis(1)).await;
            return Err(NoAnswer("connection refused"));
        }
        let response = match &fault {
            Some(Fault::Refused(refusal)) => crate::answer::refused(refusal),
            _ => answer(&self.server, &self.by, asked.as_ref(), &body),
        };
        if stops == Some(Moment::After) {
            self.cut.cancel();
            return std::future::pending().await;
        }
        match fault {
            Some(Fault::AnswerLost) => Err(NoAnswer("connection reset by peer")),
            Some(Fault::AnswerNeverComes) => std::future::pending().await,
            _ => {
                self.answered(entry, response.status().as_u16());
                Ok(response)
            }
        }
    }

    fn note(&self, verb: Verb, kind: Option<&'static crate::Kind>, (namespace, name): (&str, &str)) -> usize {
        let mut state = self.server.0.lock();
        state.requests.push(server::Request {
            at: tokio::time::Instant::now(),
            by: Arc::clone(&self.by),
            verb,
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            code: None,
        });
        state.requests.len() - 1
    }

    fn answered(&self, entry: usize, code: u16) {
        if let Some(request) = self.server.0.lock().requests.get_mut(entry) {
            request.code = Some(code);
        }
    }
}

impl tower::Service<Request<RequestBody>> for Connection {
    type Response = Response<Body>;
    type Error = NoAnswer;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, NoAnswer>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NoAnswer>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        Box::pin(self.clone().exchange(request))
    }
}
