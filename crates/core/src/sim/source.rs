//! The metric source of the modelled cluster.

use crate::analysis::proportion::BASELINE_MINUTES;
use crate::analysis::{Counted, Number, Outcome, Reads, Span};

/// What the metric source says of the canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Good,
    Bad,
    Unclear,
    Empty,
    Down,
    NotANumber,
}

impl Source {
    /// Its answer to a question that is read like this, where it says `of_both` of stable beside the canary.
    pub(super) fn says(self, reads: Reads, of_both: Self) -> Outcome {
        match self {
            Self::Down => Outcome::Error { query_is_wrong: false, message: "connection refused".to_owned() },
            _ if reads != Reads::Values => counted(reads, self, of_both),
            Self::Good => Outcome::Samples(vec![0.999]),
            Self::Bad => Outcome::Samples(vec![0.2]),
            Self::Unclear => Outcome::Samples(vec![0.7]),
            Self::Empty => Outcome::Empty,
            Self::NotANumber => Outcome::Samples(vec![f64::NAN]),
        }
    }
}

/// Requests of both revisions, 20 and 100 in a second.
fn counted(reads: Reads, canary: Source, stable: Source) -> Outcome {
    let seconds = match reads {
        Reads::Counts(Span { from, to }) => to.duration_since(from).as_secs_f64(),
        Reads::Baseline | Reads::Values => BASELINE_MINUTES as f64 * 60.0,
    };
    let of = |source: Source, per_second: f64, bad: Number, total: Number| {
        let share = match source {
            Source::Bad => 0.3,
            Source::Unclear => 0.009,
            _ => 0.0,
        };
        let requests = per_second * seconds;
        let total = (source != Source::Empty).then(|| Counted::plain(total, requests));
        [Counted::plain(bad, requests * share)].into_iter().chain(total)
    };
    let canary = of(canary, 20.0, Number::CanaryBad, Number::CanaryTotal);
    Outcome::Counted(canary.chain(of(stable, 100.0, Number::StableBad, Number::StableTotal)).collect())
}
