//! Arithmetic of instants that never overflows: a status may hold any instant, and a declaration any duration.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// `at` plus a duration; saturates far beyond any deadline.
pub(crate) fn after(at: Timestamp, duration: Duration) -> Timestamp {
    SignedDuration::try_from(duration).ok().and_then(|duration| at.checked_add(duration).ok()).unwrap_or(Timestamp::MAX)
}

/// `at` less a duration; saturates likewise.
pub(crate) fn before(at: Timestamp, duration: Duration) -> Timestamp {
    SignedDuration::try_from(duration).ok().and_then(|duration| at.checked_sub(duration).ok()).unwrap_or(Timestamp::MIN)
}

/// Down to the millisecond, which is what sources of metrics know.
pub(crate) fn to_millisecond(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_nanosecond().div_euclid(1_000_000).try_into().unwrap_or(0)).unwrap_or(at)
}

/// Time from `earlier` to `later`, zero when the clock went back.
pub(crate) fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_overflows_and_time_never_runs_backwards() {
        let epoch = Timestamp::UNIX_EPOCH;
        assert_eq!(after(epoch, Duration::MAX), Timestamp::MAX);
        assert_eq!(after(Timestamp::MAX, Duration::from_secs(1)), Timestamp::MAX);
        assert_eq!(before(epoch, Duration::MAX), Timestamp::MIN);
        assert_eq!(to_millisecond(Timestamp::MIN), Timestamp::MIN);
        assert_eq!(to_millisecond(after(epoch, Duration::from_micros(1999))), after(epoch, Duration::from_millis(1)));
        assert_eq!(between(after(epoch, Duration::from_secs(3)), epoch), Duration::ZERO);
        assert_eq!(between(epoch, after(epoch, Duration::from_secs(3))), Duration::from_secs(3));
    }
}
