//! Who is asked, and how: addresses, headers, credentials and certificates, checked before anything is asked.

use std::time::Duration;

use leadsman_api::{Authentication, Datadog, Header, Job, Method, Parameter, Prometheus, Provider, Tls, Web, defaults};
use leadsman_core::analysis::source::{self, Auth, AuthScheme, DatadogQuery, Source};
use leadsman_core::spec::Problem;
use reqwest::header::{HeaderName, HeaderValue};

use super::metric::Reading;
use crate::measure::{MOST_TIMEOUT, web};

/// Headers that belong to the request itself.
const RESERVED: [&str; 6] =
    ["host", "connection", "content-type", "content-length", "transfer-encoding", "accept-encoding"];
/// The same where a body of any kind is sent.
const RESERVED_BESIDE_A_BODY: [&str; 5] =
    ["host", "connection", "content-length", "transfer-encoding", "accept-encoding"];

/// What a source is asked, where it is no Prometheus.
pub(super) fn other(reading: &Reading<'_>, provider: &Provider) -> Result<Option<Source>, Problem> {
    let given =
        [provider.prometheus.is_some(), provider.web.is_some(), provider.datadog.is_some(), provider.job.is_some()];
    if given.iter().filter(|given| **given).count() != 1 {
        return Err(reading.wrong("provider", "must have exactly one of: prometheus, web, datadog, job"));
    }
    let web = provider.web.as_ref().map(|wire| of_web(reading, wire));
    let datadog = provider.datadog.as_ref().map(|wire| of_datadog(reading, wire));
    let job = provider.job.as_ref().map(|wire| of_job(reading, wire));
    web.or(datadog).or(job).transpose()
}

/// Where `query` is asked, which is filled in already.
pub(super) fn read(reading: &Reading<'_>, wire: &Prometheus, query: String) -> Result<source::Prometheus, Problem> {
    let auth = authentication(reading, wire.authentication.as_ref())?;
    if wire.method == Some(Method::PUT) {
        return Err(reading.wrong("method", "must be GET or POST"));
    }
    let parameters = pairs(&wire.parameters);
    if let Some((name, _)) = parameters.iter().find(|(name, _)| ["query", "time", "timeout"].contains(&name.as_str())) {
        return Err(reading.wrong("parameters", format!("must not have {name}, which the request has already")));
    }
    Ok(source::Prometheus {
        address: wire.address.as_deref().map(|text| address(reading, "address", text)).transpose()?,
        query,
        timeout: timeout(reading, wire.timeout.as_ref())?,
        headers: wire
            .headers
            .iter()
            .map(|it| header(reading, it, auth.is_some(), &RESERVED))
            .collect::<Result<_, _>>()?,
        parameters,
        by_get: wire.method == Some(Method::GET),
        auth,
        tls: wire.tls.as_ref().map(|tls| certificates(reading, tls)),
    })
}

fn of_web(reading: &Reading<'_>, wire: &Web) -> Result<Source, Problem> {
    let auth = authentication(reading, wire.authentication.as_ref())?;
    let url = reading.query("web.url", &wire.url)?;
    // Variables stand for hashes and words: with any of them it is an address, or with none.
    let filled = url.replace("{{", "").replace("}}", "");
    address(reading, "web.url", filled.split(['?', '#']).next().unwrap_or_default())?;
    if let Some(path) = &wire.json_path {
        web::check(path).map_err(|error| reading.wrong("web.jsonPath", format!("{path} is none: {error}")))?;
    }
    let method = wire.method.unwrap_or_default();
    if wire.body.is_some() && method == Method::GET {
        return Err(reading.wrong("web.body", "is for POST and PUT"));
    }
    let (mut headers, mut secret_headers) = (Vec::new(), Vec::new());
    for wire in &wire.headers {
        let plain = Header { key: wire.key.clone(), value: wire.value.clone().unwrap_or_default() };
        let (key, value) = header(reading, &plain, auth.is_some(), &RESERVED_BESIDE_A_BODY)?;
        match (&wire.value, &wire.secret_ref) {
            (Some(_), None) => headers.push((key, value)),
            (None, Some(secret)) => secret_headers.push((key, secret.name.clone(), secret.key.clone())),
            _ => {
                return Err(reading.wrong("web.headers", format!("({key}) must have exactly one of: value, secretRef")));
            }
        }
    }
    Ok(Source::Web(Box::new(source::Web {
        url,
        method: method.as_str().to_owned(),
        headers,
        secret_headers,
        secrets_in: reading.secrets_in.to_owned(),
        body: wire.body.as_deref().map(|body| reading.query("web.body", body)).transpose()?,
        json_path: wire.json_path.clone(),
        timeout: timeout(reading, wire.timeout.as_ref())?,
        auth,
        tls: wire.tls.as_ref().map(|tls| certificates(reading, tls)),
    })))
}

fn of_datadog(reading: &Reading<'_>, wire: &Datadog) -> Result<Source, Problem> {
    let asked = match (&wire.query, &wire.formula, wire.queries.is_empty()) {
        (Some(query), None, true) => DatadogQuery::Series(reading.query("datadog.query", query)?),
        (None, Some(formula), false) => {
            let queries = wire.queries.iter();
            let query = |(name, query): (&String, &String)| {
                Ok((name.clone(), reading.query(&format!("datadog.queries.{name}"), query)?))
            };
            let queries = queries.map(query).collect::<Result<_, Problem>>()?;
            let aggregator = wire.aggregator.unwrap_or_default().as_str().to_owned();
            DatadogQuery::Formula { formula: formula.clone(), queries, aggregator }
        }
        _ => return Err(reading.wrong("datadog", "must have exactly one of: query, or queries with a formula")),
    };
    let secret = &wire.secret_ref;
    Ok(Source::Datadog(Box::new(source::Datadog {
        address: address(reading, "datadog.address", wire.address.as_deref().unwrap_or(defaults::DATADOG))?,
        asked,
        secret: (reading.secrets_in.to_owned(), secret.name.clone()),
        keys: (
            key(secret.api_key_key.as_ref(), defaults::API_KEY_KEY),
            key(secret.application_key_key.as_ref(), defaults::APPLICATION_KEY_KEY),
        ),
        timeout: timeout(reading, wire.timeout.as_ref())?,
    })))
}

/// A Job whose every text can be filled in.
fn of_job(reading: &Reading<'_>, wire: &Job) -> Result<Source, Problem> {
    let mut spec = wire.spec.clone();
    prepare(reading, &mut spec)?;
    let containers = spec.pointer("/template/spec/containers").and_then(serde_json::Value::as_array);
    if containers.is_none_or(Vec::is_empty) {
        return Err(reading.wrong("job.spec", "has no template.spec.containers: write the spec of a Job of batch/v1"));
    }
    Ok(Source::Job(Box::new(source::Job { spec, annotations: wire.annotations.clone() })))
}

fn prepare(reading: &Reading<'_>, value: &mut serde_json::Value) -> Result<(), Problem> {
    match value {
        serde_json::Value::String(text) if text.contains("{{") => *text = reading.query("job.spec", text)?,
        serde_json::Value::Array(elements) => elements.iter_mut().try_for_each(|it| prepare(reading, it))?,
        serde_json::Value::Object(members) => members.values_mut().try_for_each(|it| prepare(reading, it))?,
        _ => {}
    }
    Ok(())
}

fn timeout(reading: &Reading<'_>, wire: Option<&leadsman_api::Duration>) -> Result<Duration, Problem> {
    let timeout = reading.duration("timeout", wire, defaults::QUERY_TIMEOUT, Duration::from_millis(1))?;
    if timeout > MOST_TIMEOUT {
        return Err(reading.wrong("timeout", format!("is {timeout:?}: it must be at most {MOST_TIMEOUT:?}")));
    }
    Ok(timeout)
}

/// A key of a Secret, or its usual name.
fn key(given: Option<&String>, otherwise: &str) -> String {
    given.map_or_else(|| otherwise.to_owned(), Clone::clone)
}

fn pairs(parameters: &[Parameter]) -> Vec<(String, String)> {
    parameters.iter().map(|parameter| (parameter.name.clone(), parameter.value.clone())).collect()
}

fn certificates(reading: &Reading<'_>, wire: &Tls) -> source::Tls {
    source::Tls {
        namespace: reading.secrets_in.to_owned(),
        ca: wire.ca.as_ref().map(|ca| (ca.name.clone(), ca.key.clone())),
        certificate: wire.client_certificate.as_ref().map(|it| {
            let (certificate, private) = (&it.certificate_key, &it.private_key_key);
            (
                it.name.clone(),
                key(certificate.as_ref(), defaults::CERTIFICATE_KEY),
                key(private.as_ref(), defaults::PRIVATE_KEY_KEY),
            )
        }),
    }
}

/// An address whose every part is used: credentials belong into a Secret, and parameters would be lost.
fn address(reading: &Reading<'_>, field: &str, text: &str) -> Result<String, Problem> {
    let wrong = |what: &str| reading.wrong(field, format!("is not usable: {what}"));
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

fn header(
    reading: &Reading<'_>,
    header: &Header,
    has_auth: bool,
    reserved: &[&str],
) -> Result<(String, String), Problem> {
    let Header { key, value } = header;
    let wrong = |what: &str| reading.wrong(&format!("headers ({key})"), what);
    let name = HeaderName::from_bytes(key.as_bytes()).map_err(|_| wrong("is not the name of a header"))?;
    HeaderValue::from_str(value).map_err(|_| wrong("has a value that no header can have"))?;
    if reserved.contains(&name.as_str()) {
        return Err(wrong("is set by the request itself: leave it out"));
    }
    if has_auth && name == reqwest::header::AUTHORIZATION {
        return Err(wrong("stands beside authentication: leave one of them out"));
    }
    Ok((key.clone(), value.clone()))
}

fn authentication(reading: &Reading<'_>, wire: Option<&Authentication>) -> Result<Option<Auth>, Problem> {
    let Some(wire) = wire else { return Ok(None) };
    let (secret, scheme) = match (&wire.bearer, &wire.basic, &wire.oauth2) {
        (Some(bearer), None, None) => (&bearer.secret_ref.name, AuthScheme::Bearer(bearer.secret_ref.key.clone())),
        (None, Some(basic), None) => {
            let username = key(basic.secret_ref.username_key.as_ref(), defaults::USERNAME_KEY);
            let password = key(basic.secret_ref.password_key.as_ref(), defaults::PASSWORD_KEY);
            (&basic.secret_ref.name, AuthScheme::Basic { username, password })
        }
        (None, None, Some(oauth)) => {
            let scopes = (!oauth.scopes.is_empty()).then(|| ("scope".to_owned(), oauth.scopes.join(" ")));
            let scheme = AuthScheme::OAuth2 {
                token_url: address(reading, "authentication.oauth2.tokenUrl", &oauth.token_url)?,
                client_id: key(oauth.secret_ref.client_id_key.as_ref(), defaults::CLIENT_ID_KEY),
                client_secret: key(oauth.secret_ref.client_secret_key.as_ref(), defaults::CLIENT_SECRET_KEY),
                parameters: scopes.into_iter().chain(pairs(&oauth.parameters)).collect(),
            };
            (&oauth.secret_ref.name, scheme)
        }
        _ => return Err(reading.wrong("authentication", "must have exactly one of: bearer, basic, oauth2")),
    };
    Ok(Some(Auth { scheme, namespace: reading.secrets_in.to_owned(), secret: secret.clone() }))
}
