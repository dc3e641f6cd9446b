//! What is made of answers, as they come from servers of several kinds.

use leadsman_core::analysis::Outcome;
use leadsman_core::analysis::condition::MAX_SAMPLES;
use proptest::prelude::*;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::super::Failure;
use super::super::answer::{Reply, Words, read};
use super::super::frame::{Frame, MOST_WORDS};
use crate::shapes::{anything, spoiled};

fn reply(status: u16, body: &str) -> Result<Outcome, Failure> {
    let status = StatusCode::from_u16(status).unwrap();
    read(Reply { status, is_text: false, counts: false, body: body.as_bytes(), words: Words::Told })
}

fn answer(body: &Value) -> Result<Outcome, Failure> {
    reply(200, &body.to_string())
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
    let most = vec!["1"; MAX_SAMPLES];
    assert_eq!(answer(&vector(&most)), Ok(Outcome::Samples(vec![1.0; MAX_SAMPLES])));
}

#[test]
fn a_scalar_gives_its_value() {
    let body = json!({"status": "success", "data": {"resultType": "scalar", "result": [1, "42"]}});
    assert_eq!(answer(&body), Ok(Outcome::Samples(vec![42.0])));
}

/// Proxies that build the JSON anew order its members by name, write nothing as null and escape what they like.
#[test]
fn members_come_in_any_order_and_texts_in_any_spelling() {
    let body = r#"{"data": {"result": [{"value": [1, "\u002bInf"], "metric": {}}], "resultType": "vector"},
        "error": null, "infos": null, "isPartial": false, "warnings": null, "status": "success"}"#;
    assert_eq!(reply(200, body), Ok(Outcome::Samples(vec![f64::INFINITY])));
    let empty = r#"{"data": {"result": null, "resultType": "vector"}, "status": "success"}"#;
    assert_eq!(reply(200, empty), Ok(Outcome::Empty));
}

#[test]
fn what_is_not_a_number_a_series_is_a_wrong_query() {
    let typed =
        |kind: &str, result: Value| json!({"status": "success", "data": {"resultType": kind, "result": result}});
    let histogram = json!([{"metric": {}, "histogram": [1, {"count": "1", "sum": "1"}]}]);
    for (body, words) in [
        (typed("matrix", json!([{"metric": {}, "values": [[1, "1"], [2, "1"]]}])), "matrix"),
        (typed("string", json!([1, "x"])), "gives a text"),
        (typed("vector", histogram), "native histograms"),
        (typed("streams", json!([])), "neither a vector nor a scalar"),
        (vector(&["1"; 1001]), "1001 series"),
        (json!({"status": "success"}), "neither a vector nor a scalar"),
    ] {
        let failure = answer(&body).unwrap_err();
        assert!(failure.query_is_wrong && failure.message.contains(words), "{failure:?}");
    }
    for unreadable in [typed("vector", json!([{"metric": {}}])), typed("scalar", json!([1])), vector(&["one"])] {
        let failure = answer(&unreadable).unwrap_err();
        assert!(!failure.query_is_wrong && failure.message.contains("cannot be read"), "{failure:?}");
    }
}

/// By version and server they are called `warnings` or `infos`; names that they complain about are common.
#[test]
fn informational_annotations_are_no_errors_wherever_they_stand() {
    let counter = "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"http_requests\" (1:10)";
    let quantile = "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile) for metric name \"\" (1:25)";
    for (warnings, infos) in [
        (json!([counter]), json!(null)),
        (json!([counter, quantile]), json!([])),
        (json!([format!("  {counter}\n")]), json!(null)),
        (json!(null), json!([counter])),
        (json!([counter]), json!([quantile])),
        (json!([counter, "3 more info annotations omitted"]), json!(null)),
        (json!([]), json!([counter])),
    ] {
        let mut body = vector(&["0.99"]);
        (body["warnings"], body["infos"]) = (warnings, infos);
        assert_eq!(answer(&body), Ok(Outcome::Samples(vec![0.99])), "{body}");
    }
}

#[test]
fn real_warnings_make_an_answer_unusable_also_among_informational_ones() {
    let info = "PromQL info: metric might not be a counter";
    for real in [
        "No StoreAPIs matched for this query",
        "receive series from Addr: thanos-store:10901: rpc error: code = Unavailable desc = connection refused",
        "PromQL warning: encountered a mix of histograms and floats for metric name \"x\" (1:5)",
        "remote read: server returned HTTP status 503",
        "2 more annotations omitted",
        "2 more warning annotations omitted",
    ] {
        for warnings in [json!([real]), json!([info, real]), json!([real, info, info])] {
            let mut body = vector(&["0.99"]);
            (body["warnings"], body["infos"]) = (warnings, json!([info]));
            let failure = answer(&body).unwrap_err();
            assert!(!failure.query_is_wrong && failure.message.contains(&real[..20]), "{failure:?}");
            assert!(!failure.message.contains("PromQL info"), "{failure:?}");
        }
    }
    let mut body = vector(&["0.99"]);
    body["warnings"] = vec![info; 101].into();
    assert!(answer(&body).unwrap_err().message.ends_with("and 1 more"), "what was not read may be real");
}

#[test]
fn half_of_the_data_is_not_judged_as_the_whole() {
    let mut body = vector(&["0.99"]);
    body["isPartial"] = json!(false);
    assert!(answer(&body).is_ok());
    body["isPartial"] = json!(true);
    let failure = answer(&body).unwrap_err();
    assert!(!failure.query_is_wrong && failure.message.contains("incomplete"), "{failure:?}");
}

/// Code, body, whether the query is wrong: the rows of the table, in the words of those who say them.
const ERRORS: [(u16, &str, bool); 33] = [
    // Prometheus.
    (
        400,
        r#"{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:5: parse error: unclosed left parenthesis"}"#,
        true,
    ),
    (
        422,
        r#"{"status":"error","errorType":"execution","error":"found duplicate series for the match group {pod=\"a\"} on the right hand-side of the operation: [...];many-to-many matching not allowed: matching labels must be unique on one side"}"#,
        true,
    ),
    (
        422,
        r#"{"status":"error","errorType":"execution","error":"multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"}"#,
        true,
    ),
    (
        422,
        r#"{"status":"error","errorType":"execution","error":"vector cannot contain metrics with the same labelset"}"#,
        true,
    ),
    (
        422,
        r#"{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory in query execution"}"#,
        true,
    ),
    (422, r#"{"status":"error","errorType":"execution","error":"expanding series: context deadline exceeded"}"#, false),
    (503, r#"{"status":"error","errorType":"timeout","error":"query timed out in expression evaluation"}"#, false),
    (503, r#"{"status":"error","errorType":"canceled","error":"query was canceled in expression evaluation"}"#, false),
    (500, r#"{"status":"error","errorType":"internal","error":"opening storage failed"}"#, false),
    (503, r#"{"status":"error","errorType":"unavailable","error":"TSDB not ready"}"#, false),
    (500, r#"{"status":"error","errorType":"something new","error":"?"}"#, false),
    (200, r#"{"status":"error","errorType":"execution","error":"many-to-many matching not allowed"}"#, true),
    // Thanos.
    (
        422,
        r#"{"status":"error","errorType":"execution","error":"expanding series: proxy Series(): rpc error: code = Aborted desc = receive series from Addr: store:10901"}"#,
        false,
    ),
    (
        422,
        r#"{"status":"error","errorType":"execution","error":"expanding series: dial tcp: lookup store: no such host"}"#,
        false,
    ),
    // Mimir, Cortex, Amazon's.
    (
        422,
        r#"{"status":"error","errorType":"execution","error":"the query exceeded the maximum number of series (limit: 1 series) (err-mimir-max-series-per-query)"}"#,
        true,
    ),
    (
        400,
        r#"{"status":"error","errorType":"bad_data","error":"the query time range exceeds the limit (err-mimir-max-query-length)"}"#,
        true,
    ),
    (429, r#"{"status":"error","errorType":"too_many_requests","error":"too many outstanding requests"}"#, false),
    (
        422,
        r#"{"status":"error","errorType":"execution","error":"expanding series: too many unhealthy instances in the ring"}"#,
        false,
    ),
    (403, r#"{"message":"Missing Authentication Token"}"#, false),
    (429, r#"{"Message":"Rate exceeded"}"#, false),
    // VictoriaMetrics.
    (
        422,
        r#"{"status":"error","errorType":"422","error":"error when parsing query \"rate(request_timeouts_total[1m]\": missing `)`"}"#,
        true,
    ),
    (
        422,
        r#"{"status":"error","errorType":"422","error":"error when executing query=\"sum(111gg11\" for (time=1, step=60000): argList: unexpected token \"gg11\"; want \",\", \")\"; unparsed data: \"gg11\""}"#,
        true,
    ),
    (400, r#"{"status":"error","errorType":"400","error":"unknown func \"sun\""}"#, true),
    (
        422,
        r#"{"status":"error","errorType":"422","error":"duplicate time series on the right side of `* on(pod) group_left()`: {pod=\"a\"} and {pod=\"a\"}"}"#,
        true,
    ),
    (
        422,
        r#"{"status":"error","errorType":"422","error":"cannot select more than -search.maxSamplesPerQuery=1000000000 samples"}"#,
        true,
    ),
    (
        422,
        r#"{"status":"error","errorType":"422","error":"error when executing query=\"up\" for (time=1): timeout exceeded during query execution: 30 seconds"}"#,
        false,
    ),
    (
        503,
        r#"{"status":"error","errorType":"503","error":"couldn't start executing the request in 10.000 seconds, since -search.maxConcurrentRequests=8 concurrent requests are executed"}"#,
        false,
    ),
    (200, r#"{"status":"error","errorType":"422","error":"cannot parse the query"}"#, true),
    (200, r#"{"status":"error","errorType":"503","error":"?"}"#, false),
    // Proxies that leave out or replace.
    (400, r#"{"status":"error","error":"1:5: unexpected \")\""}"#, true),
    (502, r#"{"status":"error"}"#, false),
    (401, r#"{"status":401,"error":"Unauthorized"}"#, false),
    (500, r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#, false),
];

#[test]
fn whether_asking_again_can_help_is_known_in_each_dialect() {
    for (status, body, wrong) in ERRORS {
        let failure = reply(status, body).unwrap_err();
        assert_eq!(failure.query_is_wrong, wrong, "HTTP {status} {body}");
        let words = serde_json::from_str::<Frame>(body).unwrap().words().to_owned();
        assert!(failure.message.contains(&words), "{failure:?}");
    }
}

#[test]
fn what_is_no_json_is_about_the_moment_unless_it_is_a_parser_s_word() {
    for (status, is_text, body, wrong) in [
        (400, true, "invalid parameter \"query\": 1:5: parse error: unexpected end of input", true),
        (422, true, "error when parsing query", true),
        (400, false, "<html>parse error</html>", false),
        (400, true, "missing route for \"/api/v1/query\"", false),
        (401, true, "no org id", false),
        (404, true, "404 page not found", false),
        (502, true, "all the 2 backends for the user \"\" are unavailable", false),
        (500, true, "parse error", false),
        (503, false, "<html><h1>503 Service Temporarily Unavailable</h1></html>", false),
        (200, false, "<html>log in</html>", false),
        (200, false, "", false),
        (200, false, "[1]", false),
        (200, false, "{\"status\": \"success\"", false),
        (200, false, "{}", false),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        let reply = Reply { status, is_text, counts: false, body: body.as_bytes(), words: Words::Told };
        let failure = read(reply).unwrap_err();
        assert_eq!(failure.query_is_wrong, wrong, "HTTP {status} {body}");
        assert!(failure.message.contains(&status.to_string()), "{failure:?}");
    }
}

#[test]
fn the_source_s_own_words_are_told_on_one_line() {
    let body = json!({"status": "error", "errorType": "bad_data", "error": "1:5: parse\nerror\u{1b}[2J"}).to_string();
    let expected = Failure::lasting("bad_data: 1:5: parse error\u{fffd}[2J");
    assert_eq!(reply(400, &body).unwrap_err(), expected);
}

#[test]
fn of_what_is_no_answer_only_plain_text_is_quoted() {
    let words = |is_text, body: &str| {
        let reply = Reply {
            status: StatusCode::UNAUTHORIZED,
            is_text,
            counts: false,
            body: body.as_bytes(),
            words: Words::Told,
        };
        read(reply).unwrap_err().message
    };
    assert_eq!(words(true, "no org id\nmore"), "HTTP 401 Unauthorized, and not as a Prometheus answers: no org id");
    assert_eq!(words(false, "<html>"), "HTTP 401 Unauthorized, and not as a Prometheus answers");
    assert_eq!(words(true, ""), "HTTP 401 Unauthorized, and not as a Prometheus answers");
}

#[test]
fn nothing_of_what_an_address_says_that_nobody_vouched_for_is_quoted() {
    let secret = json!("the secret");
    let mut warns = vector(&["1"]);
    warns["warnings"] = json!([secret]);
    let mut typed = vector(&["1"]);
    typed["data"]["resultType"] = secret.clone();
    let error = |kind: &Value| json!({"status": "error", "errorType": kind, "error": secret});
    let bodies = [
        (200, warns),
        (200, typed),
        (400, error(&json!("bad_data"))),
        (400, error(&secret)),
        (403, json!({"message": secret})),
        (200, secret.clone()),
    ];
    let texts = [(403, "the secret".to_owned()), (200, "the secret".to_owned())];
    for (status, body) in bodies.map(|(status, body)| (status, body.to_string())).into_iter().chain(texts) {
        let status = StatusCode::from_u16(status).unwrap();
        let reply = Reply { status, is_text: true, counts: false, body: body.as_bytes(), words: Words::Withheld };
        let told = read(Reply { words: Words::Told, ..reply }).unwrap_err();
        let withheld = read(reply).unwrap_err();
        assert_eq!(withheld.query_is_wrong, told.query_is_wrong);
        assert!(!withheld.message.contains("secret"), "{withheld:?}");
        if !status.is_success() {
            let message = &withheld.message;
            assert!(message.contains(&status.to_string()) && message.contains("--metric-address-allow"), "{message}");
        }
    }
}

/// Millions of small values become nothing but numbers that are counted.
#[test]
fn a_long_answer_is_looked_through_and_not_kept() {
    let many = "[0,".repeat(100).as_str().to_owned() + "0" + &"]".repeat(100);
    let zeros = format!("[{}0]", "0,".repeat(2_000_000));
    for body in [
        format!(r#"{{"status":"success","data":{{"resultType":"vector","result":{zeros}}}}}"#),
        format!(r#"{{"status":"success","other":{zeros},"data":{{"resultType":"vector","result":[{many}]}}}}"#),
        format!(r#"{{"status":"success","warnings":[{}""],"data":null}}"#, "\"\",".repeat(1_000_000)),
        format!(r#"{{"status":"error","error":"{}"}}"#, "\\n a".repeat(1_000_000)),
    ] {
        let failure = reply(200, &body).unwrap_err();
        assert!(failure.message.len() < 1000, "{}", failure.message.len());
    }
}

proptest! {
    #[test]
    fn no_answer_makes_reading_it_panic(
        body in prop_oneof![anything(), spoiled(vector(&["0.5", "NaN"]))],
        code in 100..1000_u16,
        is_text: bool,
    ) {
        let (status, body) = (StatusCode::from_u16(code).unwrap(), body.to_string());
        let reply = Reply { status, is_text, counts: false, body: body.as_bytes(), words: Words::Told };
        if let Ok(Outcome::Samples(samples)) = read(reply) {
            prop_assert!(status.is_success() && !samples.is_empty() && samples.len() <= MAX_SAMPLES);
        }
    }

    #[test]
    fn nor_does_anything_that_is_no_json(body: Vec<u8>, is_text: bool) {
        let reply = Reply { status: StatusCode::OK, is_text, counts: false, body: &body, words: Words::Told };
        if let Err(failure) = read(reply) {
            prop_assert!(failure.message.len() <= 4 * MOST_WORDS + 200, "{}", failure.message);
        }
    }
}
