//! How long requests took, as a share: those that took longer than a limit, of all.
//!
//! That 99 of 100 requests take at most half a second is that at most 1% take longer. A histogram counts how many took no
//! longer than each of its boundaries; between two of them it is taken as even, as `histogram_quantile` does.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::words::digits;
use super::{Counts, Share};
use crate::analysis::{Counted, Number, Reporter};
use crate::state::is_default;

/// What a request may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// So long.
    pub max: Duration,
    /// The unit of the histogram's boundaries.
    pub unit: Unit,
    /// That of the histograms of these reporters, where it is another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<(Reporter, Unit)>,
    /// The histogram is a native one, which its source interpolates itself.
    #[serde(default, skip_serializing_if = "is_default")]
    pub native: bool,
    /// The share of requests that have to, where people have said it so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantile: Option<Share>,
}

/// The unit of a histogram's boundaries.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
}

impl Unit {
    fn of(self, time: Duration) -> f64 {
        match self {
            Self::Seconds => time.as_secs_f64(),
            Self::Milliseconds => time.as_secs_f64() * 1e3,
        }
    }

    fn told(self, boundary: f64) -> String {
        let milliseconds = match self {
            Self::Seconds => boundary * 1e3,
            Self::Milliseconds => boundary,
        };
        if milliseconds >= 1000.0 { format!("{} s", digits(milliseconds / 1e3)) } else { format!("{milliseconds} ms") }
    }
}

/// The two boundaries of a histogram between which a limit lies.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Between {
    low: (f64, f64),
    high: (f64, f64),
}

impl Latency {
    /// The same for the histogram of one reporter.
    #[must_use]
    pub fn of(&self, reporter: Option<Reporter>) -> Self {
        let other = self.units.iter().find(|(known, _)| Some(*known) == reporter).map(|(_, unit)| *unit);
        Self { unit: other.unwrap_or(self.unit), units: Vec::new(), ..self.clone() }
    }

    /// The limit in the histogram's unit.
    pub fn boundary(&self) -> f64 {
        self.unit.of(self.max)
    }

    /// What is counted: `slower than 500 ms`.
    pub fn told(&self) -> String {
        format!("slower than {}", self.unit.told(self.boundary()))
    }

    /// The limit as people have said it: ` (p99 <= 500 ms)`.
    pub fn as_said(&self) -> String {
        let as_quantile =
            |share: Share| format!(" (p{} <= {})", f64::from(share.0) / 1e4, self.unit.told(self.boundary()));
        self.quantile.map(as_quantile).unwrap_or_default()
    }

    /// How many took longer, of the canary or of stable as one reporter counted them; `None` where there is no answer.
    ///
    /// # Errors
    /// Where no finite boundary is as high as the limit: how many took longer cannot be told.
    pub fn counts(
        &self,
        numbers: &[Counted],
        reporter: Option<Reporter>,
        [within, total]: [Number; 2],
    ) -> Result<Option<Counts>, String> {
        let of_reporter = || numbers.iter().filter(|counted| counted.reporter == reporter);
        let Some(total) = of_reporter().find(|counted| counted.number == total).map(|it| it.value) else {
            return Ok(None);
        };
        let buckets = buckets(of_reporter().filter(|counted| counted.number == within));
        let Some(Between { low, high }) = self.between(&buckets)? else {
            // A histogram that nobody has filled yet.
            return Ok(Some(Counts { bad: 0.0, total: 0.0 }));
        };
        let part = if high.0 > low.0 { (self.boundary() - low.0) / (high.0 - low.0) } else { 1.0 };
        let within = low.1 + part * (high.1 - low.1);
        Ok(Some(Counts { bad: total - within, total }.clean()))
    }

    /// The boundaries of stable's histogram between which the limit lies, where it is none of them.
    pub fn neighbours(&self, numbers: &[Counted], reporter: Option<Reporter>) -> Option<(f64, f64)> {
        let of = |counted: &&Counted| counted.reporter == reporter && counted.number == Number::StableWithin;
        let Between { low, high } = self.between(&buckets(numbers.iter().filter(of))).ok()??;
        (high.0 > self.boundary()).then_some((low.0, high.0))
    }

    /// That the limit is no boundary.
    pub fn interpolated(&self, (low, high): (f64, f64)) -> String {
        let [limit, low, high] = [self.boundary(), low, high].map(|boundary| self.unit.told(boundary));
        format!("{limit} is no boundary of the histogram: interpolated between {low} and {high}")
    }

    fn between(&self, buckets: &[(f64, f64)]) -> Result<Option<Between>, String> {
        let limit = self.boundary();
        let Some(high) = buckets.iter().find(|(le, _)| *le >= limit) else {
            return Ok(None);
        };
        if high.0.is_infinite() {
            let finite = buckets.iter().filter(|(le, _)| le.is_finite()).map(|(le, _)| self.unit.told(*le));
            let known = finite.collect::<Vec<_>>().join(", ");
            return Err(format!(
                "the histogram does not tell what is {}: its boundaries are {known}; take one of them as the limit, or give \
                 the histogram a higher one",
                self.told()
            ));
        }
        let low = buckets.iter().rfind(|(le, _)| *le < limit).copied().unwrap_or_default();
        Ok(Some(Between { low, high: *high }))
    }
}

/// Boundaries and how many took no longer, from the lowest; one that is written in two ways counts once.
fn buckets<'a>(numbers: impl Iterator<Item = &'a Counted>) -> Vec<(f64, f64)> {
    let mut buckets: Vec<(f64, f64)> = numbers.filter_map(|counted| Some((counted.le?, counted.value))).collect();
    buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
    buckets.dedup_by(|later, first| {
        let same = later.0.total_cmp(&first.0).is_eq();
        if same {
            first.1 += later.1;
        }
        same
    });
    buckets
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANARY: [Number; 2] = [Number::CanaryWithin, Number::CanaryTotal];

    fn latency(milliseconds: u64, unit: Unit) -> Latency {
        Latency {
            max: Duration::from_millis(milliseconds),
            unit,
            units: Vec::new(),
            native: false,
            quantile: Some(Share(990_000)),
        }
    }

    fn histogram(buckets: &[(&str, f64)], total: f64) -> Vec<Counted> {
        let named = |(le, value): &(&str, f64)| Counted::named("canary within", le, *value).unwrap();
        buckets.iter().map(named).chain([Counted::plain(Number::CanaryTotal, total)]).collect()
    }

    #[test]
    fn what_is_slower_than_a_boundary_is_counted_and_what_lies_between_two_is_interpolated() {
        let numbers = histogram(&[("0.1", 50.0), ("0.25", 80.0), ("0.5", 96.0), ("+Inf", 100.0)], 100.0);
        let bad = |ms| latency(ms, Unit::Seconds).counts(&numbers, None, CANARY).unwrap().unwrap().bad;
        assert_eq!([500, 250, 100].map(bad).map(|bad| bad.to_string()), ["4", "20", "50"]);
        // Half-way between 0.25 and 0.5, and between nothing and 0.1.
        assert!((bad(375) - 12.0).abs() < 1e-9 && (bad(50) - 75.0).abs() < 1e-9, "{} {}", bad(375), bad(50));
        let beyond = latency(800, Unit::Seconds).counts(&numbers, None, CANARY).unwrap_err();
        assert!(beyond.contains("its boundaries are 100 ms, 250 ms, 500 ms;"), "{beyond}");
    }

    /// Prometheus 3 writes 1.0 where its predecessors keep what is exposed: both are there after an upgrade.
    #[test]
    fn a_boundary_is_a_number_however_it_is_written() {
        let numbers = histogram(&[("1", 3.0), ("1.0", 4.0), ("5.0", 9.0), ("+Inf", 9.0)], 10.0);
        let counts = latency(1000, Unit::Seconds).counts(&numbers, None, CANARY).unwrap();
        assert_eq!(counts, Some(Counts { bad: 3.0, total: 10.0 }));
    }

    #[test]
    fn units_are_those_of_the_histogram_and_words_those_of_people() {
        let numbers = histogram(&[("250", 98.0), ("500", 99.0), ("+Inf", 99.0)], 99.0);
        let counts = latency(500, Unit::Milliseconds).counts(&numbers, None, CANARY).unwrap();
        assert_eq!(counts.map(|counts| counts.bad), Some(0.0));
        let latency = latency(1500, Unit::Milliseconds);
        assert_eq!((latency.told().as_str(), latency.as_said().as_str()), ("slower than 1.5 s", " (p99 <= 1.5 s)"));
    }

    #[test]
    fn reporters_of_one_mesh_may_differ_in_their_units() {
        let latency = Latency { units: vec![(Reporter::Inbound, Unit::Milliseconds)], ..latency(500, Unit::Seconds) };
        let boundary = |reporter| latency.of(reporter).boundary();
        let known = [None, Some(Reporter::Route), Some(Reporter::Inbound)];
        assert_eq!(known.map(boundary).map(|it| it.to_string()), ["0.5", "0.5", "500"]);
    }

    #[test]
    fn without_an_answer_nothing_is_known_and_without_buckets_nothing_happened() {
        let counts = |numbers: &[Counted]| latency(500, Unit::Seconds).counts(numbers, None, CANARY).unwrap();
        assert_eq!(counts(&[]), None);
        assert_eq!(counts(&[Counted::plain(Number::CanaryTotal, 0.0)]).map(|counts| counts.total), Some(0.0));
        let by_others = Counted { reporter: Some(Reporter::Source), ..Counted::plain(Number::CanaryTotal, 9.0) };
        assert_eq!(counts(&[by_others]), None);
    }

    #[test]
    fn the_boundaries_between_which_is_interpolated_are_told() {
        let of_stable = |le, value| Counted::named("stable within", le, value).unwrap();
        let numbers = [of_stable("0.25", 1.0), of_stable("0.5", 2.0), of_stable("+Inf", 2.0)];
        let neighbours = |ms| latency(ms, Unit::Seconds).neighbours(&numbers, None);
        assert_eq!((neighbours(500), neighbours(800), neighbours(300)), (None, None, Some((0.25, 0.5))));
        let told = latency(300, Unit::Seconds).interpolated((0.25, 0.5));
        assert_eq!(told, "300 ms is no boundary of the histogram: interpolated between 250 ms and 500 ms");
    }
}
