//! So many questions at once to one host; the rest wait in the order in which they came.
//!
//! A host that hangs keeps its own questions waiting and nobody else's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Semaphore;

/// Questions that one host is asked at the same time.
pub(super) const AT_ONCE: usize = 16;

/// The limits by host. A host that nobody asks is forgotten.
#[derive(Default)]
pub(super) struct HostLimits {
    by_host: Mutex<HashMap<String, Weak<Semaphore>>>,
}

impl HostLimits {
    /// The limit of a host.
    pub fn of(&self, host: &str) -> Arc<Semaphore> {
        let mut limits = self.by_host.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = limits.get(host).and_then(Weak::upgrade) {
            return line;
        }
        limits.retain(|_, line| line.strong_count() > 0);
        let line = Arc::new(Semaphore::new(AT_ONCE));
        limits.insert(host.to_owned(), Arc::downgrade(&line));
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shared_while_somebody_stands_in_it_and_forgotten_then() {
        let limits = HostLimits::default();
        let (a, again, b) = (limits.of("a"), limits.of("a"), limits.of("b"));
        assert!(Arc::ptr_eq(&a, &again) && !Arc::ptr_eq(&a, &b));
        drop((a, again, b));
        let _c = limits.of("c");
        assert_eq!(limits.by_host.lock().unwrap().len(), 1);
    }
}
