//! What lies between the least and the most of many times.

use serde::Serialize;

/// Least, middle and most, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    pub min: f64,
    pub median: f64,
    pub p90: f64,
    pub max: f64,
}

impl Spread {
    /// Of none there is none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            min: *sorted.first()?,
            median: percentile(&sorted, 50)?,
            p90: percentile(&sorted, 90)?,
            max: *sorted.last()?,
        })
    }
}

/// The least value that this many of a hundred do not exceed.
fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_ten_is_the_fifth() {
        let spread = Spread::of((1..=10).rev().map(f64::from)).unwrap();
        assert_eq!(spread, Spread { min: 1.0, median: 5.0, p90: 9.0, max: 10.0 });
    }

    #[test]
    fn of_one_everything_is_that_one() {
        assert_eq!(Spread::of([3.0]), Some(Spread { min: 3.0, median: 3.0, p90: 3.0, max: 3.0 }));
        assert_eq!(Spread::of([]), None);
    }
}
