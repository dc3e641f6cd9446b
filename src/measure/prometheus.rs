//! One query to Prometheus, or to what speaks its API (Thanos, Mimir, `VictoriaMetrics`): `POST /api/v1/query`.
//!
//! Redirects are refused, since credentials and queries are meant for the address that was declared; what is read of an
//! answer is bounded.

use std::error::Error as _;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use leadsman_core::analysis::{Outcome, Question};
use prometheus_http_query::{Client, Error};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Response, Url};
use tokio::sync::Semaphore;

use super::credentials::Credentials;
use super::{Failure, Provider, answer};

/// Longest answer that is read.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// An answer longer than this has to wait for its turn to be read.
const LARGE_BYTES: usize = 256 * 1024;
/// Large answers that are read at the same time: bounds the memory that they take together.
const LARGE_AT_ONCE: usize = 8;

/// The HTTP side of metric sources.
pub struct Prometheus {
    http: reqwest::Client,
    default_address: Option<String>,
    credentials: Credentials,
    large: Semaphore,
}

impl Prometheus {
    /// Asks `default_address` where a metric names none; reads Secrets through `client`.
    ///
    /// # Errors
    /// When no HTTP client can be built.
    pub fn new(client: kube::Client, default_address: Option<String>) -> Result<Self, reqwest::Error> {
        // Does nothing where the program has chosen its provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            reqwest::Client::builder()
                .redirect(Policy::none())
                .user_agent(concat!("leadsman/", env!("CARGO_PKG_VERSION")))
                .pool_max_idle_per_host(4)
        };
        // An image without root certificates can still ask by http; by https it trusts nobody then.
        let http = builder().build().or_else(|error| {
            tracing::warn!(error = words(&error), "no root certificates: metrics cannot be asked by https");
            builder().tls_certs_only([]).build()
        })?;
        Ok(Self { http, default_address, credentials: Credentials::new(client), large: Semaphore::new(LARGE_AT_ONCE) })
    }

    fn address<'a>(&'a self, question: &'a Question) -> Option<&'a str> {
        question.source.address.as_deref().or(self.default_address.as_deref())
    }

    async fn query(&self, question: &Question) -> Result<Outcome, Failure> {
        let address = self.address(question).ok_or_else(|| {
            Failure::lasting(
                "no address to ask: give the metric provider.prometheus.address, or start the operator with \
                 --prometheus-address",
            )
        })?;
        let failed =
            |error: &Error| Failure::passing(format!("{} gave no answer: {}", host(address), error_words(error)));
        let client = Client::from(self.http.clone(), address.trim_end_matches('/'))
            .map_err(|error| Failure::lasting(format!("{address:?} is not an address: {}", error_words(&error))))?;
        let timeout = i64::try_from(question.source.timeout.as_millis()).unwrap_or(i64::MAX);
        let now = Timestamp::now().as_millisecond();
        let mut request = client
            .query(&question.query)
            .query("time", format!("{}.{:03}", now.div_euclid(1000), now.rem_euclid(1000)))
            .timeout(timeout);
        for (name, value) in &question.source.headers {
            let wrong = || Failure::lasting(format!("header {name} cannot be sent"));
            let value = HeaderValue::from_str(value).map_err(|_| wrong())?;
            request = request.header(HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?, value);
        }
        if let Some(auth) = &question.source.auth {
            request = request.header(AUTHORIZATION, self.credentials.header(auth).await?);
        }
        let response = request.post_raw().await.map_err(|error| failed(&error))?;
        let status = response.status();
        if status.is_redirection() {
            let target = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or("nowhere");
            return Err(Failure::passing(format!(
                "{} redirects (HTTP {status}) to {target}, which is not followed: give the final address",
                host(address)
            )));
        }
        let content_type =
            response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_text = content_type.starts_with("text/plain");
        let body = self.body(response).await.map_err(|mut failure| {
            failure.message = format!("{}: {}", host(address), failure.message);
            failure
        })?;
        answer::read(status, is_text, &body)
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        let mut turn = None;
        while let Some(chunk) = response.chunk().await.map_err(|error| Failure::passing(words(&error.without_url())))? {
            body.extend_from_slice(&chunk);
            if body.len() > MOST_BYTES {
                return Err(Failure::lasting(format!(
                    "the answer is longer than {} MiB: aggregate it",
                    MOST_BYTES >> 20
                )));
            }
            if body.len() > LARGE_BYTES && turn.is_none() {
                turn = self.large.acquire().await.ok();
            }
        }
        Ok(body)
    }
}

impl Provider for Prometheus {
    fn host(&self, question: &Question) -> String {
        self.address(question).map(host).unwrap_or_default()
    }

    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Outcome> {
        self.query(question).map(|answer| answer.unwrap_or_else(Outcome::from)).boxed()
    }
}

/// Scheme, host and port: nothing that could be a secret.
fn host(address: &str) -> String {
    Url::parse(address).map_or_else(|_| String::new(), |url| url.origin().ascii_serialization())
}

fn error_words(error: &Error) -> String {
    match error {
        Error::Client(error) => error.inner().map_or_else(|| error.to_string(), words),
        other => other.source().map_or_else(|| other.to_string(), ToString::to_string),
    }
}

/// What lies behind an error of the HTTP client. Its own words name the whole URL, which may hold a password.
fn words(error: &reqwest::Error) -> String {
    let mut words = Vec::new();
    let mut source = error.source();
    while let Some(error) = source {
        words.push(error.to_string());
        source = error.source();
    }
    if words.is_empty() {
        if error.is_timeout() { "timed out" } else { "request failed" }.to_owned()
    } else {
        words.join(": ")
    }
}
