//! One query to Prometheus, or to what speaks its API (Thanos, Mimir, `VictoriaMetrics`): `POST /api/v1/query`, or GET.
//!
//! Redirects are refused, since credentials and queries are meant for the address that was declared; what is read of an
//! answer is bounded. Which addresses are asked is for [`addresses`](super::addresses) to say.

use jiff::Timestamp;
use leadsman_core::analysis::Outcome;
use leadsman_core::analysis::source::Prometheus;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};

use super::addresses::Access;
use super::answer::{self, Reply};
use super::http::{Http, encoded, with_headers};
use super::{Failure, MOST_TIMEOUT, oauth};

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

/// One query, for an instant, at the source's own address or the operator's.
pub(super) async fn query(
    http: &Http,
    source: &Prometheus,
    query: &str,
    at: Timestamp,
    counts: bool,
) -> Result<Outcome, Failure> {
    let address = source.address.as_deref().or(http.addresses.default()).ok_or_else(|| {
        Failure::lasting(
            "no address to ask: give the metric provider.prometheus.address, or start the operator with \
             --prometheus-address",
        )
    })?;
    let asked = Asked { query, at, counts, address, access: http.addresses.access(address)? };
    send(http, source, &asked).await
}

/// Sends a query to an address that may be asked in this way.
pub(super) async fn send(http: &Http, source: &Prometheus, asked: &Asked<'_>) -> Result<Outcome, Failure> {
    let &Asked { query, at, counts, address, access } = asked;
    let client = http.client(access, source.tls.as_ref()).await?;
    let timeout = source.timeout.min(MOST_TIMEOUT);
    let at = at.as_millisecond();
    let own = [
        ("query", query.to_owned()),
        ("time", format!("{}.{:03}", at.div_euclid(1000), at.rem_euclid(1000))),
        ("timeout", format!("{}ms", timeout.as_millis())),
    ];
    let more = source.parameters.iter().map(|(name, value)| (name.as_str(), value.clone()));
    let parameters = encoded(own.into_iter().chain(more));
    let url = format!("{}/api/v1/query", address.trim_end_matches('/'));
    let mut request = if source.by_get {
        client.get(format!("{url}?{parameters}"))
    } else {
        client.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(parameters)
    };
    request = with_headers(request, &source.headers)?;
    if let Some(auth) = &source.auth {
        request = request.header(AUTHORIZATION, oauth::header(http, auth).await?);
    }
    let body = http.send(request.timeout(timeout), address, access).await?;
    let reply = Reply { status: body.status, is_text: body.is_text, counts, body: &body.bytes, words: access.words() };
    answer::read(reply)
}
