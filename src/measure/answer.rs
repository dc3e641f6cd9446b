//! What a Prometheus answered: the body of `/api/v1/query` as an outcome.

use leadsman_core::analysis::Outcome;
use prometheus_http_query::response::Data;
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::Failure;

/// More series than this are no measurement.
const MOST_SERIES: usize = 1000;
/// Longest quotation of what the source says.
const MOST_WORDS: usize = 400;

/// The frame around every answer. `infos` are not read: they say nothing about the data.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Frame {
    status: String,
    data: Option<Value>,
    error_type: Option<String>,
    error: Option<String>,
    #[serde(default)]
    warnings: Option<Vec<String>>,
}

/// Reads an answer. Everything that is not a complete result is a failure, with the source's own words.
pub(super) fn read(status: StatusCode, is_text: bool, body: &[u8]) -> Result<Outcome, Failure> {
    let Ok(frame) = serde_json::from_slice::<Frame>(body) else {
        return Err(Failure::passing(format!(
            "HTTP {status}, and not as a Prometheus answers{}",
            quoted(is_text, body)
        )));
    };
    if frame.status != "success" || !status.is_success() {
        let kind = frame.error_type.unwrap_or_default();
        let words = frame.error.as_deref().map_or_else(|| format!("HTTP {status}"), one_line);
        // What the server could not parse or refuses to evaluate as it is; all other kinds are about the moment.
        return Err(Failure { query_is_wrong: kind == "bad_data", message: join(&kind, &words) });
    }
    let warnings = frame.warnings.unwrap_or_default();
    if !warnings.is_empty() {
        let words = one_line(&warnings.join("; "));
        return Err(Failure::passing(format!("the answer may be incomplete, its source warns: {words}")));
    }
    samples(frame.data.unwrap_or_default())
}

fn samples(data: Value) -> Result<Outcome, Failure> {
    let kind = data.get("resultType").and_then(Value::as_str).unwrap_or("nothing").to_owned();
    let series = data.get("result").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    match kind.as_str() {
        "vector" if series.len() > MOST_SERIES => {
            let number = series.len();
            return Err(Failure::lasting(format!(
                "the query gives {number} series, more than {MOST_SERIES}: aggregate them, as in sum(...)"
            )));
        }
        "vector" if series.iter().any(|sample| sample.get("histogram").is_some()) => {
            return Err(Failure::lasting(
                "the query gives native histograms, not numbers: take one of them, as in histogram_quantile(0.99, ...)",
            ));
        }
        "vector" | "scalar" => {}
        "matrix" => {
            return Err(Failure::lasting(
                "the query gives a range of values (matrix): make it one, as in rate(...[1m]) or without the [...]",
            ));
        }
        other => return Err(Failure::lasting(format!("the query gives {other}, not numbers"))),
    }
    let data = Data::deserialize(data).map_err(|error| Failure::passing(format!("cannot be read: {error}")))?;
    let samples: Vec<f64> = match data {
        Data::Vector(series) => series.iter().map(|series| series.sample().value()).collect(),
        Data::Scalar(sample) => vec![sample.value()],
        Data::Matrix(_) => Vec::new(),
    };
    Ok(if samples.is_empty() { Outcome::Empty } else { Outcome::Samples(samples) })
}

fn join(kind: &str, words: &str) -> String {
    if kind.is_empty() { words.to_owned() } else { format!("{kind}: {words}") }
}

/// The first line of plain text. Of anything else nothing: addresses are given by users, and what answers there may be no
/// metric source at all.
fn quoted(is_text: bool, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let first = text.trim().lines().next().unwrap_or_default();
    if is_text && !first.is_empty() {
        format!(": {}", one_line(first).chars().take(100).collect::<String>())
    } else {
        String::new()
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MOST_WORDS).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::shapes::{anything, spoiled};

    fn answer(body: &Value) -> Result<Outcome, Failure> {
        read(StatusCode::OK, false, body.to_string().as_bytes())
    }

    fn vector(values: &[&str]) -> Value {
        let series: Vec<_> = values.iter().map(|value| json!({"metric": {"a": "b"}, "value": [1.5, value]})).collect();
        json!({"status": "success", "data": {"resultType": "vector", "result": series}})
    }

    #[test]
    fn a_vector_gives_a_sample_a_series() {
        assert_eq!(answer(&vector(&["0.5", "+Inf", "1e3"])), Ok(Outcome::Samples(vec![0.5, f64::INFINITY, 1000.0])));
        assert_eq!(answer(&vector(&[])), Ok(Outcome::Empty));
        let Ok(Outcome::Samples(samples)) = answer(&vector(&["NaN"])) else { panic!("NaN is for the core to judge") };
        assert!(samples[0].is_nan());
    }

    #[test]
    fn a_scalar_gives_its_value() {
        let body = json!({"status": "success", "data": {"resultType": "scalar", "result": [1, "42"]}});
        assert_eq!(answer(&body), Ok(Outcome::Samples(vec![42.0])));
    }

    #[test]
    fn what_is_not_a_number_a_series_is_a_wrong_query() {
        let typed =
            |kind: &str, result: Value| json!({"status": "success", "data": {"resultType": kind, "result": result}});
        let histogram = json!([{"metric": {}, "histogram": [1, {"count": "1", "sum": "1"}]}]);
        for (body, words) in [
            (typed("matrix", json!([])), "matrix"),
            (typed("string", json!([1, "x"])), "gives string"),
            (typed("vector", histogram), "native histograms"),
            (vector(&["1"; 1001]), "1001 series"),
            (json!({"status": "success"}), "gives nothing"),
        ] {
            let failure = answer(&body).unwrap_err();
            assert!(failure.query_is_wrong && failure.message.contains(words), "{failure:?}");
        }
    }

    #[test]
    fn warnings_make_an_answer_unusable_and_infos_do_not() {
        let mut body = vector(&["1"]);
        body["infos"] = json!(["PromQL info: metric might not be a counter"]);
        assert!(answer(&body).is_ok());
        body["warnings"] = json!(["No StoreAPIs matched for this query"]);
        let failure = answer(&body).unwrap_err();
        assert!(!failure.query_is_wrong && failure.message.contains("No StoreAPIs matched"), "{failure:?}");
    }

    #[test]
    fn the_source_s_own_words_are_told_and_only_bad_data_is_the_query_s_fault() {
        for (status, kind, wrong) in [
            (StatusCode::BAD_REQUEST, "bad_data", true),
            (StatusCode::UNPROCESSABLE_ENTITY, "execution", false),
            (StatusCode::SERVICE_UNAVAILABLE, "timeout", false),
            (StatusCode::INTERNAL_SERVER_ERROR, "something new", false),
        ] {
            let body = json!({"status": "error", "errorType": kind, "error": "1:5: parse\nerror"}).to_string();
            let failure = read(status, false, body.as_bytes()).unwrap_err();
            assert_eq!(failure, Failure { query_is_wrong: wrong, message: format!("{kind}: 1:5: parse error") });
        }
        let body = vector(&["1"]).to_string();
        assert!(read(StatusCode::INTERNAL_SERVER_ERROR, false, body.as_bytes()).is_err());
    }

    #[test]
    fn of_what_is_no_answer_only_plain_text_is_quoted() {
        let words = |is_text, body: &str| read(StatusCode::UNAUTHORIZED, is_text, body.as_bytes()).unwrap_err().message;
        assert_eq!(words(true, "no org id\nmore"), "HTTP 401 Unauthorized, and not as a Prometheus answers: no org id");
        assert_eq!(words(false, "<html>"), "HTTP 401 Unauthorized, and not as a Prometheus answers");
        assert_eq!(words(true, ""), "HTTP 401 Unauthorized, and not as a Prometheus answers");
    }

    proptest! {
        #[test]
        fn no_answer_makes_reading_it_panic(
            body in prop_oneof![anything(), spoiled(vector(&["0.5", "NaN"]))],
            code in 100..1000_u16,
            is_text: bool,
        ) {
            let code = StatusCode::from_u16(code).unwrap();
            if let Ok(Outcome::Samples(samples)) = read(code, is_text, body.to_string().as_bytes()) {
                prop_assert!(code.is_success() && !samples.is_empty() && samples.len() <= MOST_SERIES);
            }
        }

        #[test]
        fn nor_does_anything_that_is_no_json(body: Vec<u8>, is_text: bool) {
            if let Err(failure) = read(StatusCode::OK, is_text, &body) {
                prop_assert!(failure.message.len() <= 4 * MOST_WORDS + 200, "{}", failure.message);
            }
        }
    }
}
