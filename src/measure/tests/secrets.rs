//! Credentials from Secrets, through an API server of our own.

use leadsman_core::analysis::Outcome;
use leadsman_core::analysis::source::{Auth, AuthScheme};
use serde_json::json;

use super::super::Sources;
use super::server::{Reply, Server, json, server};
use super::{cluster, outcomes, prometheus_of, question};

fn auth(scheme: AuthScheme) -> Auth {
    Auth { scheme, namespace: "shop".to_owned(), secret: "prom".to_owned() }
}

/// An API server with one Secret: token "abc" with a line end, user "u", password "p".
async fn api() -> Server {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "prom", "namespace": "shop"},
        "data": {"token": "YWJjCg==", "username": "dQ==", "password": "cA==", "binary": "/w=="},
    });
    server(json(&secret)).await
}

async fn metrics() -> Server {
    server(json(&json!({"status": "success", "data": {"resultType": "scalar", "result": [1, "1"]}}))).await
}

#[tokio::test]
async fn a_token_is_sent_as_bearer_and_a_user_as_basic() {
    let (api, metrics) = (api().await, metrics().await);
    let prometheus = Sources::new(cluster(&api.address), None, &["127.0.0.0/8".parse().unwrap()]).unwrap();
    let mut question = question("m", &metrics.address);
    let basic = AuthScheme::Basic { username: "username".to_owned(), password: "password".to_owned() };
    for (scheme, header) in [(AuthScheme::Bearer("token".to_owned()), "Bearer abc"), (basic, "Basic dTpw")] {
        prometheus_of(&mut question).auth = Some(auth(scheme));
        assert_eq!(outcomes(&prometheus, &question).await.remove(0), Outcome::Samples(vec![1.0]));
        assert_eq!(metrics.request().headers["authorization"], header);
    }
    assert_eq!(api.request().path, "/api/v1/namespaces/shop/secrets/prom");
    assert_eq!(api.requests.lock().unwrap().len(), 1, "a Secret is read once for a while");
}

#[tokio::test]
async fn without_its_secret_a_question_is_not_sent() {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "secrets \"prom\" not found", "reason": "NotFound", "code": 404});
    let missing = server(Reply { status: 404, ..json(&status) }).await;
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "secrets \"prom\" is forbidden", "reason": "Forbidden", "code": 403});
    let forbidden = server(Reply { status: 403, ..json(&status) }).await;
    let api = api().await;
    for (api, key, words) in [
        (&missing, "token", "Secret shop/prom cannot be read"),
        (&forbidden, "token", "secrets \"prom\" is forbidden; grant it: features.secrets of the chart"),
        (&api, "nothing", "Secret shop/prom has no key nothing"),
        (&api, "binary", "Secret shop/prom has no text in binary"),
    ] {
        let metrics = metrics().await;
        let prometheus = Sources::new(cluster(&api.address), None, &["127.0.0.0/8".parse().unwrap()]).unwrap();
        let mut question = question("m", &metrics.address);
        prometheus_of(&mut question).auth = Some(auth(AuthScheme::Bearer(key.to_owned())));
        let outcome = outcomes(&prometheus, &question).await.remove(0);
        let Outcome::Error { query_is_wrong: false, message } = outcome else { panic!("{outcome:?}") };
        assert!(message.contains(words), "{message}");
        assert!(metrics.requests.lock().unwrap().is_empty());
    }
}
