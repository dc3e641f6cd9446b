//! Who declares a Rollout, and what that means for a change of its spec.

use leadsman_api::Rollout;
use leadsman_view::Objects;

use crate::session::Session;

/// Who declares a Rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Declared {
    /// Git: a change here is undone.
    InGit {
        /// As in "Flux, shop/cart".
        by: String,
    },
    /// Helm: the next upgrade writes its own values.
    ByHelm {
        /// The release; empty where it is not told.
        release: String,
    },
    /// Nobody that left a trace.
    ByHand,
}

/// Who declares a Rollout, by what they leave on it.
pub(super) fn declared(session: &Session, rollout: &Rollout) -> Declared {
    let source = leadsman_view::release(&Objects::of(rollout.clone()), session.now()).source;
    match source {
        None => Declared::ByHand,
        Some(source) if source.tool == "Helm" => Declared::ByHelm { release: source.object },
        Some(source) if source.object.is_empty() => Declared::InGit { by: source.tool },
        Some(source) => Declared::InGit { by: format!("{}, {}", source.tool, source.object) },
    }
}
