//! One question to Datadog: a query of one series (`GET /api/v1/query`), or a formula (`POST /api/v2/query/scalar`).

use std::time::Duration;

use jiff::Timestamp;
use leadsman_core::analysis::Outcome;
use leadsman_core::analysis::source::{Datadog, DatadogQuery};
use leadsman_core::text::one_line;
use reqwest::StatusCode;
use reqwest::header::HeaderName;
use serde_json::{Value, json};

use super::addresses::Access;
use super::http::{Body, Http, MOST_WORDS, encoded, host};
use super::{Failure, MOST_TIMEOUT};

const API_KEY: HeaderName = HeaderName::from_static("dd-api-key");
const APPLICATION_KEY: HeaderName = HeaderName::from_static("dd-application-key");

/// Asks about the last so much time.
pub(super) async fn ask(http: &Http, datadog: &Datadog, window: Duration) -> Result<Outcome, Failure> {
    let address = datadog.address.trim_end_matches('/');
    let access = http.addresses.access(address)?;
    let client = http.client(access, None).await?;
    let to = Timestamp::now().as_second();
    let from = to.saturating_sub(i64::try_from(window.as_secs().max(1)).unwrap_or(i64::MAX));
    let request = match &datadog.asked {
        DatadogQuery::Series(query) => {
            let parameters = [("from", from.to_string()), ("to", to.to_string()), ("query", query.clone())];
            client.get(format!("{address}/api/v1/query?{}", encoded(parameters.into_iter())))
        }
        DatadogQuery::Formula { formula, queries, aggregator } => {
            let query = |(name, query): (&String, &String)| json!({"data_source": "metrics", "name": name, "query": query, "aggregator": aggregator});
            let attributes = json!({
                "from": from.saturating_mul(1000),
                "to": to.saturating_mul(1000),
                "formulas": [{"formula": formula}],
                "queries": queries.iter().map(query).collect::<Vec<_>>(),
            });
            let body = json!({"data": {"type": "scalar_request", "attributes": attributes}});
            client
                .post(format!("{address}/api/v2/query/scalar"))
                .header(reqwest::header::CONTENT_TYPE, "application/json")
                .body(body.to_string())
        }
    };
    let ((namespace, secret), (api, application)) = (&datadog.secret, &datadog.keys);
    let request = request
        .header(API_KEY, http.credentials.value(namespace, secret, api).await?)
        .header(APPLICATION_KEY, http.credentials.value(namespace, secret, application).await?)
        .timeout(datadog.timeout.min(MOST_TIMEOUT));
    let body = http.send(request, address, access).await?;
    read(&body, &datadog.asked, address, access)
}

fn read(body: &Body<'_>, asked: &DatadogQuery, address: &str, access: Access) -> Result<Outcome, Failure> {
    let answer: Value = serde_json::from_slice(&body.bytes).unwrap_or_default();
    if let Some(said) = error(&answer).or_else(|| (!body.status.is_success()).then(String::new)) {
        let ours = format!("{} answers with HTTP {}", host(address), body.status);
        let query_is_wrong = body.status == StatusCode::BAD_REQUEST || body.status.is_success();
        return Err(Failure { query_is_wrong, message: access.words().told(&ours, &said) });
    }
    match asked {
        DatadogQuery::Series(_) => last_point(&answer),
        DatadogQuery::Formula { .. } => scalar(&answer),
    }
}

/// What Datadog says is wrong: `errors` of both versions, and the `error` of a query that the first one takes all the same.
fn error(answer: &Value) -> Option<String> {
    let errors = answer.get("errors").and_then(Value::as_array);
    let listed = errors.into_iter().flatten().map(|error| match error {
        Value::String(text) => text.clone(),
        other => other.get("detail").and_then(Value::as_str).map_or_else(|| other.to_string(), str::to_owned),
    });
    let said: Vec<String> = listed.chain(answer.get("error").and_then(Value::as_str).map(str::to_owned)).collect();
    let said = one_line(&said.join("; "), MOST_WORDS);
    (!said.is_empty()).then_some(said)
}

/// The last point of the only series.
fn last_point(answer: &Value) -> Result<Outcome, Failure> {
    let Some(series) = answer.get("series").and_then(Value::as_array) else {
        return Err(Failure::passing("the answer has no series: it is not as Datadog answers"));
    };
    let [one] = &series[..] else {
        return match series.len() {
            0 => Ok(Outcome::Empty),
            many => Err(Failure::lasting(format!("the query gives {many} series: make it one, as in sum:...{{...}}"))),
        };
    };
    let points = one.get("pointlist").and_then(Value::as_array).into_iter().flatten();
    let mut values = points.filter_map(|point| point.get(1).and_then(Value::as_f64));
    Ok(values.next_back().map_or(Outcome::Empty, |value| Outcome::Samples(vec![value])))
}

/// The value of the only column of numbers.
fn scalar(answer: &Value) -> Result<Outcome, Failure> {
    let columns = answer.pointer("/data/attributes/columns").and_then(Value::as_array);
    let Some(columns) = columns else {
        return Err(Failure::passing("the answer has no columns: it is not as Datadog answers"));
    };
    let is_number = |column: &&Value| column.get("type").and_then(Value::as_str).is_none_or(|kind| kind == "number");
    let values = columns.iter().filter(is_number).filter_map(|column| column.get("values")?.as_array());
    let numbers: Vec<f64> = values.flatten().filter_map(Value::as_f64).collect();
    match numbers.len() {
        0 => Ok(Outcome::Empty),
        1 => Ok(Outcome::Samples(numbers)),
        many => Err(Failure::lasting(format!("the formula gives {many} values: make it one, without by {{...}}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_point_of_one_series_is_measured() {
        let series = |points: Value| json!({"status": "ok", "series": [{"pointlist": points}]});
        assert_eq!(last_point(&series(json!([[1.0, 0.2], [2.0, 0.3]]))), Ok(Outcome::Samples(vec![0.3])));
        assert_eq!(last_point(&series(json!([[1.0, 0.2], [2.0, null]]))), Ok(Outcome::Samples(vec![0.2])));
        assert_eq!(last_point(&series(json!([]))), Ok(Outcome::Empty));
        assert_eq!(last_point(&json!({"series": []})), Ok(Outcome::Empty));
        assert!(last_point(&json!({"series": [{}, {}]})).is_err_and(|failure| failure.query_is_wrong));
        assert!(last_point(&json!({"hello": 1})).is_err_and(|failure| !failure.query_is_wrong));
    }

    #[test]
    fn a_formula_is_one_value() {
        let columns = |columns: Value| json!({"data": {"attributes": {"columns": columns}}});
        let number = |values: Value| json!({"name": "a / b", "type": "number", "values": values});
        assert_eq!(scalar(&columns(json!([number(json!([0.5]))]))), Ok(Outcome::Samples(vec![0.5])));
        assert_eq!(scalar(&columns(json!([number(json!([null]))]))), Ok(Outcome::Empty));
        let by_host = json!([{"type": "group", "values": [["a"], ["b"]]}, number(json!([1.0, 2.0]))]);
        assert!(scalar(&columns(by_host)).is_err_and(|failure| failure.query_is_wrong));
    }

    #[test]
    fn errors_are_told_in_whichever_field_they_stand() {
        assert_eq!(error(&json!({"errors": ["Forbidden"]})).as_deref(), Some("Forbidden"));
        assert_eq!(error(&json!({"errors": [{"detail": "no such metric"}]})).as_deref(), Some("no such metric"));
        assert_eq!(
            error(&json!({"status": "error", "error": "Error parsing query"})).as_deref(),
            Some("Error parsing query")
        );
        assert_eq!(error(&json!({"status": "ok", "series": []})), None);
    }
}
