//! Waiting lines: so many questions at once to one place, the rest in the order in which they came.
//!
//! A place that hangs keeps its own line waiting and nobody else's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Semaphore;

/// Questions that one place is asked at the same time.
pub(super) const AT_ONCE: usize = 16;

/// The lines by place. Those that nobody stands in are forgotten.
#[derive(Default)]
pub(super) struct Lines {
    by_place: Mutex<HashMap<String, Weak<Semaphore>>>,
}

impl Lines {
    /// The line of a place.
    pub fn of(&self, place: &str) -> Arc<Semaphore> {
        let mut lines = self.by_place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get(place).and_then(Weak::upgrade) {
            return line;
        }
        lines.retain(|_, line| line.strong_count() > 0);
        let line = Arc::new(Semaphore::new(AT_ONCE));
        lines.insert(place.to_owned(), Arc::downgrade(&line));
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shared_while_somebody_stands_in_it_and_forgotten_then() {
        let lines = Lines::default();
        let (a, again, b) = (lines.of("a"), lines.of("a"), lines.of("b"));
        assert!(Arc::ptr_eq(&a, &again) && !Arc::ptr_eq(&a, &b));
        drop((a, again, b));
        let _c = lines.of("c");
        assert_eq!(lines.by_place.lock().unwrap().len(), 1);
    }
}
