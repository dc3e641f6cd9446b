//! Who leads, as a pure state machine: what was seen, on a monotonic clock, gives the next move.
//!
//! Clocks of different machines are never compared. A lease has expired when its record has not changed for as long as it
//! is valid, measured here. The holder stops writing well before that: see [`RENEW_DEADLINE`].

use std::time::Duration;

use tokio::time::Instant;

/// How long a record is valid after it was last changed.
pub const DURATION: Duration = Duration::from_secs(15);
/// A holder that could not renew for this long has lost. A request sent just before is over when others may take the lease:
/// this and [`crate::cluster::TIMEOUT`] are no more than [`DURATION`].
pub const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Between renewals that succeed.
pub const RENEW_EVERY: Duration = Duration::from_secs(5);
/// Between tries otherwise.
pub const RETRY_EVERY: Duration = Duration::from_secs(2);

/// What a lease says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who holds it; empty when it was released.
    pub holder: String,
    /// When the holder renewed it, in its own words: compared for change only.
    pub renewed: String,
    /// How often it changed hands.
    pub transitions: u64,
    /// The version of the object.
    pub version: String,
    /// How long it is valid, as its holder wrote.
    pub duration: Duration,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// Create the lease with ourselves as holder.
    Create,
    /// Take it over, or renew it, on top of this version.
    Write {
        /// The version that has to be replaced.
        version: String,
        /// How often it will have changed hands.
        transitions: u64,
        /// True when somebody else held it.
        takes_over: bool,
    },
    /// Somebody else holds it: look again after a while.
    Wait,
    /// We held it and somebody else does now.
    Lost,
}

/// One candidate.
#[derive(Debug)]
pub struct Elector {
    identity: String,
    seen: Option<(Record, Instant)>,
    /// When the last renewal that succeeded was sent.
    held_since: Option<Instant>,
}

impl Elector {
    /// A candidate that has seen nothing. `identity` must be its own alone, also across restarts.
    pub fn new(identity: String) -> Self {
        Self { identity, seen: None, held_since: None }
    }

    /// Who we are in the lease.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Whether our last renewal still stands.
    pub fn holds(&self, now: Instant) -> bool {
        self.held_since.is_some_and(|since| now.saturating_duration_since(since) < RENEW_DEADLINE)
    }

    /// Until when we may write.
    pub fn holds_until(&self) -> Option<Instant> {
        self.held_since.map(|since| since + RENEW_DEADLINE)
    }

    /// The lease was read (`None`: there is none).
    pub fn read(&mut self, now: Instant, record: Option<Record>) -> Move {
        let Some(record) = record else {
            self.seen = None;
            return if self.held_since.is_some() { Move::Lost } else { Move::Create };
        };
        let unchanged = self.seen.take().filter(|(seen, _)| *seen == record);
        let since = unchanged.map_or(now, |(_, since)| since);
        self.seen = Some((record.clone(), since));
        let Record { holder, version, transitions, duration, .. } = record;
        if holder == self.identity {
            return Move::Write { version, transitions, takes_over: false };
        }
        if self.held_since.is_some() {
            return Move::Lost;
        }
        let valid = duration.max(DURATION);
        if holder.is_empty() || now.saturating_duration_since(since) >= valid {
            return Move::Write { version, transitions: transitions.saturating_add(1), takes_over: true };
        }
        Move::Wait
    }

    /// Our write, sent at `sent`, succeeded and made this record.
    pub fn wrote(&mut self, sent: Instant, record: Record) {
        self.seen = Some((record, sent));
        self.held_since = Some(sent);
    }

    /// What to do when a renewal is due, without reading first: the version that we wrote is the one to replace.
    pub fn renew(&self) -> Option<Move> {
        let (record, _) = self.seen.as_ref().filter(|(record, _)| record.holder == self.identity)?;
        Some(Move::Write { version: record.version.clone(), transitions: record.transitions, takes_over: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(holder: &str, renewed: u32) -> Record {
        Record {
            holder: holder.to_owned(),
            renewed: renewed.to_string(),
            transitions: 3,
            version: renewed.to_string(),
            duration: DURATION,
        }
    }

    fn elector() -> Elector {
        Elector::new("me".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn where_there_is_no_lease_it_is_created() {
        assert_eq!(elector().read(Instant::now(), None), Move::Create);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_taken_only_when_its_record_has_not_changed_for_as_long_as_it_is_valid() {
        let (mut elector, start) = (elector(), Instant::now());
        assert_eq!(elector.read(start, Some(record("other", 1))), Move::Wait);
        assert_eq!(elector.read(start + Duration::from_secs(14), Some(record("other", 1))), Move::Wait);
        assert_eq!(elector.read(start + Duration::from_secs(20), Some(record("other", 2))), Move::Wait);
        let taken = elector.read(start + Duration::from_secs(35), Some(record("other", 2)));
        assert_eq!(taken, Move::Write { version: "2".to_owned(), transitions: 4, takes_over: true });
    }

    #[tokio::test(start_paused = true)]
    async fn a_candidate_that_starts_waits_a_whole_duration_however_old_the_record_says_it_is() {
        let mut elector = elector();
        let ancient = Record { renewed: "1970-01-01T00:00:00Z".to_owned(), ..record("other", 1) };
        assert_eq!(elector.read(Instant::now(), Some(ancient)), Move::Wait);
    }

    #[tokio::test(start_paused = true)]
    async fn a_released_lease_is_taken_at_once() {
        let taken = elector().read(Instant::now(), Some(record("", 1)));
        assert_eq!(taken, Move::Write { version: "1".to_owned(), transitions: 4, takes_over: true });
    }

    #[tokio::test(start_paused = true)]
    async fn who_cannot_renew_stops_before_another_can_start() {
        let (mut elector, start) = (elector(), Instant::now());
        elector.wrote(start, record("me", 1));
        assert!(elector.holds(start + RENEW_DEADLINE - Duration::from_millis(1)));
        assert!(!elector.holds(start + RENEW_DEADLINE));
        assert!(RENEW_DEADLINE + crate::cluster::TIMEOUT <= DURATION);
    }

    #[tokio::test(start_paused = true)]
    async fn a_holder_that_finds_another_name_or_no_lease_has_lost() {
        let (mut elector, start) = (elector(), Instant::now());
        elector.wrote(start, record("me", 1));
        assert_eq!(elector.read(start, Some(record("other", 2))), Move::Lost);
        let mut elector = Elector::new("me".to_owned());
        elector.wrote(start, record("me", 1));
        assert_eq!(elector.read(start, None), Move::Lost);
    }

    #[tokio::test(start_paused = true)]
    async fn a_holder_renews_on_top_of_what_others_annotated() {
        let (mut elector, start) = (elector(), Instant::now());
        elector.wrote(start, record("me", 1));
        assert_eq!(elector.renew(), Some(Move::Write { version: "1".to_owned(), transitions: 3, takes_over: false }));
        let annotated = Record { version: "9".to_owned(), ..record("me", 1) };
        let renewed = elector.read(start, Some(annotated));
        assert_eq!(renewed, Move::Write { version: "9".to_owned(), transitions: 3, takes_over: false });
    }
}
