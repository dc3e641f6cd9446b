//! Instants in sentences. The model's sentences say them in UTC, as the operator's do; what draws them says them in the
//! reader's zone.

use jiff::{SignedDuration, Timestamp};

use crate::style::Style;

/// Instants that are nearer than this are told by their time of day.
const NEAR: SignedDuration = SignedDuration::from_hours(12);

/// An instant in a sentence of the model: 12:03:31Z, or in full where that could be another day.
pub fn said(at: Timestamp, now: Timestamp) -> String {
    let form = if at.duration_since(now).abs() < NEAR { "%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%SZ" };
    at.strftime(form).to_string()
}

/// Seconds from one instant to another, never negative.
pub fn seconds_between(from: Timestamp, to: Timestamp) -> i64 {
    to.duration_since(from).as_secs().max(0)
}

/// A sentence with its instants in the reader's zone.
pub fn localized(text: &str, now: Timestamp, style: &Style) -> String {
    let mut said = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, instant, after)) = next_instant(rest, now) {
        said.push_str(before);
        said.push_str(&style.clock(instant, now));
        rest = after;
    }
    said.push_str(rest);
    said
}

/// What is before the first instant of a text, the instant, and what comes after it.
fn next_instant(text: &str, now: Timestamp) -> Option<(&str, Timestamp, &str)> {
    for (end, _) in text.match_indices('Z') {
        let upto = text.get(..end)?;
        let begins_with =
            |length: usize| upto.len().checked_sub(length).and_then(|start| upto.get(start..).map(|it| (start, it)));
        let full = begins_with(19).and_then(|(start, it)| Some((start, format!("{it}Z").parse().ok()?)));
        let short = || begins_with(8).and_then(|(start, it)| Some((start, nearest(it, now)?)));
        let is_word = |start: usize| {
            upto.get(..start).is_some_and(|it| it.ends_with(|c: char| c.is_ascii_alphanumeric() || c == ':'))
        };
        if let Some((start, instant)) = full.or_else(short).filter(|(start, _)| !is_word(*start)) {
            return Some((upto.get(..start)?, instant, text.get(end + 1..)?));
        }
    }
    None
}

/// The instant with this time of day in UTC that is nearest to `now`.
fn nearest(time: &str, now: Timestamp) -> Option<Timestamp> {
    let is_time = time
        .bytes()
        .enumerate()
        .all(|(index, byte)| if index == 2 || index == 5 { byte == b':' } else { byte.is_ascii_digit() });
    let time: jiff::civil::Time = if is_time { time.parse().ok()? } else { return None };
    let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let days = [today.yesterday().ok(), Some(today), today.tomorrow().ok()];
    let instants = days
        .into_iter()
        .flatten()
        .filter_map(|day| Some(day.to_datetime(time).to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp()));
    instants.min_by_key(|at| at.duration_since(now).abs())
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn an_instant_is_told_in_full_where_it_could_be_another_day() {
        let now = at("2026-11-26T12:00:00Z");
        assert_eq!(said(at("2026-11-26T09:12:00.5Z"), now), "09:12:00Z");
        assert_eq!(said(at("2026-11-24T09:12:00Z"), now), "2026-11-24T09:12:00Z");
    }

    #[test]
    fn a_sentence_is_told_in_the_zone_of_its_reader() {
        let style = Style { zone: TimeZone::fixed(jiff::tz::offset(2)), ..Style::default() };
        let now = at("2026-11-26T23:30:00Z");
        assert_eq!(localized("pausing, until 23:35:10Z", now, &style), "pausing, until 01:35:10");
        assert_eq!(localized("00:01:02Z, 2026-11-20T08:00:00Z.", now, &style), "02:01:02, Nov 20 10:00:00.");
        for text in ["no Zulu", "Z", "a99:99:99Z", "1:2:3Z", "x12:00:00Z", "äöü12:0Z", "25:00:00Z"] {
            assert_eq!(localized(text, now, &style), text);
        }
    }
}
