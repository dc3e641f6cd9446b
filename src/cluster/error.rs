//! Why a request to the API server gave no result, in the few categories that make a difference to what follows.

use std::time::Duration;

use kube::core::Status;

/// Why a request failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// We do not lead (any more): nothing was sent.
    #[error("not sent: this instance does not lead")]
    NotLeading,
    /// The server answered with an error.
    #[error("{} ({})", status.message, status.code)]
    Refused {
        /// What it said.
        status: Box<Status>,
        /// `Retry-After`, where it was given.
        retry_after: Option<Duration>,
    },
    /// No answer, or none that can be read. What was asked for may have been done.
    #[error("no answer: {0}")]
    Lost(String),
    /// The request cannot be built; asking again does not help.
    #[error("cannot be sent: {0}")]
    Unsendable(String),
    /// What the request rests on is not known at present, or has changed.
    #[error("{0}")]
    Outdated(String),
}

impl Error {
    /// One of a fixed set of words, for metrics.
    pub fn category(&self) -> &'static str {
        match self {
            Self::NotLeading => "not-leading",
            Self::Lost(_) => "lost",
            Self::Unsendable(_) => "unsendable",
            Self::Outdated(_) => "outdated",
            Self::Refused { .. } if self.is_moved() => "conflict",
            Self::Refused { status, .. } => match status.code {
                403 => "forbidden",
                404 if self.is_not_found() => "not-found",
                404 => "not-served",
                422 => "invalid",
                429 => "throttled",
                500.. => "server",
                _ => "refused",
            },
        }
    }

    /// The HTTP status of the answer, where there was one.
    pub fn code(&self) -> Option<u16> {
        if let Self::Refused { status, .. } = self { Some(status.code) } else { None }
    }

    /// The object does not exist. Where the server does not know its kind, in this version or at all, nothing is said of the
    /// object.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if status.code == 404 && status.reason == "NotFound")
    }

    /// We are kept away from objects of this kind: by our rights, or because the server does not know it.
    pub fn is_kept_away(&self) -> bool {
        self.code() == Some(403) || (self.code() == Some(404) && !self.is_not_found())
    }

    /// A version, a uid or a `test` of a JSON patch did not match: look again and decide anew. Not a fault.
    pub fn is_moved(&self) -> bool {
        match self {
            Self::Outdated(_) => true,
            Self::Refused { status, .. } => {
                (status.code == 409 && !status.is_already_exists())
                    || (status.code == 422 && (is_failed_test(status) || is_another_object(status)))
            }
            Self::NotLeading | Self::Lost(_) | Self::Unsendable(_) => false,
        }
    }

    /// An object of that name exists already.
    pub fn is_already_exists(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if status.is_already_exists())
    }

    /// True when the write may have been done although this error came back.
    pub fn may_have_happened(&self) -> bool {
        matches!(self, Self::Lost(_)) || self.code().is_some_and(|code| code >= 500)
    }

    /// True when the same request may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        self.may_have_happened() || self.code() == Some(429)
    }

    /// How long the server asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        if let Self::Refused { retry_after, .. } = self { *retry_after } else { None }
    }
}

/// The API server answers a failed `test` with 422 and this sentence; one about a field names the object instead.
fn is_failed_test(status: &Status) -> bool {
    status.message.contains("the server rejected our request due to an error in our request")
        || status.message.contains("test failed")
        || (status.message.contains("testing value") && status.message.contains("failed"))
}

/// A patch that names a uid meets another object of that name.
fn is_another_object(status: &Status) -> bool {
    status.message.contains("metadata.uid: Invalid value")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16, reason: &str, message: &str) -> Error {
        let status = Status::failure(message, reason).with_code(code).boxed();
        Error::Refused { status, retry_after: None }
    }

    #[test]
    fn a_conflict_and_a_failed_test_say_that_the_object_moved_on() {
        assert!(refused(409, "Conflict", "the object has been modified").is_moved());
        let failed_test = "the server rejected our request due to an error in our request";
        assert!(refused(422, "Invalid", failed_test).is_moved());
        assert!(!refused(422, "Invalid", "HTTPRoute \"a\" is invalid: spec.rules: required").is_moved());
        let other = "ReplicaSet \"a\" is invalid: metadata.uid: Invalid value: \"x\": field is immutable";
        assert!(refused(422, "Invalid", other).is_moved());
        assert!(!refused(409, "AlreadyExists", "already exists").is_moved());
    }

    #[test]
    fn a_kind_that_is_not_served_says_nothing_of_the_object() {
        assert!(refused(404, "NotFound", "httproutes \"a\" not found").is_not_found());
        let unknown = refused(404, "", "404 page not found");
        assert!(!unknown.is_not_found() && unknown.is_kept_away());
        assert!(refused(403, "Forbidden", "cannot list").is_kept_away());
    }

    #[test]
    fn only_where_no_answer_came_or_the_server_broke_may_a_write_have_happened() {
        assert!(Error::Lost("timed out".to_owned()).may_have_happened());
        assert!(refused(504, "Timeout", "").may_have_happened());
        assert!(!refused(429, "TooManyRequests", "").may_have_happened());
        assert!(refused(429, "TooManyRequests", "").is_transient());
        assert!(!refused(403, "Forbidden", "").is_transient());
    }
}
