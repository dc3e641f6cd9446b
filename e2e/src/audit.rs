//! The API server's audit log: who asked for what, when, and what became of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::PathBuf;

use anyhow::Result;
use jiff::Timestamp;
use leadsman_bed::Bed;
use serde::Deserialize;
use serde_json::Value;

/// The audit log from a moment on.
#[derive(Clone, Debug)]
pub struct AuditLog {
    path: PathBuf,
    from: u64,
}

/// One request.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// `ResponseStarted` (of a watch), `ResponseComplete` or `Panic`.
    pub stage: String,
    /// With query.
    #[serde(rename = "requestURI")]
    pub uri: String,
    /// As in RBAC.
    pub verb: String,
    /// Who.
    user: User,
    /// What it is about; empty for paths that are no objects.
    #[serde(default)]
    pub object_ref: ObjectReference,
    #[serde(default)]
    response_status: ResponseStatus,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    /// The object that came out of it, where the policy keeps it.
    #[serde(default)]
    pub response_object: Value,
    /// When the request came.
    pub request_received_timestamp: Timestamp,
    /// When it reached this stage.
    pub stage_timestamp: Timestamp,
}

#[derive(Clone, Debug, Deserialize)]
struct User {
    /// Empty for who could not say who it was.
    #[serde(default)]
    username: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct ResponseStatus {
    #[serde(default)]
    code: u16,
    #[serde(default)]
    message: String,
}

/// An object, or a kind of objects.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectReference {
    /// Empty for the core group.
    #[serde(default)]
    pub api_group: String,
    /// Plural, as in RBAC.
    #[serde(default)]
    pub resource: String,
    /// Such as `status`.
    #[serde(default)]
    pub subresource: String,
    /// Empty for what has none.
    #[serde(default)]
    pub namespace: String,
    /// Empty for lists and watches.
    #[serde(default)]
    pub name: String,
}

impl Request {
    /// Who asked.
    pub fn user(&self) -> &str {
        &self.user.username
    }

    /// HTTP status.
    pub fn code(&self) -> u16 {
        self.response_status.code
    }

    /// Whether it was a right that allowed it.
    pub fn is_allowed(&self) -> bool {
        self.annotations.get("authorization.k8s.io/decision").is_some_and(|decision| decision == "allow")
    }

    /// Whether who asked had no right to. What a quota or a policy refuses is allowed as such, and has the same code.
    pub fn is_forbidden(&self) -> bool {
        let decision = self.annotations.get("authorization.k8s.io/decision").map(String::as_str);
        self.code() == 401 || (self.code() == 403 && decision != Some("allow"))
    }

    /// Whether it went against a policy: was refused by one, or written down by one that refuses nothing.
    pub fn fails_a_policy(&self) -> bool {
        self.annotations.contains_key("validation.policy.admission.k8s.io/validation_failure")
            || self.response_status.message.contains("AdmissionPolicy")
    }

    /// Whether it changed something.
    pub fn is_done_write(&self) -> bool {
        let writes = ["create", "update", "patch", "delete", "deletecollection"];
        // Flux asks what an apply would do before it does it.
        let is_tried = self.uri.contains("dryRun=");
        self.stage == "ResponseComplete" && self.code() < 300 && writes.contains(&self.verb.as_str()) && !is_tried
    }

    /// For messages: verb, object, outcome.
    pub fn describe(&self) -> String {
        let ObjectReference { resource, subresource, name, .. } = &self.object_ref;
        let slash = if subresource.is_empty() { "" } else { "/" };
        let (at, code, said) = (self.request_received_timestamp, self.code(), &self.response_status.message);
        let (user, verb) = (self.user(), &self.verb);
        format!("{at} {user} {verb} {resource}{slash}{subresource} {name} -> {code} {said} ({})", self.uri)
    }
}

impl AuditLog {
    /// The cluster's, from now on.
    pub fn from_now(bed: &Bed) -> Result<Self> {
        Self::at(bed.audit_log())
    }

    /// A file, from its present end on.
    pub fn at(path: PathBuf) -> Result<Self> {
        let from = std::fs::metadata(&path)?.len();
        Ok(Self { path, from })
    }

    /// What has been written since, of the lines with `needle` in them; in the order of their ends.
    pub fn requests(&self, needle: &str) -> Result<Vec<Request>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.from))?;
        let mut requests = Vec::new();
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let mut line = String::new();
        // A last line that is still being written has no end yet.
        while reader.read_line(&mut line)? > 0 && line.ends_with('\n') {
            if line.contains(needle) {
                requests.push(serde_json::from_str(&line)?);
            }
            line.clear();
        }
        Ok(requests)
    }
}

/// Seconds since 1970, as the load client counts.
pub fn seconds(at: Timestamp) -> f64 {
    at.as_microsecond() as f64 / 1e6
}
