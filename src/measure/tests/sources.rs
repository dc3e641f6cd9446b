//! What is sent to other sources than Prometheus, and what is made of their answers; credentials that are asked for.

use std::collections::HashMap;
use std::time::Duration;

use leadsman_core::analysis::source::{Auth, AuthScheme, Datadog, DatadogQuery, Source, Tls, Web};
use leadsman_core::analysis::{Outcome, Question};
use serde_json::{Value, json};

use super::http::{allowing, error, one};
use super::server::{Reply, Server, json, server};
use super::{cluster, outcomes, prometheus_of, question};
use crate::measure::Sources;

fn web(url: &str) -> Web {
    Web {
        url: url.to_owned(),
        method: "GET".to_owned(),
        headers: Vec::new(),
        secret_headers: Vec::new(),
        secrets_in: "shop".to_owned(),
        body: None,
        json_path: Some("$.rate".to_owned()),
        timeout: Duration::from_secs(5),
        auth: None,
        tls: None,
    }
}

fn asked(source: Source) -> Question {
    Question { source, ..question("m", "http://unused") }
}

/// An API server with one Secret, whose values are those of `data` in base64.
async fn secret(data: Value) -> Server {
    let metadata = json!({"name": "keys", "namespace": "shop"});
    server(json(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}))).await
}

fn with(api: &Server) -> Sources {
    Sources::new(cluster(&api.address), None, &["127.0.0.0/8".parse().unwrap()]).unwrap()
}

#[tokio::test]
async fn a_number_is_read_where_the_path_leads_and_a_status_without_one() {
    let sources = allowing(None, &["127.0.0.0/8"]);
    let answers = server(json(&json!({"rate": 0.25}))).await;
    let ask = async |web: Web| outcomes(&sources, &asked(Source::Web(Box::new(web)))).await.remove(0);
    assert_eq!(ask(web(&format!("{}/a?b=c", answers.address))).await, Outcome::Samples(vec![0.25]));
    let nothing = server(Reply { status: 204, ..json(&json!("")) }).await;
    let status = Web { json_path: None, ..web(&nothing.address) };
    assert_eq!(ask(status).await, Outcome::Samples(vec![204.0]));
    let broken = server(Reply { status: 503, ..json(&json!({"why": "closed"})) }).await;
    let (_, message) = error(ask(web(&broken.address)).await);
    assert!(message.contains("answers with HTTP 503") && message.contains("closed"), "{message}");
    assert_eq!(ask(Web { json_path: None, ..web(&broken.address) }).await, Outcome::Samples(vec![503.0]));
}

#[tokio::test]
async fn what_is_posted_has_its_body_and_headers_some_of_them_from_secrets() {
    let api = secret(json!({"token": "YWJj"})).await;
    let answers = server(json(&json!({"rate": true}))).await;
    let web = Web {
        method: "POST".to_owned(),
        body: Some("{\"a\": 1}".to_owned()),
        headers: vec![("X-Team".to_owned(), "a".to_owned())],
        secret_headers: vec![("X-Key".to_owned(), "keys".to_owned(), "token".to_owned())],
        ..web(&answers.address)
    };
    let outcome = outcomes(&with(&api), &asked(Source::Web(Box::new(web)))).await.remove(0);
    assert_eq!(outcome, Outcome::Samples(vec![1.0]));
    let request = answers.request();
    assert_eq!(["x-team", "x-key"].map(|name| request.headers[name].to_str().unwrap()), ["a", "abc"]);
    assert_eq!(request.headers["content-type"], "application/json");
    assert_eq!(request.body, "{\"a\": 1}");
}

#[tokio::test]
async fn an_address_that_may_not_be_asked_is_asked_by_no_source() {
    let sources = allowing(None, &[]);
    let datadog = Datadog {
        address: "http://127.0.0.1:1".to_owned(),
        asked: DatadogQuery::Series("a".to_owned()),
        secret: ("shop".to_owned(), "keys".to_owned()),
        keys: ("a".to_owned(), "b".to_owned()),
        timeout: Duration::from_secs(1),
    };
    for source in [Source::Web(Box::new(web("http://127.0.0.1:1"))), Source::Datadog(Box::new(datadog))] {
        let (query_is_wrong, message) = error(outcomes(&sources, &asked(source)).await.remove(0));
        assert!(query_is_wrong && message.contains("127.0.0.1"), "{message}");
    }
}

#[tokio::test]
async fn datadog_is_asked_with_both_keys_for_the_time_of_the_window() {
    let api = secret(json!({"api-key": "YQ==", "app-key": "Yg=="})).await;
    let datadog = |address: &str, asked: DatadogQuery| Datadog {
        address: address.to_owned(),
        asked,
        secret: ("shop".to_owned(), "keys".to_owned()),
        keys: ("api-key".to_owned(), "app-key".to_owned()),
        timeout: Duration::from_secs(5),
    };
    let ask =
        async |datadog: Datadog| outcomes(&with(&api), &asked(Source::Datadog(Box::new(datadog)))).await.remove(0);
    let answers = server(json(&json!({"status": "ok", "series": [{"pointlist": [[1, 0.1], [2, 0.2]]}]}))).await;
    let series = datadog(&answers.address, DatadogQuery::Series("sum:errors{a:b}".to_owned()));
    assert_eq!(ask(series).await, Outcome::Samples(vec![0.2]));
    let request = answers.request();
    assert_eq!(["dd-api-key", "dd-application-key"].map(|name| request.headers[name].to_str().unwrap()), ["a", "b"]);
    let span =
        |form: &HashMap<String, String>| form["to"].parse::<i64>().unwrap() - form["from"].parse::<i64>().unwrap();
    assert_eq!((request.path.as_str(), span(&request.form)), ("/api/v1/query", 60));
    assert_eq!(request.form["query"], "sum:errors{a:b}");

    let column = json!([{"name": "a / b", "type": "number", "values": [0.5]}]);
    let answers = server(json(&json!({"data": {"attributes": {"columns": column}}}))).await;
    let formula = DatadogQuery::Formula {
        formula: "a / b".to_owned(),
        queries: [("a".to_owned(), "sum:x{*}".to_owned()), ("b".to_owned(), "sum:y{*}".to_owned())].into(),
        aggregator: "sum".to_owned(),
    };
    assert_eq!(ask(datadog(&answers.address, formula)).await, Outcome::Samples(vec![0.5]));
    let request = answers.request();
    let body: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(request.path, "/api/v2/query/scalar");
    assert_eq!(body.pointer("/data/attributes/formulas/0/formula"), Some(&json!("a / b")));
    let of_b = json!({"data_source": "metrics", "name": "b", "query": "sum:y{*}", "aggregator": "sum"});
    assert_eq!(body.pointer("/data/attributes/queries/1"), Some(&of_b));

    let refusal = server(Reply { status: 403, ..json(&json!({"errors": ["Forbidden"]})) }).await;
    let series = datadog(&refusal.address, DatadogQuery::Series("a".to_owned()));
    let (query_is_wrong, message) = error(ask(series).await);
    assert!(!query_is_wrong && message.ends_with("HTTP 403 Forbidden: Forbidden"), "{message}");
}

#[tokio::test]
async fn a_token_is_asked_for_with_the_client_s_credentials_and_used_until_it_ends() {
    let api = secret(json!({"client-id": "bWU=", "client-secret": "c2VjcmV0"})).await;
    let tokens = server(json(&json!({"access_token": "t1", "expires_in": 3600}))).await;
    let metrics = server(one("1")).await;
    let mut question = question("m", &metrics.address);
    let scheme = AuthScheme::OAuth2 {
        token_url: format!("{}/token", tokens.address),
        client_id: "client-id".to_owned(),
        client_secret: "client-secret".to_owned(),
        parameters: vec![("scope".to_owned(), "metrics read".to_owned())],
    };
    prometheus_of(&mut question).auth = Some(Auth { scheme, namespace: "shop".to_owned(), secret: "keys".to_owned() });
    let sources = with(&api);
    for _ in 0..2 {
        assert_eq!(outcomes(&sources, &question).await.remove(0), Outcome::Samples(vec![1.0]));
        assert_eq!(metrics.request().headers["authorization"], "Bearer t1");
    }
    let asked = tokens.requests.lock().unwrap().clone();
    assert_eq!(asked.len(), 1, "the token is kept");
    assert_eq!(asked[0].headers["authorization"], "Basic bWU6c2VjcmV0");
    assert_eq!(
        (asked[0].form["grant_type"].as_str(), asked[0].form["scope"].as_str()),
        ("client_credentials", "metrics read")
    );
}

#[tokio::test]
async fn a_proxy_that_refuses_post_is_asked_by_get_and_parameters_go_along() {
    let metrics = server(one("1")).await;
    let mut question = question("m", &metrics.address);
    let source = prometheus_of(&mut question);
    (source.by_get, source.parameters) = (true, vec![("dedup".to_owned(), "true".to_owned())]);
    let sources = allowing(None, &["127.0.0.0/8"]);
    assert_eq!(outcomes(&sources, &question).await.remove(0), Outcome::Samples(vec![1.0]));
    let request = metrics.request();
    assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/api/v1/query"));
    assert_eq!((request.form["query"].as_str(), request.form["dedup"].as_str()), ("up", "true"));
}

#[tokio::test]
async fn certificates_that_are_none_are_named_with_their_secret() {
    let api = secret(json!({"ca.crt": "bm8=", "tls.crt": "bm8=", "tls.key": "bm8="})).await;
    let named = |key: &str| ("keys".to_owned(), key.to_owned());
    for (ca, certificate) in
        [(Some(named("ca.crt")), None), (None, Some(("keys".to_owned(), "tls.crt".to_owned(), "tls.key".to_owned())))]
    {
        let mut question = question("m", "http://127.0.0.1:1");
        prometheus_of(&mut question).tls = Some(Tls { namespace: "shop".to_owned(), ca, certificate });
        let (_, message) = error(outcomes(&with(&api), &question).await.remove(0));
        assert!(message.starts_with("Secret shop/keys has no usable "), "{message}");
    }
}
