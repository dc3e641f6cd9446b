//! Numbers and durations, written as people write them and read from what people wrote.

use leadsman_core::text::grouped;

use crate::model::Measure;

/// A count with its thousands apart: 1,149.
pub fn whole(count: i64) -> String {
    let sign = if count < 0 { "-" } else { "" };
    format!("{sign}{}", grouped(&count.unsigned_abs().to_string()))
}

/// A part in percent, with two digits that tell: 3.7%, 0.08%, 12%. Empty of nothing.
pub fn part(some: i64, all: i64) -> String {
    if all <= 0 {
        return String::new();
    }
    let percent = some as f64 / all as f64 * 100.0;
    let decimals: usize = match percent {
        percent if percent >= 10.0 || percent <= 0.0 => 0,
        percent if percent >= 1.0 => 1,
        percent if percent >= 0.1 => 2,
        _ => 3,
    };
    format!("{percent:.decimals$}%")
}

/// Seconds as people say them: 42s, 2m 34s, 1h 05m, 3d 4h.
pub fn duration(seconds: i64) -> String {
    let (days, hours, minutes, seconds) = split(seconds);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {seconds:02}s"),
        (0, ..) => format!("{hours}h {minutes:02}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// The same for a column: 42s, 2m34s, 1h05m, 3d.
pub fn narrow(seconds: i64) -> String {
    let (days, hours, minutes, seconds) = split(seconds);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{seconds:02}s"),
        (0, ..) => format!("{hours}h{minutes:02}m"),
        _ => format!("{days}d"),
    }
}

/// The largest unit alone: 40s, 14m, 1h, 3d.
pub fn age(seconds: i64) -> String {
    match split(seconds) {
        (0, 0, 0, seconds) => format!("{seconds}s"),
        (0, 0, minutes, _) => format!("{minutes}m"),
        (0, hours, ..) => format!("{hours}h"),
        (days, ..) => format!("{days}d"),
    }
}

fn split(seconds: i64) -> (i64, i64, i64, i64) {
    let seconds = seconds.max(0);
    (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60)
}

/// A value as it was measured; `None` without one.
pub fn measure(text: &str) -> Option<Measure> {
    let text = text.trim();
    (!text.is_empty()).then(|| Measure { text: text.to_owned(), number: number(text) })
}

/// A number as people write it, a percentage as a ratio; `None` where it is none, or not finite.
pub fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    // Digits are moved before they are read: a division would make 0.0034999… of 0.35%.
    let number: f64 = match text.strip_suffix('%') {
        Some(percent) if percent.contains(['e', 'E']) => return None,
        Some(percent) => format!("{}e-2", percent.trim()).parse().ok()?,
        None => text.parse().ok()?,
    };
    number.is_finite().then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_parts_are_written_as_people_write_them() {
        assert_eq!([0, 999, 1149, -1_234_567].map(whole), ["0", "999", "1,149", "-1,234,567"]);
        assert_eq!(
            [part(43, 1149), part(0, 5), part(1, 4), part(1, 0), part(1, 900)],
            ["3.7%", "0%", "25%", "", "0.11%"]
        );
        assert_eq!(whole(i64::MIN), "-9,223,372,036,854,775,808");
    }

    #[test]
    fn a_duration_has_two_units_at_most() {
        assert_eq!([-5, 42, 180, 3_900, 273_600].map(duration), ["0s", "42s", "3m 00s", "1h 05m", "3d 4h"]);
        assert_eq!([42, 216, 3_900, 273_600].map(narrow), ["42s", "3m36s", "1h05m", "3d"]);
        assert_eq!([42, 216, 3_900, 273_600].map(age), ["42s", "3m", "1h", "3d"]);
    }

    #[test]
    fn a_percentage_is_a_ratio_and_what_is_no_number_is_none() {
        assert_eq!([number("0.35%"), number(" 0.996 "), number("100%")], [Some(0.0035), Some(0.996), Some(1.0)]);
        assert_eq!(["done", "0.01, NaN", "NaN", "inf", ""].map(number), [None; 5]);
        assert_eq!(measure(" "), None);
    }
}
