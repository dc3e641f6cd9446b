//! What a Rollout looks like: objects and an instant in, plain values out, and renderers that only draw them.
//!
//! Nothing here reads a cluster or a clock. Whoever shows a Rollout, on a terminal, in a merge request or in a browser, asks
//! the same functions, so that all of them say the same. No input makes them panic: a status of a later version, or one
//! that nobody wrote yet, is shown as far as it is known.

pub mod json;
pub mod junit;
pub mod markdown;
pub mod model;
pub mod svg;
pub mod text;

mod attempts;
mod causes;
mod changes;
mod commands;
mod explain;
mod gates;
mod images;
mod instants;
mod line;
mod numbers;
mod objects;
mod phases;
mod pods;
mod release;
mod rows;
mod sides;
mod source;
mod steps;
mod style;
mod ways;

pub use attempts::history;
pub use changes::difference;
pub use commands::{typed, without_commands};
pub use explain::explain;
pub use line::{Line, Meaning, Span};
pub use model::{Difference, Explanation, History, Named, Release, Row};
pub use objects::Objects;
pub use phases::is_behind;
pub use release::release;
pub use rows::list;
pub use style::{Charset, Style};
