//! One query to Prometheus, or to what speaks its API (Thanos, Mimir, `VictoriaMetrics`): `POST /api/v1/query`.
//!
//! Redirects are refused, since credentials and queries are meant for the address that was declared; what is read of an
//! answer is bounded. Which addresses are asked is for [`addresses`](super::addresses) to say.

use std::error::Error as _;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use jiff::Timestamp;
use leadsman_core::analysis::metric::Prometheus as Source;
use leadsman_core::analysis::{Outcome, Question, Reads};
use leadsman_core::text::one_line;
use prometheus_http_query::{Client, Error};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Response, Url};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::addresses::{Access, AddressPattern, Addresses, Refused};
use super::answer::{self, Reply};
use super::credentials::Credentials;
use super::{Failure, MOST_TIMEOUT, Provider};

/// Longest answer that is read.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// An answer longer than this has to wait for its turn to be read.
const LARGE_BYTES: usize = 64 * 1024;
/// Large answers that are read and looked through at the same time: bounds the memory that they take together.
const LARGE_AT_ONCE: usize = 8;
/// Longest quotation of where a redirect leads and of why there is no connection, in characters.
const MOST_WORDS: usize = 300;

/// The HTTP side of metric sources.
pub struct Prometheus {
    /// For addresses that somebody vouches for, for those that may be no special ones, and for those in listed networks.
    clients: [reqwest::Client; 3],
    addresses: Addresses,
    credentials: Credentials,
    large: Semaphore,
}

/// One query, and where and how it is sent.
pub(super) struct Asked<'a> {
    pub(super) query: &'a str,
    /// The instant that it is about.
    pub(super) at: Timestamp,
    /// Whether its numbers have names.
    pub(super) counts: bool,
    pub(super) address: &'a str,
    pub(super) access: Access,
}

/// A body, and for a large one the permission to hold it.
struct Body<'a> {
    bytes: Vec<u8>,
    _turn: Option<SemaphorePermit<'a>>,
}

impl Prometheus {
    /// Asks `default_address` where a metric names none, and of other addresses only what `allowed` lists, or, where it is
    /// empty, what is none of the operator's own; reads Secrets through `client`.
    ///
    /// # Errors
    /// When no HTTP client can be built.
    pub fn new(
        client: kube::Client,
        default_address: Option<String>,
        allowed: &[AddressPattern],
    ) -> Result<Self, reqwest::Error> {
        // Does nothing where the program has chosen its provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let addresses = Addresses::new(default_address, allowed);
        let http = |access| http_client(&addresses, access);
        let (vouched, guarded) = (http(Access::Vouched)?, http(Access::Guarded)?);
        // Each client has root certificates of its own.
        let in_networks = if addresses.has_networks() { http(Access::InNetworks)? } else { guarded.clone() };
        let clients = [vouched, guarded, in_networks];
        Ok(Self { clients, addresses, credentials: Credentials::new(client), large: Semaphore::new(LARGE_AT_ONCE) })
    }

    fn address<'a>(&'a self, question: &'a Question) -> Option<&'a str> {
        question.source.address.as_deref().or(self.addresses.default())
    }

    fn client(&self, access: Access) -> reqwest::Client {
        let [vouched, guarded, in_networks] = &self.clients;
        match access {
            Access::Vouched => vouched,
            Access::Guarded | Access::Foreign => guarded,
            Access::InNetworks => in_networks,
        }
        .clone()
    }

    /// One query of a question, for an instant.
    async fn query(&self, question: &Question, query: &str, at: Timestamp) -> Result<Outcome, Failure> {
        let address = self.address(question).ok_or_else(|| {
            Failure::lasting(
                "no address to ask: give the metric provider.prometheus.address, or start the operator with \
                 --prometheus-address",
            )
        })?;
        let counts = question.reads != Reads::Values;
        let asked = Asked { query, at, counts, address, access: self.addresses.access(address)? };
        self.send(&question.source, &asked).await
    }

    /// Sends a query to an address that may be asked in this way.
    pub(super) async fn send(&self, source: &Source, asked: &Asked<'_>) -> Result<Outcome, Failure> {
        let &Asked { query, at, counts, address, access } = asked;
        let failed = |error: &Error| Failure {
            query_is_wrong: is_refused(error),
            message: format!("{} gave no answer: {}", host(address), error_words(error)),
        };
        let client = Client::from(self.client(access), address.trim_end_matches('/'))
            .map_err(|error| Failure::lasting(format!("{address:?} is not an address: {}", error_words(&error))))?;
        let timeout = i64::try_from(source.timeout.min(MOST_TIMEOUT).as_millis()).unwrap_or(i64::MAX);
        let at = at.as_millisecond();
        let mut request = client
            .query(query)
            .query("time", format!("{}.{:03}", at.div_euclid(1000), at.rem_euclid(1000)))
            .timeout(timeout);
        for (name, value) in &source.headers {
            let wrong = || Failure::lasting(format!("header {name} cannot be sent"));
            let value = HeaderValue::from_str(value).map_err(|_| wrong())?;
            request = request.header(HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?, value);
        }
        if let Some(auth) = &source.auth {
            request = request.header(AUTHORIZATION, self.credentials.header(auth).await?);
        }
        let response = request.post_raw().await.map_err(|error| failed(&error))?;
        let status = response.status();
        if status.is_redirection() {
            let target = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
            let ours =
                format!("{} redirects (HTTP {status}), which is not followed: give the final address", host(address));
            return Err(Failure::passing(access.words().told(&ours, &one_line(target, MOST_WORDS))));
        }
        let content_type =
            response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_text = content_type.starts_with("text/plain");
        let body = self.body(response).await.map_err(|mut failure| {
            failure.message = format!("{}: {}", host(address), failure.message);
            failure
        })?;
        answer::read(Reply { status, is_text, counts, body: &body.bytes, words: access.words() })
    }

    async fn body(&self, mut response: Response) -> Result<Body<'_>, Failure> {
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
        Ok(Body { bytes: body, _turn: turn })
    }
}

fn http_client(addresses: &Addresses, access: Access) -> Result<reqwest::Client, reqwest::Error> {
    let builder = || {
        let builder = reqwest::Client::builder()
            .redirect(Policy::none())
            .user_agent(concat!("leadsman/", env!("CARGO_PKG_VERSION")))
            .pool_max_idle_per_host(4);
        addresses.guard(access, builder)
    };
    // An image without root certificates can still ask by http; by https it trusts nobody then.
    builder().build().or_else(|error| {
        tracing::warn!(error = words(&error), "no root certificates: metrics cannot be asked by https");
        builder().tls_certs_only([]).build()
    })
}

impl Provider for Prometheus {
    fn host(&self, question: &Question) -> String {
        self.address(question).map(host).unwrap_or_default()
    }

    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Vec<Outcome>> {
        let at = match question.reads {
            Reads::Counts(span) => span.to,
            Reads::Values | Reads::Baseline => Timestamp::now(),
        };
        let one = move |query: &'a String| self.query(question, query, at).map(|it| it.unwrap_or_else(Outcome::from));
        join_all(question.queries.iter().map(one)).boxed()
    }
}

/// Scheme, host and port: nothing that could be a secret.
fn host(address: &str) -> String {
    Url::parse(address).map_or_else(|_| String::new(), |url| url.origin().ascii_serialization())
}

fn error_words(error: &Error) -> String {
    match error {
        Error::Client(error) => error.inner().map_or_else(|| one_line(&error.to_string(), MOST_WORDS), words),
        other => one_line(&other.source().map_or_else(|| other.to_string(), ToString::to_string), MOST_WORDS),
    }
}

/// Whether there was no connection because the address may not be asked.
fn is_refused(error: &Error) -> bool {
    let Error::Client(error) = error else { return false };
    error.inner().is_some_and(|error| sources(error).any(<dyn std::error::Error>::is::<Refused>))
}

/// What lies behind an error of the HTTP client. Its own words name the whole URL, which may hold a password.
fn words(error: &reqwest::Error) -> String {
    let words: Vec<_> = sources(error).map(ToString::to_string).collect();
    if words.is_empty() {
        if error.is_timeout() { "timed out" } else { "request failed" }.to_owned()
    } else {
        one_line(&words.join(": "), MOST_WORDS)
    }
}

fn sources(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |error: &&(dyn std::error::Error + 'static)| (*error).source())
}
