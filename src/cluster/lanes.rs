//! Reads of one kind wait for each other, and for no other kind: one whose reads hang keeps only its own places busy.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Reads of one kind that may be under way at once.
const PLACES: usize = 16;

/// A lane for each kind.
#[derive(Default)]
pub struct Lanes {
    by_kind: Mutex<HashMap<String, Arc<Lane>>>,
}

/// Where reads of one kind wait.
pub struct Lane {
    places: Arc<Semaphore>,
    /// The read that ended last was not answered.
    hangs: AtomicBool,
}

/// A place in a lane.
pub struct Turn {
    lane: Arc<Lane>,
    _place: OwnedSemaphorePermit,
}

impl Lanes {
    /// The lane of a kind.
    pub fn of(&self, kind: &str) -> Arc<Lane> {
        let mut by_kind = self.by_kind.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = by_kind.get(kind) {
            return Arc::clone(lane);
        }
        let lane = Arc::new(Lane { places: Arc::new(Semaphore::new(PLACES)), hangs: AtomicBool::new(false) });
        by_kind.insert(kind.to_owned(), Arc::clone(&lane));
        lane
    }
}

impl Lane {
    /// Waits for a place until then. Where reads of the kind are not answered at present nobody waits in line: whoever finds
    /// no free place has its answer, which is none.
    pub async fn enter(self: Arc<Self>, until: Instant) -> Option<Turn> {
        let places = Arc::clone(&self.places);
        let place = if self.hangs.load(Ordering::Relaxed) {
            places.try_acquire_owned().ok()?
        } else {
            tokio::time::timeout_at(until, places.acquire_owned()).await.ok()?.ok()?
        };
        Some(Turn { lane: self, _place: place })
    }
}

impl Turn {
    /// Gives the place to the next.
    pub fn leave(self, was_answered: bool) {
        self.lane.hangs.store(!was_answered, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn fill(lane: &Arc<Lane>) -> Vec<Turn> {
        let mut turns = Vec::new();
        while let Some(turn) = Arc::clone(lane).enter(Instant::now()).await {
            turns.push(turn);
        }
        turns
    }

    #[tokio::test(start_paused = true)]
    async fn one_kind_waits_for_itself_and_no_longer_than_it_may() {
        let lanes = Lanes::default();
        let turns = fill(&lanes.of("Service")).await;
        assert_eq!(turns.len(), PLACES);
        assert!(lanes.of("Pod").enter(Instant::now()).await.is_some());
        let began = Instant::now();
        assert!(lanes.of("Service").enter(began + Duration::from_secs(5)).await.is_none());
        assert_eq!(began.elapsed(), Duration::from_secs(5));
        drop(turns);
        assert!(lanes.of("Service").enter(Instant::now()).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn where_nothing_is_answered_nobody_waits_in_line_until_something_is() {
        let lanes = Lanes::default();
        let lane = lanes.of("Service");
        let mut turns = fill(&lane).await;
        turns.pop().unwrap().leave(false);
        turns.push(Arc::clone(&lane).enter(Instant::now()).await.expect("a place was free"));
        let (began, later) = (Instant::now(), Instant::now() + Duration::from_secs(5));
        assert!(Arc::clone(&lane).enter(later).await.is_none());
        assert_eq!(began.elapsed(), Duration::ZERO);
        turns.pop().unwrap().leave(true);
        let _last = Arc::clone(&lane).enter(later).await;
        assert!(Arc::clone(&lane).enter(later).await.is_none());
        assert_eq!(began.elapsed(), Duration::from_secs(5));
    }
}
