//! What the API server says when it refuses, in its own words: the operator tells some of them apart by these.

use std::time::Duration;

use kube::core::Status;

use crate::object::Name;

/// A refusal.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The body of the answer.
    pub status: Box<Status>,
    /// `Retry-After`.
    pub retry_after: Option<Duration>,
}

/// What a request gives.
pub type Answer<T> = Result<T, Refusal>;

impl Refusal {
    /// Any refusal.
    pub fn new(code: u16, reason: &str, message: &str) -> Self {
        Self { status: Status::failure(message, reason).with_code(code).boxed(), retry_after: None }
    }

    /// The same, with `Retry-After`.
    #[must_use]
    pub fn retry_after(self, delay: Duration) -> Self {
        Self { retry_after: Some(delay), ..self }
    }

    /// 404.
    pub fn not_found(name: &Name) -> Self {
        Self::new(404, "NotFound", &format!("{} \"{}\" not found", name.kind.resource(), name.name))
    }

    /// 409, of a create.
    pub fn already_exists(name: &Name) -> Self {
        Self::new(409, "AlreadyExists", &format!("{} \"{}\" already exists", name.kind.resource(), name.name))
    }

    /// 409, of a write with a version that is not the newest.
    pub fn modified(name: &Name) -> Self {
        Self::conflict(
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 409, with a reason.
    pub fn conflict(name: &Name, why: &str) -> Self {
        let (resource, name) = (name.kind.resource(), &name.name);
        Self::new(409, "Conflict", &format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}"))
    }

    /// 422, of a patch that names the uid of another object.
    pub fn another_uid(name: &Name, uid: &str) -> Self {
        let message = format!(
            "{} \"{}\" is invalid: metadata.uid: Invalid value: \"{uid}\": field is immutable",
            name.kind.kind, name.name
        );
        Self::new(422, "Invalid", &message)
    }

    /// 422, of a JSON patch of which a test fails.
    pub fn failed_test() -> Self {
        Self::new(422, "Invalid", "the server rejected our request due to an error in our request")
    }

    /// 410, of a version that has been compacted away.
    pub fn too_old(version: u64, oldest: u64) -> Self {
        Self::new(410, "Expired", &format!("too old resource version: {version} ({oldest})"))
    }
}
