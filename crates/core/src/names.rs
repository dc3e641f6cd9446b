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

/// What a Service selects of a Rollout's pods: its `leadsman.dev/revision` label says it, and its slices copy that.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Selection {
    /// Pods of one revision.
    Only(Hash),
    /// Pods of every revision.
    #[default]
    Any,
}

impl Selection {
    /// The label's value for pods of every revision.
    pub const ANY: &str = "any";

    /// The label's value.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Only(hash) => hash.as_str(),
            Self::Any => Self::ANY,
        }
    }

    /// The one revision, where it is one.
    pub fn only(&self) -> Option<&Hash> {
        match self {
            Self::Only(hash) => Some(hash),
            Self::Any => None,
        }
    }

    /// True where it is this revision alone.
    pub fn is_only(&self, hash: &Hash) -> bool {
        self.only() == Some(hash)
    }

    /// True where pods of this revision are among what is selected.
    pub fn admits(&self, hash: &Hash) -> bool {
        self.only().is_none_or(|only| only == hash)
    }
}

impl From<Hash> for Selection {
    fn from(hash: Hash) -> Self {
        Self::from(hash.0)
    }
}

impl From<&Hash> for Selection {
    fn from(hash: &Hash) -> Self {
        Self::from(hash.clone())
    }
}

impl From<String> for Selection {
    fn from(label: String) -> Self {
        if label == Self::ANY { Self::Any } else { Self::Only(Hash(label)) }
    }
}

impl From<Selection> for String {
    fn from(selection: Selection) -> Self {
        selection.as_str().to_owned()
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only(hash) => hash.fmt(f),
            Self::Any => f.write_str("every revision"),
        }
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
