//! What the operator's own tests run on: an API server in memory and the controllers around it, all in virtual time.
//!
//! Everything sleeps on Tokio's clock only, and nothing here touches a socket: with the clock paused, an hour passes in as
//! long as it takes to do what happens in it.
//!
//! - [`ApiServer`]: objects with one sequence of resourceVersions, refusals in the real server's words, server-side apply,
//!   watches with bookmarks and relists. [`Connection`] is a client's way to it, and can be cut at an exact write;
//!   [`Rule`]s say what goes wrong. Where it is simpler than the real thing stands in the modules' first lines: nothing is
//!   validated or defaulted, and each kind is served in one version.
//! - [`Controllers`]: what makes pods of ReplicaSets, slices of Services, and says that routes are accepted.
//! - [`Prometheus`]: answers queries as it is told to.
//! - [`Application`]: a Rollout and what belongs to it, as Git would declare it.
//! - [`traffic`]: whether traffic always had somewhere to go, as a replay of what happened.

mod answer;
mod application;
mod connection;
mod controllers;
mod fault;
pub mod kind;
pub mod object;
mod ownership;
mod prometheus;
mod refusal;
mod request;
mod server;
mod store;
pub mod traffic;
mod watch;

pub use application::{Application, Route};
pub use connection::{Connection, Moment, NoAnswer};
pub use controllers::{Controllers, Habits};
pub use fault::{Fault, Meanwhile, Rule, Verb};
pub use kind::Kind;
pub use object::Name;
pub use prometheus::{Asked, Prometheus};
pub use refusal::{Answer, Refusal};
pub use server::{ApiServer, Hand, Request};
pub use store::{BEGINNING, Change};
