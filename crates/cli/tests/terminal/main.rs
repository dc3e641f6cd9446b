//! The program itself, as it is started: on a pseudo-terminal, and by kubectl for completion; before the fake API server
//! behind a socket.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
#![allow(missing_docs, reason = "tests")]

mod completion;
mod interrupted;
mod live;
mod served;
