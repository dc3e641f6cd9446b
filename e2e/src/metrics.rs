//! Metrics as Rollouts declare them, over what the sample application tells Prometheus. With them go the figures that
//! keep a scenario short: asked every two seconds, over windows of seconds.

use serde_json::{Value, json};

/// Share of requests of the canary that did not fail. Has a value with no errors and with only errors.
pub const SUCCESS_RATE: &str = r#"1 - (sum(rate(http_requests_total{namespace="{{namespace}}",revision="{{canary.hash}}",code=~"5.."}[{{window}}])) or vector(0))
  / sum(rate(http_requests_total{namespace="{{namespace}}",revision="{{canary.hash}}"}[{{window}}]))"#;

/// The slowest hundredth of the canary's requests takes at least this many seconds.
pub const P99: &str = r#"histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket{namespace="{{namespace}}",revision="{{canary.hash}}"}[{{window}}])))"#;

/// A metric with any query and condition; every 2 s, over at most 10 s, after at least 3.
pub fn metric(name: &str, query: &str, success: &str) -> Value {
    json!({
        "name": name,
        "interval": "2s",
        "window": "10s",
        "minWindow": "3s",
        "successCondition": success,
        "provider": {"prometheus": {"query": query}},
    })
}

/// At least 95% of the canary's requests succeed.
pub fn success_rate() -> Value {
    metric("success-rate", SUCCESS_RATE, "value >= 0.95")
}

/// At most 1% of requests fail, judged on counts of both revisions; a look every 2 s.
pub fn errors() -> Value {
    let revision = r#"namespace="{{namespace}}",revision="{{revision.hash}}""#;
    json!({
        "name": "errors",
        "interval": "2s",
        "minWindow": "3s",
        "proportion": {"bad": format!(r#"http_requests_total{{{revision},code=~"5.."}}"#), "total": format!("http_requests_total{{{revision}}}"), "max": "1%"},
    })
}

/// At most 1% of requests take longer than a quarter of a second, as the application counts them.
pub fn slow() -> Value {
    let histogram = r#"http_request_duration_seconds{namespace="{{namespace}}",revision="{{revision.hash}}"}"#;
    json!({
        "name": "p99",
        "interval": "2s",
        "minWindow": "3s",
        "initialDelay": "0s",
        "proportion": {"latency": {"histogram": histogram, "max": "250ms", "quantile": 0.99}},
    })
}

/// What the mesh's proxies count: `requestSuccessRate` or `requestDuration`, with its fields.
pub fn of_istio(name: &str, question: &str, fields: &Value) -> Value {
    json!({
        "name": name,
        "interval": "2s",
        "minWindow": "3s",
        "initialDelay": "0s",
        "builtin": {"istio": {question: fields}},
    })
}

/// The same for gRPC.
pub fn grpc_success_rate() -> Value {
    let query = SUCCESS_RATE.replace("http_requests_total", "grpc_requests_total");
    metric("success-rate", &query.replace(r#"code=~"5..""#, r#"code!="OK""#), "value >= 0.95")
}

/// 99% of the canary's requests take less than a quarter of a second.
pub fn p99() -> Value {
    metric("p99", P99, "value <= 0.25")
}

/// The metric with a field set: `with(success_rate(), "/count", json!(3))`. The pointer's last name is added where it is
/// not there, and taken out where the value is null.
pub fn with(mut metric: Value, pointer: &str, value: Value) -> Value {
    if let Some((parent, name)) = pointer.rsplit_once('/')
        && let Some(members) = metric.pointer_mut(parent).and_then(Value::as_object_mut)
    {
        match value {
            Value::Null => members.remove(name),
            value => members.insert(name.to_owned(), value),
        };
    }
    metric
}

/// The metric asked at another address than the operator's default.
pub fn asked_at(metric: Value, address: &str) -> Value {
    with(metric, "/provider/prometheus/address", json!(address))
}

/// An `AnalysisTemplate` of metrics.
pub fn template(namespace: &str, name: &str, metrics: &[Value]) -> Value {
    json!({
        "apiVersion": "leadsman.dev/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"metrics": metrics},
    })
}
