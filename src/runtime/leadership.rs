//! Whether this instance may write, right now.
//!
//! Leadership is an instant on the monotonic clock up to which writes may be sent, and it is looked at before each write.
//! So it ends by itself: an instance whose lease task hangs, or that was stopped for a while, writes nothing more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::{Duration, Instant};

/// Up to when we lead. Clones share it.
#[derive(Clone, Debug)]
pub struct Leadership {
    base: Instant,
    /// Milliseconds after `base`; 0 is never, `u64::MAX` always.
    until: Arc<AtomicU64>,
}

impl Leadership {
    /// Not yet.
    pub fn none() -> Self {
        Self { base: Instant::now(), until: Arc::new(AtomicU64::new(0)) }
    }

    /// Without a lease: always.
    pub fn always() -> Self {
        Self { base: Instant::now(), until: Arc::new(AtomicU64::new(u64::MAX)) }
    }

    /// Leads until `instant`, and no longer unless this is called again.
    pub fn lasts_until(&self, instant: Instant) {
        let after = instant.saturating_duration_since(self.base).as_millis();
        self.until.store(u64::try_from(after).unwrap_or(u64::MAX - 1), Ordering::SeqCst);
    }

    /// Ends now.
    pub fn end(&self) {
        self.until.store(0, Ordering::SeqCst);
    }

    /// Whether a write may be sent.
    pub fn may_write(&self) -> bool {
        let until = self.until.load(Ordering::SeqCst);
        until == u64::MAX || self.base.elapsed() < Duration::from_millis(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_ends_by_itself() {
        let leadership = Leadership::none();
        assert!(!leadership.may_write());
        leadership.lasts_until(Instant::now() + Duration::from_secs(10));
        tokio::time::advance(Duration::from_millis(9_999)).await;
        assert!(leadership.clone().may_write());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!leadership.may_write());
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_lease_it_never_ends() {
        let leadership = Leadership::always();
        tokio::time::advance(Duration::from_secs(1_000_000)).await;
        assert!(leadership.may_write());
        leadership.end();
        assert!(!leadership.may_write());
    }
}
