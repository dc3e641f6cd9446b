//! What carries the traffic, and what people call the revision that is on trial.

use serde::{Deserialize, Serialize};

use crate::names::Side;

/// What carries a Rollout's traffic. It is fixed while a release is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Carrier {
    /// Routes of a mesh or gateway, by weights between two Services.
    #[default]
    Routes,
    /// The selector of one Service: pods of one revision, of both, or of the other.
    Service,
    /// Nothing: pods pull their work, and a share is a share of the pods.
    Pods,
}

impl Carrier {
    /// True where a share is made by numbers of pods, so that another size is another share.
    pub fn shares_by_pods(self) -> bool {
        matches!(self, Self::Service | Self::Pods)
    }
}

/// What the declaration calls things. Nothing is decided by it but words, and which pods an autoscaler averages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Strategy {
    /// A canary gets a growing share.
    #[default]
    Canary,
    /// A preview takes over at once.
    BlueGreen,
}

impl Strategy {
    /// The revision on trial.
    pub fn trial(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::BlueGreen => "preview",
        }
    }

    /// The field that names the Service of a side.
    pub fn field(self, side: Side) -> &'static str {
        match (self, side) {
            (Self::Canary, Side::Stable) => "stableService",
            (Self::Canary, Side::Canary) => "canaryService",
            (Self::BlueGreen, Side::Stable) => "activeService",
            (Self::BlueGreen, Side::Canary) => "previewService",
        }
    }
}
