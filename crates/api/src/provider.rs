//! Who is asked what is measured.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::duration::Duration;
use crate::schema::{MAX_OBJECT_NAME, OBJECT_NAME, SECRET_KEY, opaque};

/// What is asked: exactly one provider.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "[has(self.prometheus), has(self.web), has(self.datadog), has(self.job)].filter(given, given).size() == 1",
    "provider must have exactly one of: prometheus, web, datadog, job"
))]
pub struct Provider {
    /// Prometheus, or what speaks its API: Thanos, Mimir, VictoriaMetrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<Prometheus>,

    /// Anything that answers by HTTP, as a rule with JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web: Option<Web>,

    /// Datadog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datadog: Option<Datadog>,

    /// A Job that is run for each measurement: a success when it completes, a failure when it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
}

/// A request by HTTP. url and body take the variables of a query. A request that is no GET may change something: it is not
/// sent before a release to ask about stable.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.timeout) || duration(self.timeout) <= duration('30s')")
        .message("timeout must be at most 30s")
        .field_path(".timeout"),
    validation = Rule::new("!has(self.body) || (has(self.method) && self.method != 'GET')")
        .message("body is for POST and PUT")
        .field_path(".body")
)]
pub struct Web {
    /// Address with path and parameters; which addresses may be asked is as for prometheus.address.
    #[schemars(length(max = 2048), regex(pattern = r"^https?://\S+$"))]
    pub url: String,

    /// GET, POST or PUT. Left out: GET.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Method")]
    pub method: Option<Method>,

    /// Headers that are sent with the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub headers: Vec<WebHeader>,

    /// What is sent, as it is; a Content-Type of application/json goes with it unless headers name another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8192))]
    pub body: Option<String>,

    /// JSONPath (RFC 9535) of what is measured in a JSON answer, like $.data.errorRate: numbers, numbers as text, true (1) and
    /// false (0). Left out: value is the status of the answer, such as 204.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub json_path: Option<String>,

    /// How long an answer may take, at most 30s. Left out: 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,

    /// Credentials from a Secret. Left out: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Authentication>,

    /// Certificates other than the usual ones. Left out: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// What is done with an address.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// Read.
    #[default]
    GET,
    /// Send something.
    POST,
    /// Send something in place of what was there.
    PUT,
}

impl Method {
    /// As HTTP writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GET => "GET",
            Self::POST => "POST",
            Self::PUT => "PUT",
        }
    }
}

/// A header of a request: its value, or where that is.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.value) != has(self.secretRef)", "a header must have exactly one of: value, secretRef"))]
pub struct WebHeader {
    /// Name of the header.
    #[schemars(length(max = 128), regex(pattern = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"))]
    pub key: String,

    /// Value of the header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024), regex(pattern = r"^[^\r\n]*$"))]
    pub value: Option<String>,

    /// Where the value is: a Secret of the Rollout's namespace, for a ClusterAnalysisTemplate of the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyReference>,
}

/// A question to Datadog about the time of window.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("has(self.query) != has(self.queries)", "datadog must have exactly one of: query, queries"),
    validation = (
        "has(self.queries) == has(self.formula)",
        "datadog.queries go with a formula over their names"
    ),
    validation = Rule::new("!has(self.timeout) || duration(self.timeout) <= duration('30s')")
        .message("timeout must be at most 30s")
        .field_path(".timeout")
)]
pub struct Datadog {
    /// Base address of the API. Left out: https://api.datadoghq.com.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024), regex(pattern = r"^https?://[^\s{}]+$"))]
    pub address: Option<String>,

    /// A query of one series, whose last point is measured (version 1 of the API).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub query: Option<String>,

    /// Queries by their names, for a formula (version 2 of the API).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub queries: BTreeMap<String, String>,

    /// A formula over the names of the queries, like errors / requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub formula: Option<String>,

    /// What makes one number of the points of a query, for a formula. Left out: sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Aggregator")]
    pub aggregator: Option<Aggregator>,

    /// How long an answer may take, at most 30s. Left out: 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,

    /// Where the keys are: a Secret of the Rollout's namespace, for a ClusterAnalysisTemplate of the operator's.
    pub secret_ref: DatadogSecretReference,
}

/// What makes one number of several points.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Aggregator {
    /// Their sum.
    #[default]
    Sum,
    /// Their mean.
    Avg,
    /// The last one.
    Last,
    /// The greatest.
    Max,
    /// The least.
    Min,
}

impl Aggregator {
    /// As Datadog writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Last => "last",
            Self::Max => "max",
            Self::Min => "min",
        }
    }
}

/// A Secret with Datadog's keys.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DatadogSecretReference {
    /// Name of the Secret.
    #[schemars(length(max = MAX_OBJECT_NAME), regex(pattern = OBJECT_NAME))]
    pub name: String,

    /// Key of the API key. Left out: api-key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_OBJECT_NAME), regex(pattern = SECRET_KEY))]
    pub api_key_key: Option<String>,

    /// Key of the application key. Left out: app-key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_OBJECT_NAME), regex(pattern = SECRET_KEY))]
    pub application_key_key: Option<String>,
}

/// A Job.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Annotations of the Job.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub annotations: BTreeMap<String, String>,

    /// The spec of a Job of batch/v1, run in the Rollout's namespace. Its texts take the variables of a query. Left out in it:
    /// restartPolicy Never, backoffLimit 0, activeDeadlineSeconds 600, ttlSecondsAfterFinished 600. It is deleted with the
    /// attempt. An image that cannot be pulled, or a pod that no node takes, is an error of the provider at once.
    #[schemars(schema_with = "opaque")]
    pub spec: Value,
}

/// A query to Prometheus.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.timeout) || duration(self.timeout) > duration('0s')")
        .message("timeout must be longer than 0s")
        .field_path(".timeout"),
    validation = Rule::new("!has(self.timeout) || duration(self.timeout) <= duration('30s')")
        .message("timeout must be at most 30s")
        .field_path(".timeout"),
    validation = Rule::new(
        "!has(self.authentication) || !has(self.headers) \
        || self.headers.all(header, header.key.lowerAscii() != 'authorization')"
    )
    .message("headers must not have Authorization beside authentication")
    .field_path(".headers"),
    validation = Rule::new("!has(self.method) || self.method != 'PUT'")
        .message("method must be GET or POST")
        .field_path(".method"),
    validation = Rule::new(
        "!has(self.parameters) || self.parameters.all(it, !(it.name in ['query', 'time', 'timeout']))"
    )
    .message("parameters must not have query, time or timeout, which the request has already")
    .field_path(".parameters")
)]
pub struct Prometheus {
    /// Base address, like http://prometheus.monitoring:9090. Takes no variables. Left out: the one that the operator was
    /// started with. Addresses of loopback, link-local, multicast and cloud metadata are refused unless the operator's
    /// --metric-address-allow lists them; where that is given, so is every address that it does not list. What an
    /// address that is not listed says is judged, and not quoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024), regex(pattern = r"^https?://[^\s{}]+$"))]
    pub address: Option<String>,

    /// PromQL. Variables: {{args.NAME}}, {{namespace}}, {{rollout}}, {{canary.hash}}, {{canary.service}}, {{stable.hash}},
    /// {{stable.service}}, {{window}}. Write it so that it has a value both with no errors and with only errors. It may give
    /// at most 1000 series in 4 MiB. Not beside a proportion, which names what is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8192))]
    pub query: Option<String>,

    /// How long an answer may take, at most 30s. Left out: 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,

    /// GET where a proxy refuses POST. Left out: POST.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Method")]
    pub method: Option<Method>,

    /// Parameters that are sent beside the query, such as dedup=true for Thanos.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub parameters: Vec<Parameter>,

    /// Headers that are sent with the query, such as X-Scope-OrgID.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub headers: Vec<Header>,

    /// Credentials from a Secret. Left out: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Authentication>,

    /// Certificates other than the usual ones. Left out: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// A header of a request.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// Name of the header.
    #[schemars(length(max = 128), regex(pattern = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"))]
    pub key: String,

    /// Value of the header.
    #[schemars(length(max = 1024), regex(pattern = r"^[^\r\n]*$"))]
    pub value: String,
}

/// Credentials: exactly one kind.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "[has(self.bearer), has(self.basic), has(self.oauth2)].filter(given, given).size() == 1",
    "authentication must have exactly one of: bearer, basic, oauth2"
))]
pub struct Authentication {
    /// A token, sent as Authorization: Bearer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<Bearer>,

    /// A user name and a password, sent as Authorization: Basic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<Basic>,

    /// A token that is asked for with a client's own credentials (RFC 6749, 4.4), sent as Authorization: Bearer.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "oauth2")]
    pub oauth2: Option<OAuth2>,
}

/// A client's own credentials.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OAuth2 {
    /// Where a token is asked for; which addresses may be asked is as for prometheus.address.
    #[schemars(length(max = 1024), regex(pattern = r"^https?://[^\s{}]+$"))]
    pub token_url: String,

    /// Where the client's id and secret are. The Secret is read from the Rollout's namespace, for a ClusterAnalysisTemplate
    /// from the operator's.
    pub secret_ref: OAuth2SecretReference,

    /// What the token is to be good for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub scopes: Vec<String>,

    /// Parameters that are sent beside, such as audience.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub parameters: Vec<Parameter>,
}

/// Two keys in a Secret.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OAuth2SecretReference {
    /// Name of the Secret.
    #[schemars(length(max = MAX_OBJECT_NAME), regex(pattern = OBJECT_NAME))]
    pub name: String,

    /// Key of the client's id. Left out: client-id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_OBJECT_NAME), regex(pattern = SECRET_KEY))]
    pub client_id_key: Option<String>,

    /// Key of the client's secret. Left out: client-secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_OBJECT_NAME), regex(pattern = SECRET_KEY))]
    pub client_secret_key: Option<String>,
}

/// A parameter of a request.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parameter {
    /// Name of the parameter.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,

    /// Value of the parameter.
    #[schemars(length(max = 1024))]
    pub value: String,
}

/// Certificates other than the usual ones. Secrets are read from the Rollout's namespace, for a ClusterAnalysisTemplate from
/// the operator's.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// Certificates (PEM) of who vouches for the source, beside those that everybody trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<SecretKeyReference>,

    /// What the operator shows of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<CertificateReference>,
}

/// A certificate and its key (PEM) in a Secret; one of type kubernetes.io/tls fits as it is.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateReference {
    /// Name of the Secret.
    #[schemars(length(max = MAX_OBJECT_NAME), regex(pattern = OBJECT_NAME))]
    pub name: String,

    /// Key of the certificate. Left out: tls.crt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_OBJECT_NAME), regex(pattern = SECRET_KEY))]
    pub certificate_key: Option<String>,

    /// Key of the private key. Left out: tls.key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_OBJECT_NAME), regex(pattern = SECRET_KEY))]
    pub private_key_key: Option<String>,
}

/// A token.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bearer {
    /// Where the token is. The Secret is read from the Rollout's namespace, for a ClusterAnalysisTemplate from the operator's.
    pub secret_ref: SecretKeyReference,
}

/// A user name and a password.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Basic {
    /// Where both are; a Secret of type kubernetes.io/basic-auth fits as it is. It is read from the Rollout's namespace, for
    /// a ClusterAnalysisTemplate from the operator's.
    pub secret_ref: BasicSecretReference,
}

/// A key in a Secret.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyReference {
    /// Name of the Secret.
    #[schemars(length(max = MAX_OBJECT_NAME), regex(pattern = OBJECT_NAME))]
    pub name: String,

    /// Key in the Secret.
    #[schemars(length(max = MAX_OBJECT_NAME), regex(pattern = SECRET_KEY))]
    pub key: String,
}

/// Two keys in a Secret.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BasicSecretReference {
    /// Name of the Secret.
    #[schemars(length(max = MAX_OBJECT_NAME), regex(pattern = OBJECT_NAME))]
    pub name: String,

    /// Key of the user name. Left out: username.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_OBJECT_NAME), regex(pattern = SECRET_KEY))]
    pub username_key: Option<String>,

    /// Key of the password. Left out: password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_OBJECT_NAME), regex(pattern = SECRET_KEY))]
    pub password_key: Option<String>,
}
