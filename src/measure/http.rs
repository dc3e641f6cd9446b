//! The HTTP side of metric sources: clients for each way of access, bounded bodies, and words that quote no secret.

use std::error::Error as _;
use std::sync::LazyLock;

use leadsman_core::analysis::source::Tls;
use leadsman_core::text::one_line;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Identity, RequestBuilder, Response, StatusCode, Url};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::Failure;
use super::addresses::{Access, AddressPattern, Addresses, Refused};
use super::credentials::{Credentials, KEPT_FOR};
use super::kept::Kept;

/// Longest answer that is read.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// An answer longer than this has to wait for its turn to be read.
const LARGE_BYTES: usize = 64 * 1024;
/// Large answers that are read and looked through at the same time: bounds the memory that they take together.
const LARGE_AT_ONCE: usize = 8;
/// Longest quotation of where a redirect leads and of why there is no connection, in characters.
pub(super) const MOST_WORDS: usize = 300;
/// Clients with certificates of their own that are kept.
const MOST_CLIENTS: usize = 32;
/// Tokens that are kept.
const MOST_TOKENS: usize = 128;

/// What parameters are put behind to be encoded.
#[allow(clippy::expect_used, reason = "a constant that every test reads")]
static NOWHERE: LazyLock<Url> = LazyLock::new(|| Url::parse("http://nowhere").expect("an address"));

/// Clients for metric sources, and whom they may ask.
pub(super) struct Http {
    /// For addresses that somebody vouches for, for those that may be no special ones, and for those in listed networks.
    clients: [reqwest::Client; 3],
    /// With certificates of their own.
    special: Kept<(Access, Tls), reqwest::Client>,
    /// What [`oauth`](super::oauth) was given, by what it was asked with.
    pub tokens: Kept<[String; 4], HeaderValue>,
    pub addresses: Addresses,
    pub credentials: Credentials,
    large: Semaphore,
}

/// An answer as far as it has been read, and for a large one the permission to hold it.
pub(super) struct Body<'a> {
    pub status: StatusCode,
    /// `Content-Type` is plain text.
    pub is_text: bool,
    pub bytes: Vec<u8>,
    _turn: Option<SemaphorePermit<'a>>,
}

impl Http {
    pub fn new(
        client: kube::Client,
        default_address: Option<String>,
        allowed: &[AddressPattern],
    ) -> Result<Self, reqwest::Error> {
        // Does nothing where the program has chosen its provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let addresses = Addresses::new(default_address, allowed);
        let http = |access| plain_client(&addresses, access);
        let (vouched, guarded) = (http(Access::Vouched)?, http(Access::Guarded)?);
        // Each client has root certificates of its own.
        let in_networks = if addresses.has_networks() { http(Access::InNetworks)? } else { guarded.clone() };
        Ok(Self {
            clients: [vouched, guarded, in_networks],
            special: Kept::at_most(MOST_CLIENTS),
            tokens: Kept::at_most(MOST_TOKENS),
            addresses,
            credentials: Credentials::new(client),
            large: Semaphore::new(LARGE_AT_ONCE),
        })
    }

    /// The client for an address, which shows and trusts the certificates that are named.
    pub async fn client(&self, access: Access, tls: Option<&Tls>) -> Result<reqwest::Client, Failure> {
        let [vouched, guarded, in_networks] = &self.clients;
        let Some(tls) = tls else {
            let plain = match access {
                Access::Vouched => vouched,
                Access::Guarded | Access::Foreign => guarded,
                Access::InNetworks => in_networks,
            };
            return Ok(plain.clone());
        };
        let (now, key) = (Instant::now(), (access, tls.clone()));
        if let Some(client) = self.special.get(&key) {
            return Ok(client);
        }
        let client = self.special_client(access, tls).await?;
        self.special.keep(key, client.clone(), now, KEPT_FOR);
        Ok(client)
    }

    async fn special_client(&self, access: Access, tls: &Tls) -> Result<reqwest::Client, Failure> {
        let mut builder = self.addresses.guard(access, builder());
        let wrong = |secret: &str, what: &str| {
            Failure::passing(format!("Secret {}/{secret} has no usable {what} (PEM)", tls.namespace))
        };
        if let Some((secret, key)) = &tls.ca {
            let pem = self.credentials.text(&tls.namespace, secret, key).await?;
            let certificates = Certificate::from_pem_bundle(pem.as_bytes()).map_err(|_| wrong(secret, key))?;
            if certificates.is_empty() {
                return Err(wrong(secret, key));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        if let Some((secret, certificate, private)) = &tls.certificate {
            let mut pem = self.credentials.text(&tls.namespace, secret, certificate).await?;
            pem.push('\n');
            pem.push_str(&self.credentials.text(&tls.namespace, secret, private).await?);
            builder = builder.identity(Identity::from_pem(pem.as_bytes()).map_err(|_| wrong(secret, certificate))?);
        }
        builder.build().map_err(|error| Failure::passing(format!("certificates cannot be used: {}", words(&error))))
    }

    /// Sends a request to an address and reads its answer, which must not lead elsewhere.
    pub async fn send(&self, request: RequestBuilder, address: &str, access: Access) -> Result<Body<'_>, Failure> {
        let response = request.send().await.map_err(|error| no_answer(address, &error))?;
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
        let (bytes, turn) = self.body(response).await.map_err(|mut failure| {
            failure.message = format!("{}: {}", host(address), failure.message);
            failure
        })?;
        Ok(Body { status, is_text, bytes, _turn: turn })
    }

    async fn body(&self, mut response: Response) -> Result<(Vec<u8>, Option<SemaphorePermit<'_>>), Failure> {
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
        Ok((body, turn))
    }
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .redirect(Policy::none())
        .user_agent(concat!("leadsman/", env!("CARGO_PKG_VERSION")))
        .pool_max_idle_per_host(4)
}

fn plain_client(addresses: &Addresses, access: Access) -> Result<reqwest::Client, reqwest::Error> {
    let guarded = || addresses.guard(access, builder());
    // An image without root certificates can still ask by http; by https it trusts nobody then.
    guarded().build().or_else(|error| {
        tracing::warn!(error = words(&error), "no root certificates: metrics cannot be asked by https");
        guarded().tls_certs_only([]).build()
    })
}

/// Parameters as a form, or behind the ? of an address.
pub(super) fn encoded<'a>(parameters: impl Iterator<Item = (&'a str, String)>) -> String {
    let mut url = NOWHERE.clone();
    url.query_pairs_mut().extend_pairs(parameters);
    url.query().unwrap_or_default().to_owned()
}

/// Headers as they are declared.
pub(super) fn with_headers(
    mut request: RequestBuilder,
    headers: &[(String, String)],
) -> Result<RequestBuilder, Failure> {
    for (name, value) in headers {
        let wrong = || Failure::lasting(format!("header {name} cannot be sent"));
        let value = HeaderValue::from_str(value).map_err(|_| wrong())?;
        request = request.header(HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?, value);
    }
    Ok(request)
}

/// That an address gave no answer, and why.
fn no_answer(address: &str, error: &reqwest::Error) -> Failure {
    Failure {
        query_is_wrong: is_refused(error),
        message: format!("{} gave no answer: {}", host(address), words(error)),
    }
}

/// Scheme, host and port: nothing that could be a secret.
pub(super) fn host(address: &str) -> String {
    Url::parse(address).map_or_else(|_| String::new(), |url| url.origin().ascii_serialization())
}

/// Whether there was no connection because the address may not be asked.
fn is_refused(error: &reqwest::Error) -> bool {
    sources(error).any(<dyn std::error::Error>::is::<Refused>)
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
