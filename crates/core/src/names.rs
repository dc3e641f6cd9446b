//! Names that must not be mixed up: the hash of a pod template, and the two sides of a split.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::traffic::Port;

/// The hash of a pod template's canonical form; one ReplicaSet bears each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hash(String);

impl Hash {
    /// Takes a hash as it stands in a label.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The hash as it stands in a label.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Hash {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The two Services that every route names as backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Side {
    /// `stableService`: has all traffic at rest.
    Stable,
    /// `canaryService`: has the canary's share.
    Canary,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stable => "stableService",
            Self::Canary => "canaryService",
        })
    }
}

/// A revision: one attempt to bring one pod template into service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Revision {
    /// The template.
    pub hash: Hash,
    /// Counts attempts: a retry of the same template has a new one.
    pub number: u64,
    /// The Git commit, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// `container=image` of each container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// The ports that Services have while they are bound to it; empty while they are not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
}
