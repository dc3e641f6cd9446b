//! What a proportion shows, in one line for people: shares with two digits, whole requests.

use super::sequence::{lower, upper};
use super::{Counts, Failed, Finding, Gate, Latency, Proportion};
use crate::text::grouped;

/// Share of the canary as it is shown; empty without requests.
pub fn value(gate: &Gate) -> String {
    gate.shown().map(|counts| percent(counts.share())).unwrap_or_default()
}

/// What the numbers are, what they are held against, and how sure that is.
pub fn because(gate: &Gate, proportion: &Proportion, finding: Finding) -> String {
    let Counts { bad, total } = gate.shown().unwrap_or_default();
    let of = format!("{} of {}", whole(bad), requests(Counts { bad, total }, proportion));
    let of_stable = |stable: Counts| format!("; stable {} of {}", percent(stable.share()), whole(stable.total));
    let beside = gate.shown_of_stable().map(of_stable).unwrap_or_default();
    let confidence = proportion.confidence;
    let as_said = proportion.latency.as_ref().map(Latency::as_said).unwrap_or_default();
    let limit = proportion.limit.map(|limit| format!(", limit {}{as_said}", limit.max)).unwrap_or_default();
    let margin = proportion.against.map(|against| points(against.margin.as_f64())).unwrap_or_default();
    match finding {
        Finding::Failed(Failed::AllFailed) => {
            format!("{of}{limit}: every one of the last failed{beside}")
        }
        Finding::Failed(Failed::AboveLimit) => {
            let (least, looks) = (percent(lower(bad, total, proportion.alpha())), gate.intervals);
            format!(
                "{of}{limit}: above it at {confidence} however often one looks ({looks} looks){beside}; the true share is \
                 above {least} if requests fail independently"
            )
        }
        Finding::Failed(Failed::WorseThanStable) => {
            format!(
                "{of}{limit}: worse than stable by more than {margin} at {confidence} however often one looks{beside}"
            )
        }
        Finding::SharedFailure => {
            format!("{of}{limit}{beside}: both are above it, nothing is held against the new revision")
        }
        Finding::Failed(Failed::SharedFailure) => {
            format!("{of}{limit}{beside}: both are above it, which counts as a failure (onSharedFailure: Fail)")
        }
        Finding::NoRequest => {
            format!("no request reached the new revision{beside}")
        }
        Finding::Shown => {
            let below = proportion.limit.map(|limit| format!("below {} at {confidence}", limit.pass_below));
            let within = proportion
                .against
                .map(|against| format!("no more than {} above stable", points(against.pass_within.as_f64())));
            format!("{of}{limit}: {}{beside}", below.into_iter().chain(within).collect::<Vec<_>>().join(", "))
        }
        Finding::TooFew | Finding::WorseLately | Finding::NotYetBelowLimit | Finding::NotYetAsGoodAsStable => {
            format!("{of}{limit}: {}{beside}", undecided(gate, proportion, finding))
        }
    }
}

/// `1,204 requests`, or `1,204 requests slower than 500 ms`.
pub fn requests(counts: Counts, proportion: &Proportion) -> String {
    let slower = proportion.latency.as_ref().map(|latency| format!(" {}", latency.told())).unwrap_or_default();
    format!("{} requests{slower}", whole(counts.total))
}

fn undecided(gate: &Gate, proportion: &Proportion, finding: Finding) -> String {
    let Counts { bad, total } = gate.window();
    let (over_limit, over_stable) = gate.evidence();
    let evidence = format!("evidence {:.1} of {:.0}", over_limit.max(over_stable), proportion.threshold());
    match (finding, proportion.limit, proportion.against) {
        (Finding::TooFew, ..) if total < f64::from(proportion.min_samples) => {
            format!("not decided, fewer than {} requests yet (minSamples)", whole(proportion.min_samples.into()))
        }
        (Finding::TooFew, ..) => "not decided, too few looks yet".to_owned(),
        (Finding::NotYetBelowLimit, Some(limit), _) => {
            let (below, shown) = (limit.pass_below, percent(upper(bad, total, proportion.alpha())));
            let needed = proportion.requests_to_pass(gate.window().share());
            let after = needed.map(|needed| after(gate, needed as f64)).unwrap_or_default();
            format!("not decided, below {shown} so far (passes below {below}{after}); {evidence}")
        }
        (Finding::NotYetAsGoodAsStable, _, Some(against)) => {
            let within = points(against.pass_within.as_f64());
            format!("not yet shown to be within {within} of stable; {evidence}")
        }
        _ => format!("not decided, worse lately; {evidence}"),
    }
}

/// How many requests more it is likely to need, and how long they take to come.
fn after(gate: &Gate, needed: f64) -> String {
    let Counts { total, .. } = gate.window();
    let requests = format!(", after about {} requests", whole(needed));
    match gate.rate().filter(|_| needed > total) {
        Some(rate) => format!("{requests}, in about {} at {}/s", long((needed - total) / rate), digits(rate)),
        None => requests,
    }
}

/// So many seconds, as people say it: 40 s, 16 min, 3 h.
pub fn long(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 100.0 => format!("{seconds:.0} s"),
        seconds if seconds < 6000.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.0} h", seconds / 3600.0),
    }
}

/// A share with two digits that tell: 3.1%, 0.33%, 12%.
pub fn percent(share: f64) -> String {
    format!("{}%", digits(share * 100.0))
}

/// A difference of shares: 0.5 points.
pub fn points(share: f64) -> String {
    format!("{} points", digits(share * 100.0))
}

/// Two digits that tell.
pub fn digits(number: f64) -> String {
    let decimals: usize = match number {
        number if number >= 10.0 || number == 0.0 => 0,
        number if number >= 1.0 => 1,
        number if number >= 0.1 => 2,
        number if number >= 0.01 => 3,
        _ => 4,
    };
    let text = format!("{number:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A count as people write it: 1,204.
pub fn whole(count: f64) -> String {
    grouped(&format!("{:.0}", count.max(0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_write_them() {
        assert_eq!([0.0, 12.4, 1204.0, 1_234_567.8].map(whole), ["0", "12", "1,204", "1,234,568"]);
        assert_eq!([40.4, 960.0, 10_800.0].map(long), ["40 s", "16 min", "3 h"]);
        assert_eq!(
            [0.0, 0.000_33, 0.003_33, 0.031, 0.1234, 1.0].map(percent),
            ["0%", "0.033%", "0.33%", "3.1%", "12%", "100%"]
        );
    }
}
