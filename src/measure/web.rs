//! One request by HTTP, and the number in its answer.

use jsonpath_rust::JsonPath as _;
use leadsman_core::analysis::Outcome;
use leadsman_core::analysis::condition::MAX_SAMPLES;
use leadsman_core::analysis::source::Web;
use leadsman_core::text::one_line;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::Value;

use super::http::{Body, Http, MOST_WORDS, host, with_headers};
use super::{Failure, MOST_TIMEOUT, oauth};

pub(super) async fn ask(http: &Http, web: &Web) -> Result<Outcome, Failure> {
    let access = http.addresses.access(&web.url)?;
    let client = http.client(access, web.tls.as_ref()).await?;
    let method = Method::from_bytes(web.method.as_bytes()).map_err(|_| Failure::lasting("the method is none"))?;
    let mut request = client.request(method, &web.url).timeout(web.timeout.min(MOST_TIMEOUT));
    if let Some(body) = &web.body {
        request = request.body(body.clone());
        if !web.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(CONTENT_TYPE.as_str())) {
            request = request.header(CONTENT_TYPE, "application/json");
        }
    }
    request = with_headers(request, &web.headers)?;
    for (name, secret, key) in &web.secret_headers {
        request = request.header(name, http.credentials.value(&web.secrets_in, secret, key).await?);
    }
    if let Some(auth) = &web.auth {
        request = request.header(AUTHORIZATION, oauth::header(http, auth).await?);
    }
    let body = http.send(request, &web.url, access).await?;
    let Some(path) = &web.json_path else { return Ok(Outcome::Samples(vec![f64::from(body.status.as_u16())])) };
    if !body.status.is_success() {
        let said = one_line(&String::from_utf8_lossy(&body.bytes), MOST_WORDS);
        let ours = format!("{} answers with HTTP {}", host(&web.url), body.status);
        return Err(Failure::passing(access.words().told(&ours, &said)));
    }
    read(&body, path)
}

fn read(body: &Body<'_>, path: &str) -> Result<Outcome, Failure> {
    let answer: Value = serde_json::from_slice(&body.bytes)
        .map_err(|error| Failure::passing(format!("the answer is no JSON: {error}")))?;
    numbers(&answer, path)
}

/// The numbers at a path, in their order.
fn numbers(answer: &Value, path: &str) -> Result<Outcome, Failure> {
    let found = answer.query(path).map_err(|error| {
        Failure::lasting(format!("jsonPath {path} is none: {}", one_line(&error.to_string(), MOST_WORDS)))
    })?;
    if found.len() > MAX_SAMPLES {
        return Err(Failure::lasting(format!("jsonPath {path} finds {} values, more than {MAX_SAMPLES}", found.len())));
    }
    let number = |value: &&Value| match value {
        Value::Number(number) => number.as_f64(),
        Value::Bool(is) => Some(if *is { 1.0 } else { 0.0 }),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    let known: Vec<&Value> = found.into_iter().filter(|value| !value.is_null()).collect();
    let numbers: Option<Vec<f64>> = known.iter().map(number).collect();
    match numbers {
        Some(numbers) if numbers.is_empty() => Ok(Outcome::Empty),
        Some(numbers) => Ok(Outcome::Samples(numbers)),
        None => {
            Err(Failure::lasting(format!("jsonPath {path} finds something that is neither number, true nor false")))
        }
    }
}

/// Whether a path can be followed.
///
/// # Errors
/// What is wrong with it, in the words of its parser.
pub fn check(path: &str) -> Result<(), String> {
    Value::Null.query(path).map(drop).map_err(|error| one_line(&error.to_string(), MOST_WORDS))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_found_wherever_they_stand() {
        let answer =
            json!({"data": {"rate": 0.25, "ok": true, "text": "0.5", "of": [1, 2], "none": null, "words": "no"}});
        let samples = |numbers: &[f64]| Outcome::Samples(numbers.to_vec());
        for (path, expected) in [
            ("$.data.rate", samples(&[0.25])),
            ("$.data.ok", samples(&[1.0])),
            ("$.data.text", samples(&[0.5])),
            ("$.data.of[*]", samples(&[1.0, 2.0])),
            ("$.data.none", Outcome::Empty),
            ("$.nothing", Outcome::Empty),
        ] {
            assert_eq!(numbers(&answer, path), Ok(expected), "{path}");
        }
        for path in ["$.data", "$.data.words", "$.data.of"] {
            assert!(numbers(&answer, path).is_err_and(|failure| failure.query_is_wrong), "{path}");
        }
    }

    #[test]
    fn a_path_that_is_none_is_found_before_anything_is_asked() {
        assert!(check("$.data[?@.a > 1].b").is_ok());
        assert!(check("data.").is_err() && check("$.[").is_err());
    }
}
