//! The last measurements as a line of small bars.

use crate::line::{Meaning, Span};
use crate::model::Recent;
use crate::text::page::span;
use leadsman_api::Verdict;

/// Bars from the lowest to the highest.
const LEVELS: [&str; 7] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇"];
/// A difference that is smaller than this part of the values is none to see.
const FLAT: f64 = 0.02;

/// The newest measurements, at most so many.
pub fn of(recent: &[Recent], most: usize) -> Vec<Span> {
    let shown = recent.get(recent.len().saturating_sub(most)..).unwrap_or_default();
    let numbers: Vec<f64> = shown.iter().filter_map(|it| it.value.as_ref()?.number).collect();
    let (lowest, highest) =
        numbers.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), it| (low.min(*it), high.max(*it)));
    let is_flat = highest - lowest <= FLAT * highest.abs().max(lowest.abs());
    let bar = |taken: &Recent| {
        let level = match taken.value.as_ref().and_then(|value| value.number) {
            None => "·",
            Some(_) if is_flat => level(0.5),
            Some(number) => level((number - lowest) / (highest - lowest)),
        };
        span(level, meaning(taken.verdict))
    };
    shown.iter().map(bar).collect()
}

/// The bar for a height from 0 to 1.
fn level(height: f64) -> &'static str {
    let steps = LEVELS.len() as f64;
    let index = (0..LEVELS.len()).rev().find(|index| height * steps >= *index as f64).unwrap_or_default();
    LEVELS.get(index).copied().unwrap_or_default()
}

/// What a verdict looks like.
pub fn meaning(verdict: Option<Verdict>) -> Meaning {
    match verdict {
        Some(Verdict::Success) => Meaning::Good,
        Some(Verdict::Failure) => Meaning::Bad,
        Some(Verdict::Inconclusive | Verdict::NoData | Verdict::ProviderError) => Meaning::Waiting,
        None => Meaning::Past,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::measure;

    fn drawn(values: &[&str], most: usize) -> String {
        let recent: Vec<_> =
            values.iter().map(|value| Recent { at: None, value: measure(value), verdict: None }).collect();
        of(&recent, most).into_iter().map(|span| span.text).collect()
    }

    #[test]
    fn bars_span_from_the_lowest_to_the_highest_of_those_that_are_shown() {
        assert_eq!(drawn(&["0", "1", "2", "3"], 16), "▁▃▅▇");
        assert_eq!(drawn(&["9", "0", "6"], 2), "▁▇");
        assert_eq!(drawn(&["99.5%", "99.6%"], 16), "▄▄");
        assert_eq!(drawn(&["0", "", "done", "1"], 16), "▁··▇");
        assert_eq!(drawn(&[], 16), "");
    }
}
