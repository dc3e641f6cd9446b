//! `kubectl leadsman`: what a release does, why it went back, and the commands that move it.
//!
//! Reading is a few requests that are selected by label, or watches; what is shown is `leadsman-view`'s. Acting is an
//! annotation that the operator answers: the plugin never moves traffic, pods or steps itself.

#![allow(clippy::doc_markdown, reason = "what is written on arguments is what --help prints, as plain text")]
#![allow(clippy::struct_excessive_bools, reason = "flags are flags")]
#![allow(clippy::large_futures, reason = "a process runs one verb, once")]

pub mod act;
pub mod args;
pub mod cluster;
pub mod completion;
pub mod connect;
pub mod exit;
pub mod fate;
pub mod help;
pub mod live;
pub mod output;
pub mod read;
mod run;
pub mod session;
pub mod status;
pub mod target;

pub use run::{run, start};
