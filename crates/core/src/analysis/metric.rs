//! A metric as declared, with its arguments resolved.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::condition::Condition;

/// A metric with thresholds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metric {
    /// Unique within its analysis.
    pub name: String,
    /// Between measurements.
    pub interval: Duration,
    /// Before the first one, beyond what `interval` and `min_window` ask.
    pub initial_delay: Duration,
    /// Measurements of a step that have to succeed; 1 unless given. In the background it means nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Measurements that may fail.
    pub failure_limit: u32,
    /// Measurements that may be inconclusive.
    pub inconclusive_limit: u32,
    /// Provider errors in a row that are borne.
    pub consecutive_error_limit: u32,
    /// What follows when there is nothing to judge.
    pub on_no_data: OnNoData,
    /// What follows when the provider fails for too long.
    pub on_provider_error: OnProviderError,
    /// Upper bound of `{{window}}`.
    pub window: Duration,
    /// No verdict before the weight has been in force for this long.
    pub min_window: Duration,
    /// True: success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success: Option<Condition>,
    /// True: failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Condition>,
    /// Arguments, for conditions; queries have them filled in.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, String>,
    /// Where it is asked.
    pub source: Prometheus,
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
    /// Credentials from a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
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
}

/// What follows when a measurement has no data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnNoData {
    /// Hold until the progress deadline.
    #[default]
    Hold,
    /// Counts as success.
    Succeed,
    /// Counts as failure.
    Fail,
}

/// What follows when the provider errors exceed their limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnProviderError {
    /// Hold until the progress deadline.
    #[default]
    Hold,
    /// Roll back.
    Fail,
    /// Wait for a person.
    Pause,
}
