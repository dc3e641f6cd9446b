//! Who is asked what: Prometheus, anything that speaks JSON over HTTP, Datadog, or a Job.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::state::is_default;

/// Who is asked, and what. Texts have arguments filled in; what is known only when a question is asked is filled in then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Form", into = "Form")]
pub enum Source {
    /// A query in `PromQL`.
    Prometheus(Box<Prometheus>),
    /// A request, and a number in its answer.
    Web(Box<Web>),
    /// A query, or a formula over several.
    Datadog(Box<Datadog>),
    /// A Job, and how it ends.
    Job(Box<Job>),
}

/// As it is persisted. Prometheus was there before the others, without a name.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum Form {
    Web { web: Box<Web> },
    Datadog { datadog: Box<Datadog> },
    Job { job: Box<Job> },
    Prometheus(Box<Prometheus>),
}

impl From<Form> for Source {
    fn from(form: Form) -> Self {
        match form {
            Form::Web { web } => Self::Web(web),
            Form::Datadog { datadog } => Self::Datadog(datadog),
            Form::Job { job } => Self::Job(job),
            Form::Prometheus(prometheus) => Self::Prometheus(prometheus),
        }
    }
}

impl From<Source> for Form {
    fn from(source: Source) -> Self {
        match source {
            Source::Web(web) => Self::Web { web },
            Source::Datadog(datadog) => Self::Datadog { datadog },
            Source::Job(job) => Self::Job { job },
            Source::Prometheus(prometheus) => Self::Prometheus(prometheus),
        }
    }
}

impl Source {
    /// What is asked, as people read it.
    pub fn query(&self) -> &str {
        match self {
            Self::Prometheus(prometheus) => &prometheus.query,
            Self::Web(web) => &web.url,
            Self::Datadog(datadog) => datadog.asked.as_str(),
            Self::Job(_) => "a Job",
        }
    }

    /// The query, where it is one to Prometheus.
    pub fn prometheus(&self) -> Option<&Prometheus> {
        if let Self::Prometheus(prometheus) = self { Some(prometheus) } else { None }
    }

    /// How long one answer may take.
    pub fn timeout(&self) -> Duration {
        match self {
            Self::Prometheus(prometheus) => prometheus.timeout,
            Self::Web(web) => web.timeout,
            Self::Datadog(datadog) => datadog.timeout,
            Self::Job(_) => JOB_TIMEOUT,
        }
    }

    /// True where asking changes nothing, so that stable may be asked about before a release and beside one.
    pub fn is_only_read(&self) -> bool {
        match self {
            Self::Prometheus(_) | Self::Datadog(_) => true,
            Self::Web(web) => web.method == "GET",
            Self::Job(_) => false,
        }
    }

    /// True where something is done for an answer, which is done once.
    pub fn is_done_once(&self) -> bool {
        matches!(self, Self::Job(_))
    }

    /// With every text as `fill` gives it.
    #[must_use]
    pub fn filled(&self, fill: &dyn Fn(&str) -> String) -> Self {
        match self {
            // Its query is sent as the question has it.
            Self::Prometheus(_) => self.clone(),
            Self::Web(web) => {
                Self::Web(Box::new(Web { url: fill(&web.url), body: web.body.as_deref().map(fill), ..Web::clone(web) }))
            }
            Self::Datadog(datadog) => {
                Self::Datadog(Box::new(Datadog { asked: datadog.asked.filled(fill), ..Datadog::clone(datadog) }))
            }
            Self::Job(job) => {
                let mut job = job.clone();
                fill_texts(&mut job.spec, fill);
                Self::Job(job)
            }
        }
    }
}

/// The API server's own answers about a Job, not the Job.
const JOB_TIMEOUT: Duration = Duration::from_secs(10);

fn fill_texts(value: &mut Value, fill: &dyn Fn(&str) -> String) {
    match value {
        Value::String(text) if text.contains("{{") => *text = fill(text),
        Value::Array(elements) => elements.iter_mut().for_each(|element| fill_texts(element, fill)),
        Value::Object(members) => members.values_mut().for_each(|member| fill_texts(member, fill)),
        _ => {}
    }
}

/// A Prometheus query and how to send it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Prometheus {
    /// Base address; the operator's own when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// PromQL with variables; arguments are filled in.
    pub query: String,
    /// Per request.
    pub timeout: Duration,
    /// Sent with every request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Sent beside the query.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<(String, String)>,
    /// Asked by GET in place of POST.
    #[serde(default, skip_serializing_if = "is_default")]
    pub by_get: bool,
    /// Credentials from a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// Certificates from Secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// Certificates, by reference.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// Namespace of the Secrets.
    pub namespace: String,
    /// Secret and key of the certificates that are trusted as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<(String, String)>,
    /// Secret, key of the certificate, key of the private key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<(String, String, String)>,
}

/// Credentials, by reference: nothing secret is ever part of the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    /// Kind of credentials.
    pub scheme: AuthScheme,
    /// Namespace of the Secret.
    pub namespace: String,
    /// Name of the Secret.
    pub secret: String,
}

/// How credentials are sent, with the keys in the Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AuthScheme {
    /// `Authorization: Bearer`, from this key.
    Bearer(String),
    /// `Authorization: Basic`, from these keys.
    Basic {
        /// Key of the user name.
        username: String,
        /// Key of the password.
        password: String,
    },
    /// `Authorization: Bearer`, with a token that is asked for (RFC 6749, 4.4).
    OAuth2 {
        /// Where.
        token_url: String,
        /// Key of the client's id.
        client_id: String,
        /// Key of the client's secret.
        client_secret: String,
        /// Sent with that.
        parameters: Vec<(String, String)>,
    },
}

/// A request by HTTP, whose answer is JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Web {
    /// Address with path and parameters.
    pub url: String,
    /// `GET`, `POST` or `PUT`.
    pub method: String,
    /// Sent with the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Headers whose values are in Secrets: name of the header, name of the Secret, key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secret_headers: Vec<(String, String, String)>,
    /// Namespace of these Secrets.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub secrets_in: String,
    /// Sent as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Where the number stands in the answer; without it, the number is the status of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_path: Option<String>,
    /// Per request.
    pub timeout: Duration,
    /// Credentials from a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// Certificates from Secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// A question to Datadog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Datadog {
    /// Base address of the API.
    pub address: String,
    /// What is asked.
    pub asked: DatadogQuery,
    /// Namespace and name of the Secret with both keys.
    pub secret: (String, String),
    /// Its keys: of the API key, and of the application key.
    pub keys: (String, String),
    /// Per request.
    pub timeout: Duration,
}

/// What Datadog is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DatadogQuery {
    /// Version 1 of the API: the last point of one series.
    Series(String),
    /// Version 2: a formula over named queries, each made one number by an aggregator.
    Formula {
        /// Over the names of the queries.
        formula: String,
        /// By their names.
        queries: BTreeMap<String, String>,
        /// `avg`, `last`, `max`, `min`, `sum`, `percentile`, `mean`, `l2norm` or `area`.
        aggregator: String,
    },
}

impl DatadogQuery {
    fn as_str(&self) -> &str {
        match self {
            Self::Series(query) => query,
            Self::Formula { formula, .. } => formula,
        }
    }

    fn filled(&self, fill: &dyn Fn(&str) -> String) -> Self {
        match self {
            Self::Series(query) => Self::Series(fill(query)),
            Self::Formula { formula, queries, aggregator } => Self::Formula {
                formula: formula.clone(),
                queries: queries.iter().map(|(name, query)| (name.clone(), fill(query))).collect(),
                aggregator: aggregator.clone(),
            },
        }
    }
}

/// A Job: it succeeds or it fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// The `spec` of a `batch/v1` Job.
    pub spec: Value,
    /// Annotations of the Job.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fill(text: &str) -> String {
        text.replace("{{canary.hash}}", "abc")
    }

    #[test]
    fn what_is_persisted_is_read_again() {
        let web = json!({"web": {"url": "http://a", "method": "GET", "timeout": {"secs": 1, "nanos": 0}}});
        let prometheus = json!({"query": "up", "timeout": {"secs": 1, "nanos": 0}});
        for form in [web, prometheus, json!({"job": {"spec": {}}})] {
            let source: Source = serde_json::from_value(form.clone()).unwrap();
            assert_eq!(serde_json::to_value(&source).unwrap(), form);
        }
    }

    #[test]
    fn every_text_that_is_sent_is_filled_in() {
        let env =
            json!({"template": {"spec": {"containers": [{"env": [{"name": "HASH", "value": "{{canary.hash}}"}]}]}}});
        let job = Source::Job(Box::new(Job { spec: env, annotations: BTreeMap::new() }));
        let Source::Job(filled) = job.filled(&fill) else { panic!("another source") };
        assert_eq!(filled.spec.pointer("/template/spec/containers/0/env/0/value"), Some(&json!("abc")));
        let queries = [("a".to_owned(), "sum:x{rev:{{canary.hash}}}".to_owned())].into();
        let asked = DatadogQuery::Formula { formula: "a".to_owned(), queries, aggregator: "last".to_owned() };
        let DatadogQuery::Formula { queries, .. } = asked.filled(&fill) else { panic!("another query") };
        assert_eq!(queries["a"], "sum:x{rev:abc}");
    }
}
