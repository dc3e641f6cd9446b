//! From an HTTP request to what it asks for.

use std::collections::BTreeMap;

use http::{Method, Request};

use crate::fault::Verb;
use crate::kind::Kind;
use crate::object::{Name, Selector};

/// A request, understood.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub verb: Verb,
    /// `None` for discovery.
    pub target: Option<Target>,
    pub query: BTreeMap<String, String>,
    pub content_type: String,
    pub path: String,
}

/// What a request is about.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub kind: &'static Kind,
    /// `None`: in all namespaces.
    pub namespace: Option<String>,
    /// Empty for all objects.
    pub name: String,
}

impl Target {
    pub fn object(&self) -> Name {
        Name::new(self.kind, self.namespace.as_deref().unwrap_or_default(), &self.name)
    }
}

impl Asked {
    /// `None` for what the server does not serve.
    pub fn read<B>(request: &Request<B>) -> Option<Self> {
        let path = request.uri().path().to_owned();
        let query = query(request.uri().query().unwrap_or_default());
        let content_type = request.headers().get(http::header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        if rest.is_empty() {
            return Some(Self { verb: Verb::Discover, target: None, query, content_type, path });
        }
        let (namespace, plural, name, subresource) = match rest {
            ["namespaces", namespace, plural, rest @ ..] => {
                (Some(*namespace), *plural, rest.first().copied(), rest.get(1).copied())
            }
            [plural, rest @ ..] => (None, *plural, rest.first().copied(), rest.get(1).copied()),
            [] => return None,
        };
        let kind = Kind::at(group, version, plural)?;
        let verb = match (request.method(), name, subresource) {
            (&Method::GET, Some(_), None) => Verb::Get,
            (&Method::GET, None, None) if query.get("watch").is_some_and(|it| it != "false" && it != "0") => {
                Verb::Watch
            }
            (&Method::GET, None, None) => Verb::List,
            (&Method::POST, None, None) if query.get("dryRun").is_some_and(|it| it == "All") => Verb::DryRun,
            (&Method::POST, None, None) => Verb::Create,
            (&Method::PUT, Some(_), None) => Verb::Update,
            (&Method::PUT, Some(_), Some("status")) if kind.has_status => Verb::UpdateStatus,
            (&Method::PATCH, Some(_), None) if content_type.starts_with("application/apply-patch") => Verb::Apply,
            (&Method::PATCH, Some(_), None) => Verb::Patch,
            (&Method::DELETE, Some(_), None) => Verb::Delete,
            _ => return None,
        };
        let target =
            Target { kind, namespace: namespace.map(str::to_owned), name: name.unwrap_or_default().to_owned() };
        Some(Self { verb, target: Some(target), query, content_type, path })
    }

    pub fn kind(&self) -> Option<&'static Kind> {
        self.target.as_ref().map(|target| target.kind)
    }

    pub fn selector(&self) -> Selector {
        let text = |parameter: &str| self.query.get(parameter).map_or("", String::as_str);
        Selector::parse(text("labelSelector")).of_fields(text("fieldSelector"))
    }

    pub fn number(&self, parameter: &str) -> Option<u64> {
        self.query.get(parameter)?.parse().ok()
    }

    pub fn is_set(&self, parameter: &str) -> bool {
        self.query.get(parameter).is_some_and(|it| it == "true" || it == "1" || it.is_empty())
    }
}

fn query(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        })
        .collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = [rest.next(), rest.next()].map(|digit| (digit.unwrap_or_default() as char).to_digit(16));
                if let [Some(high), Some(low)] = digits {
                    bytes.extend(u8::try_from(high * 16 + low));
                }
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, path: &str) -> Option<Asked> {
        Asked::read(&Request::builder().method(method).uri(path).body(()).unwrap())
    }

    #[test]
    fn paths_are_understood() {
        let watch = asked("GET", "/apis/apps/v1/replicasets?watch=true&labelSelector=leadsman.dev%2Frollout").unwrap();
        assert_eq!(watch.verb, Verb::Watch);
        assert_eq!(watch.query["labelSelector"], "leadsman.dev/rollout");
        let get = asked("GET", "/api/v1/namespaces/shop/services/a").unwrap();
        let target = get.target.unwrap();
        assert_eq!((get.verb, target.namespace.as_deref(), &*target.name), (Verb::Get, Some("shop"), "a"));
        let status = asked("PUT", "/apis/leadsman.dev/v1alpha1/namespaces/shop/rollouts/a/status").unwrap();
        assert_eq!(status.verb, Verb::UpdateStatus);
        let cluster = asked("GET", "/apis/leadsman.dev/v1alpha1/clusteranalysistemplates/x").unwrap();
        assert_eq!((cluster.verb, cluster.target.unwrap().namespace), (Verb::Get, None));
        assert_eq!(asked("GET", "/apis/networking.istio.io/v1").unwrap().verb, Verb::Discover);
        assert!(asked("GET", "/apis/nobody.dev/v1/things").is_none());
        assert!(asked("PUT", "/api/v1/namespaces/shop/secrets/a/status").is_none());
    }
}
