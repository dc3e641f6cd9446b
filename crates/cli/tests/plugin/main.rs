//! The plugin's verbs against the fake API server: what is asked, what is written, what is said, and how it ends.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
#![allow(clippy::large_futures, missing_docs, reason = "tests")]

mod acting;
mod around;
mod bench;
mod beyond;
mod docs;
mod reading;
mod status;
mod watching;
