//! Every single request to the API server: each under a timeout of its own, counted, and, where it writes, sent only
//! while this instance leads. Nothing is retried here; who asks knows whether that is right.
//!
//! Objects are plain JSON: no field that a type does not know is ever lost.

mod error;
pub mod kinds;
mod lanes;

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use kube::Client;
use kube::api::{
    DeleteParams, DynamicObject, EvictParams, GetParams, ListParams, LogParams, Patch, PatchParams, PostParams,
    Resource,
};
use kube::client::Body;
use kube::core::{ApiResource, Request as Builder, Status};
use leadsman_api::names::FIELD_MANAGER;
use leadsman_core::text::{one_line, with_causes};
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

pub use error::Error;

use self::lanes::Lanes;
use crate::runtime::leadership::Leadership;
use crate::runtime::metrics::Metrics;

/// What a request gives.
pub type Result<T> = std::result::Result<T, Error>;

/// How long an answer is waited for. A write that was sent just before leadership ends has to be over before the lease
/// can be taken: see [`crate::runtime::lease`].
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// However long the server asks to be left alone, it is asked again after this: a release must not stand still because of
/// one header.
const MOST_PATIENCE: Duration = Duration::from_mins(1);

/// Longest message of the server that is passed on, in characters.
const LONGEST_MESSAGE: usize = 1_000;

/// The API server.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    leadership: Leadership,
    metrics: Arc<Metrics>,
    timeout: Duration,
    deadline: Option<Instant>,
    lanes: Arc<Lanes>,
}

/// The objects of one kind in one namespace.
pub struct Api<'a> {
    cluster: &'a Cluster,
    kind: &'a ApiResource,
    builder: Builder,
}

impl Cluster {
    /// Requests through `client`; writes only while `leadership` lasts.
    pub fn new(client: Client, leadership: Leadership, metrics: Arc<Metrics>) -> Self {
        Self { client, leadership, metrics, timeout: TIMEOUT, deadline: None, lanes: Arc::default() }
    }

    /// The same with another timeout.
    #[must_use]
    pub fn within(&self, timeout: Duration) -> Self {
        Self { timeout, ..self.clone() }
    }

    /// The same, with no answer waited for any longer than until then.
    #[must_use]
    pub fn until(&self, deadline: Instant) -> Self {
        Self { deadline: Some(deadline), ..self.clone() }
    }

    /// The same, bound to other leadership: the lease itself has to be written by who does not lead yet.
    #[must_use]
    pub fn led_by(&self, leadership: Leadership) -> Self {
        Self { leadership, ..self.clone() }
    }

    /// The client, for watches.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The objects of a kind in a namespace.
    pub fn objects<'a>(&'a self, kind: &'a ApiResource, namespace: &str) -> Api<'a> {
        Api { cluster: self, kind, builder: Builder::new(DynamicObject::url_path(kind, Some(namespace))) }
    }

    /// The objects of a kind that has no namespaces.
    pub fn cluster_objects<'a>(&'a self, kind: &'a ApiResource) -> Api<'a> {
        Api { cluster: self, kind, builder: Builder::new(DynamicObject::url_path(kind, None)) }
    }

    /// What a group version serves: an `APIResourceList`, or `None` where it is not served.
    pub async fn discover(&self, group: &str, version: &str) -> Result<Option<Value>> {
        let request = Request::get(format!("/apis/{group}/{version}")).body(Vec::new());
        let request = request.map_err(|error| Error::Unsendable(error.to_string()))?;
        match self.send("discover", "APIResourceList", request).await {
            Ok(list) => Ok(Some(list)),
            Err(Error::Refused { status, .. }) if status.code == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn write(&self, verb: &'static str, kind: &str, request: Built) -> Result<Value> {
        if !self.leadership.may_write() {
            return Err(Error::NotLeading);
        }
        self.send(verb, kind, request.map_err(|error| Error::Unsendable(error.to_string()))?).await
    }

    async fn read(&self, verb: &'static str, kind: &str, request: Built) -> Result<Value> {
        let request = request.map_err(|error| Error::Unsendable(error.to_string()))?;
        let lane = self.lanes.of(kind);
        let Some(turn) = lane.enter(self.ends()).await else {
            return Err(Error::Lost(format!("too many reads of {kind} wait for an answer already")));
        };
        let answer = self.send(verb, kind, request).await;
        turn.leave(!matches!(answer, Err(Error::Lost(_))));
        answer
    }

    /// When an answer to what is asked now is not waited for any more.
    fn ends(&self) -> Instant {
        let ends = Instant::now() + self.timeout;
        self.deadline.map_or(ends, |deadline| deadline.min(ends))
    }

    async fn send(&self, verb: &'static str, kind: &str, request: Request<Vec<u8>>) -> Result<Value> {
        let bytes = self.send_for_bytes(verb, kind, request).await?;
        serde_json::from_slice(&bytes).map_err(|error| Error::Lost(format!("not JSON: {error}")))
    }

    async fn send_for_bytes(&self, verb: &'static str, kind: &str, request: Request<Vec<u8>>) -> Result<Vec<u8>> {
        let (began, ends) = (Instant::now(), self.ends());
        let answer = tokio::time::timeout_at(ends, self.exchange(request)).await;
        let late = || Error::Lost(format!("none within {} ms", (ends - began).as_millis()));
        let (code, result) = answer.unwrap_or_else(|_| (None, Err(late())));
        self.metrics.request(verb, kind, code);
        result
    }

    async fn exchange(&self, request: Request<Vec<u8>>) -> (Option<u16>, Result<Vec<u8>>) {
        let response = match self.client.send(request.map(Body::from)).await {
            Ok(response) => response,
            Err(error) => return (None, Err(Error::Lost(with_causes(&error, LONGEST_MESSAGE)))),
        };
        let code = response.status().as_u16();
        let retry_after = response.headers().get(http::header::RETRY_AFTER);
        let retry_after = retry_after.and_then(|seconds| seconds.to_str().ok()?.parse().ok());
        let retry_after = retry_after.map(|seconds| Duration::from_secs(seconds).min(MOST_PATIENCE));
        let body = match response.into_body().collect_bytes().await {
            Ok(body) => body,
            Err(error) => return (Some(code), Err(Error::Lost(with_causes(&error, LONGEST_MESSAGE)))),
        };
        if code < 400 {
            return (Some(code), Ok(body.into()));
        }
        let status = serde_json::from_slice(&body)
            .unwrap_or_else(|_| Status::failure(&String::from_utf8_lossy(&body), "").with_code(code));
        // Webhooks put into it what they like.
        let message = one_line(&status.message, LONGEST_MESSAGE);
        let status = Status { code, message, ..status }.boxed();
        (Some(code), Err(Error::Refused { status, retry_after }))
    }
}

type Built = std::result::Result<Request<Vec<u8>>, kube::core::request::Error>;

impl Api<'_> {
    /// One object, or `None` where there is none of that name. Never from a cache of the API server.
    pub async fn get(&self, name: &str) -> Result<Option<Value>> {
        let request = self.builder.get(name, &GetParams::default());
        found(self.cluster.read("get", &self.kind.kind, request).await)
    }

    /// All that match a label selector. Never from a cache of the API server.
    pub async fn list(&self, selector: &str) -> Result<Vec<Value>> {
        self.list_some(&ListParams::default().labels(selector)).await
    }

    /// What matches, up to as many as are asked for: no second page is read.
    pub async fn list_some(&self, params: &ListParams) -> Result<Vec<Value>> {
        let request = self.builder.list(params);
        let mut list = self.cluster.read("list", &self.kind.kind, request).await?;
        match list.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok(items),
            _ => Err(Error::Lost("the answer is no list".to_owned())),
        }
    }

    /// The last lines of a container's log, or of what it wrote before it was last started; each within so many bytes in all.
    pub async fn log(&self, pod: &str, container: &str, previous: bool, lines: i64, bytes: i64) -> Result<String> {
        let params = LogParams {
            container: Some(container.to_owned()),
            previous,
            tail_lines: Some(lines),
            limit_bytes: Some(bytes),
            ..LogParams::default()
        };
        let request = self.builder.logs(pod, &params).map_err(|error| Error::Unsendable(error.to_string()))?;
        let bytes = self.cluster.send_for_bytes("log", &self.kind.kind, request).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Creates an object.
    pub async fn create(&self, object: &Value) -> Result<Value> {
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let request = self.builder.create(&params, bytes(object)?);
        self.cluster.write("create", &self.kind.kind, request).await
    }

    /// Asks what would come of creating an object: it goes through admission, each field has to be known, and nothing is
    /// stored. Gives the object as it would be.
    pub async fn try_create(&self, object: &Value) -> Result<Value> {
        let params = PostParams { dry_run: true, field_manager: Some(FIELD_MANAGER.to_owned()) };
        let mut request = self.builder.create(&params, bytes(object)?);
        if let Ok(request) = &mut request {
            let uri = format!("{}&fieldValidation=Strict", request.uri()).parse();
            *request.uri_mut() = uri.map_err(|error| Error::Unsendable(format!("no address: {error}")))?;
        }
        // It changes nothing, whoever leads.
        self.cluster.read("dry-run", &self.kind.kind, request).await
    }

    /// Applies a fragment. `force` takes fields over from whoever else owns them.
    pub async fn apply(&self, name: &str, fragment: &Value, force: bool) -> Result<Value> {
        let params = PatchParams { force, ..PatchParams::apply(FIELD_MANAGER) };
        let request = self.builder.patch(name, &params, &Patch::Apply(fragment));
        self.cluster.write("apply", &self.kind.kind, request).await
    }

    /// A JSON patch, as an array of operations.
    pub async fn patch(&self, name: &str, operations: Value) -> Result<Value> {
        let operations = serde_json::from_value(operations);
        let operations = operations.map_err(|error| Error::Unsendable(format!("not a JSON patch: {error}")))?;
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let request = self.builder.patch(name, &params, &Patch::Json::<()>(operations));
        self.cluster.write("patch", &self.kind.kind, request).await
    }

    /// A merge patch. With a uid or a resourceVersion in it, it applies to exactly that object or version.
    pub async fn merge(&self, name: &str, patch: &Value) -> Result<Value> {
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let request = self.builder.patch(name, &params, &Patch::Merge(patch));
        self.cluster.write("patch", &self.kind.kind, request).await
    }

    /// Replaces an object.
    pub async fn replace(&self, name: &str, object: &Value) -> Result<Value> {
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let request = self.builder.replace(name, &params, bytes(object)?);
        self.cluster.write("update", &self.kind.kind, request).await
    }

    /// Replaces the status of an object; everything else in `object` but name and version is ignored by the server.
    pub async fn replace_status(&self, name: &str, object: &impl Serialize) -> Result<Value> {
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let request = self.builder.replace_subresource("status", name, &params, bytes(object)?);
        self.cluster.write("update-status", &self.kind.kind, request).await
    }

    /// Asks for a pod to be evicted: whoever guards its application's capacity is heard.
    pub async fn evict(&self, name: &str) -> Result<Value> {
        let request = self.builder.evict(name, &EvictParams::default());
        self.cluster.write("evict", &self.kind.kind, request).await
    }

    /// Deletes exactly this object, in the background.
    pub async fn delete(&self, name: &str, uid: &str, version: &str) -> Result<Value> {
        let preconditions =
            kube::api::Preconditions { uid: Some(uid.to_owned()), resource_version: Some(version.to_owned()) };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
        let request = self.builder.delete(name, &params);
        self.cluster.write("delete", &self.kind.kind, request).await
    }
}

fn bytes(object: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(object).map_err(|error| Error::Unsendable(error.to_string()))
}

fn found(answer: Result<Value>) -> Result<Option<Value>> {
    match answer {
        Ok(object) => Ok(Some(object)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
