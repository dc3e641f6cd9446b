//! Reports: what is recorded of an attempt, written where it outlives the release.
//!
//! Nothing waits for a report: it is written beside the passes, and what could not be written is planned again by the next
//! pass. None is read or written while a Rollout is settled.

mod evidence;
mod fit;
mod render;
mod reporter;
mod write;

pub use self::reporter::Reporter;
pub use self::write::Job;
