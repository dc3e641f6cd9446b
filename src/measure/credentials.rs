//! Credentials from Secrets, as values of the `Authorization` header.
//!
//! A Secret is read when it is needed, and again after [`KEPT_FOR`], so that a rotated token is taken up without a watch on
//! Secrets.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use leadsman_core::analysis::metric::{Auth, AuthScheme};
use reqwest::header::HeaderValue;
use tokio::time::Instant;

use super::Failure;

/// How long what was read is used.
const KEPT_FOR: Duration = Duration::from_secs(30);
/// How long the API server may take.
const TIMEOUT: Duration = Duration::from_secs(5);

type Data = Arc<BTreeMap<String, ByteString>>;

/// Reads Secrets.
pub(super) struct Credentials {
    client: Client,
    kept: Mutex<HashMap<(String, String), (Instant, Data)>>,
}

impl Credentials {
    pub fn new(client: Client) -> Self {
        Self { client, kept: Mutex::default() }
    }

    /// The header that these credentials stand for.
    pub async fn header(&self, auth: &Auth) -> Result<HeaderValue, Failure> {
        let data = self.data(auth).await?;
        let text = |key: &String| {
            let wrong =
                |what: &str| Failure::passing(format!("Secret {}/{} {what} {key}", auth.namespace, auth.secret));
            let value = data.get(key).ok_or_else(|| wrong("has no key"))?;
            // Whoever writes a token into a file leaves a line end behind it.
            let value = String::from_utf8(value.0.clone()).map_err(|_| wrong("has no text in"))?;
            Ok(value.trim_end_matches(['\r', '\n']).to_owned())
        };
        let value = match &auth.scheme {
            AuthScheme::Bearer(key) => format!("Bearer {}", text(key)?),
            AuthScheme::Basic { username, password } => {
                format!("Basic {}", base64(format!("{}:{}", text(username)?, text(password)?)))
            }
        };
        let mut header = HeaderValue::try_from(value).map_err(|_| {
            Failure::passing(format!("Secret {}/{} holds what no header can", auth.namespace, auth.secret))
        })?;
        header.set_sensitive(true);
        Ok(header)
    }

    async fn data(&self, auth: &Auth) -> Result<Data, Failure> {
        let key = (auth.namespace.clone(), auth.secret.clone());
        let now = Instant::now();
        if let Some((_, data)) = self.lock().get(&key).filter(|(at, _)| now < *at + KEPT_FOR) {
            return Ok(Arc::clone(data));
        }
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &auth.namespace);
        let wrong = |what: &dyn std::fmt::Display| {
            Failure::passing(format!("Secret {}/{} cannot be read: {what}", auth.namespace, auth.secret))
        };
        let answer = tokio::time::timeout(TIMEOUT, secrets.get(&auth.secret)).await;
        let secret = answer.map_err(|late| wrong(&late))?.map_err(|error| match error {
            kube::Error::Api(status) if status.code == 403 => {
                wrong(&format!("{}; grant it: features.secrets of the chart", status.message))
            }
            error => wrong(&error),
        })?;
        let data = Arc::new(secret.data.unwrap_or_default());
        let mut kept = self.lock();
        kept.retain(|_, (at, _)| now < *at + KEPT_FOR);
        kept.insert(key, (now, Arc::clone(&data)));
        Ok(data)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(String, String), (Instant, Data)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
