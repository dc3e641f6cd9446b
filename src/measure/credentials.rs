//! Credentials from Secrets, as values of the `Authorization` header.
//!
//! A Secret is read when it is needed, and again after [`KEPT_FOR`], so that a rotated token is taken up without a watch on
//! Secrets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use leadsman_core::analysis::source::{Auth, AuthScheme};
use reqwest::header::HeaderValue;
use tokio::time::Instant;

use super::Failure;
use super::kept::Kept;

/// How long what was read is used.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(30);
/// How long the API server may take.
const TIMEOUT: Duration = Duration::from_secs(5);

type Data = Arc<BTreeMap<String, ByteString>>;

/// Reads Secrets.
pub(super) struct Credentials {
    client: Client,
    kept: Kept<(String, String), Data>,
}

impl Credentials {
    pub fn new(client: Client) -> Self {
        Self { client, kept: Kept::at_most(usize::MAX) }
    }

    /// The header that these credentials stand for.
    pub async fn header(&self, auth: &Auth) -> Result<HeaderValue, Failure> {
        let text = async |key: &String| self.text(&auth.namespace, &auth.secret, key).await;
        let value = match &auth.scheme {
            AuthScheme::Bearer(key) => format!("Bearer {}", text(key).await?),
            AuthScheme::Basic { username, password } => {
                format!("Basic {}", base64(format!("{}:{}", text(username).await?, text(password).await?)))
            }
            AuthScheme::OAuth2 { .. } => return Err(Failure::passing("a token has to be asked for")),
        };
        as_header(&auth.namespace, &auth.secret, value)
    }

    /// A header whose value is in a Secret.
    pub async fn value(&self, namespace: &str, secret: &str, key: &str) -> Result<HeaderValue, Failure> {
        as_header(namespace, secret, self.text(namespace, secret, key).await?)
    }

    /// What a key of a Secret holds.
    pub async fn text(&self, namespace: &str, secret: &str, key: &str) -> Result<String, Failure> {
        let data = self.data(namespace, secret).await?;
        let wrong = |what: &str| Failure::passing(format!("Secret {namespace}/{secret} {what} {key}"));
        let value = data.get(key).ok_or_else(|| wrong("has no key"))?;
        // Whoever writes a token into a file leaves a line end behind it.
        let value = String::from_utf8(value.0.clone()).map_err(|_| wrong("has no text in"))?;
        Ok(value.trim_end_matches(['\r', '\n']).to_owned())
    }

    async fn data(&self, namespace: &str, secret: &str) -> Result<Data, Failure> {
        let key = (namespace.to_owned(), secret.to_owned());
        let now = Instant::now();
        if let Some(data) = self.kept.get(&key) {
            return Ok(data);
        }
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let wrong = |what: &dyn std::fmt::Display| {
            Failure::passing(format!("Secret {namespace}/{secret} cannot be read: {what}"))
        };
        let answer = tokio::time::timeout(TIMEOUT, secrets.get(secret)).await;
        let found = answer.map_err(|late| wrong(&late))?.map_err(|error| match error {
            kube::Error::Api(status) if status.code == 403 => {
                wrong(&format!("{}; grant it: features.secrets of the chart", status.message))
            }
            error => wrong(&error),
        })?;
        let data = Arc::new(found.data.unwrap_or_default());
        self.kept.keep(key, Arc::clone(&data), now, KEPT_FOR);
        Ok(data)
    }
}

fn as_header(namespace: &str, secret: &str, value: String) -> Result<HeaderValue, Failure> {
    let wrong = |_| Failure::passing(format!("Secret {namespace}/{secret} holds what no header can"));
    let mut header = HeaderValue::try_from(value).map_err(wrong)?;
    header.set_sensitive(true);
    Ok(header)
}

/// As Kubernetes writes bytes into JSON, which is the base64 that HTTP wants.
fn base64(text: String) -> String {
    match serde_json::to_value(ByteString(text.into_bytes())) {
        Ok(serde_json::Value::String(encoded)) => encoded,
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_the_one_of_http() {
        assert_eq!(base64("Aladdin:open sesame".to_owned()), "QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(base64("ä:?>".to_owned()), "w6Q6Pz4=");
    }
}
