//! Where and how a Prometheus query is sent: address, headers and credentials, checked before anything is asked.

use std::time::Duration;

use leadsman_api::{Authentication, Header, Prometheus, defaults};
use leadsman_core::analysis::metric::{self, Auth, AuthScheme};
use leadsman_core::spec::Problem;
use reqwest::header::{HeaderName, HeaderValue};

use super::metric::Reading;
use crate::measure::MOST_TIMEOUT;

/// Headers that belong to the request itself.
const RESERVED: [&str; 6] =
    ["host", "connection", "content-type", "content-length", "transfer-encoding", "accept-encoding"];

/// Where `query` is asked, which is filled in already.
pub(super) fn read(reading: &Reading<'_>, wire: &Prometheus, query: String) -> Result<metric::Prometheus, Problem> {
    let auth = wire.authentication.as_ref().map(|wire| authentication(reading, wire)).transpose()?;
    let timeout =
        reading.duration("timeout", wire.timeout.as_ref(), defaults::QUERY_TIMEOUT, Duration::from_millis(1))?;
    if timeout > MOST_TIMEOUT {
        return Err(reading.wrong("timeout", format!("is {timeout:?}: it must be at most {MOST_TIMEOUT:?}")));
    }
    Ok(metric::Prometheus {
        address: wire.address.as_deref().map(|text| address(reading, text)).transpose()?,
        query,
        timeout,
        headers: wire.headers.iter().map(|it| header(reading, it, auth.is_some())).collect::<Result<_, _>>()?,
        auth,
    })
}

/// An address whose every part is used: credentials belong into a Secret, and parameters would be lost.
fn address(reading: &Reading<'_>, text: &str) -> Result<String, Problem> {
    let wrong = |what: &str| reading.wrong("address", format!("is not usable: {what}"));
    let url = reqwest::Url::parse(text).map_err(|error| wrong(&format!("{error}; write http://host:port")))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("write http://host:port or https://host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("put the credentials into a Secret and name it in authentication"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("leave out everything from ? or #"));
    }
    Ok(text.to_owned())
}

fn header(reading: &Reading<'_>, header: &Header, has_auth: bool) -> Result<(String, String), Problem> {
    let Header { key, value } = header;
    let wrong = |what: &str| reading.wrong(&format!("headers ({key})"), what);
    let name = HeaderName::from_bytes(key.as_bytes()).map_err(|_| wrong("is not the name of a header"))?;
    HeaderValue::from_str(value).map_err(|_| wrong("has a value that no header can have"))?;
    if RESERVED.contains(&name.as_str()) {
        return Err(wrong("is set by the request itself: leave it out"));
    }
    if has_auth && name == reqwest::header::AUTHORIZATION {
        return Err(wrong("stands beside authentication: leave one of them out"));
    }
    Ok((key.clone(), value.clone()))
}

fn authentication(reading: &Reading<'_>, wire: &Authentication) -> Result<Auth, Problem> {
    let (secret, scheme) = match (&wire.bearer, &wire.basic) {
        (Some(bearer), None) => (&bearer.secret_ref.name, AuthScheme::Bearer(bearer.secret_ref.key.clone())),
        (None, Some(basic)) => {
            let key = |given: &Option<String>, otherwise: &str| given.clone().unwrap_or_else(|| otherwise.to_owned());
            let username = key(&basic.secret_ref.username_key, defaults::USERNAME_KEY);
            let password = key(&basic.secret_ref.password_key, defaults::PASSWORD_KEY);
            (&basic.secret_ref.name, AuthScheme::Basic { username, password })
        }
        _ => return Err(reading.wrong("authentication", "must have exactly one of: bearer, basic")),
    };
    Ok(Auth { scheme, namespace: reading.secrets_in.to_owned(), secret: secret.clone() })
}
