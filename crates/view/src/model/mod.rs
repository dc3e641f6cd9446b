//! What there is to show, as plain values: the data of every renderer, and what `-o json` prints.
//!
//! Numbers are numbers, instants RFC 3339, durations seconds, and what is not known is absent. Sentences name instants as
//! `12:03:31Z`, or in full where they are far from [`Release::at`]; what draws them says them in the reader's zone.

mod difference;
mod explanation;
mod history;
mod release;
mod row;

pub use difference::{Difference, Named};
pub use explanation::{About, Explanation, Requests, WayOn, Words};
pub use history::{Attempt, History};
pub use release::{
    Answered, Carrier, Change, Command, Fact, Gate, Measure, Next, Pod, Position, Recent, Release, Revision, Side,
    Source, Step, StepState, Strategy, Waiting, Weight, Why,
};
pub use row::Row;
