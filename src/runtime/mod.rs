//! What a long-running program needs around its work: leadership, signals, metrics, logs, and patience.

pub mod admin;
pub mod backoff;
pub mod clock;
pub mod discovery;
pub mod leadership;
pub mod lease;
pub mod logging;
pub mod metrics;
pub mod panics;
pub mod rbac;
pub mod rollouts;
pub mod shutdown;
