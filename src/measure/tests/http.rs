//! What is sent to a Prometheus and what is made of its answers, over HTTP.

use jiff::Timestamp;
use leadsman_core::analysis::{Outcome, Question};
use serde_json::json;

use super::super::Sources;
use super::server::{Reply, Server, json, server};
use super::{cluster, outcomes, prometheus_of, question};

/// One that may ask on this machine.
fn prometheus(default_address: Option<&str>) -> Sources {
    allowing(default_address, &["127.0.0.0/8"])
}

pub(super) fn allowing(default_address: Option<&str>, allowed: &[&str]) -> Sources {
    let allowed: Vec<_> = allowed.iter().map(|text| text.parse().unwrap()).collect();
    Sources::new(cluster("http://127.0.0.1:1"), default_address.map(str::to_owned), &allowed).unwrap()
}

async fn ask(server: &Server, change: impl FnOnce(&mut Question)) -> Outcome {
    let mut question = question("m", &server.address);
    change(&mut question);
    outcomes(&prometheus(None), &question).await.remove(0)
}

pub(super) fn one(value: &str) -> Reply {
    json(
        &json!({"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, value]}]}}),
    )
}

pub(super) fn error(outcome: Outcome) -> (bool, String) {
    let Outcome::Error { query_is_wrong, message } = outcome else { panic!("{outcome:?} is no error") };
    (query_is_wrong, message)
}

#[tokio::test]
async fn several_queries_of_one_question_are_about_one_instant_and_each_has_its_answer() {
    let server = server(one("0.5")).await;
    let mut asked = question("m", &server.address);
    asked.queries = vec!["bad".to_owned(), "total".to_owned()];
    let answers = outcomes(&prometheus(None), &asked).await;
    assert_eq!(answers, [Outcome::Samples(vec![0.5]), Outcome::Samples(vec![0.5])]);
    let requests = server.requests.lock().unwrap().clone();
    let mut queries: Vec<_> = requests.iter().map(|request| request.form["query"].as_str()).collect();
    queries.sort_unstable();
    assert_eq!(queries, ["bad", "total"]);
    assert_eq!(requests[0].form["time"], requests[1].form["time"]);
}

#[tokio::test]
async fn a_query_is_posted_with_its_time_timeout_and_headers() {
    let server = server(one("0.5")).await;
    let query = "sum(rate(x{a=\"b&c=d\"}[30s]))";
    let before = Timestamp::now().as_second();
    let outcome = ask(&server, |question| {
        question.queries = vec![query.to_owned()];
        prometheus_of(question).headers = vec![("X-Scope-OrgID".to_owned(), "team-a".to_owned())];
    })
    .await;
    assert_eq!(outcome, Outcome::Samples(vec![0.5]));
    let request = server.request();
    assert_eq!((request.path.as_str(), request.form["query"].as_str()), ("/api/v1/query", query));
    assert_eq!(request.form["timeout"], "10000ms");
    let time: f64 = request.form["time"].parse().unwrap();
    assert!(time >= before as f64 && time < before as f64 + 60.0, "{time}");
    assert_eq!(request.headers["x-scope-orgid"], "team-a");
    assert!(!request.headers.contains_key("authorization"));
    assert!(request.headers["user-agent"].to_str().unwrap().starts_with("leadsman/"));
}

#[tokio::test]
async fn an_address_may_have_a_path_and_a_slash_behind_it() {
    let server = server(one("1")).await;
    ask(&server, |question| prometheus_of(question).address = Some(format!("{}/prom/", server.address))).await;
    assert_eq!(server.request().path, "/prom/api/v1/query");
    ask(&server, |question| prometheus_of(question).address = Some(format!("{}/", server.address))).await;
    assert_eq!(server.request().path, "/api/v1/query");
}

#[tokio::test]
async fn without_an_address_the_operator_s_is_asked_and_without_that_nobody() {
    let server = server(one("1")).await;
    let mut question = question("m", "");
    prometheus_of(&mut question).address = None;
    assert_eq!(outcomes(&prometheus(Some(&server.address)), &question).await.remove(0), Outcome::Samples(vec![1.0]));
    let (query_is_wrong, message) = error(outcomes(&prometheus(None), &question).await.remove(0));
    assert!(query_is_wrong && message.contains("--prometheus-address"), "{message}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = server(one("1")).await;
    let reply = Reply { status: 302, location: Some(format!("{}/x", target.address)), ..one("1") };
    let (query_is_wrong, message) = error(ask(&server(reply).await, |_| {}).await);
    assert!(!query_is_wrong && message.contains("redirects (HTTP 302 Found), which is not followed"), "{message}");
    assert!(message.ends_with(&format!("give the final address: {}/x", target.address)), "{message}");
    assert!(target.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn where_a_redirect_leads_is_told_as_a_short_line() {
    let reply = Reply { status: 302, location: Some(format!("http://a/{}", "b".repeat(10_000))), ..one("1") };
    let (_, message) = error(ask(&server(reply).await, |_| {}).await);
    assert!(message.contains("http://a/bbb") && message.len() < 500, "{message}");
}

#[tokio::test]
async fn errors_are_told_in_the_source_s_words() {
    let bad =
        json!({"status": "error", "errorType": "bad_data", "error": "invalid parameter \"query\": 1:5: parse error"});
    let reply = Reply { status: 400, ..json(&bad) };
    let expected = (true, "bad_data: invalid parameter \"query\": 1:5: parse error".to_owned());
    assert_eq!(error(ask(&server(reply).await, |_| {}).await), expected);
    let reply =
        Reply { status: 401, content_type: "text/plain; charset=utf-8", body: "no org id".to_owned(), location: None };
    let (query_is_wrong, message) = error(ask(&server(reply).await, |_| {}).await);
    assert!(!query_is_wrong && message.contains("HTTP 401 Unauthorized") && message.contains("no org id"), "{message}");
}

#[tokio::test]
async fn nobody_there_is_an_error_that_names_the_place_and_no_password() {
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let question = question("m", &format!("http://user:secret@{unused}/path"));
    let (query_is_wrong, message) = error(outcomes(&prometheus(None), &question).await.remove(0));
    assert!(!query_is_wrong, "{message}");
    assert!(message.starts_with(&format!("http://{unused} gave no answer: ")), "{message}");
    assert!(message.contains("refused") && !message.contains("secret"), "{message}");
}

#[tokio::test]
async fn an_answer_that_never_ends_is_not_read_to_its_end() {
    let large = |bytes: usize| Reply { body: format!("{{\"x\": \"{}\"}}", "a".repeat(bytes)), ..one("1") };
    let (query_is_wrong, message) = error(ask(&server(large(5 << 20)).await, |_| {}).await);
    assert!(query_is_wrong && message.contains("longer than 4 MiB"), "{message}");
    let (_, message) = error(ask(&server(large(3 << 20)).await, |_| {}).await);
    assert!(message.contains("not as a Prometheus answers"), "{message}");
}

/// A state that somebody else has written may say anything.
#[tokio::test]
async fn whatever_is_wrong_is_told_as_one_short_line() {
    let odd = "a\nlevel=error \u{1b}[2J".to_owned() + &"x".repeat(10_000);
    let (_, message) = error(outcomes(&prometheus(None), &question("m", &odd)).await.remove(0));
    assert!(message.chars().count() <= 1001 && !message.contains(['\n', '\u{1b}']), "{message}");
    let mut question = question("m", "http://127.0.0.1:1");
    prometheus_of(&mut question).headers = vec![(odd, String::new())];
    let (query_is_wrong, message) = error(outcomes(&prometheus(None), &question).await.remove(0));
    assert!(query_is_wrong && message.chars().count() <= 1001 && !message.contains(['\n', '\u{1b}']), "{message}");
}

#[tokio::test]
async fn what_is_no_address_is_said() {
    let (query_is_wrong, message) = error(outcomes(&prometheus(None), &question("m", "prometheus")).await.remove(0));
    assert!(query_is_wrong && message.contains("\"prometheus\" is not an address"), "{message}");
}
