//! The `Authorization` header, with a token that is asked for where that is declared (RFC 6749, 4.4).

use std::time::Duration;

use leadsman_core::analysis::source::{Auth, AuthScheme};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use serde::Deserialize;
use tokio::time::Instant;

use super::Failure;
use super::http::{Http, encoded, host};

/// How long a token is used whose end nobody says.
const USUAL: Duration = Duration::from_mins(1);
/// Before its end another one is asked for.
const EARLY: Duration = Duration::from_secs(20);
/// Longest use of a token: a client's secret that was taken back is noticed.
const MOST: Duration = Duration::from_mins(10);

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

/// The header that these credentials stand for.
pub(super) async fn header(http: &Http, auth: &Auth) -> Result<HeaderValue, Failure> {
    let AuthScheme::OAuth2 { token_url, client_id, client_secret, parameters } = &auth.scheme else {
        return http.credentials.header(auth).await;
    };
    let (namespace, secret) = (&auth.namespace, &auth.secret);
    let id = http.credentials.text(namespace, secret, client_id).await?;
    let password = http.credentials.text(namespace, secret, client_secret).await?;
    // A secret that was changed gets a token of its own.
    let key = [token_url.clone(), format!("{namespace}/{secret}"), format!("{parameters:?}"), password.clone()];
    let now = Instant::now();
    if let Some(token) = http.tokens.get(&key) {
        return Ok(token);
    }
    let access = http.addresses.access(token_url)?;
    let client = http.client(access, None).await?;
    let more = parameters.iter().map(|(name, value)| (name.as_str(), value.clone()));
    let form = encoded([("grant_type", "client_credentials".to_owned())].into_iter().chain(more));
    let request = client
        .post(token_url)
        .basic_auth(id, Some(password))
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form);
    let answer = http.send(request, token_url, access).await?;
    let wrong = |what: &str| Failure::passing(format!("{} gives no token: {what}", host(token_url)));
    if !answer.status.is_success() {
        return Err(wrong(&format!("HTTP {}", answer.status)));
    }
    let Answer { access_token, expires_in } =
        serde_json::from_slice(&answer.bytes).map_err(|_| wrong("its answer has no access_token"))?;
    let mut token = HeaderValue::try_from(format!("Bearer {access_token}")).map_err(|_| wrong("it is no header"))?;
    token.set_sensitive(true);
    let lasts = expires_in.map_or(USUAL, Duration::from_secs).saturating_sub(EARLY).min(MOST);
    http.tokens.keep(key, token.clone(), now, lasts);
    Ok(token)
}
